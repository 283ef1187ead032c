"""The orientation that EXIF gives an image, and turning the image upright.

XMP may hold an orientation too; as viewers do, it is not heeded.
"""

from __future__ import annotations

import struct
import warnings

from PIL import Image

UPRIGHT = 1
_ORIENTATION = 0x0112
# Damaged EXIF orients nothing (viewers show such a file as stored), and is dropped in any case.
_DAMAGED_EXIF = (SyntaxError, ValueError, TypeError, OSError, LookupError, struct.error)
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def exif_orientation(payload: bytes) -> int:
    """Return the orientation, 1 to 8, that an EXIF payload states; 1 where it states none."""
    exif = Image.Exif()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of damaged EXIF, which is dropped here
        try:
            exif.load(payload)
            return _valid(exif.get(_ORIENTATION))
        except _DAMAGED_EXIF:
            return UPRIGHT


def upright(image: Image.Image) -> Image.Image:
    """Return an opened image, loaded, and turned or mirrored as its EXIF says."""
    # Before, as a TIFF turns itself while it loads; after, as a PNG may hold XMP behind its pixels.
    _forget_xmp(image)
    image.load()
    _forget_xmp(image)
    try:
        turn = _TURNS.get(_valid(image.getexif().get(_ORIENTATION)))
    except _DAMAGED_EXIF:
        return image
    return image if turn is None else image.transpose(turn)


def _forget_xmp(image: Image.Image) -> None:
    for key in ("xmp", "XML:com.adobe.xmp"):
        image.info.pop(key, None)


def _valid(value: object) -> int:
    return value if isinstance(value, int) and 1 <= value <= 8 else UPRIGHT
