"""The real rows of an augmented dataset, their images as the generator would draw them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from curation.codec import encode
from curation.errors import ImageError, SourceError
from curation.pixels import Limits, Pixels, decode_any

from .generator import GeneratorInfo
from .view import apply_view

if TYPE_CHECKING:
    from datasets import Dataset

_BATCH_ROWS = 64


@dataclass(frozen=True, slots=True)
class ImageRows:
    """Rows of a dataset; with the facts of a generator, images in its view and codec."""

    dataset: Dataset
    column: str
    info: GeneratorInfo | None

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield every row as it is stored, nothing decoded but the image where it is viewed.

        Raises: SourceError naming the row whose image cannot be read.
        """
        number = 0
        # As Arrow: a user's own format or transform must not reach what is stored.
        for table in self.dataset.with_format("arrow").iter(_BATCH_ROWS):
            for row in table.to_pylist():
                if self.info is not None:
                    pixels = row_pixels(row[self.column], number)
                    data = encode(apply_view(pixels, self.info.view), self.info.codec)
                    row[self.column] = {"bytes": data, "path": None}
                number += 1
                yield row


def row_pixels(image: dict[str, Any] | None, number: int) -> Pixels:
    """Return the pixels of a stored image, (h, w, 3) uint8 RGB, upright.

    Raises: SourceError naming the row.
    """
    try:
        if image is None:
            raise ImageError("unreadable", "there is none")
        if image["bytes"] is not None:
            pixels = decode_any(image["bytes"], Limits())
        else:
            pixels = _from_path(image["path"])
    except ImageError as error:
        raise SourceError(
            f"the image of row {number} cannot be used: {error}. Next: filter the row away"
        ) from error
    return np.repeat(pixels[..., None], 3, axis=2) if pixels.ndim == 2 else pixels


def _from_path(path: str) -> Pixels:
    from datasets import Image

    try:
        # It opens what `datasets` may point to: files, members of archives, remote files.
        found = Image().decode_example({"bytes": None, "path": path})
        return np.asarray(found.convert("RGB"), dtype=np.uint8)
    except Exception as error:  # a decoder of a damaged file may raise anything
        raise ImageError("unreadable", type(error).__name__) from error
