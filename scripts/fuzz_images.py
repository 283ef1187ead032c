"""Many damaged and booby-trapped images through `release_image`, and what must hold for each.

Nothing but ImageError is raised; no input takes longer than `--seconds-each`; a released image
decodes to the same pixels as an independent decoding of the input, where that is clean (within
five levels where a JPEG was turned in its coefficients); and no piece of a planted text is in the
released bytes. A child process does the work, so that a crash or a hang of a decoder is seen too,
with the number of its input. Exit status 1 on any failure.

    python scripts/fuzz_images.py --inputs 100000 --seed 0
    python scripts/fuzz_images.py --seed 0 --only 4711 --write input.bin
"""

from __future__ import annotations

import argparse
import io
import multiprocessing
import resource
import sys
import time
import warnings
from collections import Counter
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image, ImageOps

from curation.deidentify.jpeg import clean_jpeg
from curation.deidentify.orientation import UPRIGHT, exif_orientation
from curation.errors import ImageError
from curation.pixels import Limits, ReleasedImage, release_image
from scripts.mutated_images import Mutated, mutated

LIMITS = Limits(max_pixels=1_000_000)
PIECE = 5
"""Letters of a planted text that must not stand together in a released file."""

TURNED_LEVELS = 5
"""How far, of 255, the pixels of a turned JPEG may lie from its decoded pixels turned: luma may be
rounded by one otherwise, chroma by one in its blocks and by one between them, which blue shows
1.772-fold. Four is the most seen on real files.
"""
_MEMORY_BYTES = 4 << 30
_HUNG_AFTER_S = 60


@dataclass(slots=True)
class Tally:
    """What happened to the inputs so far."""

    outcomes: Counter[str] = field(default_factory=Counter)
    compared: int = 0
    planted: int = 0
    slowest_s: float = 0.0
    slowest_input: int = -1
    failures: list[str] = field(default_factory=list)


def main() -> None:
    """Run the inputs and print a summary."""
    options = _options()
    if options.only is not None:
        case = mutated(options.seed, options.only)
        if options.write:
            options.write.write_bytes(case.data)
        print(case.recipe, len(case.data), "bytes;", check(case)[0])
        return
    tally, died = _run_in_child(options)
    _print(tally)
    if died is not None:
        print(f"FAILED: the decoder crashed or hung on input {died} of seed {options.seed}")
    for failure in tally.failures[:20]:
        print(f"FAILED: {failure}")
    sys.exit(1 if tally.failures or died is not None else 0)


def check(case: Mutated) -> tuple[str, bool]:
    """Return the outcome of one input, and whether its pixels could be compared.

    Raises: AssertionError where something that must hold does not.
    """
    try:
        released = release_image(case.data, LIMITS)
    except ImageError as error:
        return f"quarantined: {error.reason}", False
    _check_text(case, released)
    shown = _plain(released.data)
    if not np.array_equal(shown, released.pixels):
        raise AssertionError("the released file does not decode to the pixels that it is named by")
    expected = _independent(case.data)
    if expected is not None and not _alike(shown, expected, _levels(case, released)):
        raise AssertionError("the released file shows other pixels than the input")
    return f"released: {released.codec}", expected is not None


def _levels(case: Mutated, released: ReleasedImage) -> int:
    """Return how far pixels may lie apart: decoders round turned blocks otherwise."""
    if released.codec == "png" or exif_orientation(clean_jpeg(case.data).exif) == UPRIGHT:
        return 0
    # Coefficients that no encoder writes go beyond what a decoder computes exactly.
    return 255 if case.damaged else TURNED_LEVELS


def _alike(one: NDArray[np.uint8], other: NDArray[np.uint8], levels: int) -> bool:
    if one.shape != other.shape:
        return False
    return int(np.abs(one.astype(np.int16) - other).max()) <= levels


def _check_text(case: Mutated, released: ReleasedImage) -> None:
    where = _without_pixels(released) if case.damaged else released.data
    for start in range(max(0, len(case.canary) - PIECE + 1)):
        piece = case.canary[start : start + PIECE]
        for form in (piece, piece[::-1], piece.decode().encode("utf-16-le")):
            if form in where:
                raise AssertionError(f"planted text is in the released {released.codec}")


