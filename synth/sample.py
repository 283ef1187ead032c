"""The stage `sample`: a generator and a plan in, a synthetic corpus out."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from curation.cells import SCHEMA
from curation.corpus import Corpus, load_corpus
from curation.corpus_writer import shard_name, shards_done, write_manifest, write_shard
from curation.errors import GeneratorError
from curation.manifest import Shard
from curation.pixels import Pixels
from curation.progress import Progress, silent
from curation.shards import split_by_bytes
from curation.staged_rows import Rows, StagedRows, write_rows

from .config import SampleConfig
from .generator import Generator, load_generator
from .judge import Judge, PlainJudge, SelectingJudge, kept_of, with_columns
from .plan import Plan, PlannedCell, check_plan, planned_cells
from .processes import Ranks, device_of, ranks_of_run, shared_directory, wait_for
from .rounds import MOST_ROUNDS, announce_round, announced_round, next_round
from .sample_checks import check_sampling
from .select import fit_selector
from .select_config import SelectConfig
from .selection_report import write_selection
from .signing import ImageSigner
from .synthetic_row import synthetic_row

PIECE_CELLS = 128


def draw_cells(
    generator: Generator,
    cells: Sequence[PlannedCell],
    config: SampleConfig,
    guide: Generator | None = None,
) -> Iterator[tuple[PlannedCell, Pixels]]:
    """Yield each planned cell with its pixels, (side, side, 3) uint8 RGB.

    The one source of images for the command line, the measurements and Python alike. `guide` is a
    weaker generator, away from which guidance goes.
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
            None if guide is None else guide.pipeline,
        )
        yield from zip(batch, images, strict=True)


def sample(
    generator: Generator | Path,
    plan: Plan,
    out: Path,
    config: SampleConfig | None = None,
    *,
    guide: Generator | None = None,
    select_by: Corpus | None = None,
    select_config: SelectConfig | None = None,
    keep_drawing: bool = False,
    signer: ImageSigner | None = None,
    parents: dict[str, str] | None = None,
    ranks: Ranks | None = None,
    progress: Progress = silent,
) -> Corpus:
    """Draw the cells of a plan into a synthetic corpus, in the codec of the real ones.

    With `select_by`, the corpus that the generator learned from, cells are dropped that real cells
    speak against; with `keep_drawing`, others are drawn in their place (`rounds.MOST_DRAWN`).
    An interrupted run goes on after the last finished piece. Under `accelerate launch` or
    `torchrun` the processes of a run draw different pieces of it: the corpus is the same.

    Raises: GeneratorError, MeasurementError, OutputExistsError.
    """
    config, ranks = config or SampleConfig(), ranks or ranks_of_run()
    select_config = select_config or SelectConfig()
    if not isinstance(generator, Generator):
        generator = load_generator(generator, device=device_of(ranks))
    check_plan(plan, generator.info.trained_on)
    check_sampling(generator, config, guide, select_by)
    job = {
        "stage": "sample",
        "generator": generator.info.fingerprint,
        "guide": guide and guide.info.fingerprint,
        "plan": dict(plan),
        "config": config.model_dump(mode="json"),
        "select": select_by and [select_by.fingerprint, select_config.model_dump(mode="json")],
        "keep_drawing": keep_drawing,
        "signer": signer and signer.certificate,
        # Another size of pieces makes other pieces.
        "piece_cells": PIECE_CELLS,
    }
    with shared_directory(out, job, ranks) as partial:
        drawing = Drawing(generator, guide, config, partial, out, ranks, progress)
        if ranks.first:
            judge = _judge(generator, select_by, select_config, partial, progress)
            reasons = draw_rounds(drawing, plan, judge, keep_drawing=keep_drawing)
            said = {
                "plan": dict(plan), "selected": bool(select_by), "keep_drawing": keep_drawing,
                "signer": signer and signer.certificate,
            }  # fmt: skip
            _write_corpus(
                partial, drawing, judge, reasons, signer, parents=parents or {}, said=said
            )
            # Last: what is interrupted before this need not draw the cells again.
            for name in ("selection", "judged", "pieces"):
                shutil.rmtree(partial / name, ignore_errors=True)
        else:
            _draw_as_told(drawing, partial, out)
    return load_corpus(out)


def _judge(
    generator: Generator,
    select_by: Corpus | None,
    config: SelectConfig,
    partial: Path,
    progress: Progress,
) -> Judge:
    if select_by is None:
        return PlainJudge()
    view, codec = generator.info.view, generator.info.codec
    selector = fit_selector(select_by, view, codec, config, progress, partial / "selection")
    return SelectingJudge(selector, partial / "judged", progress)


