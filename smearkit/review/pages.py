"""The pages as HTML: what a reviewer is told about an image, a selection of them, and the whole."""

from __future__ import annotations

import shlex
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import urlencode

import jinja2

from curation.deidentify.decisions import Decision
from curation.deidentify.quarantine_entry import QuarantineEntry

from ..page_templates import page_templates
from .desk import Desk, why_drop_only

PER_PAGE = 120
STATES = {
    "undecided": "Undecided",
    "accept": "Accepted",
    "redact": "Redacted",
    "drop": "Dropped",
}
# reason -> what it is called, and what the reviewer is to look for
REASONS = {
    "burned_in_text": (
        "Burned-in text",
        "Characters were found in the pixels. Do they tell of a patient, a person or a device?",
    ),
    "barcode": (
        "Barcode",
        "A barcode was found in the pixels. It holds text that a scanner can read.",
    ),
    "unreadable": ("Unreadable file", "The file cannot be decoded."),
    "too_small": ("Too small", "The image is smaller than curate takes."),
    "too_large": ("Too large", "The image has more pixels than curate decodes."),
    "dicom_unsupported": ("Unsupported DICOM", "This kind of DICOM image is not read."),
    "several_images": ("Several images in one file", "Only one of them would be seen by anyone."),
}


@dataclass(frozen=True, slots=True)
class Selection:
    """Which images the overview lists; None is all."""

    state: str | None = None
    reason: str | None = None
    page: int = 1

    def query(self, **changes: str | int | None) -> str:
        """Return this selection with changes as the query of an address."""
        fields = {"state": self.state, "reason": self.reason, "page": 1, **changes}
        kept = {key: value for key, value in fields.items() if value not in (None, 1)}
        return f"?{urlencode(kept)}" if kept else "?"


def reason_title(reason: str) -> str:
    """Return what a reason is called."""
    words = reason.replace("_", " ")
    return REASONS[reason][0] if reason in REASONS else words[:1].upper() + words[1:]


def image_page(desk: Desk, base: str, image_id: str) -> str:
    """Return the page on which one image is decided about."""
    entry = desk.queue.images[image_id]
    decisions = desk.decisions()
    look = desk.look(entry)
    before, after = desk.queue.neighbours(image_id)
    decision = decisions.get(image_id)
    return _render(
        "image.html.j2", base, desk, decisions, entry=entry, look=look, decision=decision,
        number=desk.queue.number(image_id), before=before, after=after,
        boxes=decision.boxes if decision and decision.boxes else entry.boxes,
        explanation=REASONS.get(entry.reason, ("", ""))[1],
        drop_only=why_drop_only(entry, look), copies=len(desk.queue.names[image_id]),
        undo=image_id if decision else desk.queue.latest(decisions),
    )  # fmt: skip


def overview_page(desk: Desk, base: str, selection: Selection) -> str:
    """Return the page of thumbnails, filtered by state and reason."""
    decisions = desk.decisions()
    entries = list(desk.queue.images.values())
    shown = [entry for entry in entries if _is_selected(entry, decisions, selection)]
    start = (selection.page - 1) * PER_PAGE
    return _render(
        "overview.html.j2", base, desk, decisions, selection=selection,
        entries=shown[start : start + PER_PAGE], n_shown=len(shown),
        pages=max(1, -(-len(shown) // PER_PAGE)), reasons=Counter(e.reason for e in entries),
        numbers={key: number for number, key in enumerate(desk.queue.images, start=1)},
    )  # fmt: skip


def conflicts_page(desk: Desk, base: str) -> str:
    """Return the page of copies that disagree, which nobody decides about here."""
    return _render("conflicts.html.j2", base, desk, desk.decisions())


def summary_page(desk: Desk, base: str) -> str:
    """Return the page at the end: what was decided, and the next command."""
    command = f"smearkit curate SOURCE --out CORPUS --vault {shlex.quote(str(desk.vault))}"
    return _render("summary.html.j2", base, desk, desk.decisions(), command=command)


def error_page(desk: Desk, base: str, title: str, message: str) -> str:
    """Return the page that says what was refused and why."""
    # Without a look into the vault, which may be what is wrong.
    template = _environment().get_template("error.html.j2")
    return template.render(
        base=base, queue=desk.queue, total=len(desk.queue.images), decided=None, warning=None,
        title=title, message=message,
    )  # fmt: skip


def state_of(image_id: str, decisions: dict[str, Decision]) -> str:
    """Return the state of an image: a key of `STATES`."""
    return decisions[image_id].action if image_id in decisions else "undecided"


def _is_selected(
    entry: QuarantineEntry, decisions: dict[str, Decision], selection: Selection
) -> bool:
    state = state_of(entry.id, decisions)
    return selection.state in (None, state) and selection.reason in (None, entry.reason)


def _render(
    template: str, base: str, desk: Desk, decisions: dict[str, Decision], **context: object
) -> str:
    states = Counter(state_of(image_id, decisions) for image_id in desk.queue.images)
    return _environment().get_template(template).render(
        base=base, queue=desk.queue, decisions=decisions, states=states, decided=len(decisions),
        total=len(desk.queue.images), warning=desk.warning(), **context,
    )  # fmt: skip


@lru_cache(maxsize=1)
def _environment() -> jinja2.Environment:
    environment = page_templates()
    environment.globals.update(STATES=STATES, state_of=state_of)
    environment.filters["reason_title"] = reason_title
    return environment