def _without_pixels(released: ReleasedImage) -> bytes:
    """Return the bytes that code no pixel: the headers of a JPEG, and of a PNG."""
    if released.codec == "png":
        return released.data[: released.data.index(b"IDAT")]
    data = bytearray(released.data)
    for start, end in clean_jpeg(released.data).scans:
        data[start:end] = bytes(end - start)
    return bytes(data)


def _plain(data: bytes) -> NDArray[np.uint8]:
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image)


def _independent(data: bytes) -> NDArray[np.uint8] | None:
    """Decode an input as plain Pillow code does; None where that is not clean, or not defined."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with Image.open(io.BytesIO(data)) as image:
                if "icc_profile" in image.info or image.mode not in ("L", "RGB", "RGBA", "P"):
                    return None
                if data[:2] == b"\xff\xd8":
                    # Pillow is silent about damage in a scan.
                    simplejpeg.decode_jpeg(data, "GRAY" if image.mode == "L" else "RGB")
                upright = ImageOps.exif_transpose(image)
    except Exception:
        # Any error of any decoder means that there is nothing to compare with.
        return None
    if upright.mode == "L" and "transparency" not in upright.info:
        return np.asarray(upright)
    white = Image.new("RGBA", upright.size, "white")
    shown = Image.alpha_composite(white, upright.convert("RGBA"))
    return np.asarray(shown.convert("RGB"))


def _run_in_child(options: argparse.Namespace) -> tuple[Tally, int | None]:
    """Return the tally, and the number of the input at which the child died or hung."""
    context = multiprocessing.get_context("fork")
    receiving, sending = context.Pipe(duplex=False)
    current = context.Value("q", -1)
    child = context.Process(target=_work, args=(options, current, sending), daemon=True)
    child.start()
    sending.close()
    seen, since = -1, time.monotonic()
    while child.is_alive() and not receiving.poll(0.5):
        if current.value != seen:
            seen, since = current.value, time.monotonic()
        elif time.monotonic() - since > _HUNG_AFTER_S:
            child.kill()
    try:
        return receiving.recv(), None
    except EOFError:
        return Tally(), current.value


def _work(options: argparse.Namespace, current: Synchronized[int], sending: Connection) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    tally = Tally()
    ends = time.monotonic() + 60 * options.minutes if options.minutes else float("inf")
    for number in range(options.start, options.start + options.inputs):
        if time.monotonic() > ends:
            break
        current.value = number
        _one(options, number, tally)
    sending.send(tally)


def _one(options: argparse.Namespace, number: int, tally: Tally) -> None:
    case = mutated(options.seed, number)
    tally.planted += bool(case.canary)
    started = time.perf_counter()
    try:
        outcome, compared = check(case)
    except Exception as error:
        # Whatever was raised is a finding; the run goes on to find more.
        outcome, compared = "failed", False
        what = f"{type(error).__name__}: {error}"
        tally.failures.append(f"seed {options.seed} input {number} ({case.recipe}): {what}")
    spent = time.perf_counter() - started
    tally.outcomes[outcome] += 1
    tally.compared += compared
    if spent > tally.slowest_s:
        tally.slowest_s, tally.slowest_input = spent, number
    if spent > options.seconds_each:
        tally.failures.append(f"seed {options.seed} input {number} took {spent:.1f} s")


def _print(tally: Tally) -> None:
    total = sum(tally.outcomes.values())
    print(f"{total} inputs, {tally.planted} with planted text, {tally.compared} compared")
    for outcome, count in sorted(tally.outcomes.items()):
        print(f"  {outcome:<32} {count:>8}  {100 * count / max(total, 1):5.1f} %")
    print(f"slowest {1000 * tally.slowest_s:.0f} ms (input {tally.slowest_input})")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--inputs", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--start", type=int, default=0, help="number of the first input")
    parser.add_argument("--minutes", type=float, default=0, help="stop after; 0 means no limit")
    parser.add_argument("--seconds-each", type=float, default=5.0)
    parser.add_argument("--only", type=int, help="run one input")
    parser.add_argument("--write", type=Path, help="with --only: write the input there")
    return parser.parse_args()


if __name__ == "__main__":
    main()
