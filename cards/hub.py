"""What a publication would send. The publication itself comes with its own version."""

from __future__ import annotations

import re
from pathlib import Path

from curation.corpus import file_sha256
from curation.errors import ReleaseRefusedError
from curation.manifest import Frozen

from .release import read_release

_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


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
    if not _REPOSITORY.fullmatch(repo):
        raise ReleaseRefusedError(f"{repo!r} is no repository name; expected ORG/NAME")
    made = read_release(folder)
    plans = []
    for name, path in ((repo, made.real), (f"{repo}-synthetic", made.synthetic)):
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
    listed = {}
    for line in sums.read_text().splitlines():
        digest, _, name = line.partition("  ")
        listed[name] = digest
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