def draw_rounds(drawing: Drawing, plan: Plan, judge: Judge, *, keep_drawing: bool) -> list[str]:
    """Draw a plan, and what it lacks after judging; return why each row is dropped, or ""."""
    drawn: Counter[str] = Counter()
    reasons: list[str] = []
    wanted: Mapping[str, int] = plan
    number = 0
    while wanted:
        drawing.announce(number, wanted)
        drawing.draw(wanted, drawn)
        drawn.update(wanted)
        pieces = drawing.pieces()
        reasons = judge.judge(pieces)
        number += 1
        more = keep_drawing and number < MOST_ROUNDS
        wanted = next_round(plan, drawn, kept_of(pieces, reasons)) if more else {}
    drawing.announce(number, {})
    return reasons


def _draw_as_told(drawing: Drawing, partial: Path, out: Path) -> None:
    drawn: Counter[str] = Counter()
    number = 0
    while wanted := announced_round(partial, out, number):
        drawing.draw(wanted, drawn)
        drawn.update(wanted)
        number += 1


class Drawing:
    """Drawing the cells of a run in pieces, each of them by one process."""

    def __init__(
        self,
        generator: Generator,
        guide: Generator | None,
        config: SampleConfig,
        partial: Path,
        out: Path,
        ranks: Ranks,
        progress: Progress,
    ) -> None:
        self.generator, self.guide, self.config = generator, guide, config
        self.partial, self.out, self.ranks, self.progress = partial, out, ranks, progress
        self.folder = partial / "pieces"
        self.folder.mkdir(exist_ok=True)
        self.files: list[Path] = []

    def announce(self, number: int, plan: Plan) -> None:
        """Tell the other processes of the run, if any, what comes next."""
        if self.ranks.count > 1:
            announce_round(self.partial, number, plan)

    def draw(self, plan: Plan, after: Plan) -> None:
        """Draw this process' pieces of a plan; the first process waits for the others'."""
        cells = planned_cells(plan, self.config.seed, after)
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
            for cell, pixels in draw_cells(self.generator, cells, self.config, self.guide):
                rows.append(synthetic_row(self.generator, cell, pixels, self.config, self.guide))
                self.progress("sample", before + len(rows), total)
            write_rows(path, pa.Table.from_pylist(rows, schema=SCHEMA))
        self.progress("sample", before + len(cells), total)


def _write_corpus(
    partial: Path,
    drawing: Drawing,
    judge: Judge,
    reasons: Sequence[str],
    signer: ImageSigner | None,
    *,
    parents: Mapping[str, str],
    said: Mapping[str, Any],
) -> None:
    pieces, info, guide = drawing.pieces(), drawing.generator.info, drawing.guide
    kept, dropped = _kept(pieces, reasons)
    if len(kept) == 0:
        raise GeneratorError(f"all {len(pieces)} cells were rejected: {dict(dropped)}")
    report = judge.report(pieces, reasons)
    if report is not None:
        write_selection(partial, report)
    shards = _write_shards(partial, pieces, kept, judge, signer)
    write_manifest(
        partial,
        kind="synthetic",
        shards=shards,
        n_in=len(pieces),
        dropped=dropped,
        grouped_by="none",
        codec=info.codec,
        view=info.view,
        parents={
            "generator": info.fingerprint,
            "training_corpus": info.training_corpus,
            **({"guide": guide.info.fingerprint} if guide else {}),
            **parents,
        },
        config={**drawing.config.model_dump(mode="json"), **said},
        libraries=("torch", "diffusers"),
    )
    pieces.close()


def _kept(pieces: StagedRows, reasons: Sequence[str]) -> tuple[Rows, Counter[str]]:
    """Return the rows to keep, in the order of their image ids, and why the others go."""
    ids = pieces.columns(["image_id"])["image_id"].to_pylist()
    kept = [row for row, reason in enumerate(reasons) if not reason]
    kept.sort(key=lambda row: ids[row])
    return np.array(kept, dtype=np.int64), Counter(reason for reason in reasons if reason)


def _write_shards(
    folder: Path, pieces: StagedRows, kept: Rows, judge: Judge, signer: ImageSigner | None
) -> list[Shard]:
    images = pieces.columns(["image"])["image"]
    sizes = np.array([len(image["bytes"].as_buffer()) for image in images], dtype=np.int64)[kept]
    parts = split_by_bytes(sizes)
    done = shards_done(folder)
    shards = []
    for number, part in enumerate(parts):
        # A synthetic cell belongs to the training split; the schema refuses it elsewhere.
        path = shard_name("train", number, len(parts))
        shard = done.get(path)
        if shard is None:
            columns = judge.columns(kept[part])
            table = pieces.take(kept[part])
            if signer is not None:
                columns["image"] = _signed(table["image"], signer)
            table = with_columns(table, columns)
            shard = write_shard(folder, "train", path, table)
        shards.append(shard)
    return shards


def _signed(images: pa.ChunkedArray, signer: ImageSigner) -> pa.Array:
    # Last of all: a signature is another one each time, and pieces are to be the same.
    rows = [{"bytes": signer.sign(image["bytes"].as_py()), "path": None} for image in images]
    return pa.array(rows, SCHEMA.field("image").type)
