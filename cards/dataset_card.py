"""The README.md of a dataset: the Hub's YAML head, and the card after Datasheets for Datasets.

Source: Gebru et al., Communications of the ACM 64:86 (2021): the headings are its sections.
"""

from __future__ import annotations

from pathlib import Path

from synth.select_config import RULES

from .about import NOT_STATED
from .card_head import head
from .card_pictures import CLASS_BALANCE, CLASS_SHEET, SHEET_CELLS
from .card_templates import card_environment
from .citation import citation_lines
from .column_texts import column_text
from .facts import CardFacts
from .hub_license import license_url
from .license_terms import split_licenses

CARD_FORMAT = 1
"""Raised with every change of what a card says, so that an older card is checked as such."""


def render_card(facts: CardFacts) -> str:
    """Return the README.md of a dataset folder."""
    body = card_environment().get_template(f"{facts.record.kind}_card.md.j2").render(
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
