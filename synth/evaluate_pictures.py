"""The sheets of cells that a report shows, not chosen by anyone."""

from __future__ import annotations

from collections.abc import Sequence

from curation.manifest import View
from curation.pixels import Pixels
from curation.vocabulary import LABELS

from .contact_sheet import contact_sheet, readable
from .measure.sides import Cells, Picture, Sides

_SHEET_CELLS = 10


def real_over_drawn(sides: Sides, view: View) -> Picture:
    """Return the sheet of held-out real cells above drawn ones, class by class."""
    rows: list[tuple[str, Sequence[Pixels]]] = []
    for label in LABELS:
        made = sides.drawn.rows(label, _SHEET_CELLS)
        if len(made):
            real = sides.held.rows(label, _SHEET_CELLS)
            rows.append((f"{readable(label)}\nreal", [sides.held.images[i] for i in real]))
            rows.append(("synthetic", [sides.drawn.images[i] for i in made]))
    return Picture(
        "real_over_synthetic",
        "Real above synthetic, class by class",
        f"The first {_SHEET_CELLS} held-out real cells and the first {_SHEET_CELLS} synthetic ones "
        f"of each class, not chosen by anyone, at {view.side} px.",
        "Rows of held-out real cells, each above a row of synthetic cells of its class.",
        contact_sheet(rows),
        shows_real=True,
    )


def drawn_sheet(drawn: Cells, view: View) -> Picture:
    """Return the sheet of drawn cells, class by class."""
    rows = [
        (readable(label), [drawn.images[i] for i in made])
        for label in LABELS
        if len(made := drawn.rows(label, _SHEET_CELLS))
    ]
    return Picture(
        "synthetic",
        "Synthetic cells, class by class",
        f"The first {_SHEET_CELLS} synthetic cells of each class, not chosen by anyone, at "
        f"{view.side} px.",
        "A row of synthetic cells for each class.",
        contact_sheet(rows),
        shows_real=False,
    )
