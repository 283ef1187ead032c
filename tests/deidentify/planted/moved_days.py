"""Days of several visits under a policy that moves them: no day stays, the days between do."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path

from .cells import cell, encoded
from .expected import Cell, facts_of_cells, facts_of_groups, label_of
from .fact import Check, Fact, go, stay
from .invented import Invented
from .outcome import Outcome
from .tables import Part

_CARRIER = "moved days"
_APART = (0, 3, 31, 366)
_POLICY = """
policy: 1
name: moved-days
columns:
  - {names: [patient], action: pseudonymise, to: subject}
  - {names: [slide], action: pseudonymise, to: slide}
  - {names: [seen], action: shift_date, to: seen}
  - {names: [born], action: drop}
"""


def write_moved_days_part(folder: Path, invented: Invented, seed: int) -> Part:
    """Write cells of patients who were seen on several days, and a policy that moves days."""
    images = folder / "images"
    images.mkdir(parents=True)
    rows: list[dict[str, str]] = []
    cells: list[Cell] = []
    facts: list[Fact] = []
    seen: list[date] = []
    for patient in range(3):
        who, first, born = invented.number(), invented.far_day(), invented.day().isoformat()
        facts += [go(_CARRIER, "patient", who), go(_CARRIER, "day of birth", born)]
        for days in _APART:
            number = len(rows)
            day, slide = first + timedelta(days), invented.accession()
            made = Cell(_CARRIER, f"patient {patient}, day {days}", cell(seed + number),
                        label_of(number), subject=who, slide=slide)  # fmt: skip
            name = f"{invented.number()}.png"
            (images / name).write_bytes(encoded(made.shown, "PNG"))
            rows.append({"file_name": name, "label": made.label, "patient": who, "slide": slide,
                         "seen": day.isoformat(), "born": born})  # fmt: skip
            facts.append(go(_CARRIER, "day", day.isoformat(), _moved(made, day)))
            facts.append(go("file names", f"of {made.where}", Path(name).stem))
            cells.append(made)
            seen.append(day)
    with (images / "metadata.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, list(rows[0]))
        table.writeheader()
        table.writerows(rows)
    (folder / "policy.yaml").write_text(_POLICY, encoding="utf-8")
    facts += [*facts_of_cells(cells), *facts_of_groups(_CARRIER, cells), *_apart(cells, seen)]
    return Part(images, tuple(cells), tuple(facts), ("--policy", folder / "policy.yaml"))


def _released(outcome: Outcome, made: Cell) -> date | None:
    text = outcome.value(made.shown, "seen")
    return None if text is None else date.fromisoformat(text)


def _moved(made: Cell, day: date) -> Check:
    return lambda outcome: _released(outcome, made) not in (None, day)


def _apart(cells: Sequence[Cell], seen: Sequence[date]) -> Iterator[Fact]:
    for (one, first), (other, second) in pairwise(zip(cells, seen, strict=True)):
        if one.subject == other.subject:
            check = _as_far_apart(one, other, second - first)
            yield stay(_CARRIER, f"days from {one.where} to {other.where}", check)


def _as_far_apart(one: Cell, other: Cell, days: timedelta) -> Check:
    def same(outcome: Outcome) -> bool:
        first, second = _released(outcome, one), _released(outcome, other)
        return first is not None and second is not None and second - first == days

    return same
