"""The second pass of `curate`: from staged rows to the shards of each split, in keyed order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from .cells import SPLITS, Attribute, schema_with
from .corpus_writer import SHARD_BYTES, shard_name, shards_done, write_shard
from .manifest import Shard
from .progress import Progress
from .staged_rows import StagedRows
from .vocabulary import LABEL_IDS


def write_shards(
    folder: Path,
    staged: StagedRows,
    kept: NDArray[np.int64],
    splits: NDArray[np.int64],
    order: NDArray[np.int64],
    *,
    attributes: Sequence[Attribute] = (),
    emptied: Mapping[str, Sequence[str | float | None]],
    source: str | None,
    license_id: str | None,
    progress: Progress,
) -> list[Shard]:
    """Write the kept rows; shards that an interrupted run finished are not written again.

    `emptied` is column -> the value of every staged row, where it is not what was staged.
    """
    sizes = staged.columns(["size"])["size"].to_numpy()[kept]
    done = shards_done(folder)
    schema = schema_with(attributes)
    names = [name for name in schema.names if name in staged.names]
    shards: list[Shard] = []
    for index, split in enumerate(SPLITS):
        rows = np.flatnonzero(splits == index)
        rows = rows[np.argsort(order[rows])]
        parts = split_by_bytes(sizes[rows])
        for number, part in enumerate(parts):
            path = shard_name(split, number, len(parts))
            shard = done.get(path)
            if shard is None:
                chosen = kept[rows[part]]
                values = {name: [column[i] for i in chosen] for name, column in emptied.items()}
                images = staged.images(chosen, sizes[rows[part]])
                plain = staged.take(chosen, names)
                table = _rows(images, plain, schema, values, source, license_id)
                shard = write_shard(folder, split, path, table, schema)
            shards.append(shard)
            progress("write", sum(s.rows for s in shards), len(kept))
    return shards


def split_by_bytes(sizes: NDArray[np.int64], limit: int | None = None) -> list[slice]:
    """Cut a run of rows into slices of about equal bytes, none much over the limit."""
    if len(sizes) == 0:
        return []
    limit = limit or SHARD_BYTES
    count = max(1, int(np.ceil(sizes.sum() / limit)))
    ends = np.searchsorted(np.cumsum(sizes), np.arange(1, count + 1) * sizes.sum() / count)
    edges = sorted({0, *(int(end) + 1 for end in ends[:-1]), len(sizes)})
    return [slice(a, b) for a, b in pairwise(edges)]


def _rows(
    images: pa.BinaryArray,
    staged: pa.Table,
    schema: pa.Schema,
    values: Mapping[str, Sequence[str | float | None]],
    source: str | None,
    license_id: str | None,
) -> pa.Table:
    count = len(staged)
    image = pa.StructArray.from_arrays(
        [images, pa.nulls(count, pa.string())], names=["bytes", "path"]
    )
    labels = [LABEL_IDS[name] for name in staged["label"].to_pylist()]
    constant = {"origin": "real", "source": source, "license": license_id}
    columns: dict[str, Any] = {
        **{name: staged[name] for name in schema.names if name in staged.column_names},
        "image": image,
        "label": pa.array(labels, pa.int64()),
        **{name: pa.array([value] * count, pa.string()) for name, value in constant.items()},
        **{name: pa.array(column, schema.field(name).type) for name, column in values.items()},
    }
    return pa.table(
        {field.name: columns.get(field.name, pa.nulls(count, field.type)) for field in schema},
        schema=schema,
    )
