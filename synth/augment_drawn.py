"""The synthetic rows of an augmented dataset: drawn, judged by the real ones, drawn on."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from curation.progress import silent
from curation.validate.label_audit import at_most
from curation.vocabulary import LABELS

from .augment_real import row_pixels
from .judge import Judge, PlainJudge, SelectingJudge
from .processes import Ranks
from .sample import PIECE_CELLS, Drawing, draw_rounds
from .select_calibration import calibrate
from .select_cells import SelectCells, measure_cells
from .select_config import SelectConfig
from .select_loss import RealLoss
from .selector import Selector, learn
from .view import view_through_codec

if TYPE_CHECKING:
    from datasets import Dataset

    from .augment_labels import ClassNames
    from .config import SampleConfig
    from .generator import Generator

# A dataset with these is a corpus: its other columns mean of a drawn cell what they say there.
_CORPUS = frozenset(("image_id", "generator", "seed", "guidance", "steps", "training_corpus"))


def drawn_rows(
    generator: Generator,
    plan: Mapping[str, int],
    config: SampleConfig,
    dataset: Dataset,
    names: ClassNames,
    image_column: str,
    *,
    select: bool,
) -> Iterator[dict[str, Any]]:
    """Yield the rows of drawn cells that are kept, by the columns of the dataset.

    Cells wait on disk until all are judged; what is lacking is drawn on, up to four times the plan.
    """
    with tempfile.TemporaryDirectory(prefix="smearkit-augment-") as place:
        folder = Path(place)
        judge: Judge = PlainJudge()
        if select:
            selector = _selector(generator, dataset, names, image_column, folder)
            judge = SelectingJudge(selector, folder / "judged", silent)
        drawing = Drawing(generator, None, config, folder, folder, Ranks(), silent)
        reasons = draw_rounds(drawing, plan, judge, keep_drawing=True)
        pieces = drawing.pieces()
        kept = np.array([row for row, reason in enumerate(reasons) if not reason], dtype=np.int64)
        for start in range(0, len(kept), PIECE_CELLS):
            for cell in pieces.take(kept[start : start + PIECE_CELLS]).to_pylist():
                yield _row(cell, dataset, names, image_column)


def _row(
    cell: dict[str, Any], dataset: Dataset, names: ClassNames, image_column: str
) -> dict[str, Any]:
    row: dict[str, Any] = dict.fromkeys(dataset.column_names)
    if set(dataset.column_names) >= _CORPUS:
        row |= {name: value for name, value in cell.items() if name in row}
    label = LABELS[cell["label"]]
    return row | {
        image_column: cell["image"],
        names.column: names.values[label],
        "origin": "synthetic",
        "generator": cell["generator"],
        "seed": cell["seed"],
    }


def _selector(
    generator: Generator, dataset: Dataset, names: ClassNames, image_column: str, folder: Path
) -> Selector:
    """Return what the real cells of a dataset teach; every limit is set across folds of them."""
    config = SelectConfig()
    view, codec = generator.info.view, generator.info.codec
    train = _real_cells(generator, dataset, names, image_column, config, folder / "real.npy")
    none = measure_cells(np.empty((0, view.side, view.side, 3), np.uint8), [], view)
    learned = learn(train, config)
    limits = calibrate(learned, train, none, config, silent)
    loss = RealLoss(measured_on="nothing")
    return Selector("", view, codec, config, learned, limits, train.prepared, loss)


def _real_cells(
    generator: Generator,
    dataset: Dataset,
    names: ClassNames,
    image_column: str,
    config: SelectConfig,
    file: Path,
) -> SelectCells:
    by_value = {value: label for label, value in names.values.items()}
    plain = dataset.with_format(None)
    labels = np.array([by_value[value] for value in plain[names.column]], dtype=str)
    _, codes = np.unique(labels, return_inverse=True)
    chosen = at_most(np.arange(len(labels)), codes.astype(np.int64), config.max_train, config.seed)
    view = generator.info.view
    shape = (len(chosen), view.side, view.side, 3)
    images = np.lib.format.open_memmap(file, mode="w+", dtype=np.uint8, shape=shape)
    stored = dataset.with_format("arrow").select_columns([image_column]).select(chosen)
    row = 0
    for table in stored.iter(PIECE_CELLS):
        for image in table[image_column].to_pylist():
            pixels = row_pixels(image, int(chosen[row]))
            images[row] = view_through_codec(pixels, view, generator.info.codec)
            row += 1
    cells = measure_cells(images, labels[chosen].tolist(), view)
    return SelectCells(
        cells.features, cells.prepared, cells.spread, cells.labels, _groups(dataset, chosen)
    )


def _groups(dataset: Dataset, chosen: np.ndarray[Any, Any]) -> tuple[str | None, ...] | None:
    """Return the subject or slide of rows, so that folds do not share one; None: not known."""
    columns = [name for name in ("subject", "slide") if name in dataset.column_names]
    if not columns:
        return None
    plain = dataset.with_format(None).select(chosen)
    known = list(zip(*(plain[name] for name in columns), strict=True))
    groups = tuple(next((str(value) for value in row if value is not None), None) for row in known)
    return groups if any(groups) else None
