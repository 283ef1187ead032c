"""The stage `evaluate`: a real and a synthetic corpus in, measurements and pictures out.

Quality is measured against held-out real cells (validation and test); copying against the training
split, with the held-out cells' own distances as the baseline. Every distance comes with its floor:
the same distance between the held-out cells and as many real training cells, which is what a
perfect generator would get.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import compress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import Field

from curation.cells import Split
from curation.corpus import Corpus
from curation.errors import MeasurementError
from curation.manifest import Codec, Frozen, View
from curation.pixels import Pixels, decode_rgb
from curation.progress import Progress, silent
from curation.versions import library_versions
from curation.vocabulary import LABELS

from .contact_sheet import contact_sheet, readable
from .measure.features import PIPELINE, extractor_text, inception_features
from .measure.frechet import frechet_distance
from .measure.inception import InceptionWeights, find_inception
from .measure.kernel import kernel_distance
from .measure.measurement import (
    ALL_CLASSES,
    FID_NEEDS,
    MEASUREMENTS_FORMAT,
    Measurement,
    Measurements,
)
from .measure.memorisation import COPY_CORRELATION, copies, nearest_correlation, prepare
from .measure.proportion import median_interval, share_interval
from .packaged.held_out import COPIES_NOTE, left_out_note, may_measure, unseen_rows
from .view import view_through_codec

HELD_OUT: tuple[Split, ...] = ("validation", "test")
_COPY_EXTRACTOR = "normalised cross-correlation, 32 px, 8 orientations"
_SHEET_CELLS = 10


class EvaluateConfig(Frozen):
    """How much is measured."""

    max_per_class: int = Field(default=200, description="cells a class and side, for distances")
    min_per_class: int = Field(
        default=8, ge=4, description="cells under which a class is not measured"
    )
    max_train: int = Field(default=20_000, description="training cells searched for copies")
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture of a report; one that shows real cells must not stand in an open repository."""

    name: str
    title: str
    caption: str
    alt: str
    image: Image.Image
    shows_real: bool


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What `evaluate` found."""

    measurements: Measurements
    pictures: tuple[Picture, ...]


@dataclass(frozen=True, slots=True)
class _Cells:
    """Images of one origin in one view, (n, s, s, 3) uint8, with their labels."""

    images: NDArray[np.uint8]
    labels: tuple[str, ...]

    def rows(self, label: str, count: int | None = None) -> NDArray[np.int64]:
        rows = np.flatnonzero(np.array(self.labels, dtype=object) == label)
        return rows if count is None else rows[:count]


@dataclass(frozen=True, slots=True)
class _Context:
    """What every measurement of a run has in common."""

    extractor: str
    pipeline: str
    reference: str
    seed: int


def measure(
    real: Corpus,
    synthetic: Corpus,
    config: EvaluateConfig | None = None,
    *,
    inception: Path | None = None,
    download_inception: bool = False,
    progress: Progress = silent,
) -> Evaluation:
    """Measure a synthetic corpus against the real one.

    Raises: MeasurementError where the corpora do not fit each other, or the network is not found.
    """
    config = config or EvaluateConfig()
    started = time.monotonic()
    view = check_pair(real, synthetic)
    weights = find_inception(inception, download=download_inception)
    parents = synthetic.manifest.parents
    trained = parents["generator"], parents["training_corpus"]
    unseen = unseen_rows(*trained, real, HELD_OUT)
    held, train, drawn = _load_cells(real, synthetic, view, config, progress)
    if unseen is not None:
        held = _Cells(held.images[unseen], tuple(compress(held.labels, unseen)))
    sizes, skipped = _sizes(held, train, drawn, config)
    if not sizes:
        raise MeasurementError(f"no class can be measured: {skipped}")
    context = _Context(
        extractor=extractor_text(weights),
        pipeline=f"{_view_text(view)}, {synthetic.manifest.codec.format}; {PIPELINE}",
        reference=f"{real.fingerprint} {'+'.join(HELD_OUT)}",
        seed=config.seed,
    )
    if unseen is not None:
        skipped |= {"held-out cells": left_out_note(unseen), "copies": COPIES_NOTE}
    distances = _distances(held, train, drawn, sizes, weights, context, progress)
    copying, pairs = _copying(held, train, drawn, context, progress)
    found = Measurements(
        format_version=MEASUREMENTS_FORMAT,
        real=real.fingerprint,
        synthetic=synthetic.fingerprint,
        generator=trained[0],
        training_corpus=trained[1],
        view=view,
        held_out=HELD_OUT,
        seconds=round(time.monotonic() - started, 1),
        measurements=(*distances, *copying),
        skipped=skipped,
        versions=library_versions("torch", "clean-fid"),
    )
    return Evaluation(found, (_side_by_side(held, drawn, view), pairs, _synthetic(drawn, view)))


def _view_text(view: View) -> str:
    return f"central {view.crop:.3g} of the shorter side at {view.side} px"


def check_pair(real: Corpus, synthetic: Corpus) -> View:
    """Refuse corpora that cannot be compared; returns the synthetic cells' view.

    Of the packaged generator's training cells a list exists, so that any real corpus may measure
    it; `measure` leaves out the held-out cells that it learned from.

    Raises: MeasurementError.
    """
    if real.manifest.kind != "real":
        raise MeasurementError(
            f"{real.path} is a {real.manifest.kind} corpus; --real takes a real one"
        )
    if synthetic.manifest.kind != "synthetic" or synthetic.manifest.view is None:
        raise MeasurementError(
            f"{synthetic.path} is a {synthetic.manifest.kind} corpus; --synthetic takes what "
            "`smearkit sample` made"
        )
    parents = synthetic.manifest.parents
    trained = parents.get("training_corpus")
    if not may_measure(parents.get("generator", ""), trained, real):
        raise MeasurementError(
            f"the synthetic cells come from a generator trained on corpus {trained}, but --real "
            f"is {real.fingerprint}: its held-out cells may have been trained on. "
            "Next: give the corpus that the generator was trained on"
        )
    return synthetic.manifest.view


def _load_cells(
    real: Corpus, synthetic: Corpus, view: View, config: EvaluateConfig, progress: Progress
) -> tuple[_Cells, _Cells, _Cells]:
    codec = synthetic.manifest.codec
    held = _cells(real, HELD_OUT, view, codec, None, progress)
    train = _cells(real, ("train",), view, codec, config.max_train, progress)
    drawn = _Cells(
        np.stack([decode_rgb(data) for data in synthetic.images()]), tuple(synthetic.labels())
    )
    return held, train, drawn


def _cells(
    corpus: Corpus,
    splits: Sequence[str],
    view: View,
    codec: Codec,
    limit: int | None,
    progress: Progress,
) -> _Cells:
    labels = corpus.labels(splits)[:limit]
    images = np.zeros((len(labels), view.side, view.side, 3), np.uint8)
    for row, data in zip(range(len(labels)), corpus.images(splits), strict=False):
        images[row] = view_through_codec(decode_rgb(data), view, codec)
        if row % 256 == 0:
            progress(f"decode {splits[0]}", row, len(labels))
    return _Cells(images, tuple(labels))


def _sizes(
    held: _Cells, train: _Cells, drawn: _Cells, config: EvaluateConfig
) -> tuple[dict[str, int], dict[str, str]]:
    """Return label -> cells a side, and label -> why it is left out."""
    sizes: dict[str, int] = {}
    skipped: dict[str, str] = {}
    for label in LABELS:
        if label not in drawn.labels:
            continue
        counts = {
            "synthetic": len(drawn.rows(label)),
            "held-out real": len(held.rows(label)),
            "training": len(train.rows(label)),
        }
        name, least = min(counts.items(), key=lambda item: item[1])
        if least < config.min_per_class:
            skipped[label] = f"only {least} {name} cells; {config.min_per_class} are needed"
        else:
            sizes[label] = min(least, config.max_per_class)
    return sizes, skipped


def _distances(
    held: _Cells,
    train: _Cells,
    drawn: _Cells,
    sizes: Mapping[str, int],
    weights: InceptionWeights,
    context: _Context,
    progress: Progress,
) -> list[Measurement]:
    sides = [
        {label: cells.rows(label, count) for label, count in sizes.items()}
        for cells in (held, train, drawn)
    ]
    images = [
        cells.images[row]
        for cells, rows in zip((held, train, drawn), sides, strict=True)
        for label in sizes
        for row in rows[label]
    ]
    features = inception_features(images, len(images), weights, progress=progress)
    per_side = np.split(features, 3)
    found = _pair_of_distances(ALL_CLASSES, per_side, context)
    start = 0
    for label, count in sizes.items():
        part = [side[start : start + count] for side in per_side]
        found.extend(_pair_of_distances(label, part, context))
        start += count
    return found


def _pair_of_distances(
    label: str, sides: Sequence[NDArray[np.float32]], context: _Context
) -> list[Measurement]:
    """Return KID and FID of one class; `sides` are features of held-out, training, synthetic."""
    held, train, drawn = sides
    common: dict[str, Any] = {
        "label": label, "n_real": len(held), "n_synthetic": len(drawn), "direction": "lower",
        "extractor": context.extractor, "pipeline": context.pipeline,
        "reference": context.reference,
    }  # fmt: skip
    kid = kernel_distance(held, drawn, seed=context.seed)
    kid_floor = kernel_distance(held, train, seed=context.seed)
    reliable = min(len(held), len(drawn)) >= FID_NEEDS
    return [
        Measurement(
            name="kid", value=kid.value, low=kid.low, high=kid.high, floor=kid_floor.value,
            floor_low=kid_floor.low, floor_high=kid_floor.high, **common,
        ),
        Measurement(
            name="fid", value=frechet_distance(held, drawn), floor=frechet_distance(held, train),
            reliable=reliable, **common,
        ),
    ]  # fmt: skip


def _copying(
    held: _Cells, train: _Cells, drawn: _Cells, context: _Context, progress: Progress
) -> tuple[list[Measurement], Picture]:
    progress("copies", 0, 3)
    training = prepare(train.images)
    held_best, _ = nearest_correlation(prepare(held.images), training)
    progress("copies", 1, 3)
    best, index = nearest_correlation(prepare(drawn.images), training)
    progress("copies", 3, 3)
    copied = copies(best, held_best)
    common: dict[str, Any] = {
        "label": ALL_CLASSES, "n_real": len(train.labels), "extractor": _COPY_EXTRACTOR,
        "pipeline": context.pipeline.split(";")[0],
        "reference": context.reference.split(" ")[0] + " train",
    }  # fmt: skip
    count = int(copied.sum())
    low, high = share_interval(count, len(best))
    held_low, held_high = median_interval(held_best)
    drawn_low, drawn_high = median_interval(best)
    found = [
        Measurement(
            name="copied_share", value=count / len(best), low=low, high=high, floor=0.0,
            n_synthetic=len(best), direction="zero",
            note=_copy_note(float(held_best.max())),
            **common,
        ),
        Measurement(
            name="nearest_train", value=float(np.median(best)), low=drawn_low, high=drawn_high,
            floor=float(np.median(held_best)), floor_low=held_low, floor_high=held_high,
            n_synthetic=len(best), direction="lower", **common,
        ),
        Measurement(
            name="nearest_train_held_out", value=float(np.median(held_best)), low=held_low,
            high=held_high, n_synthetic=0, direction="lower",
            note=f"of {len(held_best)} held-out real cells: the baseline", **common,
        ),
    ]  # fmt: skip
    return found, _closest_pairs(train, drawn, best, index)


def _copy_note(held_out_most: float) -> str:
    note = (
        f"a copy correlates at least {COPY_CORRELATION} with a training cell and more than every "
        f"held-out cell does ({held_out_most:.3f})"
    )
    if held_out_most >= COPY_CORRELATION:
        note += "; held-out cells pass the threshold themselves, so copies up to there go unseen"
    return note


def _side_by_side(held: _Cells, drawn: _Cells, view: View) -> Picture:
    rows: list[tuple[str, Sequence[Pixels]]] = []
    for label in LABELS:
        real, made = held.rows(label, _SHEET_CELLS), drawn.rows(label, _SHEET_CELLS)
        if len(made):
            rows.append((f"{readable(label)}\nreal", [held.images[i] for i in real]))
            rows.append(("synthetic", [drawn.images[i] for i in made]))
    return Picture(
        "real_over_synthetic",
        "Real above synthetic, class by class",
        f"The first {_SHEET_CELLS} held-out real cells and the first {_SHEET_CELLS} synthetic ones "
        f"of each class, not chosen by anyone, at {view.side} px.",
        "Rows of held-out real cells, each above a row of synthetic cells of its class.",
        contact_sheet(rows),
        shows_real=True,
    )


def _synthetic(drawn: _Cells, view: View) -> Picture:
    rows = [
        (readable(label), [drawn.images[i] for i in made])
        for label in LABELS
        if len(made := drawn.rows(label, _SHEET_CELLS))
    ]
    return Picture(
        "synthetic",
        "Synthetic cells, class by class",
        f"The first {_SHEET_CELLS} synthetic cells of each class, not chosen by anyone, at "
        f"{view.side} px.",
        "A row of synthetic cells for each class.",
        contact_sheet(rows),
        shows_real=False,
    )


def _closest_pairs(
    train: _Cells, drawn: _Cells, best: NDArray[np.float32], index: NDArray[np.int64]
) -> Picture:
    order = np.argsort(-best, kind="stable")[:12]
    rows = [
        ("synthetic", [drawn.images[i] for i in order]),
        ("nearest\ntraining cell", [train.images[index[i]] for i in order]),
    ]
    values = ", ".join(f"{best[i]:.3f}" for i in order)
    return Picture(
        "closest_training_pairs",
        "The synthetic cells that are closest to a training cell",
        f"Correlations, from the left: {values}. The training cell is shown as it lies in the "
        "corpus; it was compared in all 8 orientations.",
        "A row of synthetic cells above the training cells nearest to them.",
        contact_sheet(rows),
        shows_real=True,
    )
