"""Are two pictures of one place? Laid over each other to a fraction of a pixel, then correlated."""

from __future__ import annotations

from typing import NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from .stain import thumb_fill, without_fill
from .thumbs import THUMB_PX

Thumb = NDArray[np.uint8]
Warp = NDArray[np.float32]

MIN_CORRELATION = 0.975
"""Of registered copies, whatever was done to them; different cells stay below (rates.json)."""
MIN_DETAIL = 0.87
"""Of the same without what is smooth: two blurred platelets correlate in their roundness alone."""
MIN_OVERLAP = 0.3
"""Of the picture: a few pixels correlate by chance."""
_MIN_DETAIL_CONTRAST = 1.2  # grey levels: blurred platelets have about 1, other cells 2 to 15
_MIN_CONTRAST = 4.0  # grey levels: two empty backgrounds are no copies
_FEWEST_PIXELS = 64
_DETAIL_PX = 0.8, 3.0  # sigmas of the two Gaussians whose difference is detail
_STEPS, _PRECISION = 20, 1e-4
_MOST_STRETCH = 1.1  # of one axis against the other: no copy of a cell is stretched more
_RIM_SHARE, _RIM_LEVELS, _FOREGROUND_LEVELS = 0.6, 1, 6
_MIDDLE = (THUMB_PX - 1) / 2


class Match(NamedTuple):
    """How two pictures compare once registered; `shift` and `overlap` are shares of a side."""

    correlation: float
    detail: float
    """The correlation of structure between 2 and 6 px of the thumb."""
    overlap: float
    """Of the smaller of the two, as far as it lies within the other; in [0, 1]."""
    shift: float
    """From the middle of one to where the middle of the other lies in it, the larger of both."""


_NO_MATCH = Match(-1.0, -1.0, 0.0, 1.0)


def register(first: Thumb, second: Thumb, warp: Warp) -> Match:
    """Refine how two thumbs (64, 64) lie over each other and return how well they agree.

    Raises nothing: where no alignment is found, the correlation is -1.
    Source: Evangelidis and Psarakis, PAMI 30:1858, 2008 (enhanced correlation coefficient).
    """
    filled = thumb_fill(first), thumb_fill(second)
    refined = _refined((first, second), filled, warp)
    if refined is None or _stretch(refined) > _MOST_STRETCH:
        return _NO_MATCH
    where = _foreground(first, second)
    a, b = (_seen(one, gone) for one, gone in zip((first, second), filled, strict=True))
    fine_a, fine_b = (_detail(one, gone) for one, gone in zip((first, second), filled, strict=True))
    return Match(
        _correlation(a, b, refined, where),
        _correlation(fine_a, fine_b, refined, where, least_contrast=_MIN_DETAIL_CONTRAST),
        _overlap(refined), _shift(refined),
    )  # fmt: skip


