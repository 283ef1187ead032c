"""The README.md of a dataset: the Hub's YAML head, and the card after Datasheets for Datasets.

Source: Gebru et al., Communications of the ACM 64:86 (2021): the headings are its sections.
"""

from __future__ import annotations

from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from synth.measure.measurement import Measurement
from synth.select_config import RULES

from .about import NOT_STATED
from .card_head import head
from .card_pictures import CLASS_BALANCE, CLASS_SHEET, SHEET_CELLS
from .citation import citation_lines
from .column_texts import column_text
from .facts import CardFacts
from .hub_license import license_url
from .license_terms import split_licenses
from .measure_names import family_name, goal_text, measure_name

CARD_FORMAT = 1
"""Raised with every change of what a card says, so that an older card is checked as such."""


def render_card(facts: CardFacts) -> str:
    """Return the README.md of a dataset folder."""
    # A name missing from the facts must fail the card, not leave a gap in it.
    environment = Environment(
        loader=PackageLoader("cards"), undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True, keep_trailing_newline=True,
    )  # fmt: skip
    environment.filters |= {
        "num": number, "family": family_name, "measure": measure_name, "goal": goal_text,
        "cell": table_cell, "interval": interval,
    }  # fmt: skip
    body = environment.get_template(f"{facts.record.kind}_card.md.j2").render(
        facts=facts, record=facts.record, about=facts.record.about, counts=facts.counts,
        manifest=facts.manifest, selection=facts.selection, rules=RULES, not_stated=NOT_STATED,
        column_text=column_text, sheet=_there(facts.folder, CLASS_SHEET),
        balance=_there(facts.folder, CLASS_BALANCE), sheet_cells=SHEET_CELLS,
        figure=lambda name: _there(facts.folder, f"reports/figures/{name}"),
        citation=citation_lines(facts.record), license_url=license_url,
        licenses=split_licenses(facts.record.license),
    )  # fmt: skip
    return f"{head(facts)}\n{body.rstrip()}\n"


def _there(folder: Path, name: str) -> str | None:
    return name if (folder / name).is_file() else None


def number(value: float | None, digits: int = 3) -> str:
    """Return a number as a card shows it, in significant digits."""
    return "–" if value is None else f"{value:.{digits}g}"


def interval(found: Measurement) -> str:
    """Return the interval of a measurement as a card shows it."""
    if found.low is None and found.high is None:
        return "–"
    return f"{number(found.low)} to {number(found.high)}"


def table_cell(text: object) -> str:
    """Return a text that cannot break out of the cell of a table."""
    return " ".join(str(text).replace("|", "\\|").split())
