"""The processes of one training: what they share while they train, and who logs for them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch.distributed import DistError

from curation.errors import GeneratorError

from .denoiser import best_device
from .processes import Ranks

if TYPE_CHECKING:
    from accelerate import Accelerator
    from accelerate.tracking import GeneralTracker

TRACKERS = ("tensorboard", "trackio")
"""Trackers that write files and send nothing; each is a package of the same name."""

_PATIENCE = timedelta(hours=2)
_LOST = ("closed by peer", "Connection reset", "Broken pipe", "Timed out waiting")


def check_trackers(trackers: Sequence[str | GeneralTracker]) -> None:
    """Refuse names that are no tracker, or whose package is missing.

    Raises: GeneratorError.
    """
    for name in trackers:
        if not isinstance(name, str):
            continue
        if name not in TRACKERS:
            raise GeneratorError(
                f"there is no tracker {name!r}; choose one of {', '.join(TRACKERS)}"
            )
        if find_spec(name) is None:
            raise GeneratorError(
                f"logging to {name} needs its package, which is not installed. "
                f"Next: pip install {name}"
            )


@contextmanager
def training_processes(
    folder: Path, trackers: Sequence[str | GeneralTracker], ranks: Ranks
) -> Iterator[Accelerator]:
    """Yield what joins the processes; their logs go into `folder`/logs.

    Raises: GeneratorError where another process of the run ended.
    """
    accelerator = _accelerator(folder, trackers)
    try:
        if trackers:
            # What this one writes goes where it says, not into the user's cache.
            os.environ.setdefault("TRACKIO_DIR", str(folder / "logs"))
            accelerator.init_trackers("logs")
        yield accelerator
    except RuntimeError as error:
        if ranks.count > 1 and _is_lost(error):
            raise GeneratorError(
                "another process of this run ended, so this one cannot go on. The last checkpoint "
                "is kept. Next: see the message of that process above, then run the same command "
                "again (it goes on from there)"
            ) from error
        raise
    finally:
        accelerator.end_training()


def _is_lost(error: RuntimeError) -> bool:
    return isinstance(error, DistError) or any(text in str(error) for text in _LOST)


def _accelerator(folder: Path, trackers: Sequence[str | GeneralTracker]) -> Accelerator:
    from accelerate import Accelerator
    from accelerate.utils import InitProcessGroupKwargs

    # Its own mixed precision stays off: the loss says itself what is computed in bfloat16.
    return Accelerator(
        mixed_precision="no",
        cpu=best_device() == torch.device("cpu"),
        log_with=list(trackers) or None,
        project_dir=folder if trackers else None,
        # The others wait while the first one looks at what is drawn.
        kwargs_handlers=[InitProcessGroupKwargs(timeout=_PATIENCE)],
    )
