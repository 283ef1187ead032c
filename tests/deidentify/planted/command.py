"""Running the command line inside this process, and keeping every word that it says."""

from __future__ import annotations

import logging
import os
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from unittest.mock import patch

from typer.main import get_command

from smearkit import cli


class Command:
    """Runs verbs as a user of a name; what they say is kept in files below a folder."""

    def __init__(self, spoken: Path, user: str) -> None:
        self._spoken = spoken
        self._names = dict.fromkeys(("USER", "LOGNAME", "USERNAME", "LNAME"), user)
        # Made once: it takes longer than most refusals.
        self._verbs = get_command(cli.app)
        spoken.mkdir(parents=True)

    def __call__(self, *arguments: object) -> int:
        """Run a verb; return its exit status."""
        texts = [str(argument) for argument in arguments]
        out, error = StringIO(), StringIO()
        with (
            patch.dict(os.environ, self._names), _logged() as log, warnings.catch_warnings(),
            redirect_stdout(out), redirect_stderr(error),
        ):  # fmt: skip
            warnings.simplefilter("always")
            status = self._status(texts)
        number = len(list(self._spoken.iterdir()))
        said = "\n".join((out.getvalue(), error.getvalue(), log.getvalue()))
        (self._spoken / f"{number:02d}-{texts[0]}.txt").write_text(said, encoding="utf-8")
        return status

    def _status(self, texts: list[str]) -> int:
        try:
            self._verbs.main(args=texts, prog_name="smearkit")
        except SystemExit as end:
            return end.code if isinstance(end.code, int) else 1
        except Exception:
            # What would end in a traceback on the terminal.
            traceback.print_exc()
            return 70
        return 0

    def last(self) -> str:
        """Return what was said last."""
        return sorted(self._spoken.iterdir())[-1].read_text(encoding="utf-8")


@contextmanager
def _logged() -> Iterator[StringIO]:
    """Yield what any library logs inside the block, at any level."""
    text = StringIO()
    handler = logging.StreamHandler(text)
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        yield text
    finally:
        root.removeHandler(handler)
        root.setLevel(level)
