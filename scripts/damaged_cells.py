"""Real cells damaged in graded ways: what a measure of synthetic cells is tried on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from curation.errors import MeasurementError
from curation.pixels import Pixels
from synth.measure.sides import Cells

BLUR_RADII_PX = (0.5, 1.0, 2.0)
JPEG_QUALITIES = (90, 60, 30)
HUE_TURNS_DEGREES = (4, 12, 36)
SWAPPED_SHARES = (0.1, 0.5, 1.0)
COPIED_SHARES = (0.1, 0.5, 1.0)
MISSING_CLASSES = (1, 3, 5, 8)
DIFFERENT_CELLS = (12, 6, 2)


@dataclass(frozen=True, slots=True)
class Damage:
    """One kind of damage at one level, and the cells that carry it."""

    kind: str
    level: str
    cells: Cells


def damages(source: Cells, train: Cells, spare: Cells) -> list[Damage]:
    """Return the source cells undamaged and in every damage, each as many and of the same labels.

    `train` has at least as many cells of each label as the source; copies are taken from it.
    `spare` are other real cells, that stand in for those of a class that is missing.
    """
    found = [Damage("none", "", source)]
    found += [
        Damage("blur", f"{radius} px", _each(source, partial(blurred, radius_px=radius)))
        for radius in BLUR_RADII_PX
    ]
    found += [
        Damage("JPEG", f"quality {q}", _each(source, partial(recompressed, quality=q)))
        for q in JPEG_QUALITIES
    ]
    found += [
        Damage("hue", f"{turn}°", _each(source, partial(turned_hue, degrees=turn)))
        for turn in HUE_TURNS_DEGREES
    ]
    found += [
        Damage("class swap", f"{share:.0%}", swapped(source, share)) for share in SWAPPED_SHARES
    ]
    found += [
        Damage("classes missing", str(count), without_classes(source, spare, count))
        for count in MISSING_CLASSES
        if count < len(set(source.labels))
    ]
    found += [
        Damage("collapse", f"to {count} a class", collapsed(source, count))
        for count in DIFFERENT_CELLS
    ]
    found += [Damage("copies", f"{share:.0%}", copied(source, train, share))
              for share in COPIED_SHARES]  # fmt: skip
    return found


def blurred(image: Pixels, radius_px: float) -> Pixels:
    """Return an image, (h, w, 3) uint8, under a Gaussian blur."""
    return np.asarray(Image.fromarray(image).filter(ImageFilter.GaussianBlur(radius_px)))


def recompressed(image: Pixels, quality: int) -> Pixels:
    """Return an image, (h, w, 3) uint8, after a JPEG of this quality with halved colour."""
    stream = BytesIO()
    Image.fromarray(image).save(stream, "JPEG", quality=quality, subsampling=2)
    return np.asarray(Image.open(stream).convert("RGB"))


def turned_hue(image: Pixels, degrees: float) -> Pixels:
    """Return an image, (h, w, 3) uint8, whose hue is turned around the grey axis.

    A turn of RGB about (1, 1, 1) keeps brightness; HSV's hue has 256 steps and would round.
    """
    angle = np.deg2rad(degrees)
    third = (1 - np.cos(angle)) / 3
    side = np.sin(angle) / np.sqrt(3)
    turn = np.cos(angle) * np.eye(3) + third + side * np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]])
    return np.asarray(np.clip(np.rint(image @ turn.T), 0, 255), dtype=np.uint8)


def swapped(source: Cells, share: float) -> Cells:
    """Return the cells with a share of each class in the place of the next class's.

    Pooled they are the same cells, where all classes have as many; within each they are not.
    """
    labels = list(dict.fromkeys(source.labels))
    order = np.arange(len(source))
    first = [source.rows(label) for label in labels]
    for here, there in zip(first, first[1:] + first[:1], strict=True):
        count = round(share * min(len(here), len(there)))
        order[here[:count]] = there[:count]
    return _relabelled(source, source, order)


def without_classes(source: Cells, spare: Cells, count: int) -> Cells:
    """Return as many cells without the first `count` classes, which spare ones of others replace.

    The labels stay, so that the pooled sets remain comparable; only pooled numbers mean anything.
    """
    labels = list(dict.fromkeys(source.labels))
    gone, kept = set(labels[:count]), labels[count:]
    lacking = [row for row, label in enumerate(source.labels) if label in gone]
    pools = {label: list(spare.rows(label)) for label in kept}
    if sum(map(len, pools.values())) < len(lacking):
        raise MeasurementError(f"too few spare cells to stand in for {count} classes")
    images = source.images.copy()
    ids = list(source.ids)
    turn = 0
    for row in lacking:
        while not pools[kept[turn % len(kept)]]:
            turn += 1
        other = pools[kept[turn % len(kept)]].pop(0)
        turn += 1
        images[row], ids[row] = spare.images[other], spare.ids[other]
    return Cells(images, source.labels, tuple(ids), source.subjects)


def collapsed(source: Cells, different: int) -> Cells:
    """Return as many cells of each class, of which only so many are different."""
    order = np.arange(len(source))
    for label in dict.fromkeys(source.labels):
        rows = source.rows(label)
        order[rows] = np.resize(rows[:different], len(rows))
    return _relabelled(source, source, order)


def copied(source: Cells, train: Cells, share: float) -> Cells:
    """Return the cells with a share of each class replaced by training cells of it."""
    images, ids = source.images.copy(), list(source.ids)
    for label in dict.fromkeys(source.labels):
        rows, others = source.rows(label), train.rows(label)
        count = round(share * len(rows))
        if count > len(others):
            raise MeasurementError(f"{len(others)} training {label} cells; {count} are needed")
        for row, other in zip(rows[:count], others[:count], strict=True):
            images[row], ids[row] = train.images[other], train.ids[other]
    return Cells(images, source.labels, tuple(ids), source.subjects)


def _each(cells: Cells, change: Callable[[Pixels], Pixels]) -> Cells:
    images = np.stack([change(image) for image in cells.images])
    return Cells(images, cells.labels, cells.ids, cells.subjects)


def _relabelled(cells: Cells, pixels: Cells, order: Sequence[int] | NDArray[np.int64]) -> Cells:
    rows = [int(row) for row in order]
    return Cells(
        pixels.images[rows], cells.labels, tuple(pixels.ids[row] for row in rows), cells.subjects
    )
