"""The row of a corpus: one cell. Real and synthetic cells share this schema."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Literal, get_args

import pyarrow as pa
import pyarrow.compute as pc

from .errors import CorpusError
from .frozen import Frozen
from .vocabulary import LABELS

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)
Origin = Literal["real", "synthetic"]

_SYNTHETIC_ONLY = ("generator", "seed", "guidance", "steps", "training_corpus")
# Later additions: corpora of before lack them, and a synthetic cell may have none of a value.
_SYNTHETIC_MAYBE: tuple[tuple[str, pa.DataType], ...] = (
    ("guidance_low", pa.float64()),
    ("guidance_high", pa.float64()),
    ("acquisition", pa.int64()),
    ("autoguidance", pa.string()),
    ("label_probability", pa.float64()),
    ("realism", pa.float64()),
    ("nearest_training", pa.float64()),
)
LATER_COLUMNS = tuple(name for name, _ in _SYNTHETIC_MAYBE)
_COLUMNS: tuple[tuple[str, pa.DataType], ...] = (
    ("image", pa.struct([("bytes", pa.binary()), ("path", pa.string())])),
    ("image_id", pa.string()),
    ("label", pa.int64()),
    ("subject", pa.string()),
    ("slide", pa.string()),
    ("site", pa.string()),
    ("origin", pa.string()),
    ("source", pa.string()),
    ("license", pa.string()),
    ("generator", pa.string()),
    ("seed", pa.int64()),
    ("guidance", pa.float64()),
    ("steps", pa.int64()),
    ("training_corpus", pa.string()),
    *_SYNTHETIC_MAYBE,
)


class Attribute(Frozen):
    """A column that the policy adds to the corpus' own; `action` made its values."""

    name: str
    action: str
    is_number: bool = False
    quasi_identifier: bool = False
    sensitive: bool = False


def _feature(name: str, kind: pa.DataType) -> dict[str, object]:
    if name == "image":
        return {"_type": "Image"}
    if name == "label":
        return {"names": list(LABELS), "_type": "ClassLabel"}
    return {"dtype": {"double": "float64"}.get(str(kind), str(kind)), "_type": "Value"}


def schema_with(attributes: Sequence[Attribute] = ()) -> pa.Schema:
    """Return the schema of a corpus whose policy adds some columns."""
    # The same key that `datasets` writes, so that `load_dataset` sees Image and ClassLabel; built
    # here because importing `datasets` takes seconds (a test holds it equal to what it writes).
    added = [(a.name, pa.float64() if a.is_number else pa.string()) for a in attributes]
    columns = [*_COLUMNS, *added]
    features = {name: _feature(name, kind) for name, kind in columns}
    info = json.dumps({"info": {"features": features}})
    return pa.schema(columns, metadata={"huggingface": info})


SCHEMA: pa.Schema = schema_with()


def _first_where(mask: pa.ChunkedArray | pa.Array) -> int | None:
    filled = pc.fill_null(mask, False)
    index = pc.index(filled, True).as_py()
    return None if index < 0 else int(index)


def check_rows(table: pa.Table, split: str, schema: pa.Schema = SCHEMA) -> None:
    """Refuse rows that break the schema's rules; the error names the first bad row by position.

    Raises: CorpusError.
    """
    if split not in SPLITS:
        raise CorpusError(f"split {split!r} is not one of {', '.join(SPLITS)}")
    extra = sorted(set(table.column_names) - set(schema.names))
    missing = sorted(set(schema.names) - set(table.column_names))
    if extra or missing:
        raise CorpusError(
            f"rows do not fit the corpus schema: unexpected columns {extra}, missing {missing}"
        )
    if not table.schema.equals(schema, check_metadata=False):
        raise CorpusError(
            f"columns have other types than the corpus schema: found {table.schema.to_string()}"
        )
    synthetic = pc.equal(table["origin"], "synthetic")
    real = pc.equal(table["origin"], "real")
    rules = [
        (pc.invert(pc.fill_null(pc.or_(real, synthetic), False)),
         "origin is neither 'real' nor 'synthetic'"),
        (pc.is_null(table["image_id"]), "image_id is null"),
        (pc.is_null(pc.struct_field(table["image"], "bytes")), "image has no bytes"),
        (pc.is_valid(pc.struct_field(table["image"], "path")),
         "image has a path (a file name may identify)"),
        (pc.or_kleene(pc.is_null(table["label"]),
                      pc.or_(pc.less(table["label"], 0),
                             pc.greater_equal(table["label"], len(LABELS)))),
         "label is outside the vocabulary"),
    ]  # fmt: skip
    for name in _SYNTHETIC_ONLY:
        null = pc.is_null(table[name])
        rules.append((pc.and_(synthetic, null), f"synthetic, but {name} is null"))
    for name in (*_SYNTHETIC_ONLY, *LATER_COLUMNS):
        rules.append((pc.and_(real, pc.is_valid(table[name])), f"real, but {name} is set"))
    rules.append((pc.xor(pc.is_null(table["guidance_low"]), pc.is_null(table["guidance_high"])),
                  "guidance_low and guidance_high are not both there"))  # fmt: skip
    if split != "train":
        rules.append((synthetic, f"synthetic in the {split} split (only train may hold them)"))
    for mask, text in rules:
        position = _first_where(mask)
        if position is not None:
            raise CorpusError(f"row {position} of {split}: {text}")
