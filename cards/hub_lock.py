"""One publication at a time: a branch that only one can make, held from merge to tag."""

from __future__ import annotations

from curation.errors import PublicationError

from .hub_folder import LocalFolder
from .hub_repository import Repository

LOCK = "smearkit-publishing"


class AnotherPublicationError(PublicationError):
    """Another publication is at it, or was there first."""


def take_lock(repository: Repository, folder: LocalFolder, commit: str) -> None:
    """Take the lock for the pull request that ends at `commit` and holds the folder.

    A lock that holds the same files is that of a run that was killed: it is taken over.

    The Hub makes a branch once, whoever asks: that is what its merge has no word for.

    Raises: AnotherPublicationError where another pull request holds it; HubError.
    """

    def look() -> bool | None:
        held = repository.branch(LOCK)
        if held is not None and not folder.is_(repository.tree(held)):
            raise AnotherPublicationError(
                f"another publication is at {repository.name}: it holds the branch {LOCK} at "
                f"{held[:8]}. Nothing was changed on main. Next: wait until it ends and run the "
                "same command again; if it was given up, delete that branch: `hf repos branch "
                f"delete {repository.name} {LOCK} --repo-type {repository.kind}`"
            )
        return True if held else None

    repository.patience.settled(
        f"locking {repository.name}",
        look,
        lambda: repository.api.create_branch(
            repository.name, branch=LOCK, revision=commit, repo_type=repository.kind
        ),
    )


def drop_lock(repository: Repository, folder: LocalFolder) -> None:
    """Give the lock back, where it is held for this folder; any other is left alone.

    Raises: HubError.
    """

    def look() -> bool | None:
        held = repository.branch(LOCK)
        return None if held is not None and folder.is_(repository.tree(held)) else True

    def act() -> None:
        repository.api.delete_branch(repository.name, branch=LOCK, repo_type=repository.kind)

    repository.patience.settled(f"unlocking {repository.name}", look, act)
