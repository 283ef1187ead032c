"""A release as one file for an archive such as Zenodo: the same bytes whenever it is made."""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
from pathlib import Path

from curation.corpus import file_sha256
from curation.errors import PublicationError
from curation.manifest import Frozen
from curation.output import disk_errors, refuse_existing, write_whole
from curation.progress import Progress, silent

from .checksums import check_files
from .release_info import read_release

SUMS_NAME = "checksums.txt"


class Archive(Frozen):
    """A tar file: `md5` is what Zenodo shows of it."""

    path: str
    version: str
    files: int
    bytes: int
    sha256: str
    md5: str


def archive_release(folder: Path, out: Path, *, progress: Progress = silent) -> Archive:
    """Write a release as a tar: sorted, without times and owners, `checksums.txt` of all files.

    `OUT.sha256` beside it is for `sha256sum --check`. What was written is read back.

    Raises: ReleaseRefusedError where the release is not whole; OutputExistsError; SmearkitError
    where the disk is full.
    """
    refuse_existing(out)
    made = read_release(folder)
    for dataset in (made.real, made.synthetic):
        check_files(dataset)
    files = {
        path.relative_to(folder).as_posix(): path
        for part in (made.path / "release.json", made.real, made.synthetic)
        for path in ([part] if part.is_file() else part.rglob("*"))
        if path.is_file()
    }
    root = f"release-{made.info.version}"
    partial = out.with_name(f".{out.name}.partial")
    with disk_errors(out):
        sums = _write(partial, root, files, progress)
        _compare(partial, root, sums)
        sha256, md5 = file_sha256(partial), _md5(partial)
        os.replace(partial, out)  # noqa: PTH105
        write_whole(out.with_name(f"{out.name}.sha256"), f"{sha256}  {out.name}\n".encode())
    return Archive(
        path=str(out), version=made.info.version, files=len(files) + 1,
        bytes=out.stat().st_size, sha256=sha256, md5=md5,
    )  # fmt: skip


def _write(partial: Path, root: str, files: dict[str, Path], progress: Progress) -> dict[str, str]:
    sums = {name: file_sha256(files[name]) for name in sorted(files)}
    text = "".join(f"{digest}  {name}\n" for name, digest in sums.items()).encode()
    with tarfile.open(partial, "w", format=tarfile.PAX_FORMAT) as tar:
        tar.addfile(_entry(f"{root}/{SUMS_NAME}", len(text)), io.BytesIO(text))
        for number, name in enumerate(sums):
            progress("archive", number, len(sums))
            with files[name].open("rb") as file:
                tar.addfile(_entry(f"{root}/{name}", files[name].stat().st_size), file)
    with partial.open("rb") as written:
        os.fsync(written.fileno())
    return sums


def _entry(name: str, size: int) -> tarfile.TarInfo:
    # A fresh one: no time, owner or mode of this machine stands in it.
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = size, 0o644
    return entry


def _compare(partial: Path, root: str, sums: dict[str, str]) -> None:
    with tarfile.open(partial) as tar:
        for entry in tar:
            name = entry.name.removeprefix(f"{root}/")
            file = tar.extractfile(entry)
            if name == SUMS_NAME or file is None:
                continue
            if hashlib.file_digest(file, "sha256").hexdigest() != sums[name]:  # type: ignore[arg-type]
                raise PublicationError(
                    f"{name} changed while it was archived. Next: run the same command again"
                )


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
