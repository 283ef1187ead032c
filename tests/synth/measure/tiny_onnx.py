"""A tiny ONNX file, written field by field: an average over the places of an image.

The format is protobuf; field numbers are those of onnx.proto3, of which this needs few.
"""

from __future__ import annotations

_FLOAT = 1


def pooled_model(
    batch: int | None,
    height: int | None,
    width: int | None,
    channels_last: bool,
    channels: int = 3,
) -> bytes:
    """Return a model of one ReduceMean node; None leaves a size open."""
    places = [1, 2] if channels_last else [2, 3]
    sizes = [batch, height, width, channels] if channels_last else [batch, channels, height, width]
    axes = _text(1, "axes") + b"".join(_number(8, axis) for axis in places) + _number(20, 7)
    keep = _text(1, "keepdims") + _number(3, 0) + _number(20, 2)
    node = (
        _text(1, "images") + _text(2, "features") + _text(4, "ReduceMean")
        + _bytes(5, axes) + _bytes(5, keep)
    )  # fmt: skip
    graph = (
        _bytes(1, node) + _text(2, "tiny")
        + _bytes(11, _value("images", sizes)) + _bytes(12, _value("features", [batch, channels]))
    )  # fmt: skip
    return _number(1, 8) + _bytes(7, graph) + _bytes(8, _text(1, "") + _number(2, 13))


def _value(name: str, sizes: list[int | None]) -> bytes:
    dimensions = b"".join(
        _bytes(1, _text(2, f"open{place}") if size is None else _number(1, size))
        for place, size in enumerate(sizes)
    )
    tensor = _number(1, _FLOAT) + _bytes(2, dimensions)
    return _text(1, name) + _bytes(2, _bytes(1, tensor))


def _varint(value: int) -> bytes:
    out = b""
    while value > 127:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _bytes(field: int, data: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(data)) + data


def _text(field: int, text: str) -> bytes:
    return _bytes(field, text.encode())
