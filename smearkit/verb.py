"""What every verb of the command line shares: its exit statuses and common options."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeVar

import typer

from curation.errors import SmearkitError

from .console import say

Out = Annotated[Path, typer.Option("--out", "-o", help="Directory to make; must not exist.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]
ConfigFile = Annotated[
    Path | None, typer.Option("--config", help="YAML file of settings; flags go over it.")
]
Command = TypeVar("Command", bound=Callable[..., None])
REFUSED, INTERRUPTED = 1, 130


def fail(text: str, status: int = REFUSED) -> NoReturn:
    """Say why, and end with an exit status."""
    say(text)
    raise SystemExit(status)


def verb(command: Command) -> Command:
    """Turn refusals into exit status 1 and Ctrl-C into 130, with a message on stderr."""

    @functools.wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> None:
        try:
            command(*args, **kwargs)
        except SmearkitError as error:
            fail(f"error: {error}")
        except KeyboardInterrupt:
            fail("stopped; the same command goes on where it stopped", INTERRUPTED)

    return wrapped  # type: ignore[return-value]
