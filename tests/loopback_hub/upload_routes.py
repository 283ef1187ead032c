"""Routes that take files: preupload, LFS, Xet tokens, and the commit."""

from __future__ import annotations

import base64
import json
import time
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse

from .core import HubCore, HubError
from .git_repo import Change, GitError, GitRepository, pointer
from .repository_routes import R

_LARGE = (".parquet", ".png", ".jpg", ".bin", ".tar", ".npz", ".npy", ".gz", ".safetensors")
_REGULAR_BYTES = 10 * 2**20


def add_upload_routes(app: FastAPI, hub: HubCore) -> None:
    """Add preupload, the LFS batch and what it points to, and Xet's tokens."""

    @app.post(R + "/preupload/{revision:path}")
    async def preupload(
        request: Request, kind: str, namespace: str, name: str, revision: str
    ) -> dict[str, Any]:
        found = hub.writable(request, kind, namespace, name)
        commit = hub.commit_of(found, revision)
        there = {entry.path: entry for entry in found.entries(commit)}
        answers = []
        for file in (await request.json())["files"]:
            sample = base64.b64decode(file["sample"])
            large = (
                file["path"].endswith(_LARGE) or file["size"] > _REGULAR_BYTES or b"\0" in sample
            )
            entry = there.get(file["path"])
            oid = None if entry is None else entry.sha256 or entry.blob
            answers.append({
                "path": file["path"], "uploadMode": "lfs" if large else "regular",
                "shouldIgnore": False, "oid": oid,
            })  # fmt: skip
        return {"files": answers, "commitOid": commit}

    @app.post("/{kind}/{namespace}/{name}.git/info/lfs/objects/batch")
    @app.post("/{namespace}/{name}.git/info/lfs/objects/batch")
    async def batch(
        request: Request, namespace: str, name: str, kind: str = "models"
    ) -> JSONResponse:
        asked = await request.json()
        if asked["operation"] == "download":
            hub.open_content(request, kind, namespace, name)
        else:
            hub.writable(request, kind, namespace, name)
            new = [one for one in asked["objects"] if not hub.store.holds(one["oid"])]
            hub.room_for(sum(one["size"] for one in new))
        objects = [_lfs_actions(hub, one, asked) for one in asked["objects"]]
        said = {"transfer": "basic", "objects": objects}
        return JSONResponse(said, media_type="application/vnd.git-lfs+json")

    @app.put("/_lfs/{oid}")
    async def put(oid: str, request: Request) -> Response:
        if not await hub.store.receive(oid, request.stream()):
            raise HubError(400, "", "sha256 mismatch")
        return Response()

    @app.put("/_lfs/{oid}/part/{number}")
    async def part(oid: str, number: int, request: Request) -> Response:
        etag = hub.store.receive_part(oid, number, await request.body())
        return Response(headers={"ETag": f'"{etag}"'})

    @app.post("/_lfs/{oid}/complete")
    async def complete(oid: str) -> dict[str, Any]:
        if not hub.store.join_parts(oid):
            raise HubError(400, "", "sha256 mismatch")
        return {"ok": True}

    @app.post("/_lfs/{oid}/verify")
    async def verify(oid: str, request: Request) -> dict[str, Any]:
        path, size = hub.store.lfs / oid, (await request.json())["size"]
        if not path.is_file() or path.stat().st_size != size:
            raise HubError(404, "", "the object is not there")
        return {}

    @app.get(R + "/xet-{right}-token/{revision:path}")
    def xet_token(
        request: Request, kind: str, namespace: str, name: str, right: str, revision: str = ""
    ) -> JSONResponse:
        if right == "write":
            hub.writable(request, kind, namespace, name)
            hub.room_for(1)
        else:
            hub.open_content(request, kind, namespace, name)
        url, until = f"local://{hub.store.cas}", int(time.time()) + 3600
        headers = {
            "X-Xet-Cas-Url": url, "X-Xet-Access-Token": "xet", "X-Xet-Token-Expiration": str(until),
        }  # fmt: skip
        return JSONResponse({"casUrl": url, "exp": until, "accessToken": "xet"}, headers=headers)


def _lfs_actions(hub: HubCore, one: dict[str, Any], asked: dict[str, Any]) -> dict[str, Any]:
    oid, size = one["oid"], one["size"]
    found: dict[str, Any] = {"oid": oid, "size": size}
    place = f"{hub.base}/_lfs/{oid}"
    if asked["operation"] == "download":
        found["actions"] = {"download": {"href": place}}
    elif hub.store.holds(oid):
        return found
    elif size > hub.multipart_bytes and "multipart" in asked.get("transfers", []):
        count = -(-size // hub.multipart_bytes)
        header = {"chunk_size": str(hub.multipart_bytes)}
        header |= {str(number): f"{place}/part/{number}" for number in range(1, count + 1)}
        found["actions"] = {"upload": {"href": f"{place}/complete", "header": header}}
    else:
        found["actions"] = {
            "upload": {"href": place, "header": {}}, "verify": {"href": f"{place}/verify"},
        }  # fmt: skip
    return found


def add_commit_route(app: FastAPI, hub: HubCore) -> None:
    """Add the commit: all its files at once, on a branch or into a new pull request."""

    @app.post(R + "/commit/{revision:path}")
    async def commit(
        request: Request, kind: str, namespace: str, name: str, revision: str,
        create_pr: str | None = None,
    ) -> dict[str, Any]:  # fmt: skip
        found = hub.writable(request, kind, namespace, name)
        body = await request.body()
        hub.commit_bytes += len(body)
        lines = [json.loads(line) for line in body.splitlines() if line]
        head = lines[0]["value"]
        with found.lock:
            base = hub.commit_of(found, revision)
            parent = head.get("parentCommit")
            if create_pr and parent:
                # As on the Hub: a pull request starts at its parent, whatever main is by now.
                base = hub.commit_of(found, parent)
            elif parent and not base.startswith(parent):
                raise HubError(
                    412, "", "A commit has happened since. Please refresh and try again."
                )
            changes = [_change(hub, line) for line in lines[1:]]
            return _committed(hub, found, head, changes, base, revision, bool(create_pr), kind,
                              f"{namespace}/{name}")  # fmt: skip


def _change(hub: HubCore, line: dict[str, Any]) -> Change:
    value = line["value"]
    if line["key"] == "file":
        return Change(value["path"], base64.b64decode(value["content"]))
    if line["key"] == "lfsFile":
        if not hub.store.holds(value["oid"]):
            raise HubError(400, "", f"LFS object {value['oid']} was not uploaded")
        return Change(value["path"], pointer(value["oid"], value["size"]))
    return Change(value["path"].rstrip("/"), None)


def _committed(
    hub: HubCore, found: GitRepository, head: dict[str, Any], changes: list[Change], base: str,
    revision: str, create_pr: bool, kind: str, repo: str,
) -> dict[str, Any]:  # fmt: skip
    ref = revision if revision.startswith("refs/") else f"refs/heads/{revision}"
    url = None
    if create_pr:
        number = found.open_pull(head["summary"], base)
        ref = f"refs/pr/{number}"
        url = f"{hub.url(kind, *repo.split('/'))}/discussions/{number}"
    message = "\n\n".join(filter(None, (head["summary"], head.get("description"))))
    try:
        commit = found.commit(ref, base, message, changes)
    except GitError as error:
        raise HubError(404, "EntryNotFound", str(error)) from error
    return {
        "success": True, "commitOid": commit, "hookOutput": "", "pullRequestUrl": url,
        "commitUrl": f"{hub.url(kind, *repo.split('/'))}/commit/{commit}",
    }  # fmt: skip
