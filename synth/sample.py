"""The stage `sample`: a generator and a plan in, a synthetic corpus out."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from curation.cells import SCHEMA
from curation.corpus import Corpus, load_corpus
from curation.corpus_writer import shard_name, shards_done, write_manifest, write_shard
from curation.errors import GeneratorError
from curation.manifest import Shard
from curation.pixels import Pixels, decode_rgb
from curation.progress import Progress, silent
from curation.shards import split_by_bytes
from curation.staged_rows import Rows, StagedRows, write_rows

from .config import SampleConfig
from .generator import Generator, load_generator
from .plan import Plan, PlannedCell, check_plan, planned_cells
from .processes import Ranks, device_of, ranks_of_run, shared_directory, wait_for
from .synthetic_row import synthetic_row

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
            config.guidance_interval,
            None if config.acquisition == "own" else config.acquisition,
        )
        yield from zip(batch, images, strict=True)


def sample(
    generator: Generator | Path,
    plan: Plan,
    out: Path,
    config: SampleConfig | None = None,
    *,
    parents: dict[str, str] | None = None,
    ranks: Ranks | None = None,
    progress: Progress = silent,
) -> Corpus:
    """Draw the cells of a plan into a synthetic corpus, in the codec of the real ones.

    An interrupted run goes on after the last finished piece. Under `accelerate launch` or
    `torchrun` the processes of a run draw different pieces of it: the corpus is the same.

    Raises: GeneratorError, OutputExistsError.
    """
    config, ranks = config or SampleConfig(), ranks or ranks_of_run()
    if not isinstance(generator, Generator):
        generator = load_generator(generator, device=device_of(ranks))
    check_plan(plan, generator.info.trained_on)
    check_guidance(generator, config)
    cells = planned_cells(plan, config.seed)
    job = {
        "stage": "sample",
        "generator": generator.info.fingerprint,
        "plan": dict(plan),
        "config": config.model_dump(mode="json"),
        # Another size of pieces makes other pieces.
        "piece_cells": PIECE_CELLS,
    }
    with shared_directory(out, job, ranks) as partial:
        drawn = _Drawing(generator, config, partial, out, ranks, progress)
        drawn.draw(cells)
        if ranks.first:
            pieces = drawn.pieces()
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


def check_guidance(generator: Generator, config: SampleConfig) -> None:
    """Refuse guidance by a generator that cannot be guided.

    Raises: GeneratorError.
    """
    if config.guidance != 1 and not generator.pipeline.config.guided:
        raise GeneratorError(
            "the generator was trained without label dropout, so it cannot be guided. "
            "Next: use --guidance 1"
        )


class _Drawing:
    """Drawing the cells of a run in pieces, each of them by one process."""

    def __init__(
        self,
        generator: Generator,
        config: SampleConfig,
        partial: Path,
        out: Path,
        ranks: Ranks,
        progress: Progress,
    ) -> None:
        self.generator, self.config = generator, config
        self.out, self.ranks, self.progress = out, ranks, progress
        self.folder = partial / "pieces"
        self.folder.mkdir(exist_ok=True)
        self.files: list[Path] = []

    def draw(self, cells: Sequence[PlannedCell]) -> None:
        """Draw this process' pieces of some cells; the first process waits for the others'."""
        starts = range(0, len(cells), PIECE_CELLS)
        first = len(self.files)
        self.files += [self.folder / f"{first + n:06d}.arrow" for n in range(len(starts))]
        self.progress("sample", 0, len(cells))
        for number, start in enumerate(starts):
            if self.ranks.owns(number):
                piece = cells[start : start + PIECE_CELLS]
                self._draw_piece(self.files[first + number], piece, start, len(cells))
        if self.ranks.first:
            for number, path in enumerate(self.files[first:]):
                wait_for(path.exists, self.out, rank=number % self.ranks.count)
            self.progress("sample", len(cells), len(cells))

    def pieces(self) -> StagedRows:
        """Return the rows of everything drawn."""
        return StagedRows(self.files)

    def _draw_piece(
        self, path: Path, cells: Sequence[PlannedCell], before: int, total: int
    ) -> None:
        if not path.exists():
            rows = []
            for cell, pixels in draw_cells(self.generator, cells, self.config):
                rows.append(synthetic_row(self.generator, cell, pixels, self.config))
                self.progress("sample", before + len(rows), total)
            write_rows(path, pa.Table.from_pylist(rows, schema=SCHEMA))
        self.progress("sample", before + len(cells), total)


def _selected(pieces: StagedRows) -> tuple[Rows, Counter[str]]:
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


def _write(folder: Path, pieces: StagedRows, kept: Rows) -> list[Shard]:
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
