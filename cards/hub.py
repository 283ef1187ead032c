"""What a publication sends: the files of both datasets, once they fit the release's checksums."""

from __future__ import annotations

from pathlib import Path

from curation.manifest import Frozen

from .checksums import check_files
from .release_info import read_release
from .repository_name import check_repository


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
    names = check_repository(repo)
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
