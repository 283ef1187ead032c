"""How a stage tells how far it is: a plain callable, so that stages know no terminal."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str, int, int], None]
"""Called as progress(what, done, total); `what` names the step, counts are in its own unit."""


def silent(what: str, done: int, total: int) -> None:
    """Say nothing."""
