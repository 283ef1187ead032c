"""A network that is made in a moment, and counts what it is given.

python -m torch.distributed.run --nproc_per_node 2 -m tests.synth.measure.fake_extractor \
    CORPUS FOLDER OUT
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from curation.corpus import load_corpus
from synth.measure.corpus_features import features_of_corpus
from synth.measure.extractor import Extractor
from synth.processes import ranks_of_run

SIDE = 8
DIMENSIONS = 5


def fake_extractor(seen: list[int] | None = None, sha256: str = "ab" * 32) -> Extractor:
    """Means and a corner of the image; `seen` is given the size of each batch."""

    def prepare(image: NDArray[np.uint8]) -> NDArray[np.float32]:
        rows = np.linspace(0, image.shape[0] - 1, SIDE).astype(int)
        columns = np.linspace(0, image.shape[1] - 1, SIDE).astype(int)
        return np.asarray(image[rows][:, columns].transpose(2, 0, 1), np.float32)

    def network(images_NCHW: NDArray[np.float32]) -> NDArray[np.float32]:
        if seen is not None:
            seen.append(len(images_NCHW))
        parts = [images_NCHW.mean(axis=(2, 3)), images_NCHW[:, :2, 0, 0]]
        return np.concatenate(parts, axis=1)

    return Extractor("fake", sha256, f"nearest to {SIDE} px", DIMENSIONS, prepare, lambda: network)


def main() -> None:
    """Extract a corpus as one process of several; the rank is part of the file's name."""
    corpus, folder, out = (Path(text) for text in sys.argv[1:])
    seen: list[int] = []
    rows = features_of_corpus(
        load_corpus(corpus), ("train",), None, None, fake_extractor(seen), folder=folder, batch=16
    )
    np.savez(out / f"{ranks_of_run().rank}.npz", rows=rows, extracted=sum(seen))


if __name__ == "__main__":
    main()
