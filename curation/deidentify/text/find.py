"""What is looked for in which image: fields always and whole, cell crops after a cheap screen."""

from __future__ import annotations

from dataclasses import dataclass

from ...pixels import Pixels
from .barcode import find_barcodes, may_hold_barcode
from .hit import Kind, TextHit, moved
from .ocr import find_text_lines, may_hold_lines
from .screen import MIN_SIDE_PX, densest_place, grey, text_likeness

_CROP_THREADS = 1  # a second one takes the processor while it waits, for images so small
_PART_PX = 200


@dataclass(frozen=True, slots=True)
class FinderConfig:
    """When an image is searched, and by how many threads."""

    min_likeness: float = 0.5
    """Of a crop, from which on it is searched; 0 searches every crop, and all of it."""
    unread_likeness: float = 0.97
    """Of a crop, from which on all of it is searched; below, the part of 200x200 px with the
    densest strokes first, and the rest where text may be in that. From here on a person should see
    it even where no text can be read, as they should what looks like a barcode."""
    max_screened_px: int = 512
    """Longest side up to which the screen decides: it was measured on crops of 128 to 363 px."""
    threads: int | None = None
    """Of the search of a field; None takes OMP_NUM_THREADS, else every core. Crops take one."""


@dataclass(frozen=True, slots=True)
class Look:
    """What came of looking at one image: was it searched, and what was found."""

    searched: bool
    hits: tuple[TextHit, ...]


@dataclass(frozen=True, slots=True)
class TextFinder:
    """Looks for text and barcodes in one image after another."""

    config: FinderConfig = FinderConfig()

    def look(self, pixels: Pixels, *, whole_field: bool) -> Look:
        """Search a field or a slide image, or a crop (h, w, 3) or (h, w) uint8 that may hold text.

        Raises: TextModelsError where the models are missing.
        """
        if whole_field or max(pixels.shape[:2]) > self.config.max_screened_px:
            return Look(True, find_text(pixels, self.config.threads))
        plane = grey(pixels)
        likeness, has_steps = text_likeness(plane), may_hold_barcode(plane)
        if likeness < self.config.min_likeness:
            if not has_steps:
                return Look(False, ())
            hits = find_barcodes(pixels)
        else:
            hits = self._search_crop(pixels, likeness)
        if not hits and min(pixels.shape[:2]) >= MIN_SIDE_PX:
            hits = self._unread(pixels, likeness, has_steps)
        return Look(True, hits)

    def _search_crop(self, pixels: Pixels, likeness: float) -> tuple[TextHit, ...]:
        height, width = pixels.shape[:2]
        is_sure = likeness >= self.config.unread_likeness or not self.config.min_likeness
        if is_sure or max(height, width) <= _PART_PX:
            return find_text(pixels, _CROP_THREADS)
        x, y = densest_place(pixels)
        left, top = _start(x, width), _start(y, height)
        part = pixels[top : top + _PART_PX, left : left + _PART_PX]
        if not may_hold_lines(part, _CROP_THREADS):
            return find_barcodes(pixels)
        # A text may reach beyond the part, where too little of it is left to be read.
        hits = find_text(pixels, _CROP_THREADS)
        lines = () if hits else find_text_lines(part, _CROP_THREADS)
        return hits or tuple(moved(hit, left, top) for hit in lines)

    def _unread(self, pixels: Pixels, likeness: float, has_steps: bool) -> tuple[TextHit, ...]:
        # Small text over a nucleus is seen by the screen where the detector fails; a code that the
        # edge cuts off cannot be read here, but what is printed beside it can, and who knows by
        # what else the code.
        if likeness < self.config.unread_likeness and not has_steps:
            return ()
        height, width = pixels.shape[:2]
        kind: Kind = "text" if likeness >= self.config.unread_likeness else "barcode"
        return (TextHit((0, 0, width, height), kind, likeness, "", unread=True),)


def _start(centre: int, length: int) -> int:
    return max(min(centre - _PART_PX // 2, length - _PART_PX), 0)


def find_text(pixels: Pixels, threads: int | None = None) -> tuple[TextHit, ...]:
    """Find text and barcodes in an image (h, w, 3) or (h, w) uint8, from the top down.

    Raises: TextModelsError where the models are missing.
    """
    hits = find_text_lines(pixels, threads) + find_barcodes(pixels)
    return tuple(sorted(hits, key=lambda hit: (hit.box[1], hit.box[0], hit.kind)))
