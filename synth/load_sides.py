"""The three sides of an evaluation, of two corpora, in the view and codec of the drawn one."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import compress

import numpy as np
from numpy.typing import NDArray

from curation.cells import Split
from curation.corpus import Corpus
from curation.errors import MeasurementError
from curation.manifest import Codec, View
from curation.pixels import decode_rgb
from curation.progress import Progress
from curation.vocabulary import LABELS

from .measure.config import EvaluateConfig
from .measure.sides import Cells, Sides
from .packaged.held_out import COPIES_NOTE, left_out_note, may_measure, unseen_rows
from .view import view_through_codec

BOTH: tuple[Split, ...] = ("validation", "test")


def check_pair(real: Corpus, synthetic: Corpus) -> View:
    """Refuse corpora that cannot be compared; returns the synthetic cells' view.

    Of the packaged generator's training cells a list exists, so that any real corpus may measure
    it; `load_sides` leaves out the held-out cells that it learned from.

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


def load_sides(
    real: Corpus, synthetic: Corpus, view: View, config: EvaluateConfig, progress: Progress
) -> tuple[Sides, tuple[Split, ...], dict[str, str]]:
    """Return the three sides, the splits that were held out, and what was left out and why.

    Raises: MeasurementError where no class can be measured, or where a drawn image is not square
    with the view's side.
    """
    parents = synthetic.manifest.parents
    codec = synthetic.manifest.codec
    drawn = _drawn(synthetic, view)
    held_out = _held_out(real, drawn, config)
    held = _real(real, held_out, view, codec, None, progress)
    train = _real(real, ("train",), view, codec, config.max_train, progress)
    unseen = unseen_rows(parents["generator"], parents["training_corpus"], real, held_out)
    notes: dict[str, str] = {}
    if unseen is not None:
        held = held.take(np.flatnonzero(unseen))
        notes = {"held-out cells": left_out_note(unseen), "copies": COPIES_NOTE}
    sizes, skipped = _sizes(held, train, drawn, config)
    if not sizes:
        raise MeasurementError(
            f"no class can be measured: {skipped}. Next: draw more cells, or lower "
            "`min_per_class` with --config"
        )
    return Sides(held, train, drawn, sizes), held_out, skipped | notes


def _held_out(real: Corpus, drawn: Cells, config: EvaluateConfig) -> tuple[Split, ...]:
    """Return the splits that quality is measured against.

    Validation cells decided when training stopped and which average draws; test cells nothing.
    """
    if config.held_out == "validation+test":
        return BOTH
    if config.held_out == "test":
        return ("test",)
    tests = real.manifest.classes.get("test", {})
    known = [label for label in set(drawn.labels) if label in real.manifest.class_totals()]
    enough = all(tests.get(label, 0) >= config.min_per_class for label in known)
    return ("test",) if enough and known else BOTH


def _drawn(synthetic: Corpus, view: View) -> Cells:
    images = np.zeros((synthetic.manifest.n_out, view.side, view.side, 3), np.uint8)
    for row, data in enumerate(synthetic.images()):
        image = decode_rgb(data)
        if image.shape != images.shape[1:]:
            height, width = image.shape[:2]
            raise MeasurementError(
                f"image {row} of {synthetic.path} has {width}x{height} px where its manifest says "
                f"{view.side}x{view.side}. Next: draw the corpus again with `smearkit sample`"
            )
        images[row] = image
    table = synthetic.rows(["image_id"])
    none = (None,) * len(images)
    return Cells(images, tuple(synthetic.labels()), tuple(table["image_id"].to_pylist()), none)


def _real(
    corpus: Corpus,
    splits: Sequence[Split],
    view: View,
    codec: Codec,
    limit: int | None,
    progress: Progress,
) -> Cells:
    labels = np.array(corpus.labels(splits), dtype=object)
    chosen = _chosen(labels, limit)
    images = np.zeros((int(chosen.sum()), view.side, view.side, 3), np.uint8)
    for row, data in enumerate(compress(corpus.images(splits), chosen)):
        images[row] = view_through_codec(decode_rgb(data), view, codec)
        if row % 256 == 0:
            progress(f"decode {splits[0]}", row, len(images))
    table = corpus.rows(["image_id", "subject"], splits)
    ids, subjects = table["image_id"].to_pylist(), table["subject"].to_pylist()
    return Cells(
        images,
        tuple(labels[chosen]),
        tuple(compress(ids, chosen)),
        tuple(compress(subjects, chosen)),
    )


def _chosen(labels: NDArray[np.object_], limit: int | None) -> NDArray[np.bool_]:
    """Return which rows are read: where there are more than the limit, the first of each class."""
    if limit is None or len(labels) <= limit:
        return np.ones(len(labels), bool)
    # The rank of a row within its class: the classes with few rows stay whole.
    rank = np.zeros(len(labels), np.int64)
    for label in set(labels):
        rows = np.flatnonzero(labels == label)
        rank[rows] = np.arange(len(rows))
    chosen = np.zeros(len(labels), bool)
    chosen[np.argsort(rank, kind="stable")[:limit]] = True
    return chosen


def _sizes(
    held: Cells, train: Cells, drawn: Cells, config: EvaluateConfig
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
