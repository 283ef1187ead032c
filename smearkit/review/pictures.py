"""The pictures that the page shows: decoded here and sent as PNG, so no metadata is in them."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image

from curation.deidentify.quarantine_entry import QuarantineEntry
from curation.errors import ImageError
from curation.pixels import Limits, Pixels, decode_any, encode_png

THUMBNAIL_PX = 160
# A picture too small for a corpus is still shown; one too large to decode safely is not.
_LIMITS = Limits(min_side_px=1)


# The page asks for the size, then for the picture: one decoding serves both.
@lru_cache(maxsize=2)
def load_picture(quarantine: Path, entry: QuarantineEntry) -> Pixels:
    """Return a quarantined image upright, (height, width, 3) or (height, width) uint8.

    Raises: ImageError where it cannot be decoded, or its bytes are not in the folder.
    """
    for name in (entry.picture, entry.file):
        if name is not None and (quarantine / name).is_file():
            return decode_any((quarantine / name).read_bytes(), _LIMITS)
    raise ImageError("unreadable", "its bytes are not in the quarantine")


@lru_cache(maxsize=512)
def thumbnail_png(quarantine: Path, entry: QuarantineEntry) -> bytes:
    """Return a quarantined image as a PNG of at most `THUMBNAIL_PX` a side.

    Raises: ImageError where it cannot be decoded, or its bytes are not in the folder.
    """
    image = Image.fromarray(load_picture(quarantine, entry))
    image.thumbnail((THUMBNAIL_PX, THUMBNAIL_PX), reducing_gap=2.0)
    return encode_png(np.asarray(image))


def picture_png(quarantine: Path, entry: QuarantineEntry) -> bytes:
    """Return a quarantined image at full size as a PNG of pixels alone.

    Raises: ImageError where it cannot be decoded, or its bytes are not in the folder.
    """
    return encode_png(load_picture(quarantine, entry))
