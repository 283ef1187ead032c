"""What the label review's form sends: the action, another label, and a note."""

from __future__ import annotations

from typing import Literal
from urllib.parse import parse_qsl

from pydantic import Field, ValidationError

from curation.frozen import Frozen
from curation.validate.label_queue import DoubtfulLabel
from curation.vocabulary import LABEL_IDS

from .desk import UndecidableError

_FIELDS = 3


class LabelForm(Frozen):
    """A decision as a reviewer sent it."""

    action: Literal["keep", "take", "other", "drop"]
    label: str = ""
    note: str | None = Field(default=None, max_length=2000)

    def chosen(self, entry: DoubtfulLabel) -> str | None:
        """Return the label that the reviewer gives a cell, None where it is dropped.

        Raises: UndecidableError where another label was to be chosen and none was.
        """
        if self.action == "other" and self.label not in LABEL_IDS:
            raise UndecidableError("Choose one of the labels in the list first.")
        table = {"keep": entry.given.label, "take": entry.suggested, "other": self.label}
        return table.get(self.action)


def parse_label_form(body: bytes) -> LabelForm:
    """Read the urlencoded body of a decision.

    Raises: UndecidableError with the field that does not fit, never with what it held.
    """
    try:
        fields = dict(parse_qsl(body.decode(), strict_parsing=True, keep_blank_values=True,
                                max_num_fields=_FIELDS))  # fmt: skip
        return LabelForm.model_validate({key: value.strip() for key, value in fields.items()})
    except ValidationError as error:
        found = error.errors(include_input=False)[0]
        where = ".".join(str(part) for part in found["loc"])
        raise UndecidableError(f"The form does not fit at {where}: {found['msg']}") from None
    except ValueError:
        raise UndecidableError("The form cannot be read. Reload the page and try again.") from None
