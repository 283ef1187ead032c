"""From a raw cell to its staged row: what may be released of it, or why it is dropped."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from blake3 import blake3

from .deidentify.decisions import Decision
from .deidentify.text import Look, TextFinder, TextHit, blank
from .deidentify.treat import ReleasedFields, Treat, ValueNotAllowedError
from .deidentify.vault import Vault
from .errors import ImageError
from .pixels import Limits, Pixels, ReleasedImage, release_image, release_pixels
from .sources import RawCell
from .sources.source import CutFrom

BURNED_IN = "burned_in_text"
NOT_ALLOWED = "value_not_allowed"
DROPPED_IN_REVIEW = "dropped_in_review"
_NOTHING = ReleasedFields(None, None, None, {})
_NO_LOOK = Look(searched=False, hits=())


@dataclass(frozen=True, slots=True)
class Handling:
    """How every cell of a run is handled, whatever its source."""

    labels: Mapping[str, str | None]
    limits: Limits
    vault: Vault
    reencode: bool = False
    redact: bool = False
    finder: TextFinder | None = None
    decisions: Mapping[str, Decision] = field(default_factory=dict)
    label_decisions: Mapping[str, str | None] = field(default_factory=dict)
    """Image id -> the label that a person gave it; None: the cell is to be dropped."""


@dataclass(frozen=True, slots=True)
class _Seen:
    """What became of an image that was searched for text."""

    image: ReleasedImage
    look: Look
    entry_id: str | None = None
    reason: str = ""
    outcome: str = ""


class CellMaker:
    """Makes staged rows of the cells of one source, in order."""

    def __init__(self, handling: Handling, treat: Treat) -> None:
        self._handling = handling
        self._treat = treat
        # The cells of a field follow each other: its text is searched for once.
        self._field: tuple[Pixels, Look] | None = None

    def row(self, cell: RawCell) -> tuple[dict[str, Any], ReleasedImage | None]:
        """Return the staged row of a cell, and its image where it can be used.

        A bad image only costs its row.
        """
        how = self._handling
        label = how.labels.get(cell.label)
        reason, detail = cell.problem or "", ""
        if not reason and label is None:
            reason = "unknown_label"
        fields, seen = _NOTHING, None
        if not reason:
            try:
                fields = self._treat(cell.fields)
                seen = self._look(cell, _released(cell, how))
                label = how.label_decisions.get(seen.image.image_id, label)
                reason = seen.reason if label is not None else DROPPED_IN_REVIEW
            except ValueNotAllowedError:
                reason = NOT_ALLOWED
            except ImageError as error:
                reason, detail = error.reason, error.detail
        row = {
            "label": label, "label_found": cell.label, "subject": fields.subject,
            "slide": fields.slide, "site": fields.site, "reason": reason, "detail": detail,
            # A pseudonym: it is kept beside the corpus, so that fields stay in one split.
            "field": how.vault.pseudonym("field", cell.cut_from.name) if cell.cut_from else None,
            **_image_columns(seen), **_text_columns(seen, cell), **fields.attributes,
        }  # fmt: skip
        return row, seen.image if seen and not reason else None

    def _look(self, cell: RawCell, image: ReleasedImage) -> _Seen:
        decision = self._decision(cell, image)
        # What a person saw holds whether or not the search finds it again.
        if decision is not None and decision.action == "drop":
            return _Seen(image, _NO_LOOK, reason=DROPPED_IN_REVIEW)
        look = self._search(cell, image)
        if decision is not None and decision.action == "redact":
            return self._redacted(image, look, decision.boxes)
        if not look.hits:
            return _Seen(image, look)
        if decision is not None:
            return _Seen(image, look, outcome="accepted")
        # Where the place of the text is not known, blanking it would blank the cell.
        if self._handling.redact and not any(hit.unread for hit in look.hits):
            return self._redacted(image, look, [hit.box for hit in look.hits])
        entry_id = source_id(cell, image, self._handling.vault)
        return _Seen(image, look, entry_id, reason=BURNED_IN)

    def _decision(self, cell: RawCell, image: ReleasedImage) -> Decision | None:
        how = self._handling
        if not how.decisions:
            return None
        return how.decisions.get(source_id(cell, image, how.vault))

    def _search(self, cell: RawCell, image: ReleasedImage) -> Look:
        finder = self._handling.finder
        if finder is None:
            return _NO_LOOK
        if cell.cut_from is not None:
            return self._look_at_field(finder, cell.cut_from)
        return finder.look(image.pixels, whole_field=False)

    def _look_at_field(self, finder: TextFinder, place: CutFrom) -> Look:
        # Compared as an object: the parts of a slide share its name.
        if self._field is None or self._field[0] is not place.pixels:
            self._field = (place.pixels, finder.look(place.pixels, whole_field=True))
        look = self._field[1]
        inside = (moved for hit in look.hits if (moved := _into_box(hit, place.box)) is not None)
        return Look(searched=look.searched, hits=tuple(inside))

    def _redacted(
        self, image: ReleasedImage, look: Look, boxes: Sequence[tuple[int, int, int, int]]
    ) -> _Seen:
        hits = tuple(TextHit(box, "text", 1.0, "") for box in boxes)
        blanked = release_pixels(blank(image.pixels, hits), self._handling.limits)
        return _Seen(blanked, look, outcome="redacted")


def source_id(cell: RawCell, image: ReleasedImage | None, vault: Vault) -> str:
    """Return the keyed id of a source image: the same in every run, whatever its name."""
    if cell.data is not None:
        return vault.pseudonym("image", blake3(cell.data).hexdigest())
    return vault.pseudonym("image", image.image_id if image else cell.name)


def _released(cell: RawCell, how: Handling) -> ReleasedImage:
    if cell.pixels is not None:
        return release_pixels(cell.pixels, how.limits)
    return release_image(cell.data or b"", how.limits, reencode=how.reencode)


def _into_box(hit: TextHit, box: tuple[int, int, int, int]) -> TextHit | None:
    left, top, right, bottom = box
    x0, y0 = max(hit.box[0], left), max(hit.box[1], top)
    x1, y1 = min(hit.box[2], right), min(hit.box[3], bottom)
    if x0 >= x1 or y0 >= y1:
        return None
    return TextHit((x0 - left, y0 - top, x1 - left, y1 - top), hit.kind, hit.score, hit.text)


def _image_columns(seen: _Seen | None) -> dict[str, Any]:
    image = seen.image if seen else None
    return {
        "data": image.data if image else None,
        "size": len(image.data) if image else 0,
        "codec": image.codec if image else None,
        "image_id": image.image_id if image else None,
    }


def _text_columns(seen: _Seen | None, cell: RawCell) -> dict[str, Any]:
    if seen is None:
        return {"read": False, "hits": None, "outcome": None, "entry_id": None}
    hits = [{"box": hit.box, "kind": hit.kind, "text": hit.text} for hit in seen.look.hits]
    return {
        "read": seen.look.searched,
        "hits": json.dumps(hits, ensure_ascii=False) if hits else None,
        "outcome": seen.outcome or None,
        "entry_id": seen.entry_id,
    }
