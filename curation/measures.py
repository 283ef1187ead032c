"""What is measured on every usable cell while its pixels are there. One more is one more entry."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pyarrow as pa

from .glance import Glances


@dataclass(frozen=True, slots=True)
class Measure:
    """Some columns, and the function that makes them of the cells of a chunk."""

    schema: pa.Schema
    measure: Callable[[Glances], Mapping[str, pa.Array]]


MEASURES: tuple[Measure, ...] = ()

MEASURED: pa.Schema = pa.schema([field for one in MEASURES for field in one.schema])
"""The columns of every staged row that are measured; null where a row cannot be used."""


def measured_columns(glances: Glances) -> dict[str, pa.Array]:
    """Return the measured columns of the cells of a chunk, in the order of `MEASURED`."""
    made: dict[str, pa.Array] = {}
    for one in MEASURES:
        columns = one.measure(glances)
        made.update((field.name, columns[field.name].cast(field.type)) for field in one.schema)
    return made
