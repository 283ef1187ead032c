"""`checksums.txt` of a dataset folder: written last of its files, and compared before any use."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from curation.corpus import file_sha256
from curation.errors import ReleaseRefusedError
from curation.output import write_whole

CHECKSUMS_NAME = "checksums.txt"
# What the Hub and its client put beside the files of a repository.
_OF_THE_HUB = (".gitattributes", ".cache")


def write_checksums(folder: Path, *, leave_out: Collection[str] = ()) -> None:
    """Write the SHA-256 of every other file of a folder, in `sha256sum`'s format."""
    names = [name for name in dataset_files(folder) if name not in leave_out]
    lines = [f"{file_sha256(folder / name)}  {name}" for name in names]
    write_whole(folder / CHECKSUMS_NAME, ("\n".join(lines) + "\n").encode())


def dataset_files(folder: Path) -> list[str]:
    """Return the paths of a dataset folder's files but its checksums, sorted, as POSIX paths."""
    names = (p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    return sorted(
        name for name in names if name != CHECKSUMS_NAME and name.split("/")[0] not in _OF_THE_HUB
    )


def read_checksums(folder: Path) -> dict[str, str]:
    """Return path -> SHA-256 as `checksums.txt` lists them.

    Raises: ReleaseRefusedError where it is missing or a line of it is damaged.
    """
    file = folder / CHECKSUMS_NAME
    if not file.is_file():
        raise ReleaseRefusedError(f"{folder.name}/{file.name} is missing; make the release again")
    listed = {}
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1):
        digest, gap, name = line.partition("  ")
        if not gap or len(digest) != 64:
            raise ReleaseRefusedError(
                f"{folder.name}/{file.name}, line {number}, is no checksum; make the release again"
            )
        listed[name] = digest
    return listed


def check_files(folder: Path) -> int:
    """Compare every file of a dataset folder with its checksums; return how many there are.

    Raises: ReleaseRefusedError naming the first file that was changed, is missing, or was added.
    """
    listed = read_checksums(folder)
    present = set(dataset_files(folder))
    odd = sorted(present ^ set(listed))
    if odd:
        state = "is not in checksums.txt" if odd[0] in present else "is missing"
        raise ReleaseRefusedError(f"{folder.name}/{odd[0]} {state}; make the release again")
    for name, digest in listed.items():
        if file_sha256(folder / name) != digest:
            raise ReleaseRefusedError(
                f"{folder.name}/{name} was changed after the release was made; make it again"
            )
    return len(listed)
