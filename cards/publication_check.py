"""Loading back what was published, as its readers will, and comparing it with the folder."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from curation.corpus import file_sha256
from curation.errors import PublicationError

from .hub_folder import LocalFolder
from .hub_repository import Repository

_BUFFER_BYTES = 2**20


def check_revision(
    repository: Repository, folder: LocalFolder, revision: str, *, images: bool = True,
    read_back: bool = False,
) -> None:  # fmt: skip
    """Compare a revision with the folder: checksums, row counts, schemas, features, images.

    Checksums are those the Hub keeps of what it received; `read_back` loads every byte again.
    `images` decodes the first and the last one of each Parquet file that has any.

    Raises: PublicationError naming what differs; HubError.
    """
    where = f"{repository.name} at {revision}"
    _check_checksums(repository, folder, revision, where)
    if read_back:
        repository.patience.asked(
            f"reading {where} back", lambda: _read_back(repository, folder, revision, where)
        )
    if repository.kind == "dataset":
        repository.patience.asked(
            f"loading {where}", lambda: _check_tables(repository, folder, revision, where, images)
        )
        repository.patience.asked(
            f"loading {where}", lambda: _check_loading(repository, folder, revision, where)
        )


def _check_checksums(
    repository: Repository, folder: LocalFolder, revision: str, where: str
) -> None:
    tree = repository.tree(revision)
    odd = [*folder.new_in(tree), *folder.gone_from(tree)]
    if odd:
        raise PublicationError(
            f"{where} is not what was sent: {odd[0]} differs ({len(odd)} file(s) in all)"
        )


def _read_back(repository: Repository, folder: LocalFolder, revision: str, where: str) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        for name, file in folder.files.items():
            loaded = repository.api.hf_hub_download(
                repository.name, name, repo_type=repository.kind, revision=revision,
                local_dir=scratch,
            )  # fmt: skip
            if file_sha256(Path(loaded)) != file.sha256:
                raise PublicationError(f"{where} is not what was sent: {name} came back changed")
            Path(loaded).unlink()


def _tables(folder: LocalFolder) -> Iterator[str]:
    return (name for name in folder.files if name.endswith(".parquet"))


def _check_tables(
    repository: Repository, folder: LocalFolder, revision: str, where: str, images: bool
) -> None:
    from huggingface_hub import HfFileSystem

    system = HfFileSystem(endpoint=repository.api.endpoint, skip_instance_cache=True)
    for name in _tables(folder):
        here = pq.ParquetFile(folder.files[name].file)
        place = f"datasets/{repository.name}@{revision.replace('/', '%2F')}/{name}"
        with system.open(place, block_size=_BUFFER_BYTES) as opened:
            there = pq.ParquetFile(opened, buffer_size=_BUFFER_BYTES, pre_buffer=False)
            if there.metadata.num_rows != here.metadata.num_rows:
                raise PublicationError(
                    f"{where}: {name} has {there.metadata.num_rows} rows, "
                    f"{here.metadata.num_rows} were sent"
                )
            if not there.schema_arrow.equals(here.schema_arrow, check_metadata=True):
                raise PublicationError(f"{where}: {name} has other columns than were sent")
            if images and "image" in there.schema_arrow.names:
                _check_images(there, f"{where}: {name}")


def _check_images(table: pq.ParquetFile, where: str) -> None:
    last = table.num_row_groups - 1
    for group, row in ((0, "first"), (last, "last")):
        if table.metadata.num_rows == 0:
            return
        cells = None
        for batch in table.iter_batches(16, row_groups=[group], columns=["image"]):
            cells = batch
            if row == "first":
                break
        assert cells is not None, "a row group has rows"
        cell = cells.column(0)[0 if row == "first" else len(cells) - 1]
        _decode(cell["bytes"].as_py(), f"{where}: the {row} image")


def _decode(data: bytes | None, where: str) -> None:
    from PIL import Image

    try:
        Image.open(io.BytesIO(data or b"")).load()
    except (OSError, SyntaxError, ValueError) as error:
        raise PublicationError(f"{where} cannot be decoded: {error}") from error


def _check_loading(repository: Repository, folder: LocalFolder, revision: str, where: str) -> None:
    there = _splits(repository.name, revision)
    here = _splits(str(folder.path), None)
    if there != here:
        raise PublicationError(
            f"{where}: `datasets` loads other configurations, splits or features than from the "
            f"folder: {sorted(there)} instead of {sorted(here)}"
        )


def _splits(path: str, revision: str | None) -> dict[str, Any]:
    """Return "configuration/split" -> features, as `datasets` loads them."""
    import datasets

    found = {}
    for config in datasets.get_dataset_config_names(path, revision=revision):
        loaded = datasets.load_dataset(path, config, revision=revision, streaming=True)
        for split, rows in loaded.items():
            found[f"{config}/{split}"] = rows.features
    return found
