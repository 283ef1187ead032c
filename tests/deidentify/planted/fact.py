"""What is planted in a made export: facts that must go, and facts that must stay."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from .outcome import Outcome

Array = NDArray[np.uint8]
Check = Callable[["Outcome"], bool]


@dataclass(frozen=True, slots=True)
class Fact:
    """One fact of the made export, by the kind of place that carries it and the place itself.

    A fact that must go is a text that may be in no byte. Where bytes do not say (a day that was
    moved may fall on another, letters in pixels) a check says whether it went. A fact that must
    stay is a check over what came out.
    """

    carrier: str
    where: str
    must: Literal["go", "stay"]
    text: str = ""
    check: Check | None = None


def go(carrier: str, where: str, text: str, check: Check | None = None) -> Fact:
    """Return a fact that must not be in any byte of what comes out, or must pass a check."""
    return Fact(carrier, where, "go", text, check)


def stay(carrier: str, where: str, check: Check) -> Fact:
    """Return a fact that must be there in what comes out."""
    return Fact(carrier, where, "stay", check=check)


@dataclass(frozen=True, slots=True)
class MadeImage:
    """An image file with what is planted in it, and what must become of its pixels.

    `shown` is what a viewer shows, (h, w, 3) or (h, w) uint8, equal to what is released within
    `levels`; None where the file must be refused. `scan` are the entropy-coded bytes of a JPEG
    that must be kept as they are.
    """

    carrier: str
    where: str
    data: bytes
    shown: Array | None
    plants: Sequence[Fact] = field(default_factory=tuple)
    levels: int = 0
    scan: bytes = b""
