"""What a publication sends: the files of both datasets, once they fit the release's checksums."""

from __future__ import annotations

from pathlib import Path

from curation.corpus import file_sha256
from curation.errors import ReleaseRefusedError
from curation.manifest import Frozen

from .hub_names import repository_pair
from .release import read_release


class RepositoryPlan(Frozen):
    """One dataset repository: file -> bytes."""

    repository: str
    files: dict[str, int]


class PublicationPlan(Frozen):
    """Both repositories of a release, under one version tag."""

    version: str
    repositories: tuple[RepositoryPlan, ...]


def publication_plan(folder: Path, repo: str) -> PublicationPlan:
    """Return what would be sent, after comparing every file with the release's checksums.

    Raises: ReleaseRefusedError where the release is not whole or the name is no ORG/NAME.
    """
    names = repository_pair(repo)
    made = read_release(folder)
    plans = []
    for name, path in zip(names, (made.real, made.synthetic), strict=True):
        check_files(path)
        files = {
            file.relative_to(path).as_posix(): file.stat().st_size
            for file in sorted(path.rglob("*"))
            if file.is_file()
        }
        plans.append(RepositoryPlan(repository=name, files=files))
    return PublicationPlan(version=made.info.version, repositories=tuple(plans))


def check_files(folder: Path) -> None:
    """Compare a dataset folder with its `checksums.txt`.

    Raises: ReleaseRefusedError naming the first file that was changed, is missing, or was added.
    """
    sums = folder / "checksums.txt"
    if not sums.is_file():
        raise ReleaseRefusedError(f"{folder.name}/{sums.name} is missing; make the release again")
    listed = read_checksums(sums)
    present = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
    odd = sorted((present - {"checksums.txt"}) ^ set(listed))
    if odd:
        state = "is not in checksums.txt" if odd[0] in present else "is missing"
        raise ReleaseRefusedError(f"{folder.name}/{odd[0]} {state}; make the release again")
    for name, digest in listed.items():
        if file_sha256(folder / name) != digest:
            raise ReleaseRefusedError(
                f"{folder.name}/{name} was changed after the release was made; make it again"
            )


def read_checksums(file: Path) -> dict[str, str]:
    """Return path -> SHA-256 of what a `checksums.txt` lists."""
    lines = (line.partition("  ") for line in file.read_text().splitlines())
    return {name: digest for digest, _, name in lines}
