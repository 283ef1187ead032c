"""Turn every JPEG of folders by every EXIF orientation, and count what comes of it.

For each folder: how many are turned as JPEG, whether turning back gives the same coefficients and
tables, how far the decoded pixels are from the turned pixels, and sizes and times beside PNG's.

    python -m scripts.measure_jpeg_turn FOLDER...
"""

from __future__ import annotations

import argparse
import io
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image

from curation.deidentify.jpeg import CleanJpeg, clean_jpeg
from curation.deidentify.jpeg_scan_read import read_scan
from curation.deidentify.jpeg_turn import TURNS, turned_jpeg
from curation.deidentify.jpeg_walk import walk_jpeg
from curation.pixels import encode_png

_BACK = {2: 2, 3: 3, 4: 4, 5: 5, 6: 8, 7: 7, 8: 6}


@dataclass(slots=True)
class Tally:
    """Sums over the turns of a folder; sizes in bytes, times in seconds of processor."""

    tried: int = 0
    turned: dict[int, int] = field(default_factory=dict)
    came_back: int = 0
    back_again: int = 0
    most_levels: int = 0
    levels: float = 0.0
    before: int = 0
    after: int = 0
    as_png: int = 0
    seconds: list[float] = field(default_factory=list)


def main() -> None:
    """Print a line for each folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--most", type=int, help="at most so many files of each folder")
    parser.add_argument("--own-codes", action="store_true", help="codes fitted to each image first")
    options = parser.parse_args()
    for folder in options.folders:
        files = sorted(folder.rglob("*.jpg"))
        step = max(1, len(files) // options.most) if options.most else 1
        tally = Tally()
        for path in files[::step]:
            data = _with_own_codes(path) if options.own_codes else path.read_bytes()
            _measure(clean_jpeg(data), tally)
        _print(folder, len(files[::step]), tally)


def _measure(jpeg: CleanJpeg, tally: Tally) -> None:
    pixels = _pixels(jpeg)
    for orientation in TURNS:
        tally.tried += 1
        started = time.process_time()
        turned = turned_jpeg(jpeg, orientation)
        if turned is None:
            continue
        tally.seconds.append(time.process_time() - started)
        tally.turned[orientation] = tally.turned.get(orientation, 0) + 1
        back = turned_jpeg(turned, _BACK[orientation])
        # Where the last blocks are not full, an axis that was mirrored cannot be mirrored back.
        if back is not None:
            tally.back_again += 1
            tally.came_back += _same(jpeg, back)
        shown = _shown(pixels, orientation)
        apart = np.abs(_pixels(turned).astype(np.int16) - shown)
        tally.most_levels = max(tally.most_levels, int(apart.max()))
        tally.levels += float(apart.mean())
        tally.before += len(jpeg.data)
        tally.after += len(turned.data)
        tally.as_png += len(encode_png(np.ascontiguousarray(shown)))


def _with_own_codes(path: Path) -> bytes:
    out = io.BytesIO()
    with Image.open(path) as image:
        image.save(out, "JPEG", quality="keep", optimize=True)
    return out.getvalue()


def _shown(pixels: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    turn = TURNS[orientation]
    mirrored = pixels[:: -1 if turn.mirror_y else 1, :: -1 if turn.mirror_x else 1]
    return mirrored.swapaxes(0, 1) if turn.transpose else mirrored


def _same(one: CleanJpeg, other: CleanJpeg) -> bool:
    walks = [walk_jpeg(jpeg.data) for jpeg in (one, other)]
    planes = [
        read_scan(walk.scans[0], jpeg.frame, jpeg.restarts)
        for walk, jpeg in zip(walks, (one, other), strict=True)
    ]
    return (
        one.frame == other.frame
        and walks[0].quantisation == walks[1].quantisation
        and all(np.array_equal(a, b) for a, b in zip(*planes, strict=True))
    )


def _pixels(jpeg: CleanJpeg) -> NDArray[np.uint8]:
    space = "GRAY" if jpeg.components == 1 else "RGB"
    return np.asarray(simplejpeg.decode_jpeg(jpeg.data, space, strict=True), dtype=np.uint8)


def _print(folder: Path, files: int, tally: Tally) -> None:
    turns = sum(tally.turned.values())
    print(f"{folder.name}: {files} files, {turns} of {tally.tried} turns exact: {tally.turned}")
    if not turns:
        return
    print(f"  turned back: {tally.came_back} of {tally.back_again} are the same coefficients")
    print(f"  pixels: at most {tally.most_levels} levels apart, {tally.levels / turns:.2f} mean")
    print(
        f"  bytes: {tally.after / tally.before:.3f} of the source, as PNG "
        f"{tally.as_png / tally.before:.2f}; {1000 * np.median(tally.seconds):.0f} ms median, "
        f"{1000 * max(tally.seconds):.0f} ms most"
    )


if __name__ == "__main__":
    main()
