"""From a folder to one pull request: content first, file by file, then a single commit."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from curation.errors import PublicationError
from curation.progress import Progress, silent

from .hub_folder import LocalFolder, RemoteFile
from .hub_repository import Pull, Repository

if TYPE_CHECKING:
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

# Small files go together; a larger one goes alone, so that it is finished when it is sent.
_GROUP_BYTES = 2**20
_OWN_MARKS = {"checksums.txt", "generator.json"}


def pull_request(
    repository: Repository, folder: LocalFolder, parent: str, title: str, description: str,
    progress: Progress = silent,
) -> Pull:  # fmt: skip
    """Return the open pull request that turns `parent` into the folder; made where there is none.

    What the Hub has is not sent: files that `parent` holds, objects and chunks of an earlier try.

    Raises: HubError; PublicationError where the folder is there already.
    """
    tree = repository.tree(parent)
    new, gone = folder.new_in(tree), folder.gone_from(tree)
    if not new and not gone:
        raise PublicationError(f"{repository.name} holds these files already")
    kept: list[CommitOperationAdd] = []

    def act() -> None:
        if not kept:
            kept.extend(_additions(folder, new))
            _send(repository, kept, folder, progress)
        repository.propose([*kept, *_deletions(gone)], parent, title, description)

    return repository.patience.settled(
        f"proposing {title} to {repository.name}",
        lambda: open_pull(repository, folder, parent, title),
        act,
    )


def open_pull(repository: Repository, folder: LocalFolder, parent: str, title: str) -> Pull | None:
    """Return the open pull request on `parent` that holds exactly this folder, or None.

    One that holds it on an older main is closed: merging it could mix two releases.
    """
    found = None
    for pull in repository.pulls(title):
        if folder.is_(repository.tree(pull.revision)):
            if pull.parent == parent:
                found = found or pull
            else:
                repository.close(pull, "main has moved since; another one takes its place")
    return found


def holds_nothing_of_others(tree: dict[str, RemoteFile]) -> bool:
    """Tell whether a repository is empty, or was published by this project."""
    return set(tree) <= {"README.md"} or bool(_OWN_MARKS & set(tree))


def _additions(folder: LocalFolder, names: Iterable[str]) -> list[CommitOperationAdd]:
    from huggingface_hub import CommitOperationAdd

    made = []
    for name in names:
        addition = CommitOperationAdd(name, str(folder.files[name].file))
        # Known from the checksums that were just compared; else every file is read once more.
        addition.upload_info.sha256 = bytes.fromhex(folder.files[name].sha256)
        made.append(addition)
    return made


def _deletions(names: Iterable[str]) -> Iterator[CommitOperationDelete]:
    from huggingface_hub import CommitOperationDelete

    return (CommitOperationDelete(name, is_folder=False) for name in names)


def _send(
    repository: Repository, additions: list[CommitOperationAdd], folder: LocalFolder,
    progress: Progress,
) -> None:  # fmt: skip
    total = sum(folder.files[one.path_in_repo].size for one in additions)
    done, what = 0, f"send {repository.name}"
    progress(what, done, total)
    for group in _groups(additions, folder):
        repository.send(group)
        done += sum(folder.files[one.path_in_repo].size for one in group)
        progress(what, done, total)


def _groups(
    additions: Iterable[CommitOperationAdd], folder: LocalFolder
) -> Iterator[list[CommitOperationAdd]]:
    group: list[CommitOperationAdd] = []
    held = 0
    for one in additions:
        size = folder.files[one.path_in_repo].size
        if group and held + size > _GROUP_BYTES:
            yield group
            group, held = [], 0
        group.append(one)
        held += size
    if group:
        yield group
