"""What is looked for in which image: fields always and whole, cell crops after a cheap screen."""

from __future__ import annotations

from dataclasses import dataclass

from ...pixels import Pixels
from .barcode import find_barcodes, may_hold_barcode
from .hit import TextHit
from .ocr import find_text_lines
from .screen import MIN_SIDE_PX, text_likeness


@dataclass(frozen=True, slots=True)
class FinderConfig:
    """When an image is searched, and by how many threads."""

    min_likeness: float = 0.5
    """Of a crop, from which on it is searched; 0 searches every crop."""
    unread_likeness: float = 0.97
    """Of a crop, from which on a person should see it even where no text can be read."""
    max_screened_px: int = 512
    """Longest side up to which the screen decides: it was measured on crops of 128 to 363 px."""
    threads: int | None = None
    """Of the search; None takes OMP_NUM_THREADS, and every core where that is not set."""


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
        likeness = text_likeness(pixels)
        if likeness < self.config.min_likeness:
            if may_hold_barcode(pixels):
                return Look(True, find_barcodes(pixels))
            return Look(False, ())
        hits = find_text(pixels, self.config.threads)
        if not hits and min(pixels.shape[:2]) >= MIN_SIDE_PX:
            hits = self._unread(pixels, likeness)
        return Look(True, hits)

    def _unread(self, pixels: Pixels, likeness: float) -> tuple[TextHit, ...]:
        # Small text over a nucleus is seen by the screen where the detector fails.
        if likeness < self.config.unread_likeness:
            return ()
        height, width = pixels.shape[:2]
        return (TextHit((0, 0, width, height), "text", likeness, "", unread=True),)


def find_text(pixels: Pixels, threads: int | None = None) -> tuple[TextHit, ...]:
    """Find text and barcodes in an image (h, w, 3) or (h, w) uint8, from the top down.

    Raises: TextModelsError where the models are missing.
    """
    hits = find_text_lines(pixels, threads) + find_barcodes(pixels)
    return tuple(sorted(hits, key=lambda hit: (hit.box[1], hit.box[0], hit.kind)))
