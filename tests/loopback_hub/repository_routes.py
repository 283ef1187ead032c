"""Routes of repositories: making, settings, refs, tags, pull requests."""

from __future__ import annotations

import re
import shutil
from typing import Any

import yaml
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse

from .core import HubCore, HubError, hub_time
from .git_repo import GitError, GitRepository

R = "/api/{kind}/{namespace}/{name}"
_HEAD = re.compile(r"^\s*---[\r\n]+([\S\s]*?)[\r\n]+---([\r\n]|$)")


def add_account_routes(app: FastAPI, hub: HubCore) -> None:
    """Add who-am-i, and the making and removing of repositories."""

    @app.get("/api/whoami-v2")
    def whoami(request: Request) -> dict[str, Any]:
        account = hub.account(request)
        if account is None:
            raise HubError(401, "", "Invalid username or password.")
        organisations = [
            {"type": "org", "name": name, "roleInOrg": "admin"} for name in account.organisations
        ]
        token = {"displayName": "t", "role": "read" if account.role == "none" else account.role}
        return {
            "type": "user", "id": account.name, "name": account.name, "fullname": account.name,
            "email": "user@localhost", "emailVerified": True, "canPay": False, "isPro": False,
            "periodEnd": None, "avatarUrl": "", "orgs": organisations,
            "auth": {"type": "access_token", "accessToken": token},
        }  # fmt: skip

    @app.get("/api/agent-harnesses")
    def harnesses() -> dict[str, Any]:
        return {}

    @app.post("/api/repos/create")
    async def create(request: Request) -> Any:
        asked = await request.json()
        account = hub.account(request)
        kind = (asked.get("type") or "model") + "s"
        namespace = asked.get("organization") or (account.name if account else "")
        hub.may_write(request, namespace)
        url = hub.url(kind, namespace, asked["name"])
        if hub.path_of(kind, namespace, asked["name"]).exists():
            return JSONResponse({"error": "You already created this repo", "url": url}, 409)
        private = asked.get("visibility") == "private" or asked.get("private", False)
        hub.add_repository(kind, namespace, asked["name"], private=private)
        return {"url": url, "name": f"{namespace}/{asked['name']}"}

    @app.delete("/api/repos/delete")
    async def delete(request: Request) -> dict[str, Any]:
        asked = await request.json()
        kind, namespace = (asked.get("type") or "model") + "s", asked.get("organization") or ""
        found = hub.writable(request, kind, namespace, asked["name"])
        shutil.rmtree(found.path)
        return {}

    @app.post("/api/validate-yaml")
    async def validate_yaml(request: Request) -> JSONResponse:
        head = _HEAD.match((await request.json())["content"])
        errors, warnings = [], []
        if head is None:
            warnings.append({"message": "empty or missing yaml metadata in repo card"})
        else:
            try:
                yaml.safe_load(head[1])
            except yaml.YAMLError as error:
                errors.append({"message": str(error)})
        return JSONResponse({"errors": errors, "warnings": warnings}, 400 if errors else 200)


def add_repository_routes(app: FastAPI, hub: HubCore) -> None:
    """Add what a repository is, its settings, refs, tags and branches."""

    @app.get(R + "/auth-check")
    @app.get(R + "/auth-check/write")
    def auth_check(request: Request, kind: str, namespace: str, name: str) -> dict[str, Any]:
        if request.url.path.endswith("/write"):
            hub.writable(request, kind, namespace, name)
        else:
            hub.open_content(request, kind, namespace, name)
        return {}

    @app.get(R + "/revision/{revision:path}")
    def at(request: Request, kind: str, namespace: str, name: str, revision: str) -> dict[str, Any]:
        found = hub.readable(request, kind, namespace, name)
        return _info(hub, found, f"{namespace}/{name}", revision)

    @app.get(R)
    def info(request: Request, kind: str, namespace: str, name: str) -> dict[str, Any]:
        found = hub.readable(request, kind, namespace, name)
        return _info(hub, found, f"{namespace}/{name}", "main")

    @app.put(R + "/settings")
    async def settings(request: Request, kind: str, namespace: str, name: str) -> dict[str, Any]:
        found = hub.writable(request, kind, namespace, name)
        asked = await request.json()
        if "visibility" in asked:
            asked["private"] = asked.pop("visibility") == "private"
        found.settings = {**found.settings, **asked}
        return {key: found.settings[key] for key in ("private", "gated")}

    @app.get(R + "/refs")
    def refs(
        request: Request, kind: str, namespace: str, name: str, include_prs: str | None = None
    ) -> dict[str, Any]:
        found = hub.readable(request, kind, namespace, name)
        listed: dict[str, Any] = {
            "branches": _refs(found, "refs/heads/"), "converts": [],
            "tags": _refs(found, "refs/tags/"),
        }  # fmt: skip
        if include_prs:
            listed["pullRequests"] = _refs(found, "refs/pr/")
        return listed

    @app.get(R + "/commits/{revision:path}")
    def commits(
        request: Request, kind: str, namespace: str, name: str, revision: str
    ) -> list[dict[str, Any]]:
        found = hub.readable(request, kind, namespace, name)
        return [
            {"id": commit, "title": title, "message": body, "date": hub_time(time),
             "authors": [{"user": "lab"}]}
            for commit, title, body, time in found.log(hub.commit_of(found, revision))
        ]  # fmt: skip

    @app.post(R + "/tag/{revision:path}")
    async def tag(
        request: Request, kind: str, namespace: str, name: str, revision: str
    ) -> dict[str, Any]:
        found = hub.writable(request, kind, namespace, name)
        asked = await request.json()
        try:
            found.tag(asked["tag"], hub.commit_of(found, revision), asked.get("message"))
        except GitError as error:
            raise HubError(409, "", f"Tag reference exists already: {asked['tag']}") from error
        return {}

    @app.delete(R + "/tag/{tag:path}")
    def untag(request: Request, kind: str, namespace: str, name: str, tag: str) -> dict[str, Any]:
        _delete_ref(hub.writable(request, kind, namespace, name), f"refs/tags/{tag}")
        return {}

    @app.post(R + "/branch/{branch:path}")
    async def branch(
        request: Request, kind: str, namespace: str, name: str, branch: str
    ) -> dict[str, Any]:
        found = hub.writable(request, kind, namespace, name)
        asked = await request.json() if await request.body() else {}
        start = hub.commit_of(found, asked.get("startingPoint") or "main")
        with found.lock:
            if found.sha(f"refs/heads/{branch}"):
                raise HubError(409, "", "Reference already exists")
            found.git("update-ref", f"refs/heads/{branch}", start)
        return {}

    @app.delete(R + "/branch/{branch:path}")
    def unbranch(
        request: Request, kind: str, namespace: str, name: str, branch: str
    ) -> dict[str, Any]:
        _delete_ref(hub.writable(request, kind, namespace, name), f"refs/heads/{branch}")
        return {}


