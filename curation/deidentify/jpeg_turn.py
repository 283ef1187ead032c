"""A JPEG turned upright in its DCT coefficients: no pixel is decoded, so no second loss.

A mirrored block has the same coefficients, those of odd frequencies with the other sign; a
transposed one has them transposed. So blocks change places, values change places and signs, the
quantisation tables are transposed where the image is, and the scan is coded anew with the codes of
annex K.3. As with `jpegtran -perfect`, only where it is exact: an axis that is mirrored must be a
multiple of the MCU, since what fills up the last blocks would else come to lie in front.

Not turned, and left to be decoded: progressive files, files of several scans, odd sampling factors,
and what is large: a scan of 512 KiB or an image of 65,536 blocks takes half a second and 180 MiB.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from .jpeg import CleanJpeg, clean_jpeg, write_jpeg
from .jpeg_codes import layout
from .jpeg_frame import Frame, ScanHeader
from .jpeg_scan_read import read_scan
from .jpeg_scan_write import write_scan
from .jpeg_tables import AC, DC, STANDARD_CODES, TRANSPOSED, ZIGZAG, MalformedJpegError
from .jpeg_walk import Scan, Walk, walk_jpeg

MAX_CODED_BYTES = 512 * 1024
MAX_BLOCKS = 1 << 16
_ROW, _COLUMN = (np.array(line) for line in zip(*ZIGZAG, strict=True))


@dataclass(frozen=True, slots=True)
class Turn:
    """What makes an image upright: mirrored first, then transposed."""

    mirror_x: bool
    mirror_y: bool
    transpose: bool


TURNS = {
    2: Turn(True, False, False),
    3: Turn(True, True, False),
    4: Turn(False, True, False),
    5: Turn(False, False, True),
    6: Turn(False, True, True),
    7: Turn(True, True, True),
    8: Turn(True, False, True),
}
"""By EXIF orientation."""


def turned_jpeg(jpeg: CleanJpeg, orientation: int) -> CleanJpeg | None:
    """Return a JPEG turned upright from an EXIF orientation of 2 to 8, or None if not exactly."""
    turn = TURNS[orientation]
    if not _is_exact(jpeg, turn):
        return None
    try:
        walk = walk_jpeg(jpeg.data)
        planes = read_scan(walk.scans[0], jpeg.frame, jpeg.restarts)
        turned = _walk(walk, jpeg.frame, turn, [turned_blocks(plane, turn) for plane in planes])
        # Read again as any other file is: a table that is transposed may spell what it did not.
        return clean_jpeg(write_jpeg(turned).data)
    except MalformedJpegError:
        return None


def turned_blocks(blocks: NDArray[np.int16], turn: Turn) -> NDArray[np.int16]:
    """Return the coefficients, (rows, columns, 64) in zigzag order, of the turned image."""
    signs = np.ones(64, np.int16)
    if turn.mirror_x:
        signs[_COLUMN % 2 == 1] *= -1
    if turn.mirror_y:
        signs[_ROW % 2 == 1] *= -1
    out = blocks[:: -1 if turn.mirror_y else 1, :: -1 if turn.mirror_x else 1] * signs
    if turn.transpose:
        out = out.swapaxes(0, 1)[:, :, TRANSPOSED]
    return out


def _is_exact(jpeg: CleanJpeg, turn: Turn) -> bool:
    frame = jpeg.frame
    ((start, end), *more) = jpeg.scans
    if frame.progressive or more or end - start > MAX_CODED_BYTES:
        return False
    order = layout(frame)
    if order.units * len(order.owners) > MAX_BLOCKS:
        return False
    across = max(part.across for part in frame.components)
    down = max(part.down for part in frame.components)
    if any(across % part.across or down % part.down for part in frame.components):
        return False
    width, height = frame.mcu
    return not (
        (turn.mirror_x and frame.width % width) or (turn.mirror_y and frame.height % height)
    )


def _walk(walk: Walk, frame: Frame, turn: Turn, planes: list[NDArray[np.int16]]) -> Walk:
    """Return what a file of the turned coefficients holds."""
    turned = _frame(frame) if turn.transpose else frame
    tables = walk.quantisation
    if turn.transpose:
        tables = {slot: bytes(values[i] for i in TRANSPOSED) for slot, values in tables.items()}
    parts = tuple((i, min(i, 1), min(i, 1)) for i in range(len(frame.components)))
    used = {(k, slot): STANDARD_CODES[k][slot] for _, slot, _ in parts for k in (DC, AC)}
    scan = Scan(ScanHeader(parts, 0, 63, 0), used, write_scan(planes, layout(turned)))
    return Walk(quantisation=tables, frame=turned, scans=[scan], adobe=walk.adobe)


def _frame(frame: Frame) -> Frame:
    parts = tuple(replace(p, across=p.down, down=p.across) for p in frame.components)
    return replace(frame, width=frame.height, height=frame.width, components=parts)
