"""Drawn images and their features, kept in a folder by content: nothing is done a second time."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from blake3 import blake3
from numpy.typing import NDArray

from curation.chunks import chunks
from curation.manifest import canonical_json
from curation.output import write_arrays
from curation.pixels import Pixels, pixel_id
from synth import pipeline
from synth.config import SampleConfig
from synth.generator import Generator
from synth.measure.features import PIPELINE, inception_features
from synth.measure.inception import InceptionWeights
from synth.plan import PlannedCell
from synth.sample import draw_cells

Images = NDArray[np.uint8]
Features = NDArray[np.float32]
CHUNK = 32
"""Images that are lost at most where a run is interrupted."""


@dataclass
class KeptWork:
    """A folder of drawn images and of features; `weights` is the network that makes these.

    `drawn` and `measured` count what was not there before, with the processor seconds they took.
    """

    folder: Path
    weights: InceptionWeights
    drawn: int = 0
    drawing_s: float = 0.0
    measured: int = 0
    measuring_s: float = 0.0
    _known: dict[str, Features] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Take up the features that are there."""
        name = blake3(f"{self.weights.sha256} {PIPELINE}".encode()).hexdigest(length=8)
        self._features = self.folder / f"features-{name}"
        self._images = self.folder / "images"
        for folder in (self._features, self._images):
            folder.mkdir(parents=True, exist_ok=True)
        for path in sorted(self._features.glob("*.npz")):
            with np.load(path, allow_pickle=False) as found:
                self._known.update(zip(found["ids"].tolist(), found["features"], strict=True))

    def features(self, images: Sequence[Pixels] | Images) -> Features:
        """Return the features of (n, s, s, 3) uint8 images, (n, 2048) float32."""
        ids = [pixel_id(image) for image in images]
        lacking = {name: image for name, image in zip(ids, images, strict=True)
                   if name not in self._known}  # fmt: skip
        for group in chunks(lacking.items(), CHUNK):
            started = time.process_time()
            names, pixels = [name for name, _ in group], [image for _, image in group]
            rows = inception_features(pixels, len(pixels), self.weights)
            self.measuring_s += time.process_time() - started
            self.measured += len(names)
            self._known.update(zip(names, rows, strict=True))
            write_arrays(self._features / f"{names[0]}.npz", ids=np.array(names), features=rows)
        return np.stack([self._known[name] for name in ids])

    def images(
        self,
        generator: Generator,
        cells: Sequence[PlannedCell],
        config: SampleConfig,
        guide: Generator | None = None,
    ) -> Images:
        """Return the images of planned cells, (n, s, s, 3) uint8, drawing those not here yet."""
        parts = []
        for group in chunks(cells, CHUNK):
            path = self._images / f"{_name(generator, group, config, guide)}.npz"
            if not path.is_file():
                started = time.process_time()
                pixels = np.stack(
                    [image for _, image in draw_cells(generator, group, config, guide)]
                )
                self.drawing_s += time.process_time() - started
                self.drawn += len(pixels)
                write_arrays(path, images=pixels)
            with np.load(path, allow_pickle=False) as found:
                parts.append(found["images"])
        return np.concatenate(parts)


def _name(
    generator: Generator,
    cells: Sequence[PlannedCell],
    config: SampleConfig,
    guide: Generator | None,
) -> str:
    content = [
        generator.info.fingerprint, None if guide is None else guide.info.fingerprint,
        config.model_dump(mode="json"), [[cell.label, cell.seed] for cell in cells],
        drawing_code(), dict(generator.pipeline.scheduler.config),
    ]  # fmt: skip
    return blake3(canonical_json(content)).hexdigest(length=16)


def drawing_code() -> str:
    """Return the identity of the code that draws: another solver draws other images."""
    return blake3(Path(str(pipeline.__file__)).read_bytes()).hexdigest(length=16)
