"""The checks: what each looks at, and how little is never a fault."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Raw = Mapping[str, NDArray[np.float32]]
Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Check:
    """One check of an image.

    `values` gives what it looks at, higher = worse; where there are several columns, the cell
    deviates by the mean of what it deviates in each. `reach` is the least distance from what is
    usual to the threshold, however uniform an acquisition is. With `by_label`, what is usual
    depends on the class; with `two_sided`, too little is as bad as too much. `common` faults may be
    those of every fifth cell and still not pass for usual. `compared` says from
    how many acquisitions on a whole one can be told to be worse than the others (None: never).
    """

    name: str
    values: Callable[[Raw], tuple[Values, ...]]
    reach: float
    by_label: bool = False
    two_sided: bool = False
    common: bool = False
    compared: int | None = None


def _plain(column: str, factor: float = 1.0) -> Callable[[Raw], tuple[Values, ...]]:
    return lambda raw: (factor * raw[column].astype(np.float64),)


def _log(*columns: str, factor: float = 1.0, least: float) -> Callable[[Raw], tuple[Values, ...]]:
    return lambda raw: tuple(
        factor * np.log(np.maximum(raw[column].astype(np.float64), least)) for column in columns
    )


# In the order in which a cell with several faults is said to have been dropped.
CHECKS: tuple[Check, ...] = (
    Check("truncated", _plain("filled"), reach=0.025, compared=2),
    Check("blocks", _log("blockiness", least=1.0), reach=0.3, compared=2),
    Check("focus", _plain("sharpness", -1.0), reach=0.5, by_label=True, compared=2),
    # Of two acquisitions one is darker, the other brighter, and one stained more: only a third
    # tells which is wrong.
    Check("too_dark", _log("ground", factor=-1.0, least=0.01), reach=0.12, compared=3),
    Check("too_bright", _log("ground", least=0.01), reach=0.04, compared=3),
    Check("clipped", _plain("clipped"), reach=0.05, compared=2),
    Check("colourless", _log("colour", factor=-1.0, least=0.005), reach=0.35, compared=3),
    Check("empty", _log("core", factor=-1.0, least=0.05), reach=0.7, by_label=True),
    Check("cut", _plain("contact"), reach=0.3, common=True),
    Check("off_centre", _plain("off_centre"), reach=0.2, common=True),
    Check("several", _plain("spread"), reach=0.15, by_label=True, common=True),
    Check(
        "magnification",
        _log("diameter_px", "chord_px", least=1.0),
        reach=0.35,
        by_label=True,
        two_sided=True,
    ),
)

CHECK_NAMES: tuple[str, ...] = tuple(check.name for check in CHECKS)
