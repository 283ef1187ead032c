"""Which drawn cells are kept, round by round: what is drawn later changes nothing about earlier."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from curation.cells import SCHEMA
from curation.pixels import Pixels, decode_rgb
from curation.progress import Progress
from curation.staged_rows import Rows, StagedRows
from curation.vocabulary import LABELS

from .measure.memorisation import prepare
from .select import select
from .select_scores import Scores, near_pairs
from .selection_report import SelectionReport, selection_report
from .selector import Selector

_BLANK_SPREAD = 2.0
"""Standard deviation of pixel levels (0..255) under which an image shows no cell."""


class Judge(Protocol):
    """Says of every cell drawn so far why it is dropped, or ""."""

    def judge(self, drawn: StagedRows) -> list[str]:
        """Return the reason of each row; called again when more were drawn behind them."""

    def columns(self, rows: Rows) -> dict[str, pa.Array]:
        """Return what is noted of rows, by the names of the schema."""

    def report(self, drawn: StagedRows, reasons: Sequence[str]) -> SelectionReport | None:
        """Return what is written beside the corpus, if anything."""


class PlainJudge:
    """Drops what no corpus may hold: cells of which nothing is seen, and copies of each other."""

    def judge(self, drawn: StagedRows) -> list[str]:
        """Return "duplicate", "blank" or "" for each row."""
        blank = [pixels.std() < _BLANK_SPREAD for pixels in _images(drawn, 0)]
        return _without_twins(drawn, ["blank" if found else "" for found in blank])

    def columns(self, rows: Rows) -> dict[str, pa.Array]:
        """Return nothing: no scores were made."""
        return {}

    def report(self, drawn: StagedRows, reasons: Sequence[str]) -> SelectionReport | None:
        """Return none."""
        return None


class SelectingJudge:
    """Drops what real cells tell: wrong classes, unreal cells, copies; notes the scores."""

    def __init__(self, selector: Selector, folder: Path, progress: Progress) -> None:
        self._selector, self._folder, self._progress = selector, folder, progress
        self._images: list[NDArray[np.uint8]] = []
        self._scores: Scores | None = None

    def judge(self, drawn: StagedRows) -> list[str]:
        """Return the rule that each row breaks, or ""; scores are made of new rows only."""
        known = 0 if self._scores is None else len(self._scores)
        if len(drawn) > known:
            labels = _labels(drawn)[known:]
            self._images.append(self._mapped_images(drawn, known, len(labels)))
            new = self._selector.scores(self._images[-1], labels, self._progress)
            self._scores = new if self._scores is None else self._joined(self._scores, new)
        assert self._scores is not None, "something was drawn"
        reasons = select(self._scores, self._selector.limits)
        # Also where the rule is off: a corpus names every image once.
        return _without_twins(drawn, reasons)

    def columns(self, rows: Rows) -> dict[str, pa.Array]:
        """Return the three scores of rows; null where a cell was not judged."""
        assert self._scores is not None, "judged before anything is noted"
        scores = self._scores
        found = {
            "label_probability": scores.label_probability,
            "realism": scores.realism,
            "nearest_training": scores.nearest_train,
        }
        return {
            name: pa.array(values[rows].astype(np.float64), from_pandas=True)
            for name, values in found.items()
        }

    def report(self, drawn: StagedRows, reasons: Sequence[str]) -> SelectionReport | None:
        """Return what was drawn, kept and dropped of each class."""
        return selection_report(self._selector, _labels(drawn), reasons)

    def _mapped_images(self, drawn: StagedRows, first: int, count: int) -> NDArray[np.uint8]:
        side = self._selector.view.side
        self._folder.mkdir(exist_ok=True)
        path = self._folder / f"{first:09d}.npy"
        shape = (count, side, side, 3)
        images = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=shape)
        for row, pixels in enumerate(_images(drawn, first)):
            images[row] = pixels
        images.flush()
        return images

    def _joined(self, known: Scores, new: Scores) -> Scores:
        alike = self._selector.limits.duplicate_least
        pairs = np.empty((0, 2), np.int64)
        if alike is not None:
            pairs = near_pairs(np.concatenate([prepare(part) for part in self._images]), alike)
        return Scores(
            labels=np.concatenate([known.labels, new.labels]),
            label_probability=np.concatenate([known.label_probability, new.label_probability]),
            realism=np.concatenate([known.realism, new.realism]),
            nearest_train=np.concatenate([known.nearest_train, new.nearest_train]),
            spread=np.concatenate([known.spread, new.spread]),
            pairs=pairs,
        )


def with_columns(table: pa.Table, columns: dict[str, pa.Array]) -> pa.Table:
    """Return rows with some of their columns in the place of what they hold."""
    for name, values in columns.items():
        table = table.set_column(table.column_names.index(name), SCHEMA.field(name), values)
    return table


def kept_of(drawn: StagedRows, reasons: Sequence[str]) -> Counter[str]:
    """Return label -> rows that are kept."""
    pairs = zip(_labels(drawn), reasons, strict=True)
    return Counter(label for label, reason in pairs if not reason)


def _labels(drawn: StagedRows) -> list[str]:
    return [LABELS[i] for i in drawn.columns(["label"])["label"].to_pylist()]


def _images(drawn: StagedRows, first: int) -> Iterator[Pixels]:
    """Yield the pixels of every row from the `first` on, as released."""
    before = 0
    for part in drawn.parts("image"):
        for row in range(max(first - before, 0), len(part)):
            yield decode_rgb(part[row]["bytes"].as_py())
        before += len(part)


def _without_twins(drawn: StagedRows, reasons: Sequence[str]) -> list[str]:
    """Return the reasons; "duplicate" for a kept row with the pixels of an earlier kept one."""
    seen: set[str] = set()
    found = []
    for image_id, reason in zip(
        drawn.columns(["image_id"])["image_id"].to_pylist(), reasons, strict=True
    ):
        found.append(reason or ("duplicate" if image_id in seen else ""))
        if not reason:
            seen.add(image_id)
    return found