def _seen(
    values: NDArray[np.uint8] | NDArray[np.float32], filled: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """Return values with NaN in place of filling."""
    return np.where(filled, np.float32(np.nan), values).astype(np.float32)


def _detail(thumb: Thumb, filled: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return a thumb without noise and without what is smooth; filling is NaN."""
    import cv2

    whole = without_fill(thumb, filled).astype(np.float32)
    fine, coarse = (cv2.GaussianBlur(whole, (0, 0), sigma) for sigma in _DETAIL_PX)
    return _seen(fine - coarse, filled)


def _refined(
    thumbs: tuple[Thumb, Thumb], filled: tuple[NDArray[np.bool_], NDArray[np.bool_]], warp: Warp
) -> Warp | None:
    """Return the warp that correlates two thumbs best, near the one given; None without any."""
    import cv2

    # OpenCV can leave filling out of one picture alone.
    if filled[0].sum() > filled[1].sum():
        turned = cast(Warp, cv2.invertAffineTransform(warp))
        back = _refined(thumbs[::-1], filled[::-1], turned)
        return None if back is None else cast(Warp, cv2.invertAffineTransform(back))
    stop = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, _STEPS, _PRECISION)
    seen = np.where(filled[1], 0, 255).astype(np.uint8)
    try:
        _, found = cv2.findTransformECC(
            without_fill(thumbs[0], filled[0]).astype(np.float32), thumbs[1].astype(np.float32),
            warp.copy(), cv2.MOTION_AFFINE, stop, seen, 3,
        )  # fmt: skip
    except cv2.error:
        return None  # it did not converge: these two do not lie over each other
    return cast(Warp, found)


def is_same_place(match: Match) -> bool:
    """Whether two pictures show one place of one smear."""
    return (
        match.correlation >= MIN_CORRELATION
        and match.detail >= MIN_DETAIL
        and match.overlap >= MIN_OVERLAP
    )


def _correlation(
    a: NDArray[np.float32],
    b: NDArray[np.float32],
    warp: Warp,
    foregrounds: tuple[NDArray[np.bool_], NDArray[np.bool_]] | None = None,
    *,
    least_contrast: float = _MIN_CONTRAST,
) -> float:
    """Return the correlation where two pictures overlap; -1 where too little is there."""
    over, inside = _laid_over(b, warp)
    inside &= ~np.isnan(a)
    if foregrounds is not None:
        other, _ = _laid_over(foregrounds[1].astype(np.float32), warp)
        inside &= foregrounds[0] | (np.nan_to_num(other) > 0.5)
    if int(inside.sum()) < _FEWEST_PIXELS:
        return -1.0
    x, y = a[inside], over[inside]
    x, y = x - x.mean(), y - y.mean()
    spread = float(np.sqrt((x * x).mean() * (y * y).mean()))
    if min(float(x.std()), float(y.std())) < least_contrast or spread == 0:
        return -1.0
    return float((x * y).mean()) / spread


def _laid_over(
    picture: NDArray[np.float32], warp: Warp
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    import cv2

    over = cv2.warpAffine(
        picture, warp, (THUMB_PX, THUMB_PX), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_CONSTANT, borderValue=float("nan"),
    )  # fmt: skip
    return cast("NDArray[np.float32]", over), ~np.isnan(over)


def _foreground(first: Thumb, second: Thumb) -> tuple[NDArray[np.bool_], NDArray[np.bool_]] | None:
    """Return where both pictures differ from their background, if both have a uniform one.

    Cells masked onto white agree in their background alone, whatever the cells are.
    """
    levels = _uniform_background(first), _uniform_background(second)
    if levels[0] is None or levels[1] is None:
        return None
    one, other = (
        np.abs(thumb.astype(np.int16) - level) > _FOREGROUND_LEVELS
        for thumb, level in ((first, levels[0]), (second, levels[1]))
    )
    return one, other


def _uniform_background(thumb: Thumb) -> int | None:
    rim = np.concatenate([thumb[0], thumb[-1], thumb[1:-1, 0], thumb[1:-1, -1]]).astype(np.int16)
    level = int(np.median(rim))
    share = float((np.abs(rim - level) <= _RIM_LEVELS).mean())
    return level if share >= _RIM_SHARE else None


def _stretch(warp: Warp) -> float:
    long, short = np.linalg.svd(warp[:, :2].astype(np.float64), compute_uv=False)
    return float(long / max(short, 1e-6))


def _overlap(warp: Warp) -> float:
    """Return the overlap over the smaller picture's area, counted in px of the first."""
    steps = np.arange(THUMB_PX, dtype=np.float32)
    x, y = np.meshgrid(steps, steps)
    there = warp[:, 0, None, None] * x + warp[:, 1, None, None] * y + warp[:, 2, None, None]
    inside = ((there >= 0) & (there <= THUMB_PX - 1)).all(axis=0)
    area = THUMB_PX**2 / max(abs(float(np.linalg.det(warp[:, :2].astype(np.float64)))), 1e-6)
    return min(1.0, float(inside.sum()) / min(THUMB_PX**2, area))


def _shift(warp: Warp) -> float:
    there = warp[:, :2] @ np.array([_MIDDLE, _MIDDLE], np.float32) + warp[:, 2]
    matrix = np.vstack([warp, [0, 0, 1]]).astype(np.float64)
    back = np.linalg.solve(matrix, np.array([_MIDDLE, _MIDDLE, 1.0]))[:2]
    return float(max(np.linalg.norm(point - _MIDDLE) for point in (there, back))) / THUMB_PX
