"""The notice of a withdrawal: what users have to do. It names no one, by name or by pseudonym."""

from __future__ import annotations

from collections.abc import Sequence

from .release_record import Withdrawal
from .trained_on import Trained

NOTICE_NAME = "WITHDRAWAL.md"
_LEARNED = {
    "yes": "learned from {cells} of these cells",
    "no": "did not learn from these cells",
    "unknown": "cannot be told here: the corpus that it learned from is not at hand",
}


def notice(name: str, found: Withdrawal, earlier: Sequence[str], trained: Sequence[Trained]) -> str:
    """Return the text of the notice."""
    lines = [
        f"# Withdrawal of cells from {name}",
        "",
        f"On {found.date}, {found.cells} cells of {found.subjects} subject(s) were withdrawn. "
        f"Version {found.version} is without them; {found.trained} of them stood in the training "
        "split.",
        "",
        "## What to do",
        "",
        f"- Delete your copies of version{'s' if len(earlier) > 1 else ''} {', '.join(earlier)}, "
        "and what you derived of their images, and use the new version.",
        "- Split, labels and pseudonyms of all other cells are as they were: `smearkit diff` "
        "between the versions lists what is gone by image id.",
        "- Do not try to find out whose cells they were.",
        "",
        "## What learned from them",
        "",
        *(
            f"- {one.what} (trained on corpus `{one.training_corpus}`) "
            f"{_LEARNED[one.learned].format(cells=one.cells)}."
            for one in trained
        ),
        "",
        "A model is not undone by deleting data. Whoever trained one on these cells, or on "
        "synthetic cells drawn by such a model, trains it anew on the new version.",
    ]
    return "\n".join(lines) + "\n"
