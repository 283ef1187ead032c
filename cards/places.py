"""Releases in other places than the Hub: any folder that fsspec can write, such as s3://…

URL/1.2.0/real/…  URL/1.2.0/synthetic/…      every file, compared after it was written
URL/1.2.0/release.json                       written last: a version without it is not whole
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from curation.corpus import file_sha256
from curation.errors import PublicationError, ReleaseRefusedError
from curation.manifest import Frozen
from curation.progress import Progress, silent

from .checksums import check_files
from .release_info import read_release

_MARK = "release.json"
_BLOCK_BYTES = 4 * 2**20
# They have no folders, and to make one there makes the bucket.
_FLAT = {"s3", "s3a", "gs", "gcs", "az", "abfs", "adl", "oss"}
_SECRET = re.compile(r"//[^/@]*@")


class PlacedRelease(Frozen):
    """A release at a place: how many files and bytes it has, and how many had to be sent."""

    url: str
    version: str
    files: int
    bytes: int
    sent_bytes: int


def place_release(folder: Path, url: str, *, progress: Progress = silent) -> PlacedRelease:
    """Copy a release below `url`, into a folder of its version, and read every byte back.

    A run that was killed is gone on with: files that are there are compared, not sent again.

    Raises: ReleaseRefusedError where the release is not whole or that version stands there with
    other files; PublicationError where the place cannot be written.
    """
    files, version = _release_files(folder)
    shown = _SECRET.sub("//…@", url.rstrip("/"))
    with _named_errors(f"{shown}/{version}"):
        system, root = _opened(url, shown)
        place = f"{root.rstrip('/')}/{version}"
        mark = files.pop(_MARK)
        _refuse_another(system, place, mark, shown, version)
        sent = 0
        for number, (name, file) in enumerate(files.items()):
            progress("send", number, len(files) + 1)
            sent += _placed(system, f"{place}/{name}", file)
        extra = _names(system, place) - set(files) - {_MARK}
        if extra:
            raise ReleaseRefusedError(
                f"{shown}/{version} holds {min(extra)}, which is no part of this release. Next: "
                "remove what is there, or choose another place"
            )
        sent += _placed(system, f"{place}/{_MARK}", mark)
    size = sum(file.stat().st_size for file in (*files.values(), mark))
    return PlacedRelease(
        url=f"{shown}/{version}", version=version, files=len(files) + 1, bytes=size,
        sent_bytes=sent,
    )  # fmt: skip


def _release_files(folder: Path) -> tuple[dict[str, Path], str]:
    made = read_release(folder)
    for dataset in (made.real, made.synthetic):
        check_files(dataset)
    paths = [
        path for dataset in (made.real, made.synthetic) for path in sorted(dataset.rglob("*"))
        if path.is_file()
    ]  # fmt: skip
    files = {path.relative_to(folder).as_posix(): path for path in paths}
    return {**files, _MARK: folder / _MARK}, made.info.version


def _opened(url: str, shown: str) -> tuple[Any, str]:
    import fsspec

    if url.startswith("hf://"):
        raise ReleaseRefusedError("the Hub takes a release by --repo ORG/NAME, not by --to hf://")
    try:
        system, root = fsspec.core.url_to_fs(url)
    except (ImportError, ValueError) as error:
        package = "smearkit[s3]" if url.startswith("s3") else "the package that it names"
        raise PublicationError(
            f"{shown} cannot be opened: {_SECRET.sub('//…@', str(error))}. Next: where a package "
            f"is missing, install {package}"
        ) from error
    return system, root


def _refuse_another(system: Any, place: str, mark: Path, shown: str, version: str) -> None:
    if system.exists(f"{place}/{_MARK}") and _sha256_there(
        system, f"{place}/{_MARK}"
    ) != file_sha256(mark):
        raise ReleaseRefusedError(
            f"{shown} has a version {version} already; a version is never changed. Next: "
            "`smearkit release` with the next version"
        )


def _names(system: Any, place: str) -> set[str]:
    found = (str(path) for path in system.find(place))
    return {path.split(f"{place.lstrip('/')}/", 1)[-1] for path in found}


def _placed(system: Any, target: str, file: Path) -> int:
    """Put a file where it is not yet, and read it back; return how many bytes were sent."""
    wanted, size = file_sha256(file), file.stat().st_size
    # Listings are kept by some file systems, and what was just written is not in them.
    system.invalidate_cache()
    if system.exists(target) and system.size(target) == size:
        if _sha256_there(system, target) == wanted:
            return 0
        system.rm_file(target)
    if not _FLAT & ({system.protocol} if isinstance(system.protocol, str) else {*system.protocol}):
        system.makedirs(target.rpartition("/")[0], exist_ok=True)
    system.put_file(str(file), target)
    system.invalidate_cache()
    if _sha256_there(system, target) != wanted:
        raise PublicationError(
            f"{file.name} came back changed from where it was written. Next: run the same command "
            "again; if it stays so, the place is not to be trusted"
        )
    return size


def _sha256_there(system: Any, target: str) -> str:
    digest = hashlib.sha256()
    with system.open(target, "rb", block_size=_BLOCK_BYTES, cache_type="readahead") as file:
        while part := file.read(_BLOCK_BYTES):
            digest.update(part)
    return digest.hexdigest()


@contextmanager
def _named_errors(shown: str) -> Iterator[None]:
    """Turn what file systems raise into an error that says where, and what to do next."""
    try:
        yield
    except (PublicationError, ReleaseRefusedError):
        raise
    except Exception as error:
        text = _SECRET.sub("//…@", str(error)) or type(error).__name__
        kind = type(error).__name__
        next_step = {
            "NoCredentialsError": "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a profile",
            "PermissionError": "look at whose credentials are used, and what they may write",
            "FileNotFoundError": "make the bucket or the folder first; it is not made for you",
        }.get(kind, "look at the connection and run the same command again")
        raise PublicationError(
            f"{shown} cannot be written: {kind}: {text}. No complete version stands there "
            f"(release.json is written last). Next: {next_step}"
        ) from error
