"""A folder as it is sent, and how its files are told to be those that the Hub has."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from curation.corpus import file_sha256

from .hub import check_files, read_checksums

SUMS_NAME = "checksums.txt"


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file of a repository: `sha256` of a large one, git's `blob` id of any other."""

    size: int
    blob: str
    sha256: str | None


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A file of a folder."""

    file: Path
    size: int
    sha256: str

    def is_(self, remote: RemoteFile | None) -> bool:
        """Tell whether the Hub has these bytes; by hash, so that nothing has to be loaded."""
        if remote is None or remote.size != self.size:
            return False
        if remote.sha256 is not None:
            return remote.sha256 == self.sha256
        return remote.blob == git_blob(self.file.read_bytes())


@dataclass(frozen=True, slots=True)
class LocalFolder:
    """What one repository is to hold: path -> file."""

    path: Path
    files: dict[str, LocalFile]

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files.values())

    def new_in(self, tree: dict[str, RemoteFile]) -> list[str]:
        """Return the paths of files that a tree does not hold as they are here."""
        return [name for name, file in self.files.items() if not file.is_(tree.get(name))]

    def gone_from(self, tree: dict[str, RemoteFile]) -> list[str]:
        """Return the paths of files that a tree holds and this folder does not."""
        return sorted(set(tree) - set(self.files))

    def is_(self, tree: dict[str, RemoteFile]) -> bool:
        """Tell whether a tree holds this folder, byte for byte, and nothing else."""
        return not self.gone_from(tree) and not self.new_in(tree)


def checked_folder(path: Path) -> LocalFolder:
    """Return a dataset folder, once every file was compared with `checksums.txt`.

    Raises: ReleaseRefusedError naming the first file that was changed, is missing, or was added.
    """
    check_files(path)
    sums = {**read_checksums(path / SUMS_NAME), SUMS_NAME: file_sha256(path / SUMS_NAME)}
    return LocalFolder(path, {name: local_file(path / name, sums[name]) for name in sorted(sums)})


def plain_folder(path: Path) -> LocalFolder:
    """Return a folder that lists no checksums of its own; hidden files stay behind."""
    files = sorted(
        file for file in path.rglob("*")
        if file.is_file() and not any(p.startswith(".") for p in file.relative_to(path).parts)
    )  # fmt: skip
    names = [file.relative_to(path).as_posix() for file in files]
    return LocalFolder(
        path, {n: local_file(f, file_sha256(f)) for n, f in zip(names, files, strict=True)}
    )


def local_file(file: Path, sha256: str | None = None) -> LocalFile:
    """Return a file as it is sent; its SHA-256 is computed where it is not known."""
    return LocalFile(file, file.stat().st_size, sha256 or file_sha256(file))


def git_blob(data: bytes) -> str:
    """Return the id that git gives to a file."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()
