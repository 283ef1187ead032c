"""The label review as a web application: which address shows or does what."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Depends, FastAPI, HTTPException, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from curation.errors import ImageError
from curation.pixels import Limits, decode_any, encode_png
from curation.validate.label_queue import DoubtfulLabel
from curation.vocabulary import LABEL_IDS

from .app import show_static
from .desk import UndecidableError
from .label_desk import LabelDesk, open_label_desk
from .label_form import LabelForm, parse_label_form
from .label_pages import LabelSelection, error_page, label_page, overview_page, summary_page
from .local_app import base_of, local_app

router = APIRouter(default_response_class=HTMLResponse)


def label_app(
    folder: Path, vault: Path, *, by: str | None = None, token: str | None = None
) -> FastAPI:
    """Return the application; everything lies under `/TOKEN/`, the token is `app.state.token`.

    Raises: SmearkitError where there is no validation, VaultError where there is no vault.
    """
    desk = open_label_desk(folder, vault, by)
    return local_app(router, desk, token, _show_error, _show_missing)


def _desk(request: Request) -> LabelDesk:
    desk: LabelDesk = request.app.state.desk
    return desk


DeskHere = Annotated[LabelDesk, Depends(_desk)]
Base = Annotated[str, Depends(base_of)]


def _entry(image_id: str, desk: DeskHere) -> DoubtfulLabel:
    # Looked up among the ids that were read: what is asked for never becomes a path.
    if image_id not in desk.queue.images:
        raise HTTPException(404)
    return desk.queue.images[image_id]


Entry = Annotated[DoubtfulLabel, Depends(_entry)]


async def _form(request: Request) -> LabelForm:
    return parse_label_form(await request.body())


@router.get("/")
def start(desk: DeskHere, base: Base) -> RedirectResponse:
    """Go to the first cell without a decision."""
    return _to_next(desk, base, None)


@router.get("/images/{image_id}")
def show_cell(entry: Entry, desk: DeskHere, base: Base) -> str:
    """Show one cell."""
    return label_page(desk, base, entry.image_id)


@router.get("/images/{image_id}/picture.png")
def show_picture(entry: Entry, desk: DeskHere) -> Response:
    """Send the pixels of one cell."""
    try:
        pixels = decode_any(desk.picture(entry.image_id), Limits(min_side_px=1))
    except (ImageError, UndecidableError) as error:
        raise HTTPException(404) from error
    return Response(encode_png(pixels), media_type="image/png")


@router.get("/examples/{label}/{number}.png")
def show_example(label: str, number: int, desk: DeskHere) -> Response:
    """Send a typical cell of a label."""
    if label not in LABEL_IDS or number not in desk.examples(label):
        raise HTTPException(404)
    return Response(desk.example(label, number), media_type="image/png")


@router.post("/images/{image_id}/decision")
def decide(
    entry: Entry, desk: DeskHere, base: Base, form: Annotated[LabelForm, Depends(_form)]
) -> RedirectResponse:
    """Record a decision and go to the next cell without one."""
    desk.decide(entry.image_id, form.chosen(entry), form.note)
    return _to_next(desk, base, entry.image_id)


@router.post("/images/{image_id}/undo")
def undo(entry: Entry, desk: DeskHere, base: Base) -> RedirectResponse:
    """Take back the decision about this cell, else the latest one, and show that cell."""
    return RedirectResponse(f"{base}/images/{desk.undo(entry.image_id)}", 303)


@router.get("/overview")
def show_overview(
    desk: DeskHere,
    base: Base,
    state: str | None = None,
    given: str | None = None,
    suggested: str | None = None,
    page: Annotated[int, Query(ge=1, le=1_000_000)] = 1,
) -> str:
    """Show the cells small."""
    return overview_page(desk, base, LabelSelection(state, given, suggested, page))


@router.get("/summary")
def show_summary(desk: DeskHere, base: Base) -> str:
    """Show what was decided, and the next command."""
    return summary_page(desk, base)


router.get("/static/{name}")(show_static)


def _to_next(desk: LabelDesk, base: str, after: str | None) -> RedirectResponse:
    found = desk.queue.next_undecided(desk.decisions(), after)
    return RedirectResponse(f"{base}/images/{found}" if found else f"{base}/summary", 303)


def _show_error(request: Request, error: Exception) -> HTMLResponse:
    refused = isinstance(error, UndecidableError)
    title = "Not recorded" if refused else "Something is wrong with the validation or the vault"
    page = error_page(_desk(request), base_of(request), title, str(error))
    return HTMLResponse(page, 422 if refused else 500)


def _show_missing(request: Request, error: Exception) -> HTMLResponse:
    message = "There is no such cell or page in this review."
    return HTMLResponse(error_page(_desk(request), base_of(request), "Not here", message), 404)
