"""What is refused before a dataset is augmented: all but a training split of real cells."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from curation.errors import SourceError

if TYPE_CHECKING:
    from datasets import Dataset

_TRAINING = re.compile(r"train(\[[^\]+]*\])?")
_MARKS = {"generator": "string", "seed": "int64"}


def check_map_style(dataset: Any) -> None:
    """Refuse anything but a `datasets.Dataset`, with what to take instead.

    Raises: SourceError.
    """
    from datasets import Dataset, DatasetDict, IterableDataset, IterableDatasetDict

    if isinstance(dataset, Dataset):
        return
    if isinstance(dataset, DatasetDict | IterableDatasetDict):
        raise SourceError(
            f"this is a dictionary of the splits {', '.join(map(str, dataset))}, and one training "
            'split is needed. Next: take ["train"] of it'
        )
    if isinstance(dataset, IterableDataset):
        raise SourceError(
            "a streamed dataset cannot be counted before it is read. "
            "Next: load it without streaming=True"
        )
    raise SourceError(f"a datasets.Dataset is needed, not {type(dataset).__name__}")


def check_split(dataset: Dataset, stated: str | None) -> None:
    """Refuse any split but training; one that says nothing of itself needs a caller who does.

    Raises: SourceError.
    """
    if stated not in (None, "train"):
        raise SourceError(
            f"split={stated!r} was stated: synthetic cells belong into training only. "
            "Next: augment the training split, and test on real cells"
        )
    if dataset.split is None:
        if stated is None:
            raise SourceError(
                "the dataset does not say which split it is, and only training may hold synthetic "
                'cells. Next: state split="train" if no cell of it is ever tested on'
            )
        return
    # "train[:80%]" is a part of training; "train+test" is not training only.
    if not _TRAINING.fullmatch(str(dataset.split)):
        raise SourceError(
            f"this is the split {str(dataset.split)!r}: synthetic cells belong into training only. "
            'Next: load it with split="train"'
        )


def check_columns(dataset: Dataset, image_column: str, label_column: str | None = None) -> None:
    """Refuse a dataset without the named columns of images and of class names.

    Raises: SourceError.
    """
    from datasets import ClassLabel, Image, Value

    columns = ", ".join(dataset.column_names)
    for name in (image_column, label_column):
        if name is not None and name not in dataset.column_names:
            raise SourceError(
                f"there is no column {name!r}; there are: {columns}. "
                "Next: name yours with image_column=… and label_column=…"
            )
    if not isinstance(dataset.features[image_column], Image):
        raise SourceError(
            f"the column {image_column!r} holds {dataset.features[image_column]}, not images. "
            "Next: dataset.cast_column(…, datasets.Image())"
        )
    label = None if label_column is None else dataset.features[label_column]
    named = isinstance(label, ClassLabel) or (
        isinstance(label, Value) and label.dtype in ("string", "large_string")
    )
    if label_column is not None and not named:
        raise SourceError(
            f"the column {label_column!r} holds {label}, which does not say what its classes are "
            "called. Next: dataset.cast_column(…, datasets.ClassLabel(names=[…]))"
        )


def check_real(dataset: Dataset) -> None:
    """Refuse rows that are synthetic already, and columns that stand in the way of the marks.

    Raises: SourceError.
    """
    if "origin" in dataset.column_names:
        origins = set(dataset.unique("origin"))
        if "synthetic" in origins:
            raise SourceError(
                "some rows are synthetic already, and would be counted and learned from as if they "
                'were real. Next: dataset.filter(lambda row: row["origin"] == "real") first'
            )
        if origins - {"real", None}:
            raise _taken("origin", '"real" or "synthetic"')
    for name, kind in _MARKS.items():
        if name not in dataset.column_names:
            continue
        held = getattr(dataset.features[name], "dtype", None) == kind
        # Columns of a corpus have these names; in rows of real cells they are empty.
        if not held or set(dataset.unique(name)) - {None}:
            raise _taken(name, f"the {name} of synthetic rows")


def _taken(name: str, meaning: str) -> SourceError:
    return SourceError(
        f"the dataset has a column {name!r} of its own, and here it holds {meaning}. "
        f'Next: dataset.rename_column("{name}", …)'
    )
