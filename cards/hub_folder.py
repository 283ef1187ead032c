"""A folder as it is sent, and how its files are told to be those that the Hub has."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from curation.corpus import file_sha256

from .checksums import CHECKSUMS_NAME, check_files, read_checksums


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
    sums = {**read_checksums(path), CHECKSUMS_NAME: file_sha256(path / CHECKSUMS_NAME)}
    return LocalFolder(path, {name: local_file(path / name, sums[name]) for name in sorted(sums)})


def local_file(file: Path, sha256: str) -> LocalFile:
    """Return a file as it is sent."""
    return LocalFile(file, file.stat().st_size, sha256)


def git_blob(data: bytes) -> str:
    """Return the id that git gives to a file."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()
