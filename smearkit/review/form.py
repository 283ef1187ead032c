"""What the page's form sends: the action, the boxes as JSON, and a note."""

from __future__ import annotations

from typing import Literal
from urllib.parse import parse_qsl

from pydantic import Field, TypeAdapter, ValidationError

from curation.deidentify.quarantine_entry import Box
from curation.manifest import Frozen

from .desk import UndecidableError

_BOXES: TypeAdapter[tuple[Box, ...]] = TypeAdapter(tuple[Box, ...])
_FIELDS = frozenset({"action", "boxes", "note"})


class DecisionForm(Frozen):
    """A decision as a reviewer sent it."""

    action: Literal["accept", "redact", "drop"]
    boxes: tuple[Box, ...] = ()
    note: str | None = Field(default=None, max_length=2000)


def parse_form(body: bytes) -> DecisionForm:
    """Read the urlencoded body of a decision.

    Raises: UndecidableError with the field that does not fit, never with what it held.
    """
    try:
        fields = dict(parse_qsl(body.decode(), strict_parsing=True, keep_blank_values=True,
                                max_num_fields=len(_FIELDS)))  # fmt: skip
        boxes = _BOXES.validate_json(fields.get("boxes") or "[]", strict=True)
        known = {key: value.strip() for key, value in fields.items() if key != "boxes"}
        return DecisionForm.model_validate({**known, "boxes": boxes})
    except ValidationError as error:
        found = error.errors(include_input=False)[0]
        where = ".".join(str(part) for part in found["loc"]) or "boxes"
        raise UndecidableError(f"The form does not fit at {where}: {found['msg']}") from None
    except ValueError:
        raise UndecidableError("The form cannot be read. Reload the page and try again.") from None
