"""Parquet and Arrow files: every column decoded, and what stands beside the columns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pyarrow as pa
import pyarrow.parquet as pq

from ...cells import SCHEMA
from .pieces import Inner, Opened, Room, Sealed, begins, too_large

_BATCH_BYTES, _MOST_ROWS = 32 * 2**20, 4096
_HEAD, _TAIL = 4, 8
_SMALL = 1024
"""Mean length of binary values below which they are kept apart from each other when searched."""
_OWN_NUMBERS = frozenset(field.name for field in SCHEMA if not pa.types.is_nested(field.type))
_FAULTS = (pa.ArrowException, OSError, ValueError, KeyError, NotImplementedError)


def open_parquet(data: memoryview, room: Room) -> Opened:
    """Yield the columns, dictionaries and metadata of a Parquet file."""
    if bytes(data[:4]) not in (b"PAR1", b"PARE"):
        return
    try:
        with pq.ParquetFile(pa.BufferReader(pa.py_buffer(data))) as file:
            metadata, schema = file.metadata, file.schema_arrow
            yield from _beside(data, metadata)
        texts = [field.name for field in schema if pa.types.is_string(field.type)]
        # Read as dictionaries: one may hold values that no row uses any more.
        buffer = pa.BufferReader(pa.py_buffer(data))
        with pq.ParquetFile(buffer, metadata=metadata, read_dictionary=texts) as file:
            yield from _schema(file.schema_arrow, "Parquet")
            for group in range(metadata.num_row_groups):
                rows = _batch_rows(metadata.row_group(group))
                yield from _rows(file.iter_batches(rows, row_groups=[group]), "Parquet", room)
    except _FAULTS:
        # The library's message may repeat a value.
        yield Sealed("Parquet", "it is broken, cut off or encrypted")


def open_arrow(data: memoryview, room: Room) -> Opened:
    """Yield the columns of an Arrow file or stream."""
    is_file = begins(data, b"ARROW1")
    if is_file:
        opener = pa.ipc.open_file
    elif begins(data, b"\xff\xff\xff\xff") and 0 < int.from_bytes(data[4:8], "little") < len(data):
        opener = pa.ipc.open_stream
    else:
        return
    try:
        with opener(pa.BufferReader(pa.py_buffer(data))) as reader:
            yield from _schema(reader.schema, "Arrow")
            batches = (
                (reader.get_batch(i) for i in range(reader.num_record_batches))
                if is_file
                else reader
            )
            yield from _rows(batches, "Arrow", room)
    except _FAULTS:
        if is_file:
            yield Sealed("Arrow", "it is broken or cut off")


def _beside(data: memoryview, metadata: pq.FileMetaData) -> Opened:
    where = "Parquet key-value metadata"
    for name, value in (metadata.metadata or {}).items():
        yield Inner(where, (name + b"\x00" + value).decode("utf-8", "replace"), own=where)
    # The footer, with the extreme values of columns, is read as bytes: of a damaged one, the
    # library's view of a column ends the whole process.
    footer = len(data) - _TAIL - metadata.serialized_size
    yield Inner("Parquet pages", b"", span=(_HEAD, footer))
    where = "Parquet footer"
    yield Inner(where, data[footer:], fields=True, own=where)


def _schema(schema: pa.Schema, kind: str) -> Opened:
    yield Inner(f"{kind} column names", "\x00".join(_names(schema)))
    where = f"{kind} schema metadata"
    found = [schema.metadata, *(field.metadata for field in schema)]
    for pairs in found:
        for name, value in (pairs or {}).items():
            yield Inner(where, (name + b"\x00" + value).decode("utf-8", "replace"), own=where)


def _names(fields: Iterable[pa.Field]) -> Iterator[str]:
    for field in fields:
        yield field.name
        if pa.types.is_struct(field.type):
            yield from _names(field.type)


def _batch_rows(group: pq.RowGroupMetaData) -> int:
    a_row = max(group.total_byte_size // max(group.num_rows, 1), 1)
    return int(min(max(_BATCH_BYTES // a_row, 1), _MOST_ROWS))


def _rows(batches: Iterable[pa.RecordBatch], kind: str, room: Room) -> Opened:
    seen: set[int] = set()
    for batch in batches:
        # Of a damaged file, offsets may point anywhere in memory.
        batch.validate(full=True)
        if batch.nbytes > room.left:
            yield Sealed(kind, too_large(room))
            return
        room.take(batch.nbytes)
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            for part in _values(name, column, kind):
                # Batches share their dictionaries.
                if isinstance(part.content, str):
                    code = hash((part.carrier, part.content))
                    if code in seen:
                        continue
                    seen.add(code)
                yield part


def _values(path: str, array: pa.Array, kind: str) -> Iterator[Inner]:
    """Yield the values of a column: texts joined by barriers, bytes as they lie and one by one."""
    carrier, found = f"{kind} column {path}", array.type
    if isinstance(array, pa.ExtensionArray):
        yield from _values(path, array.storage, kind)
    elif pa.types.is_dictionary(found):
        yield from _values(path, array.dictionary, kind)
    elif pa.types.is_struct(found):
        for field, values in zip(found, array.flatten(), strict=True):
            yield from _values(f"{path}.{field.name}", values, kind)
    elif pa.types.is_map(found):
        yield from _values(path, array.keys, kind)
        yield from _values(path, array.items, kind)
    elif _is_list(found):
        yield from _values(path, array.flatten(), kind)
    elif _is_bytes(found):
        yield from _bytes(carrier, array)
    elif path not in _OWN_NUMBERS or pa.types.is_string(found):
        texts = dict.fromkeys(_as_text(value) for value in _distinct(array))
        if texts:
            yield Inner(carrier, "\x00".join(texts), own=carrier)


def _is_list(found: pa.DataType) -> bool:
    types = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
    return any(fits(found) for fits in types)


def _is_bytes(found: pa.DataType) -> bool:
    is_view = pa.types.is_binary_view(found)
    fixed = pa.types.is_fixed_size_binary(found) and not pa.types.is_decimal(found)
    return bool(pa.types.is_binary(found) or pa.types.is_large_binary(found) or fixed or is_view)


def _bytes(carrier: str, array: pa.Array) -> Iterator[Inner]:
    # The library's buffers are of signed bytes.
    buffers = (value.as_buffer() for value in array if value.is_valid)
    values = tuple(memoryview(buffer).cast("B") for buffer in buffers)
    if sum(map(len, values)) < _SMALL * len(values):
        yield Inner(carrier, b"\x00".join(values), fields=True)
    yield Inner(carrier, values)


def _distinct(array: pa.Array) -> Iterator[object]:
    try:
        values = array.unique()
    except pa.ArrowNotImplementedError:
        values = array
    return (value for value in values.to_pylist() if value is not None)


def _as_text(value: object) -> str:
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return value if isinstance(value, str) else str(value)
