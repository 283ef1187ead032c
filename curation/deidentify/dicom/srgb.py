"""The colour profile of sRGB as every cleaned file carries it: the same bytes in each."""

from __future__ import annotations

import struct
from functools import cache

_MADE_AT, _ID_AT, _ID_BYTES = 24, 84, 16


@cache
def srgb_profile() -> bytes:
    """Return an ICC profile of sRGB without the time at which it was made."""
    from PIL import ImageCms

    data = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    data[_MADE_AT : _MADE_AT + 12] = struct.pack(">6H", 2000, 1, 1, 0, 0, 0)
    data[_ID_AT : _ID_AT + _ID_BYTES] = bytes(_ID_BYTES)
    return bytes(data) + bytes(len(data) % 2)
