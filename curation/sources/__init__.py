"""Where raw cells come from. A new kind of source is one more function in `SOURCES`."""

from __future__ import annotations

from pathlib import Path

from ..errors import SourceError
from .dataset import open_dataset
from .folder import open_class_folders
from .image_folder import open_image_folder
from .parquet import open_parquet
from .source import Columns, CutFrom, RawCell, Source

__all__ = ["SOURCES", "Columns", "CutFrom", "RawCell", "Source", "open_source"]

# Asked in this order; each returns a source, or None where the location is not its kind.
SOURCES = (open_dataset, open_parquet, open_image_folder, open_class_folders)


def open_source(location: str, columns: Columns) -> Source:
    """Open a source: a folder, a Parquet file, a `datasets` folder, or `hf://datasets/ORG/NAME`.

    Raises: SourceError.
    """
    if not location.startswith("hf://") and not Path(location).exists():
        raise SourceError(
            f"{location} does not exist; expected a folder of class folders, an ImageFolder with "
            "metadata.csv, .jsonl or .parquet, a Parquet file, a datasets folder, or "
            "hf://datasets/ORG/NAME"
        )
    for opener in SOURCES:
        source = opener(location, columns)
        if source is not None:
            return source
    raise SourceError(
        "the source holds no image; looked for class folders of images, metadata.csv, .jsonl or "
        ".parquet beside images, and *.parquet files"
    )
