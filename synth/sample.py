"""The stage `sample`: a generator and a plan in, a synthetic corpus out."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from curation.cells import SCHEMA
from curation.codec import encode
from curation.corpus import Corpus, load_corpus
from curation.corpus_writer import shard_name, shards_done, write_manifest, write_shard
from curation.errors import GeneratorError
from curation.manifest import Shard
from curation.output import whole_directory
from curation.pixels import Pixels, decode_rgb, pixel_id
from curation.progress import Progress, silent
from curation.shards import split_by_bytes
from curation.staged_rows import StagedRows, write_rows
from curation.vocabulary import LABEL_IDS

from .config import SampleConfig
from .generator import Generator, load_generator
from .plan import Plan, PlannedCell, check_plan, planned_cells

PIECE_CELLS = 128
_BLANK_SPREAD = 2.0
"""Standard deviation of pixel levels (0..255) under which an image shows no cell."""


def draw_cells(
    generator: Generator, cells: Sequence[PlannedCell], config: SampleConfig
) -> Iterator[tuple[PlannedCell, Pixels]]:
    """Yield each planned cell with its pixels, (side, side, 3) uint8 RGB.

    The one source of images for the command line, the measurements and Python alike.
    """
    for start in range(0, len(cells), config.batch):
        batch = cells[start : start + config.batch]
        images = generator.pipeline.draw(
            [cell.label for cell in batch],
            [cell.seed for cell in batch],
            config.steps,
            config.guidance,
        )
        yield from zip(batch, images, strict=True)


def sample(
    generator: Generator | Path,
    plan: Plan,
    out: Path,
    config: SampleConfig | None = None,
    *,
    parents: dict[str, str] | None = None,
    progress: Progress = silent,
) -> Corpus:
    """Draw the cells of a plan into a synthetic corpus, in the codec of the real ones.

    An interrupted run goes on after the last finished piece.

    Raises: GeneratorError, OutputExistsError.
    """
    config = config or SampleConfig()
    generator = generator if isinstance(generator, Generator) else load_generator(generator)
    check_plan(plan, generator.info.trained_on)
    if config.guidance != 1 and not generator.pipeline.config.guided:
        raise GeneratorError(
            "the generator was trained without label dropout, so it cannot be guided. "
            "Next: use --guidance 1"
        )
    cells = planned_cells(plan, config.seed)
    job = {
        "stage": "sample",
        "generator": generator.info.fingerprint,
        "plan": dict(plan),
        "config": config.model_dump(mode="json"),
        # Another size of pieces makes other pieces.
        "piece_cells": PIECE_CELLS,
    }
    with whole_directory(out, job) as partial:
        pieces = _draw_pieces(generator, cells, config, partial / "pieces", progress)
        kept, dropped = _selected(pieces)
        if len(kept) == 0:
            raise GeneratorError(f"all {len(cells)} cells were rejected: {dict(dropped)}")
        shards = _write(partial, pieces, kept)
        pieces.close()
        write_manifest(
            partial,
            kind="synthetic",
            shards=shards,
            n_in=len(cells),
            dropped=dropped,
            grouped_by="none",
            codec=generator.info.codec,
            view=generator.info.view,
            parents={
                "generator": generator.info.fingerprint,
                "training_corpus": generator.info.training_corpus,
                **(parents or {}),
            },
            config={**config.model_dump(mode="json"), "plan": dict(plan)},
            libraries=("torch", "diffusers"),
        )
        # Last: what is interrupted before this need not draw the cells again.
        shutil.rmtree(partial / "pieces")
    return load_corpus(out)


def _draw_pieces(
    generator: Generator,
    cells: Sequence[PlannedCell],
    config: SampleConfig,
    folder: Path,
    progress: Progress,
) -> StagedRows:
    folder.mkdir(exist_ok=True)
    files = []
    progress("sample", 0, len(cells))
    for number, start in enumerate(range(0, len(cells), PIECE_CELLS)):
        path = folder / f"{number:06d}.arrow"
        files.append(path)
        piece = cells[start : start + PIECE_CELLS]
        if not path.exists():
            rows = []
            for cell, pixels in draw_cells(generator, piece, config):
                rows.append(_row(generator, cell, pixels, config))
                progress("sample", start + len(rows), len(cells))
            write_rows(path, pa.Table.from_pylist(rows, schema=SCHEMA))
        progress("sample", start + len(piece), len(cells))
    return StagedRows(files)


def _row(
    generator: Generator, cell: PlannedCell, pixels: Pixels, config: SampleConfig
) -> dict[str, Any]:
    data = encode(pixels, generator.info.codec)
    return {
        "image": {"bytes": data, "path": None},
        # Of the pixels as released: a lossy codec changes them.
        "image_id": pixel_id(decode_rgb(data)),
        "label": LABEL_IDS[cell.label],
        "origin": "synthetic",
        "license": generator.info.license,
        "generator": generator.info.fingerprint,
        "seed": cell.seed,
        "guidance": config.guidance,
        "steps": config.steps,
        "training_corpus": generator.info.training_corpus,
    }


def _selected(pieces: StagedRows) -> tuple[np.ndarray[Any, np.dtype[np.int64]], Counter[str]]:
    """Return the rows to keep, in the order of their image ids, and why the others go."""
    ids = pieces.columns(["image_id"])["image_id"].to_pylist()
    dropped: Counter[str] = Counter()
    first: dict[str, int] = {}
    for row, image_id in enumerate(ids):
        if image_id in first:
            dropped["duplicate"] += 1
        else:
            first[image_id] = row
    kept = []
    for image_id in sorted(first):
        row = first[image_id]
        data = pieces.take(np.array([row]))["image"][0]["bytes"].as_py()
        if decode_rgb(data).std() < _BLANK_SPREAD:
            dropped["blank"] += 1
        else:
            kept.append(row)
    return np.array(kept, dtype=np.int64), dropped


def _write(folder: Path, pieces: StagedRows, kept: np.ndarray[Any, Any]) -> list[Shard]:
    images = pieces.columns(["image"])["image"]
    sizes = np.array([len(image["bytes"].as_buffer()) for image in images], dtype=np.int64)[kept]
    parts = split_by_bytes(sizes)
    done = shards_done(folder)
    shards = []
    for number, part in enumerate(parts):
        # A synthetic cell belongs to the training split; the schema refuses it elsewhere.
        path = shard_name("train", number, len(parts))
        table = pieces.take(kept[part]) if path not in done else None
        shards.append(done[path] if table is None else write_shard(folder, "train", path, table))
    return shards
