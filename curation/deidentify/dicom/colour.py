"""From stored values to what a viewer shows: sRGB, uint8, (h, w, 3) or (h, w).

Grey of more than 8 bits is shown through the first window of the header, or from the darkest to
the brightest value of the frame where it has none.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from ...errors import ImageError
from ...pixels import Pixels
from ..colour import changes_colours, to_srgb
from .decode import Stored, is_decoded_to_rgb, value_range
from .elements import Element, elements
from .layout import GREY, Layout
from .read import naming_errors
from .stream import Budget

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

Grey = Literal["as stored", "window", "darkest to brightest"]
_NUMBERS = ("RescaleSlope", "RescaleIntercept", "WindowCenter", "WindowWidth")
_PROFILE, _PROFILE_HOLDER = "ICCProfile", "OpticalPathSequence"


@dataclass(frozen=True, slots=True)
class Show:
    """What the header says about showing stored values.

    `profile` is the ICC profile where it changes colours, else empty.
    """

    layout: Layout
    slope: float
    intercept: float
    window: tuple[float, float] | None
    profile: bytes
    palette: Callable[[Stored], NDArray[Any]] | None
    is_ybr: bool

    @property
    def grey(self) -> Grey | None:
        """How grey is shown; None for colour."""
        if self.layout.photometric not in GREY:
            return None
        if self.layout.bits_stored <= 8 and not self.layout.is_signed:
            return "as stored"
        return "window" if self.window else "darkest to brightest"


def read_show(dataset: Dataset, layout: Layout, syntax: str) -> Show:
    """Return how the frames of a data set in a transfer syntax are shown.

    Raises: ImageError with reason unreadable or dicom_unsupported.
    """
    budget = Budget()
    names = (*_NUMBERS, _PROFILE, _PROFILE_HOLDER)
    top = {e.name: e for e in elements(dataset, budget, only=names)}
    slope, intercept, centre, width = (_first_number(top.get(name)) for name in _NUMBERS)
    profile = b"" if layout.photometric in GREY else _profile(top, budget)
    return Show(
        layout=layout,
        slope=1.0 if slope is None else slope,
        intercept=intercept or 0.0,
        window=None if centre is None or width is None or width < 1 else (centre, width),
        profile=profile if profile and changes_colours(profile, "RGB") else b"",
        palette=_palette(dataset) if layout.photometric == "PALETTE COLOR" else None,
        is_ybr=layout.photometric.startswith("YBR_FULL") and not is_decoded_to_rgb(syntax),
    )


def shown(stored: Stored, show: Show) -> Pixels:
    """Return stored values as a viewer shows them.

    Raises: ImageError with reason unreadable where a colour profile cannot be applied.
    """
    if show.grey is not None:
        grey = _grey(stored, show)
        return 255 - grey if show.layout.photometric == "MONOCHROME1" else grey
    colour = _colour(stored, show)
    return _with_profile(colour, show.profile) if show.profile else colour


def _with_profile(colour: Pixels, profile: bytes) -> Pixels:
    from PIL import Image

    image = Image.fromarray(np.ascontiguousarray(colour))
    image.info["icc_profile"] = profile
    return np.asarray(to_srgb(image), dtype=np.uint8)


def _grey(stored: Stored, show: Show) -> Pixels:
    if show.grey == "as stored":
        return _spread(stored, *value_range(show.layout))
    values = stored.astype(np.float64) * show.slope + show.intercept
    if show.window is None:
        return _spread(values, float(values.min()), float(values.max()))
    centre, width = show.window
    # Source: DICOM PS3.3 C.11.2.1.2.1, the linear function.
    low = centre - 0.5 - (width - 1) / 2
    return _spread(values, low, low + max(width - 1, 1e-9))


def _spread(values: NDArray[Any], low: float, high: float) -> Pixels:
    if values.dtype == np.uint8 and (low, high) == (0, 255):
        return np.asarray(values, dtype=np.uint8)
    share = (values.astype(np.float64) - low) / (high - low or 1.0)
    return np.asarray(np.rint(np.clip(share, 0.0, 1.0) * 255), dtype=np.uint8)


def _colour(stored: Stored, show: Show) -> Pixels:
    if show.palette is not None:
        with naming_errors():
            table = show.palette(stored)
        return _spread(table, 0, np.iinfo(table.dtype).max)
    eight = _spread(stored, *value_range(show.layout))
    return _ybr_to_rgb(eight) if show.is_ybr else eight


def _ybr_to_rgb(pixels: Pixels) -> Pixels:
    """Convert (h, w, 3) YCbCr of full range to RGB. Source: DICOM PS3.3 C.7.6.3.1.2."""
    from pydicom.pixels.processing import convert_color_space

    return np.asarray(convert_color_space(pixels, "YBR_FULL", "RGB"), dtype=np.uint8)


def _palette(dataset: Dataset) -> Callable[[Stored], NDArray[Any]]:
    from pydicom.pixels.processing import apply_color_lut

    if "SegmentedRedPaletteColorLookupTableData" in dataset:
        # Segments may refer to segments: a short table can unfold without bound.
        raise ImageError("dicom_unsupported", "a palette in segments")

    def look_up(stored: Stored) -> NDArray[Any]:
        return np.asarray(apply_color_lut(stored, dataset))

    return look_up


def _first_number(element: Element | None) -> float | None:
    if element is None or not element.values:
        return None
    value = element.values[0]
    if not isinstance(value, int | float) or not np.isfinite(float(value)):
        return None
    return float(value)


def _profile(top: dict[str, Element], budget: Budget) -> bytes:
    found = [top[_PROFILE]] if _PROFILE in top else []
    for item in top[_PROFILE_HOLDER].items if _PROFILE_HOLDER in top else ():
        found += elements(item, budget, 1, only=(_PROFILE,))
    profiles = {e.raw for e in found if e.raw}
    if len(profiles) > 1:
        raise ImageError("dicom_unsupported", "optical paths with different colour profiles")
    return profiles.pop() if profiles else b""
