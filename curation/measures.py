"""What is measured on every usable cell while its pixels are there. One more is one more entry."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from .closeup import Closeups
from .dedupe.signature import SIGNATURE_SCHEMA, sign, signature_columns
from .validate.appearance import APPEARANCE_COLUMNS, appearance_columns
from .validate.checks import Measures, check_scores


@dataclass(frozen=True, slots=True)
class Measure:
    """Some columns, and the function that makes them of the cells of a chunk."""

    schema: pa.Schema
    measure: Callable[[Closeups], Mapping[str, pa.Array]]


def _identity(closeups: Closeups) -> dict[str, pa.Array]:
    width, height = closeups.glances.sizes.T
    return {
        "turned_id": pa.array(closeups.turned_ids, pa.string()),
        "pixels": pa.array(width.astype(np.int64) * height),
    }


def _signature(closeups: Closeups) -> Mapping[str, pa.Array]:
    glances = closeups.glances
    return signature_columns(sign(glances.tiles_NHWC, glances.sizes.min(axis=1)))


def _checks(closeups: Closeups) -> dict[str, pa.Array]:
    scores = check_scores(closeups.glances, closeups.fine)
    return {f"raw_{name}": pa.array(values) for name, values in scores.items()}


def _appearance(closeups: Closeups) -> dict[str, pa.Array]:
    rows = appearance_columns(closeups.glances)
    return {"appearance": vectors(rows)}


def vectors(rows: NDArray[np.float32]) -> pa.FixedSizeListArray:
    """Return rows of numbers (n, k) as one column of lists."""
    return pa.FixedSizeListArray.from_arrays(pa.array(rows.ravel()), rows.shape[1])


def as_rows(column: pa.ChunkedArray | pa.Array) -> NDArray[Any]:
    """Return a column of lists or of single numbers, without nulls, as (n, k) or (n,)."""
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if isinstance(array.type, pa.FixedSizeListType):
        flat = array.flatten().to_numpy(zero_copy_only=False)
        return np.asarray(flat).reshape(len(array), array.type.list_size)
    return np.asarray(array.to_numpy(zero_copy_only=False))


_VECTOR = pa.list_(pa.float32(), len(APPEARANCE_COLUMNS))
MEASURES: tuple[Measure, ...] = (
    Measure(pa.schema([("turned_id", pa.string()), ("pixels", pa.int64())]), _identity),
    Measure(SIGNATURE_SCHEMA, _signature),
    Measure(pa.schema([(f"raw_{name}", pa.float32()) for name in Measures._fields]), _checks),
    Measure(pa.schema([("appearance", _VECTOR)]), _appearance),
)

MEASURED: pa.Schema = pa.schema([field for one in MEASURES for field in one.schema])
"""The columns of every staged row that are measured; null where a row cannot be used."""


def measured_columns(closeups: Closeups) -> dict[str, pa.Array]:
    """Return the measured columns of the cells of a chunk, in the order of `MEASURED`."""
    made: dict[str, pa.Array] = {}
    for one in MEASURES:
        columns = one.measure(closeups)
        made.update((field.name, columns[field.name].cast(field.type)) for field in one.schema)
    return made
