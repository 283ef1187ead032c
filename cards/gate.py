"""One check of a release, and what it found."""

from __future__ import annotations

from typing import Literal

from curation.frozen import Frozen

State = Literal["passed", "failed", "overridden", "warned"]


class Gate(Frozen):
    """One check of a release."""

    name: str
    state: State
    detail: str