def add_pull_routes(app: FastAPI, hub: HubCore) -> None:
    """Add pull requests: listing, closing, merging."""

    @app.get(R + "/discussions")
    def discussions(
        request: Request, kind: str, namespace: str, name: str, status: str | None = None
    ) -> dict[str, Any]:
        found = hub.readable(request, kind, namespace, name)
        pulls = [
            _pull(pull, kind, f"{namespace}/{name}") for pull in found.settings["pulls"]
            if status is None or (pull["status"] == "open") == (status == "open")
        ]  # fmt: skip
        return {"discussions": pulls, "count": len(pulls), "start": 0}

    @app.get(R + "/discussions/{number}")
    def one(request: Request, kind: str, namespace: str, name: str, number: int) -> dict[str, Any]:
        found = hub.readable(request, kind, namespace, name)
        return _pull(found.settings["pulls"][number - 1], kind, f"{namespace}/{name}")

    @app.get("/{kind}/{namespace}/{name}/discussions/{number}.diff")
    def diff(request: Request, kind: str, namespace: str, name: str, number: int) -> Response:
        found = hub.readable(request, kind, namespace, name)
        changes = found.git("diff", f"main...refs/pr/{number}")
        return Response(changes, media_type="text/plain")

    @app.post(R + "/discussions/{number}/status")
    async def set_status(
        request: Request, kind: str, namespace: str, name: str, number: int
    ) -> dict[str, Any]:
        found = hub.writable(request, kind, namespace, name)
        status = (await request.json())["status"]
        found.set_pull(number, status)
        event = {
            "id": "e", "type": "status-change", "createdAt": "2026-01-01T00:00:00.000Z",
            "author": {"name": "lab"}, "data": {"status": status},
        }  # fmt: skip
        return {"newStatus": event}

    @app.post(R + "/discussions/{number}/merge")
    def merge(
        request: Request, kind: str, namespace: str, name: str, number: int
    ) -> dict[str, Any]:
        found = hub.writable(request, kind, namespace, name)
        try:
            found.merge_pull(number)
        except GitError as error:
            raise HubError(409, "", f"merge conflict: {error}") from error
        return {"newStatus": {}}


def _delete_ref(repository: GitRepository, ref: str) -> None:
    if repository.sha(ref) is None:
        raise HubError(404, "RevisionNotFound", f"{ref} is not there")
    repository.git("update-ref", "-d", ref)


def _refs(repository: GitRepository, prefix: str) -> list[dict[str, str]]:
    return [
        {"name": name, "ref": f"{prefix}{name}", "targetCommit": commit}
        for name, commit in repository.refs(prefix).items()
    ]


def _pull(pull: dict[str, Any], kind: str, repo: str) -> dict[str, Any]:
    return {
        "num": pull["number"], "title": pull["title"], "status": pull["status"],
        "isPullRequest": True, "repo": {"name": repo, "type": kind[:-1]},
        "author": {"name": "lab"}, "createdAt": "2026-01-01T00:00:00.000Z", "events": [],
        "filesWithConflicts": [], "changes": {"base": "refs/heads/main"}, "diffUrl": None,
    }  # fmt: skip


def _info(hub: HubCore, repository: GitRepository, repo: str, revision: str) -> dict[str, Any]:
    commit = hub.commit_of(repository, revision)
    files = [entry for entry in repository.entries(commit) if entry.kind == "file"]
    card: dict[str, Any] = {}
    for entry in files:
        if entry.path == "README.md":
            head = _HEAD.match(repository.blob(entry.blob).decode())
            card = (yaml.safe_load(head[1]) or {}) if head else {}
    siblings = []
    for entry in files:
        one: dict[str, Any] = {
            "rfilename": entry.path, "size": entry.size, "blobId": entry.blob,
        }  # fmt: skip
        if entry.sha256 is not None:
            one["lfs"] = {
                "sha256": entry.sha256, "size": entry.size, "pointerSize": entry.pointer_size,
            }  # fmt: skip
        siblings.append(one)
    settings = repository.settings
    return {
        "_id": "x", "id": repo, "modelId": repo, "author": repo.partition("/")[0], "sha": commit,
        "lastModified": hub_time(repository.log(commit)[0][3]), "private": settings["private"],
        "gated": settings["gated"], "disabled": False, "downloads": 0, "likes": 0,
        "tags": card.get("tags", []), "cardData": card, "createdAt": "2026-01-01T00:00:00.000Z",
        "siblings": siblings,
    }  # fmt: skip
