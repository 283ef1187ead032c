"""A `datasets` dataset: a folder from `save_to_disk`, or `hf://datasets/ORG/NAME[@REVISION]`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import SourceError
from .source import (
    Columns,
    RawCell,
    as_text,
    distinct_values,
    find_column,
    label_text,
    refuse_synthetic,
)

_SCHEME = "hf://datasets/"
_SAVED_MARKS = ("dataset_dict.json", "dataset_info.json", "state.json")


@dataclass(frozen=True, slots=True)
class DatasetSource:
    """The rows of a `datasets.Dataset`, every split of it one after the other."""

    dataset: Any
    origin: str
    roles: Mapping[str, str]
    label_names: tuple[str, ...]
    columns: tuple[str, ...]
    kind: str = "datasets dataset"

    def __len__(self) -> int:
        return len(self.dataset)

    def _label(self, value: Any) -> str:
        return label_text(value, self.label_names)

    def labels(self) -> Mapping[str, int]:
        """Return label as found -> cells."""
        values = self.dataset[self.roles["label"]]
        counts = Counter(self._label(value) for value in values)
        counts.pop("", None)
        return counts

    def read(self, start: int, stop: int) -> Iterator[RawCell]:
        """Yield the cells of a range of positions."""
        for position in range(start, min(stop, len(self))):
            row = self.dataset[position]
            image = row[self.roles["image"]] or {}
            data, path = image.get("bytes"), image.get("path")
            if data is None and path and Path(path).is_file():
                data = Path(path).read_bytes()
            label = self._label(row[self.roles["label"]])
            problem = "file_missing" if data is None else None if label else "label_missing"
            fields = {column: as_text(row[column]) for column in self.columns}
            name = Path(path).name if path else f"row {position}"
            yield RawCell(name, label, data, fields, problem)

    def identifiers(self) -> Iterator[tuple[str, str]]:
        """Yield the names of files, and every value of every column but image and label."""
        image = self.roles["image"]
        for chunk in self.dataset.data.column(image).chunks:
            paths = chunk.field("path").to_pylist()
            yield from (("file", Path(path).stem) for path in paths if path)
        yield from distinct_values({name: self.dataset[name] for name in self.columns})

    def identity(self) -> str:
        """Return where it came from and the library's own fingerprint."""
        return f"{self.origin} {self.dataset._fingerprint}"


def open_dataset(location: str, columns: Columns) -> DatasetSource | None:
    """Open a saved or a Hub dataset; only the `hf://` form touches the network.

    Raises: SourceError where it cannot be loaded or has no image column.
    """
    path = Path(location)
    is_saved = path.is_dir() and any((path / mark).is_file() for mark in _SAVED_MARKS)
    if not location.startswith(_SCHEME) and not is_saved:
        return None
    import datasets

    loaded = _load_saved(datasets, location) if is_saved else _load_hub(datasets, location)
    if isinstance(loaded, dict):
        loaded = datasets.concatenate_datasets(list(loaded.values()))
    return _source(datasets, loaded, location, columns)


def _load_saved(datasets: Any, location: str) -> Any:
    try:
        return datasets.load_from_disk(location)
    except (OSError, ValueError) as error:
        raise SourceError(
            "the source looks like a dataset saved to disk, but cannot be loaded "
            f"({type(error).__name__}); is it whole?"
        ) from None


def _load_hub(datasets: Any, location: str) -> Any:
    name, _, revision = location.removeprefix(_SCHEME).partition("@")
    try:
        return datasets.load_dataset(name, revision=revision or None)
    except (OSError, ValueError) as error:
        raise SourceError(f"{location} cannot be loaded: {error}") from error


def _source(datasets: Any, dataset: Any, location: str, columns: Columns) -> DatasetSource:
    names = dataset.column_names
    images = [name for name, kind in dataset.features.items() if isinstance(kind, datasets.Image)]
    image = columns.image or (images[0] if images else None)
    if image is None or image not in images:
        raise SourceError(
            f"the dataset has no Image column {image or ''}; found {dataset.features}. "
            "Next: name it with --image-column"
        )
    label = find_column(names, "label", columns.label, "the dataset", required=True) or ""
    if "origin" in names:
        refuse_synthetic(dataset.unique("origin"), "the dataset")
    kind = dataset.features[label]
    return DatasetSource(
        dataset.cast_column(image, datasets.Image(decode=False)),
        location,
        {"label": label, "image": image},
        tuple(kind.names) if isinstance(kind, datasets.ClassLabel) else (),
        tuple(name for name in names if name not in (image, label)),
    )
