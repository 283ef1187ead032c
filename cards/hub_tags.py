"""Version tags: the order of versions, and a tag that stands once and on the right files."""

from __future__ import annotations

from collections.abc import Iterable

from curation.errors import PublicationError, ReleaseRefusedError

from .hub_folder import LocalFolder
from .hub_repository import Repository
from .versions import parse_version

_LATEST = 10  # commits of main that are looked at


def newer_tags(tags: Iterable[str], version: str) -> list[str]:
    """Return the version tags above a version, in their order."""
    return sorted((tag for tag in tags if _key(tag) > _key(version)), key=_key)


def latest_tag(tags: Iterable[str]) -> str | None:
    """Return the highest version among tags, None where there is none."""
    versions = [tag for tag in tags if _key(tag)]
    return max(versions, key=_key) if versions else None


def _key(tag: str) -> tuple[int, ...]:
    try:
        return parse_version(tag)
    except ReleaseRefusedError:
        return ()


def set_tag(repository: Repository, version: str, folder: LocalFolder) -> None:
    """Tag main, which holds the folder.

    Raises: ReleaseRefusedError where the tag stands on other files; HubError.
    """

    def look() -> bool | None:
        commit = repository.tags().get(version)
        if commit is None:
            return None
        if not folder.is_(repository.tree(commit)):
            raise ReleaseRefusedError(
                f"{repository.name}: the version {version} was published meanwhile by another"
            )
        return True

    def act() -> None:
        repository.api.create_tag(
            repository.name, tag=version, revision=_commit_with(repository, folder),
            tag_message=f"Release {version}", repo_type=repository.kind,
        )  # fmt: skip

    repository.patience.settled(f"tagging {repository.name} with {version}", look, act)


def _commit_with(repository: Repository, folder: LocalFolder) -> str:
    """Return the last commit of main that holds the folder: main may have moved on since."""
    log = repository.api.list_repo_commits(repository.name, repo_type=repository.kind)
    for entry in log[:_LATEST]:
        if folder.is_(repository.tree(entry.commit_id)):
            return entry.commit_id
    raise PublicationError(
        f"main of {repository.name} was changed by another after the merge. Next: run the same "
        "command again"
    )


def take_tag_back(repository: Repository, version: str, folder: LocalFolder) -> None:
    """Remove a tag that stands on this folder; any other is left alone.

    Raises: HubError.
    """

    def look() -> bool | None:
        commit = repository.tags().get(version)
        return None if commit and folder.is_(repository.tree(commit)) else True

    repository.patience.settled(
        f"taking the tag {version} of {repository.name} back",
        look,
        lambda: repository.api.delete_tag(repository.name, tag=version, repo_type=repository.kind),
    )
