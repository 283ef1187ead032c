"""The part of a cell image that a generator draws and that real cells are measured by."""

from __future__ import annotations

import numpy as np
from PIL import Image

from curation.codec import encode
from curation.manifest import Codec, View
from curation.pixels import Pixels, decode_rgb


def apply_view(pixels: Pixels, view: View) -> Pixels:
    """Return the central share of an image at the view's side, (side, side, 3) uint8 RGB."""
    height, width = pixels.shape[:2]
    square = min(height, width) * view.crop
    left, top = (width - square) / 2, (height - square) / 2
    image = Image.fromarray(pixels)
    resized = image.resize(
        (view.side, view.side),
        Image.Resampling.LANCZOS,
        box=(left, top, left + square, top + square),
    )
    return np.asarray(resized, dtype=np.uint8)


def view_through_codec(pixels: Pixels, view: View, codec: Codec) -> Pixels:
    """Return a real image as a synthetic one would come: same view, same codec."""
    viewed = apply_view(pixels, view)
    if codec.format == "png":
        return viewed
    return decode_rgb(encode(viewed, codec))
