"""Small files that ask for much memory or time: refused by name, within bounds of both."""

from __future__ import annotations

import io
import re
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, TiffImagePlugin

Made = Callable[[], bytes]
MEMORY_BYTES = 200 << 20
SECONDS = 20
# One child reads all, so that the imports are paid for once; each file is a line of its answer.
CHILD = """
import resource, sys, time
from pathlib import Path
from curation.errors import ImageError
from curation.pixels import Limits, release_image
resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[1]), int(sys.argv[1])))
for name in sys.argv[2:]:
    data = Path(name).read_bytes()
    before, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
    try:
        outcome = release_image(data, Limits()).codec
    except ImageError as error:
        outcome = error.reason
    spent = time.perf_counter() - started
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    print(outcome, round(spent, 2), grown // 1024, flush=True)
"""


@cache
def picture() -> Image.Image:
    noise = np.random.default_rng(0).integers(0, 256, (40, 48, 3), dtype=np.uint8)
    return Image.fromarray(noise)


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


@cache
def zeros(megabytes: int) -> bytes:
    packer = zlib.compressobj(9)
    block = bytes(1 << 20)
    return b"".join(packer.compress(block) for _ in range(megabytes)) + packer.flush()


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_with(*chunks: bytes, at: int = 33) -> bytes:
    data = encoded(picture(), "PNG")
    return data[:at] + b"".join(chunks) + data[at:]


def png_of(width: int, height: int, pixels: bytes) -> bytes:
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def tiff(entries: dict[int, int], body: bytes, following: int = 0) -> bytes:
    """A TIFF of one directory of LONG fields."""
    out = b"II*\x00" + struct.pack("<IH", 8, len(entries))
    for tag in sorted(entries):
        out += struct.pack("<HHII", tag, 4, 1, entries[tag])
    return out + struct.pack("<I", following) + body


def tiff_of(side: int, compression: int, body: bytes, **more: int) -> bytes:
    fields = {256: side, 257: side, 258: 8, 259: compression, 262: 1, 277: 1}
    fields |= {int(tag[1:]): value for tag, value in more.items()}
    start = 10 + 12 * len(fields) + 4
    offset = 324 if 322 in fields else 273
    fields[offset] = start + 12 + 12
    fields[offset + 1 if offset == 324 else 279] = len(body)
    return tiff(fields, body)


def with_pages(next_page: Callable[[bytes, int], int], extra: bytes = b"") -> bytes:
    """A TIFF whose first directory goes on at an offset that depends on the file."""
    data = bytearray(encoded(picture(), "TIFF"))
    start = struct.unpack_from("<I", data, 4)[0]
    count = struct.unpack_from("<H", data, start)[0]
    struct.pack_into("<I", data, start + 2 + 12 * count, next_page(bytes(data), start))
    return bytes(data) + extra


def chain(first: int, pages: int) -> bytes:
    """Directories of one field each, one after the other."""
    page = struct.pack("<HHHII", 1, 256, 4, 1, 64)
    return b"".join(page + struct.pack("<I", first + 18 * (n + 1)) for n in range(pages))


def tiff_to_itself(tag: int) -> bytes:
    info = TiffImagePlugin.ImageFileDirectory_v2()
    info[tag] = 8
    return encoded(picture(), "TIFF", tiffinfo=info)


def jpeg_of_scans(side: int, count: int) -> bytes:
    data = encoded(Image.new("L", (side, side)), "JPEG", progressive=True, quality=10)
    last = [found.start() for found in re.finditer(b"\xff\xc4|\xff\xda", data)][-2:]
    return data[:-2] + data[last[0] : -2] * count + data[-2:]


def self_reference(data: bytes, start: int) -> int:
    return start


def at_the_end(data: bytes, start: int) -> int:
    return len(data)


