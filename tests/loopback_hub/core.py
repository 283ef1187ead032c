"""What the routes share: repositories, store, accounts, faults, and the log of requests."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fastapi import Request
from fastapi.responses import JSONResponse

from .accounts import Account, Accounts
from .faults import Faults
from .git_repo import Entry, GitRepository
from .store import ObjectStore


class HubError(Exception):
    """A refusal, as the Hub words it: a status, its error code and a sentence."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message

    def response(self, headers: Mapping[str, str] | None = None) -> JSONResponse:
        """Return it as an answer."""
        said = {"X-Error-Code": self.code, "X-Error-Message": self.message, **(headers or {})}
        return JSONResponse({"error": self.message}, self.status, headers=said)


class HubCore:
    """The state of a Hub below one folder."""

    def __init__(self, root: Path, multipart_bytes: int = 8 * 2**20, xet: bool = True) -> None:
        self.root = root
        self.multipart_bytes = multipart_bytes
        self.xet = xet
        self.base = ""
        self.store = ObjectStore(root)
        self.accounts = Accounts()
        self.faults = Faults()
        self.log: list[str] = []
        self.commit_bytes = 0
        self.quota_bytes: int | None = None
        self._repositories: dict[Path, GitRepository] = {}
        self._lock = threading.Lock()

    @property
    def content_base(self) -> str:
        """The address of content: another host name than the Hub's own, as in life."""
        return self.base.replace("127.0.0.1", "localhost")

    def path_of(self, kind: str, namespace: str, name: str) -> Path:
        """Return where a repository lies; `kind` is "models" or "datasets"."""
        return self.root / "git" / kind / namespace / f"{name}.git"

    def repository(self, kind: str, namespace: str, name: str) -> GitRepository:
        """Return a repository, whoever asks.

        Raises: HubError 404.
        """
        path = self.path_of(kind, namespace, name)
        if not path.is_dir():
            raise HubError(404, "RepoNotFound", "Repository not found")
        with self._lock:
            return self._repositories.setdefault(path, GitRepository(path))

    def add_repository(
        self, kind: str, namespace: str, name: str, *, private: bool
    ) -> GitRepository:
        """Make a repository."""
        path = self.path_of(kind, namespace, name)
        with self._lock:
            made = GitRepository.create(path, private=private)
            self._repositories[path] = made
        return made

    def account(self, request: Request) -> Account | None:
        """Return who asks.

        Raises: HubError 401 for a token that is unknown or expired.
        """
        try:
            return self.accounts.of(request.headers.get("authorization"))
        except KeyError as error:
            raise HubError(401, "", "Invalid user token.") from error

    def readable(self, request: Request, kind: str, namespace: str, name: str) -> GitRepository:
        """Return a repository that the asker may see.

        Raises: HubError.
        """
        account = self.account(request)
        found = self.repository(kind, namespace, name)
        if found.settings["private"] and not (account and account.member_of(namespace)):
            raise HubError(401 if account is None else 404, "RepoNotFound", "Repository not found")
        return found

    def writable(self, request: Request, kind: str, namespace: str, name: str) -> GitRepository:
        """Return a repository that the asker may change.

        Raises: HubError.
        """
        found = self.readable(request, kind, namespace, name)
        self.may_write(request, namespace)
        return found

    def may_write(self, request: Request, namespace: str) -> Account:
        """Return who asks, where they may write to a namespace.

        Raises: HubError.
        """
        account = self.account(request)
        if account is None:
            raise HubError(401, "", "Invalid username or password.")
        if not account.may_write(namespace):
            raise HubError(
                403,
                "",
                f"Forbidden: you don't have the required permissions to write to {namespace}",
            )
        return account

    def open_content(self, request: Request, kind: str, namespace: str, name: str) -> GitRepository:
        """Return a repository whose files the asker may read: a gated one has to let them in.

        Raises: HubError.
        """
        account = self.account(request)
        found = self.readable(request, kind, namespace, name)
        if not found.settings["gated"]:
            return found
        repo = f"{namespace}/{name}"
        if account is None:
            raise HubError(
                401, "GatedRepo", f"Access to dataset {repo} is restricted. Please log in."
            )
        if not account.member_of(namespace) and repo not in account.granted:
            raise HubError(403, "GatedRepo", f"You are not in the authorized list of {repo}.")
        return found

    def commit_of(self, repository: GitRepository, revision: str) -> str:
        """Return the commit of a revision.

        Raises: HubError 404.
        """
        found = repository.sha(revision)
        if found is None:
            raise HubError(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        return found

    def room_for(self, new_bytes: int) -> None:
        """Refuse what does not fit into the quota.

        Raises: HubError 403, as the Hub answers.
        """
        if self.quota_bytes is not None and new_bytes > self.quota_bytes:
            raise HubError(
                403, "", "You have exceeded your private storage limit. Please upgrade your plan."
            )

    def tree_entry(self, entry: Entry) -> dict[str, Any]:
        """Return a file or folder as the API lists it."""
        found: dict[str, Any] = {
            "type": entry.kind, "oid": entry.blob, "size": entry.size, "path": entry.path,
        }  # fmt: skip
        if entry.sha256 is not None:
            found["lfs"] = {
                "oid": entry.sha256, "size": entry.size, "pointerSize": entry.pointer_size,
            }  # fmt: skip
            xet = self.store.xet_hash(entry.sha256)
            if xet:
                found["xetHash"] = xet
        return found

    def url(self, kind: str, namespace: str, name: str) -> str:
        """Return the page of a repository."""
        return f"{self.base}/{'' if kind == 'models' else kind + '/'}{namespace}/{name}"


def hub_time(iso: str) -> str:
    """Return a time as the Hub writes it."""
    return datetime.fromisoformat(iso).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
