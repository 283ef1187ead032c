"""Made patients and slides, and the columns of a laboratory's table about them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from curation.deidentify.policy import load_policy

from .cells import cell
from .expected import Cell, label_of
from .fact import Fact, go
from .invented import Invented

Row = Mapping[str, str]
"""Column -> value; a column without a value is left out."""

_AGES = {"93 years": "90+", "047 years": "40-49", "104 years": "90+", "7.6 years": "0-9",
         "89.9 years": "80-89", "21,5 years": "20-29"}  # fmt: skip
_SEXES = {"F": "female", "männlich": "male", "W": "female", "diverse": "other"}
_STAINS = {"MGG": "may-grünwald-giemsa", "Wright Giemsa": "wright-giemsa", "GIEMSA": "giemsa"}
_LENSES = {"100x": 100.0, "40": 40.0, "63,0": 63.0}
_SLIDES = 2


@dataclass(frozen=True, slots=True)
class People:
    """The rows of a table, the cells that they describe, and the facts planted in the rows."""

    rows: tuple[Row, ...]
    cells: tuple[Cell, ...]
    facts: tuple[Fact, ...]


def planted_people(
    carrier: str,
    invented: Invented,
    seed: int,
    *,
    patients: int = 4,
    known: str = "",
    taken: Collection[str] = (),
) -> People:
    """Return made patients with two slides each and one cell a slide, in every known column.

    `known` is the record number of the first patient, where another export has it too; `taken`
    are columns in which the table says something else.
    """
    rows: list[dict[str, str]] = []
    cells: list[Cell] = []
    facts: list[Fact] = []
    for patient in range(patients):
        own, says, planted = _patient(carrier, patient, invented)
        if patient == 0 and known:
            own["subject"] = known
        else:
            planted.append(go(carrier, "subject", own["subject"]))
        facts += planted
        for _ in range(_SLIDES):
            number = len(rows)
            more, seen, planted = _slide(carrier, number, invented)
            facts += planted
            where = f"row {number}"
            cells.append(Cell(carrier, where, cell(seed + number), label_of(seed + number),
                              subject=own["subject"], slide=more["slide"],
                              says={**says, **seen}))  # fmt: skip
            rows.append({**own, **more})
    dropped = [column for column in dropped_columns() if column not in taken]
    for number, column in enumerate(dropped):
        value = _value(column, invented)
        rows[number % len(rows)][column] = value
        facts.append(go(carrier, f"column {column}", value))
    return People(tuple(rows), tuple(cells), tuple(facts))


def columns_of(rows: Sequence[Row]) -> list[str]:
    """Return the columns of some rows, in the order in which they are met."""
    return list(dict.fromkeys(column for row in rows for column in row))


def _patient(
    carrier: str, number: int, invented: Invented
) -> tuple[dict[str, str], dict[str, str], list[Fact]]:
    """Return what a table says of a patient, what is released of it, and what must go."""
    age, band = list(_AGES.items())[number % len(_AGES)]
    sex, released = list(_SEXES.items())[number % len(_SEXES)]
    own = {
        "subject": invented.number(),
        "site": f"{invented.address()} Klinik",
        "age": age,
        "sex": sex,
    }
    facts = [go(carrier, column, own[column]) for column in ("site", "age")]
    return own, {"age_band": band, "sex": released}, facts


def _slide(
    carrier: str, number: int, invented: Invented
) -> tuple[dict[str, str], dict[str, str | float], list[Fact]]:
    """Return what a table says of a slide, what is released of it, and what must go."""
    day = invented.day()
    stain, dyed = list(_STAINS.items())[number % len(_STAINS)]
    lens, power = list(_LENSES.items())[number % len(_LENSES)]
    own = {"slide": invented.accession(), "acquired": day.isoformat(), "stain": stain,
           "magnification": lens, "pixel_size_um": "0.1024"}  # fmt: skip
    says: dict[str, str | float] = {"acquisition_year": str(day.year), "stain": dyed,
                                    "magnification": power, "pixel_size_um": 0.1024}  # fmt: skip
    return own, says, [go(carrier, column, own[column]) for column in ("slide", "acquired")]


_USED = ("subject", "slide", "site", "age", "sex", "acquired", "stain", "magnification",
         "pixel_size_um")  # fmt: skip


def dropped_columns() -> Iterator[str]:
    """Yield every column of tables that the default policy knows, but those that are released.

    Of several columns that would become one, only the first is released: the others go as well.
    """
    for rule in load_policy().columns:
        for name in rule.names:
            if name not in _USED and ":" not in name:
                yield _spelled_out(name)


def _spelled_out(name: str) -> str:
    """Return a column that a name with * stands for."""
    before = "patient_" if name.startswith("*") else ""
    behind = "_2" if name.endswith("*") else ""
    return f"{before}{name.strip('*').strip('_')}{behind}"


def _value(column: str, invented: Invented) -> str:
    """Return a value as such a column holds it."""
    kinds: dict[tuple[str, ...], Callable[[], str]] = {
        ("date", "birth", "dob", "time", "admission", "discharge", "year"): (
            lambda: invented.day().isoformat()
        ),
        ("email",): invented.email,
        ("phone",): invented.phone,
        ("address", "street", "city", "zip", "postcode", "hospital", "lab"): invented.address,
        ("serial", "device", "scanner", "microscope"): invented.serial,
        ("id", "mrn", "record", "number", "accession", "order", "hash", "md5", "sha"): (
            invented.number
        ),
    }
    for words, make in kinds.items():
        if any(word in column for word in words):
            return make()
    return invented.name()
