"""The pages of the label review as HTML."""

from __future__ import annotations

import shlex
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import urlencode

import jinja2

from curation.deidentify.label_decisions import LabelDecision
from curation.validate.label_queue import DoubtfulLabel
from curation.vocabulary import CELL_TYPES

from ..page_templates import page_templates
from ..validation_page import percent, words
from .label_desk import LabelDesk
from .queue import latest_in

PER_PAGE = 120
STATES = {
    "undecided": "Undecided",
    "keep": "Kept",
    "relabel": "Relabelled",
    "drop": "Dropped",
}
# The colours of the other review: green stays, violet changes, red goes.
_LOOKS = {"undecided": "undecided", "keep": "accept", "relabel": "redact", "drop": "drop"}


@dataclass(frozen=True, slots=True)
class LabelSelection:
    """Which cells the overview lists; None is all."""

    state: str | None = None
    given: str | None = None
    suggested: str | None = None
    page: int = 1

    def query(self, **changes: str | int | None) -> str:
        """Return this selection with changes as the query of an address."""
        fields: dict[str, str | int | None] = {
            "state": self.state, "given": self.given, "suggested": self.suggested, "page": 1,
        }  # fmt: skip
        fields.update(changes)
        kept = {key: value for key, value in fields.items() if value not in (None, 1)}
        return f"?{urlencode(kept)}" if kept else "?"


def label_page(desk: LabelDesk, base: str, image_id: str) -> str:
    """Return the page on which the label of one cell is decided."""
    entry = desk.queue.images[image_id]
    decisions = desk.decisions()
    before, after = desk.queue.neighbours(image_id)
    decision = decisions.get(image_id)
    examples = {
        label: desk.examples(label) for label in (entry.given.label, entry.suggested)
    }  # fmt: skip
    return _render(
        "label.html.j2", base, desk, decisions, entry=entry, decision=decision,
        number=desk.queue.number(image_id), before=before, after=after, examples=examples,
        groups=_groups(), undo=image_id if decision else latest_in(desk.queue.images, decisions),
    )  # fmt: skip


def overview_page(desk: LabelDesk, base: str, selection: LabelSelection) -> str:
    """Return the page of small pictures, filtered by state and by pair of labels."""
    decisions = desk.decisions()
    entries = list(desk.queue.images.values())
    shown = [entry for entry in entries if _is_selected(entry, decisions, selection)]
    start = (selection.page - 1) * PER_PAGE
    pairs = Counter((entry.given.label, entry.suggested) for entry in entries)
    return _render(
        "label_overview.html.j2", base, desk, decisions, selection=selection,
        entries=shown[start : start + PER_PAGE], pages=max(1, -(-len(shown) // PER_PAGE)),
        pairs=pairs, numbers={key: n for n, key in enumerate(desk.queue.images, start=1)},
    )  # fmt: skip


def summary_page(desk: LabelDesk, base: str) -> str:
    """Return the page at the end: what was decided, and the next command."""
    decisions = desk.decisions()
    moves = Counter(
        (one.given, one.label) for one in decisions.values() if one.action == "relabel"
    )  # fmt: skip
    command = f"smearkit curate SOURCE --out CORPUS --vault {shlex.quote(str(desk.vault))}"
    return _render(
        "label_summary.html.j2", base, desk, decisions, command=command, moves=moves.most_common()
    )


def error_page(desk: LabelDesk, base: str, title: str, message: str) -> str:
    """Return the page that says what was refused and why."""
    # Without a look into the vault, which may be what is wrong.
    return _environment().get_template("label_error.html.j2").render(
        base=base, total=len(desk.queue.images), decided=None, warning=None, title=title,
        message=message,
    )  # fmt: skip


def state_of(image_id: str, decisions: dict[str, LabelDecision]) -> str:
    """Return the state of a cell: a key of `STATES`."""
    return decisions[image_id].action if image_id in decisions else "undecided"


def _groups() -> dict[str, list[str]]:
    """Return roll-up -> its labels, in the order of the vocabulary."""
    found: dict[str, list[str]] = {}
    for cell in CELL_TYPES:
        found.setdefault(cell.rollup, []).append(cell.name)
    return found


def _is_selected(
    entry: DoubtfulLabel, decisions: dict[str, LabelDecision], selection: LabelSelection
) -> bool:
    return (
        selection.state in (None, state_of(entry.image_id, decisions))
        and selection.given in (None, entry.given.label)
        and selection.suggested in (None, entry.suggested)
    )


def _render(
    template: str,
    base: str,
    desk: LabelDesk,
    decisions: dict[str, LabelDecision],
    **context: object,
) -> str:
    states = Counter(state_of(image_id, decisions) for image_id in desk.queue.images)
    return _environment().get_template(template).render(
        base=base, queue=desk.queue, decisions=decisions, states=states, decided=len(decisions),
        total=len(desk.queue.images), warning=desk.warning(), **context,
    )  # fmt: skip


@lru_cache(maxsize=1)
def _environment() -> jinja2.Environment:
    environment = page_templates()
    environment.globals.update(STATES=STATES, LOOKS=_LOOKS, state_of=state_of)
    environment.filters.update(words=words, percent=percent)
    return environment
