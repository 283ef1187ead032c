"""The files of a dataset folder that are made of all others: the card and what goes with it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from curation.output import write_whole

from .card_pictures import CLASS_BALANCE, class_balance
from .changelog import CHANGELOG_NAME, changelog
from .citation import CITATION_NAME, citation_file
from .column_schema import SCHEMA_NAME, column_schema
from .croissant import CROISSANT_NAME, croissant_file
from .dataset_card import render_card
from .facts import CardFacts, read_facts
from .release_record import ReleaseRecord, write_record

CARD_NAME = "README.md"
DERIVED: dict[str, Callable[[CardFacts], str]] = {
    CHANGELOG_NAME: lambda facts: changelog(facts.record),
    CITATION_NAME: lambda facts: citation_file(facts.record),
    SCHEMA_NAME: column_schema,
    CROISSANT_NAME: croissant_file,
    CARD_NAME: render_card,
}
"""File -> what writes its text, from facts alone: `check-card` writes each anew and compares."""


def write_derived(folder: Path, record: ReleaseRecord, facts: CardFacts | None = None) -> CardFacts:
    """Write the record of a dataset folder and every file made of it; return what they state.

    `facts` are those of an earlier call, whose rows are not counted again.
    """
    write_record(folder, record)
    facts = read_facts(folder) if facts is None else replace(facts, record=record)
    target = folder / CLASS_BALANCE
    target.parent.mkdir(parents=True, exist_ok=True)
    write_whole(target, class_balance(facts.balance()))
    for name, write in DERIVED.items():
        write_whole(folder / name, write(facts).encode())
    return facts