TIFF_SIZE = len(encoded(picture(), "TIFF"))
GIF, BMP = encoded(picture().convert("P"), "GIF"), encoded(picture(), "BMP")
# With metadata, a WebP says the size of its canvas in a chunk of its own.
WEBP = encoded(picture(), "WEBP", xmp=b"made")
BOMBS: dict[str, tuple[str, Made]] = {
    "zTXt": ("unreadable", lambda: png_with(chunk(b"zTXt", b"k\0\0" + zeros(300)))),
    "iTXt": ("unreadable", lambda: png_with(chunk(b"iTXt", b"k\0\1\0\0\0" + zeros(300)))),
    "iCCP": ("unreadable", lambda: png_with(chunk(b"iCCP", b"k\0\0" + zeros(300)))),
    "zTXt at the end": (
        "unreadable", lambda: png_with(chunk(b"zTXt", b"k\0\0" + zeros(300)), at=-12),
    ),
    "many zTXt": ("unreadable", lambda: png_with(chunk(b"zTXt", b"k\0\0" + zeros(1)[:900]) * 900)),
    "IDAT": ("png", lambda: png_of(48, 40, zeros(300))),
    "PNG of 10^12 px": ("too_large", lambda: png_of(10**6, 10**6, zeros(1))),
    "TIFF of 10^12 px": ("too_large", lambda: tiff_of(10**6, 1, bytes(500), t278=10**6)),
    "tile of 10^9 px": ("too_large", lambda: tiff_of(64, 5, bytes(500), t322=40000, t323=40000)),
    "tile of a width in letters": (
        "unreadable",
        lambda: tiff_of(64, 5, bytes(500), t322=40000, t323=2**31 - 1).replace(
            struct.pack("<HHI", 322, 4, 1), struct.pack("<HHI", 322, 2, 3)
        ),
    ),
    "strip of 2^31 rows": ("unreadable", lambda: tiff_of(64, 8, bytes(500), t278=2**31 - 1)),
    "deflated strip": ("png", lambda: tiff_of(64, 8, zeros(300), t278=64)),
    "directory that is its own next": ("png", lambda: with_pages(self_reference)),
    "cycle of two directories": (
        "several_images",
        lambda: with_pages(
            at_the_end, struct.pack("<HHHIII", 1, 256, 4, 1, 64, TIFF_SIZE)
        ),
    ),
    "300,000 pages": (
        "several_images", lambda: with_pages(at_the_end, chain(TIFF_SIZE, 300_000)),
    ),
    "SubIFD to itself": ("png", lambda: tiff_to_itself(330)),
    "EXIF directory to itself": ("png", lambda: tiff_to_itself(34665)),
    "WebP canvas": (
        "too_large",
        lambda: WEBP[:24] + (2**24 - 1).to_bytes(3, "little") * 2 + WEBP[30:],
    ),
    "GIF screen": (
        "too_large",
        lambda: GIF[:6] + b"\xff" * 4 + GIF[10:],
    ),
    "BMP of 2^31 px": (
        "too_large",
        lambda: BMP[:18] + struct.pack("<ii", 2**30, -(2**31)) + BMP[26:],
    ),
    "JPEG of 65500 px": (
        "too_large",
        lambda: re.sub(
            b"(?s)(\xff\xc2...)....", b"\\1\xff\xdc\xff\xdc",
            encoded(picture(), "JPEG", progressive=True), count=1,
        ),
    ),
    "JPEG of 100 scans": ("png", lambda: jpeg_of_scans(1000, 90)),
    "JPEG of 5000 scans": ("unreadable", lambda: jpeg_of_scans(1000, 5000)),
}  # fmt: skip


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    folder = tmp_path_factory.mktemp("bombs")
    files = []
    for number, (_, make) in enumerate(BOMBS.values()):
        files.append(folder / f"{number}")
        files[-1].write_bytes(make())
    command = [sys.executable, "-c", CHILD, str(MEMORY_BYTES + (1 << 30)), *map(str, files)]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=120, check=True,
        cwd=Path(__file__).resolve().parents[2],
    )  # fmt: skip
    lines = [line.split() for line in done.stdout.splitlines()]
    return dict(zip(BOMBS, lines, strict=True))


@pytest.mark.parametrize("bomb", BOMBS)
def test_bombs_cost_little_and_are_named(bomb: str, answers: dict[str, list[str]]) -> None:
    outcome, seconds, megabytes = answers[bomb]
    assert outcome == BOMBS[bomb][0]
    assert float(seconds) < SECONDS
    assert int(megabytes) < MEMORY_BYTES >> 20
