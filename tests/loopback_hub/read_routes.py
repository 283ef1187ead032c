"""Routes that give files: trees, paths, and their bytes with ranges and etags."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote, unquote

from fastapi import FastAPI, Request, Response
from fastapi.responses import FileResponse, JSONResponse, RedirectResponse

from .core import HubCore, HubError, hub_time
from .git_repo import Entry, GitRepository
from .repository_routes import R

PAGE = 1000
_RANGE = re.compile(r"bytes=(\d+)-(\d*)")


def add_listing_routes(app: FastAPI, hub: HubCore) -> None:
    """Add trees, in pages, and single paths."""

    @app.get(R + "/tree/{rest:path}")
    def tree(
        request: Request, kind: str, namespace: str, name: str, rest: str,
        recursive: str = "false", expand: str = "false", cursor: int = 0,
    ) -> JSONResponse:  # fmt: skip
        found = hub.readable(request, kind, namespace, name)
        revision, path = _revision_and_path(request, "/tree/")
        commit = hub.commit_of(found, revision)
        deep = recursive.lower() in ("true", "1")
        listed = [e for e in found.entries(commit) if _below(e.path, path, deep)]
        if path and not listed:
            raise HubError(404, "EntryNotFound", f"{path} does not exist on {revision}")
        page = [
            _entry(hub, found, commit, entry, expand.lower() in ("true", "1"))
            for entry in listed[cursor : cursor + PAGE]
        ]
        headers = {}
        if cursor + PAGE < len(listed):
            url = request.url.include_query_params(cursor=cursor + PAGE)
            headers["Link"] = f'<{url}>; rel="next"'
        return JSONResponse(page, headers=headers)

    @app.post(R + "/paths-info/{revision:path}")
    async def paths_info(
        request: Request, kind: str, namespace: str, name: str, revision: str
    ) -> list[dict[str, Any]]:
        found = hub.readable(request, kind, namespace, name)
        commit = hub.commit_of(found, revision)
        if "json" in request.headers.get("content-type", ""):
            asked = await request.json()
            paths, expand = asked["paths"], asked.get("expand")
        else:
            form = await request.form()
            paths, expand = form.getlist("paths"), form.get("expand")
        there = {entry.path: entry for entry in found.entries(commit)}
        wanted = [paths] if isinstance(paths, str) else paths
        return [
            _entry(hub, found, commit, there[path.strip("/")], expand in (True, "true", "True"))
            for path in wanted if path.strip("/") in there
        ]  # fmt: skip

    @app.get("/api/resolve-cache/{rest:path}")
    def resolve_cache(rest: str) -> None:
        raise HubError(404, "", "nothing is kept here")


def add_content_routes(app: FastAPI, hub: HubCore) -> None:
    """Add the bytes of files: small ones here, large ones by a redirect to another host name."""

    @app.api_route("/{kind}/{namespace}/{name}/resolve/{rest:path}", methods=["GET", "HEAD"])
    def resolve_dataset(
        request: Request, kind: str, namespace: str, name: str, rest: str
    ) -> Response:
        return _resolve(hub, request, kind, namespace, name)

    @app.api_route("/{namespace}/{name}/resolve/{rest:path}", methods=["GET", "HEAD"])
    def resolve_model(request: Request, namespace: str, name: str, rest: str) -> Response:
        return _resolve(hub, request, "models", namespace, name)

    @app.api_route("/_lfs/{oid}", methods=["GET", "HEAD"])
    def object_bytes(oid: str, size: int = 0) -> Response:
        try:
            path = hub.store.plain_file(oid, size)
        except FileNotFoundError as error:
            raise HubError(404, "", "the object is not there") from error
        return FileResponse(path, media_type="application/octet-stream")


def _resolve(hub: HubCore, request: Request, kind: str, namespace: str, name: str) -> Response:
    found = hub.open_content(request, kind, namespace, name)
    revision, path = _revision_and_path(request, "/resolve/")
    commit = hub.commit_of(found, revision)
    there = {entry.path: entry for entry in found.entries(commit) if entry.kind == "file"}
    headers = {"X-Repo-Commit": commit, "Accept-Ranges": "bytes"}
    entry = there.get(path)
    if entry is None:
        return HubError(404, "EntryNotFound", "Entry not found").response(headers)
    if entry.sha256 is None:
        return _small_file(request, found.blob(entry.blob), headers | {"ETag": f'"{entry.blob}"'})
    etag = f'"{entry.sha256}"'
    headers |= {"X-Linked-Size": str(entry.size), "X-Linked-Etag": etag, "ETag": etag}
    xet = hub.store.xet_hash(entry.sha256) if hub.xet else None
    if xet is not None:
        route = f"{hub.base}/api/{kind}/{namespace}/{name}/xet-read-token/{commit}"
        headers |= {
            "X-Xet-Hash": xet, "X-Xet-Refresh-Route": route, "Link": f'<{route}>; rel="xet-auth"',
        }  # fmt: skip
    target = f"{hub.content_base}/_lfs/{quote(entry.sha256)}?size={entry.size}"
    return RedirectResponse(target, 302, headers=headers)


def _small_file(request: Request, data: bytes, headers: dict[str, str]) -> Response:
    asked = _RANGE.match(request.headers.get("range", ""))
    if asked is None:
        return Response(data, headers=headers, media_type="text/plain")
    first, last = int(asked[1]), int(asked[2]) if asked[2] else len(data) - 1
    if first >= len(data):
        return Response(status_code=416, headers={"Content-Range": f"bytes */{len(data)}"})
    last = min(last, len(data) - 1)
    headers = headers | {"Content-Range": f"bytes {first}-{last}/{len(data)}"}
    return Response(data[first : last + 1], 206, headers=headers)


def _revision_and_path(request: Request, word: str) -> tuple[str, str]:
    """Split the address as it came: a revision such as refs%2Fpr%2F1 holds slashes of its own."""
    raw = request.scope["raw_path"].decode().split("?")[0].split(word, 1)[1]
    revision, _, path = raw.partition("/")
    return unquote(revision), unquote(path).rstrip("/")


def _below(path: str, folder: str, deep: bool) -> bool:
    if folder and not path.startswith(f"{folder}/"):
        return False
    return deep or "/" not in path[len(folder) + 1 if folder else 0 :]


def _entry(
    hub: HubCore, repository: GitRepository, commit: str, entry: Entry, expand: bool
) -> dict[str, Any]:
    found = hub.tree_entry(entry)
    if expand:
        out = repository.git("log", "-1", "--format=%H%x00%s%x00%cI", commit, "--", entry.path)
        last, title, time = out.decode().strip().split("\0")
        found["lastCommit"] = {"id": last, "title": title, "date": hub_time(time)}
    return found
