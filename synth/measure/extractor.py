"""What turns images into features: a network, its weights, and what happens to pixels before it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from curation.chunks import chunks
from curation.errors import MeasurementError
from curation.progress import Progress, silent

BATCH = 32

Prepare = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
"""(h, w, 3) uint8 RGB -> (3, side, side) float32, as the network wants it."""

Network = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""(n, 3, side, side) float32 -> (n, d) float32."""


@dataclass(frozen=True, slots=True)
class Extractor:
    """A network with a name, the hash of its weights and the text of its image pipeline.

    `open_network` is called when the first image comes, so that features that are all kept already
    need no network.
    """

    name: str
    sha256: str
    pipeline: str
    dimensions: int
    prepare: Prepare
    open_network: Callable[[], Network]

    @property
    def text(self) -> str:
        """Return the extractor as a measurement states it: its name and 12 digits of the hash."""
        return f"{self.name} sha256:{self.sha256[:12]}"

    def batches(
        self, images: Iterable[NDArray[np.uint8]], *, batch: int = BATCH
    ) -> Iterator[NDArray[np.float32]]:
        """Yield the features of `batch` images at a time, (k, d) float32, reading no further.

        Raises: MeasurementError where the network cannot be opened, where an image has another
        shape or type, or where a feature is not finite.
        """
        network: Network | None = None
        inputs = np.empty((0,), np.float32)
        for group in chunks(images, batch):
            network = network or self.open_network()
            for row, image in enumerate(group):
                prepared = self.prepare(_checked(image))
                if not len(inputs):
                    # One array for all batches: memory is not asked for anew each time.
                    inputs = np.empty((batch, *prepared.shape), np.float32)
                inputs[row] = prepared
            yield self._checked_rows(network(inputs[: len(group)]), len(group))

    def features(
        self,
        images: Iterable[NDArray[np.uint8]],
        count: int,
        *,
        batch: int = BATCH,
        progress: Progress = silent,
    ) -> NDArray[np.float32]:
        """Return the features, (count, d) float32, of `count` images, each (h, w, 3) uint8 RGB.

        The images are read batch by batch and never held together.

        Raises: MeasurementError as `batches` does, and where there are more or fewer images than
        said.
        """
        features = np.empty((count, self.dimensions), dtype=np.float32)
        done = 0
        for rows in self.batches(images, batch=batch):
            if done + len(rows) > count:
                raise MeasurementError(f"more than the {count} images that were announced")
            features[done : done + len(rows)] = rows
            done += len(rows)
            progress("features", done, count)
        if done != count:
            raise MeasurementError(f"{done} images came where {count} were announced")
        return features

    def _checked_rows(self, rows: NDArray[np.float32], count: int) -> NDArray[np.float32]:
        if rows.shape != (count, self.dimensions) or rows.dtype != np.float32:
            raise MeasurementError(
                f"{self.text} gave {rows.shape} {rows.dtype} for {count} images; "
                f"({count}, {self.dimensions}) float32 was expected"
            )
        if not np.isfinite(rows).all():
            raise MeasurementError(f"{self.text} gave features that are not finite")
        return rows


def _checked(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or image.size == 0:
        raise MeasurementError(
            f"features are made of (height, width, 3) uint8 images, not {image.shape} {image.dtype}"
        )
    return image
