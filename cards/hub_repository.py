"""One repository on the Hub: what it holds, and what is changed in it, each change looked after."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from .hub_folder import RemoteFile
from .hub_patience import Patience

if TYPE_CHECKING:
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi

Kind = Literal["dataset", "model"]
Gate = Literal["auto", "manual"]
_COMMIT = re.compile(r"[0-9a-f]{40}")
OWN_FILES = (".gitattributes",)  # the Hub's, in every repository


@dataclass(frozen=True, slots=True)
class Settings:
    """How a repository is set on the Hub: `head` is the commit of main."""

    head: str
    private: bool
    gated: str | bool


@dataclass(frozen=True, slots=True)
class Pull:
    """An open pull request: its number, title, last commit and the commit it starts at."""

    number: int
    title: str
    commit: str
    parent: str | None

    @property
    def revision(self) -> str:
        """By what it can be loaded."""
        return f"refs/pr/{self.number}"


class Repository:
    """A repository, asked and changed with patience."""

    def __init__(self, api: HfApi, name: str, kind: Kind, patience: Patience) -> None:
        self.api, self.name, self.kind, self.patience = api, name, kind, patience
        self._trees: dict[str, dict[str, RemoteFile]] = {}

    def settings(self) -> Settings | None:
        """Return how it is set; None where it is not there, or hidden from the token.

        Raises: HubError.
        """
        from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

        def ask() -> Settings | None:
            try:
                info = self.api.repo_info(self.name, repo_type=self.kind)
            except RepositoryNotFoundError as error:
                # With a token that is not accepted, the Hub says "not found" as well.
                if error.response.status_code == 401 or isinstance(error, GatedRepoError):
                    raise
                return None
            return Settings(str(info.sha), bool(info.private), getattr(info, "gated", False))

        return self.patience.asked(f"looking at {self.name}", ask)

    def tree(self, revision: str) -> dict[str, RemoteFile]:
        """Return path -> file of a revision, without the Hub's own.

        Raises: HubError.
        """
        from huggingface_hub.hf_api import RepoFile

        def ask() -> dict[str, RemoteFile]:
            listed = self.api.list_repo_tree(
                self.name, recursive=True, revision=revision, repo_type=self.kind
            )
            return {
                entry.path: RemoteFile(
                    entry.size, entry.blob_id, entry.lfs.sha256 if entry.lfs else None
                )
                for entry in listed
                if isinstance(entry, RepoFile) and entry.path not in OWN_FILES
            }

        if revision in self._trees:
            return self._trees[revision]
        found = self.patience.asked(f"listing {self.name} at {revision}", ask)
        if _COMMIT.fullmatch(revision):  # never changes, unlike a branch or a pull request
            self._trees[revision] = found
        return found

    def tags(self) -> dict[str, str]:
        """Return tag -> commit.

        Raises: HubError.
        """
        refs = self.patience.asked(
            f"listing the tags of {self.name}",
            lambda: self.api.list_repo_refs(self.name, repo_type=self.kind),
        )
        return {tag.name: tag.target_commit for tag in refs.tags}

    def branch(self, name: str) -> str | None:
        """Return the commit of a branch, None where there is none.

        Raises: HubError.
        """
        refs = self.patience.asked(
            f"listing the branches of {self.name}",
            lambda: self.api.list_repo_refs(self.name, repo_type=self.kind),
        )
        return next((one.target_commit for one in refs.branches if one.name == name), None)

    def commit_of(self, revision: str) -> str:
        """Return the commit of a revision.

        Raises: HubError.
        """
        info = self.patience.asked(
            f"looking at {self.name} at {revision}",
            lambda: self.api.repo_info(self.name, revision=revision, repo_type=self.kind),
        )
        return str(info.sha)

    def pulls(self, title: str) -> list[Pull]:
        """Return the open pull requests of a title, the newest first.

        Raises: HubError.
        """

        def ask() -> list[Pull]:
            listed = self.api.get_repo_discussions(
                self.name, repo_type=self.kind, discussion_type="pull_request",
                discussion_status="open",
            )  # fmt: skip
            ours = (one for one in listed if one.title == title and one.is_pull_request)
            return sorted(map(self._pull, ours), key=lambda pull: -pull.number)

        return self.patience.asked(f"listing the pull requests of {self.name}", ask)

    def _pull(self, discussion: object) -> Pull:
        number = int(discussion.num)  # type: ignore[attr-defined]
        log = self.api.list_repo_commits(
            self.name, repo_type=self.kind, revision=f"refs/pr/{number}"
        )
        parent = log[1].commit_id if len(log) > 1 else None
        title = str(discussion.title)  # type: ignore[attr-defined]
        return Pull(number, title, log[0].commit_id, parent)

    def close(self, pull: Pull, why: str) -> None:
        """Close a pull request, saying why."""
        self.patience.asked(
            f"closing pull request {pull.number} of {self.name}",
            lambda: self.api.change_discussion_status(
                self.name, pull.number, "closed", comment=why, repo_type=self.kind
            ),
        )

    def create(self, *, private: bool) -> Settings:
        """Make the repository; return how it is set.

        Raises: HubError.
        """
        return self.patience.settled(
            f"making {self.name}",
            self.settings,
            lambda: self.api.create_repo(
                self.name, repo_type=self.kind, private=private, exist_ok=True
            ),
        )

    def set_gate(self, gate: Gate) -> None:
        """Let the repository ask its readers for access.

        Raises: HubError.
        """

        def look() -> bool | None:
            found = self.settings()
            return True if found is not None and found.gated == gate else None

        self.patience.settled(
            f"gating {self.name}",
            look,
            lambda: self.api.update_repo_settings(self.name, gated=gate, repo_type=self.kind),
        )

    def send(self, files: Sequence[CommitOperationAdd]) -> None:
        """Send the content of large files ahead of the commit that will name them.

        Raises: HubError.
        """
        first = files[0].path_in_repo
        self.patience.asked(
            f"sending {first} to {self.name}",
            lambda: self.api.preupload_lfs_files(
                self.name, additions=files, repo_type=self.kind, free_memory=False,
                create_pr=True,
            ),
        )  # fmt: skip

    def propose(
        self, operations: Sequence[CommitOperationAdd | CommitOperationDelete], parent: str,
        title: str, description: str,
    ) -> None:  # fmt: skip
        """Make one commit into a new pull request; asked once, as a lost answer may be a yes."""
        self.api.create_commit(
            self.name, list(operations), commit_message=title, commit_description=description,
            parent_commit=parent, create_pr=True, repo_type=self.kind,
        )  # fmt: skip
