"""A small real corpus of drawn cells, made without curation: rows are where they are put."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from curation.cells import SCHEMA, Split
from curation.codec import codec_of
from curation.corpus import Corpus, load_corpus
from curation.corpus_writer import shard_name, write_manifest, write_shard
from curation.manifest import Codec, View
from curation.pixels import encode_png, pixel_id
from curation.vocabulary import LABEL_IDS
from smearkit.demo_cells import Stain, draw_cell
from synth.select import fit_selector
from synth.selector import Selector

SIDE = 40
VIEW = View(side=SIDE, crop=1.0)
PNG = Codec(format="png")
COMMON = ("lymphocyte", "neutrophil_segmented", "platelet")
COUNTS: Mapping[Split, int] = {"train": 50, "validation": 30, "test": 30}


@cache
def made_cells(label: str, count: int, seed: int) -> NDArray[np.uint8]:
    """Return drawn cells of one class, (count, 40, 40, 3) uint8; read only."""
    generator = np.random.default_rng([LABEL_IDS[label], seed])
    cells = np.stack([draw_cell(label, generator, Stain(), SIDE) for _ in range(count)])
    cells.setflags(write=False)
    return cells


def made_split(split: Split, labels: tuple[str, ...] = COMMON) -> dict[str, NDArray[np.uint8]]:
    """Return label -> cells of a split; no two splits share one."""
    seed = list(COUNTS).index(split)
    return {label: made_cells(label, COUNTS[split], seed) for label in labels}


def write_corpus(
    folder: Path,
    splits: Mapping[Split, Mapping[str, NDArray[np.uint8]]],
    *,
    subjects: bool = False,
) -> Corpus:
    """Write cells as a real corpus; with `subjects`, ten cells in a row are one person's."""
    shards = []
    for split, cells in splits.items():
        rows = []
        for label, images in cells.items():
            for number, image in enumerate(images):
                rows.append(
                    {
                        "image": {"bytes": encode_png(image), "path": None},
                        "image_id": pixel_id(image),
                        "label": LABEL_IDS[label],
                        "origin": "real",
                        "subject": f"{split}-{number // 10}" if subjects else None,
                    }
                )
        table = pa.Table.from_pylist(rows, schema=SCHEMA)
        shards.append(write_shard(folder, split, shard_name(split, 0, 1), table))
    write_manifest(
        folder, kind="real", shards=shards, n_in=sum(shard.rows for shard in shards), dropped={},
        grouped_by="none", codec=codec_of(encode_png(np.zeros((4, 4, 3), np.uint8))), parents={},
        config={},
    )  # fmt: skip
    return load_corpus(folder)


@cache
def made_selector(folder: Path) -> Selector:
    """Fit a selector on three classes; within one test run, only the first call does."""
    corpus = write_corpus(folder, {split: made_split(split) for split in COUNTS})
    return fit_selector(corpus, VIEW, PNG)
