"""The review as a web application: which address shows or does what."""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Depends, FastAPI, HTTPException, Query, Request
from fastapi.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response

from curation.deidentify.quarantine_entry import QuarantineEntry
from curation.errors import ImageError

from .desk import Desk, UndecidableError, open_desk
from .form import DecisionForm, parse_form
from .local_app import base_of, local_app
from .pages import (
    Selection,
    conflicts_page,
    error_page,
    image_page,
    overview_page,
    summary_page,
)
from .pictures import picture_png, thumbnail_png

_NO_PICTURE = "no_picture.svg"
_STATIC = {
    "review.css": "text/css",
    "review.js": "text/javascript",
    "boxes.js": "text/javascript",
    "icon.svg": "image/svg+xml",
    _NO_PICTURE: "image/svg+xml",
}
router = APIRouter(default_response_class=HTMLResponse)


def review_app(
    quarantine: Path, vault: Path, *, by: str | None = None, token: str | None = None
) -> FastAPI:
    """Return the application; everything lies under `/TOKEN/`, the token is `app.state.token`.

    Raises: SmearkitError where there is no quarantine, VaultError where there is no vault.
    """
    desk = open_desk(quarantine, vault, by)
    return local_app(router, desk, token, _show_error, _show_missing)


def _desk(request: Request) -> Desk:
    desk: Desk = request.app.state.desk
    return desk


DeskHere = Annotated[Desk, Depends(_desk)]
Base = Annotated[str, Depends(base_of)]


def _entry(image_id: str, desk: DeskHere) -> QuarantineEntry:
    # Looked up among the ids that were read: what is asked for never becomes a path.
    if image_id not in desk.queue.images:
        raise HTTPException(404)
    return desk.queue.images[image_id]


Entry = Annotated[QuarantineEntry, Depends(_entry)]


async def _form(request: Request) -> DecisionForm:
    return parse_form(await request.body())


@router.get("/")
def start(desk: DeskHere, base: Base) -> RedirectResponse:
    """Go to the first image without a decision."""
    return _to_next(desk, base, None)


@router.get("/images/{image_id}")
def show_image(entry: Entry, desk: DeskHere, base: Base) -> str:
    """Show one image."""
    return image_page(desk, base, entry.id)


@router.get("/images/{image_id}/picture.png")
def show_picture(entry: Entry, desk: DeskHere) -> Response:
    """Send the pixels of one image."""
    try:
        return Response(picture_png(desk.quarantine, entry), media_type="image/png")
    except ImageError as error:
        raise HTTPException(404) from error


@router.get("/images/{image_id}/thumbnail.png")
def show_thumbnail(entry: Entry, desk: DeskHere) -> Response:
    """Send one image, small; a drawing of none where it cannot be decoded."""
    try:
        return Response(thumbnail_png(desk.quarantine, entry), media_type="image/png")
    except ImageError:
        return show_static(_NO_PICTURE)


@router.get("/images/{image_id}/name")
def show_name(entry: Entry, desk: DeskHere) -> PlainTextResponse:
    """Send the source names of one image; asked for only when a reviewer wants to see them."""
    return PlainTextResponse("\n".join(desk.queue.names[entry.id]))


@router.post("/images/{image_id}/decision")
def decide(
    entry: Entry, desk: DeskHere, base: Base, form: Annotated[DecisionForm, Depends(_form)]
) -> RedirectResponse:
    """Record a decision and go to the next image without one."""
    desk.decide(entry.id, form.action, form.boxes, form.note)
    return _to_next(desk, base, entry.id)


@router.post("/images/{image_id}/undo")
def undo(entry: Entry, desk: DeskHere, base: Base) -> RedirectResponse:
    """Take back the decision about this image, else the latest one, and show that image."""
    return RedirectResponse(f"{base}/images/{desk.undo(entry.id)}", 303)


@router.get("/overview")
def show_overview(
    desk: DeskHere,
    base: Base,
    state: str | None = None,
    reason: str | None = None,
    page: Annotated[int, Query(ge=1, le=1_000_000)] = 1,
) -> str:
    """Show the thumbnails."""
    return overview_page(desk, base, Selection(state, reason, page))


@router.get("/conflicts")
def show_conflicts(desk: DeskHere, base: Base) -> str:
    """Show the copies that disagree."""
    return conflicts_page(desk, base)


@router.get("/conflicts/{number}/name")
def show_conflict_names(number: int, desk: DeskHere) -> PlainTextResponse:
    """Send the source names of one group of copies, counted from 1."""
    if not 1 <= number <= len(desk.queue.conflicts):
        raise HTTPException(404)
    return PlainTextResponse("\n".join(desk.queue.conflicts[number - 1].names))


@router.get("/summary")
def show_summary(desk: DeskHere, base: Base) -> str:
    """Show what was decided, and the next command."""
    return summary_page(desk, base)


@router.get("/static/{name}")
def show_static(name: str) -> Response:
    """Send the style or one of the scripts."""
    if name not in _STATIC:
        raise HTTPException(404)
    return Response(_static(name), media_type=_STATIC[name])


@lru_cache(maxsize=len(_STATIC))
def _static(name: str) -> bytes:
    return files("smearkit.review").joinpath("static", name).read_bytes()


def _to_next(desk: Desk, base: str, after: str | None) -> RedirectResponse:
    found = desk.queue.next_undecided(desk.decisions(), after)
    return RedirectResponse(f"{base}/images/{found}" if found else f"{base}/summary", 303)


def _show_error(request: Request, error: Exception) -> HTMLResponse:
    refused = isinstance(error, UndecidableError)
    title = "Not recorded" if refused else "Something is wrong with the quarantine or the vault"
    page = error_page(_desk(request), base_of(request), title, str(error))
    return HTMLResponse(page, 422 if refused else 500)


def _show_missing(request: Request, error: Exception) -> HTMLResponse:
    message = "There is no such image or page in this review."
    return HTMLResponse(error_page(_desk(request), base_of(request), "Not here", message), 404)
