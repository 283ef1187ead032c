"""From flags to drop reasons, for the checks that someone chose: a flag alone drops nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from ...errors import SmearkitError
from .check import CHECK_NAMES

DROPPED = "check_"
"""What these drop reasons begin with."""


def chosen_checks(text: str) -> tuple[str, ...]:
    """Return the checks that a list such as "focus,empty" names, in the order of `CHECKS`.

    Raises: SmearkitError where it names none, or one that is not there.
    """
    named = [part.strip() for part in text.split(",") if part.strip()]
    unknown = [name for name in named if name not in CHECK_NAMES]
    if unknown or not named:
        found = repr(unknown[0]) if unknown else "nothing"
        raise SmearkitError(
            f"which flagged cells to drop: expected some of {','.join(CHECK_NAMES)}; found {found}"
        )
    return tuple(name for name in CHECK_NAMES if name in named)


def flag_reasons(
    flags: Mapping[str, NDArray[np.bool_]], chosen: Sequence[str], count: int
) -> NDArray[np.object_]:
    """Return why each of `count` cells is dropped ("" = kept): the first chosen check it fails."""
    reasons = np.full(count, "", dtype=object)
    for name in reversed([name for name in CHECK_NAMES if name in chosen]):
        reasons[flags[name]] = f"{DROPPED}{name}"
    return reasons
