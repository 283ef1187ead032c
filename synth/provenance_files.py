"""Where an XMP packet stands in a JPEG, PNG or WebP file, and putting it there.

The coded pixels are copied bit for bit: a picture that was encoded again would not have the codec
of the real ones any more. Source: XMP specification part 3 (ISO 16684-1), Embedding XMP in files.
"""

from __future__ import annotations

import io
import zlib

from PIL import Image

_SOI = b"\xff\xd8"
_APP1 = b"\xff\xe1"
_XMP_SEGMENT = b"http://ns.adobe.com/xap/1.0/\x00"
_MOST_SEGMENT = 65533 - len(_XMP_SEGMENT)
_PNG = b"\x89PNG\r\n\x1a\n"
_IHDR_END = 33
"""PNG: signature (8 bytes) and the IHDR chunk (12 + 13), which always comes first."""
_XMP_CHUNK = b"XML:com.adobe.xmp" + bytes(5)
"""PNG: keyword, its end, not compressed (2 bytes), no language, no translated keyword."""
_VP8X_XMP, _VP8X_ALPHA = 0x04, 0x10


def with_xmp(data: bytes, packet: bytes) -> bytes:
    """Return an encoded image with an XMP packet in it; its coded pixels stay bit for bit.

    Raises: ValueError where the file is no JPEG, PNG or WebP, or a JPEG cannot hold so much.
    """
    if data[:2] == _SOI:
        if len(packet) > _MOST_SEGMENT:
            raise ValueError(f"a JPEG holds an XMP packet of {_MOST_SEGMENT} bytes at most")
        body = _XMP_SEGMENT + packet
        return data[:2] + _APP1 + (len(body) + 2).to_bytes(2) + body + data[2:]
    if data[:8] == _PNG:
        return data[:_IHDR_END] + _png_chunk(b"iTXt", _XMP_CHUNK + packet) + data[_IHDR_END:]
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return _webp_with_xmp(data, packet)
    raise ValueError("expected a JPEG, PNG or WebP file")


def split_xmp(data: bytes) -> tuple[bytes, bytes | None]:
    """Return a JPEG or PNG without the XMP packet that `with_xmp` put in, and that packet.

    The packet is None where there is none at that place; what stands elsewhere stays in the image.
    """
    start = 6 + len(_XMP_SEGMENT)
    if data[:4] == _SOI + _APP1 and data[6:start] == _XMP_SEGMENT:
        end = 4 + int.from_bytes(data[4:6])
        return data[:2] + data[end:], data[start:end]
    if data[:8] == _PNG and data[_IHDR_END + 4 : _IHDR_END + 8] == b"iTXt":
        end = _IHDR_END + 12 + int.from_bytes(data[_IHDR_END : _IHDR_END + 4])
        chunk = data[_IHDR_END:end]
        packet = chunk[8 + len(_XMP_CHUNK) : -4]
        if chunk == _png_chunk(b"iTXt", _XMP_CHUNK + packet):
            return data[:_IHDR_END] + data[end:], packet
    return data, None


def _png_chunk(name: bytes, body: bytes) -> bytes:
    return len(body).to_bytes(4) + name + body + zlib.crc32(name + body).to_bytes(4)


def _webp_with_xmp(data: bytes, packet: bytes) -> bytes:
    chunks = data[12:]
    if chunks[:4] == b"VP8X":
        chunks = chunks[:8] + bytes([chunks[8] | _VP8X_XMP]) + chunks[9:]
    else:
        with Image.open(io.BytesIO(data)) as image:
            sides, alpha = image.size, image.mode == "RGBA"
        flags = _VP8X_XMP | (_VP8X_ALPHA if alpha else 0)
        canvas = b"".join((side - 1).to_bytes(3, "little") for side in sides)
        chunks = _riff_chunk(b"VP8X", bytes([flags, 0, 0, 0]) + canvas) + chunks
    return _riff_chunk(b"RIFF", b"WEBP" + chunks + _riff_chunk(b"XMP ", packet))


def _riff_chunk(name: bytes, body: bytes) -> bytes:
    return name + len(body).to_bytes(4, "little") + body + bytes(len(body) % 2)
