"""How much burned-in text and how many barcodes are found, how often wrongly, and at what cost.

    fields      invented texts in every combination of height, colour, rotation, font and saving,
                on real smear fields; false alarms on the same fields without them
    crops       what the screen passes of crops with text and without, and what it costs beside
                reading the crop's file as curate does
    barcodes    QR, Data Matrix and Code 128 on the same fields, by module size and rotation; and
                on crops, what the screen passes and what is found
    redaction   how much ink is left, and what is still found, after blanking
    beyond      what is not promised: smaller and larger text, other colours, scripts, angles
    baseline    rapidocr as it comes, on every fourth image of `fields`

Fields and crops are real (../shared/data); every text is invented. Prints tables, or one JSON
object with --json. One thread; `fields` takes about six minutes on a core.

    OMP_NUM_THREADS=1 python scripts/bench_text.py [--only fields crops ...] [--json]
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import ParamSpec, TypeVar

import cv2
import numpy as np

from curation.deidentify.text.barcode import find_barcodes, may_hold_barcode
from curation.deidentify.text.engine import engine
from curation.deidentify.text.find import FinderConfig, TextFinder, find_text
from curation.deidentify.text.hit import Box, TextHit, overlap
from curation.deidentify.text.ocr import find_text_lines
from curation.deidentify.text.redact import blank
from curation.deidentify.text.screen import text_likeness
from curation.pixels import Limits, Pixels, release_image
from scripts.planted_text import (
    COLOURS,
    FONTS,
    HEIGHTS_PX,
    OTHER_COLOURS,
    ROTATIONS,
    SAVED,
    Planted,
    Style,
    designs,
    plant,
    saved_as,
)
from scripts.smear_images import crop_files, crop_sets, field_files, rgb

FACTORS = ("height_px", "colour", "rotation", "font", "saved")
COMBINATIONS = len(HEIGHTS_PX) * len(COLOURS) * len(ROTATIONS) * len(FONTS) * len(SAVED)
SEED = 2024
FINDER = TextFinder(FinderConfig(threads=1))
MODULES_PX = {"QRCode": (1, 2, 4), "DataMatrix": (2, 3, 4), "Code128": (1, 2, 3)}


@dataclass(frozen=True)
class Row:
    """How many of n were found, or passed, with the 95 % interval of the share (Wilson)."""

    section: str
    what: str
    found: int
    n: int
    low: float
    high: float


@dataclass(frozen=True)
class Cost:
    """Median milliseconds of something, and as a ratio to a baseline in the same run."""

    section: str
    what: str
    ms: float
    baseline: str
    ratio: float


Result = Row | Cost
T = TypeVar("T")
P = ParamSpec("P")


def main() -> None:
    """Run the sections asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=list(SECTIONS)[:4])
    parser.add_argument("--json", action="store_true", dest="as_json")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    engine(1).read(np.zeros((64, 64, 3), np.uint8))
    results: list[Result] = []
    for name in options.only:
        started = time.perf_counter()
        results += SECTIONS[name]()
        print(f"{name}: {time.perf_counter() - started:.0f} s", file=sys.stderr)
    if options.as_json:
        print(json.dumps({"load": os.getloadavg()[0], "results": [asdict(r) for r in results]}))
        return
    for result in results:
        print(_line(result))


def bench_fields() -> list[Result]:
    """Measure recall over the whole design, and false alarms on untouched fields."""
    cases = [(planted, _found(planted)) for planted in planted_fields(COMBINATIONS)]
    rows = [row("fields", "recall", (found for _, found in cases))]
    for factor in FACTORS:
        rows += by(cases, "fields", partial(_level, factor))
    rows += by(cases, "fields", lambda style: f"{style.colour} {style.height_px} px")
    alarms = [bool(find_text(rgb(file), 1)) for file in field_files()]
    rows.append(row("fields", "false alarms on untouched fields", alarms))
    for half, name in enumerate(("even", "odd")):
        rows.append(row("fields", f"false alarms, {name} fields", alarms[half::2]))
    return [*rows, *_field_costs()]


def bench_crops() -> list[Result]:
    """Measure the screen on the crops its weights were not fitted on, and its cost."""
    results: list[Result] = []
    rng = np.random.default_rng(SEED)
    styles = designs(rng)
    cases: dict[str, list[tuple[Planted, bool]]] = {}
    clean: dict[str, list[bool]] = {}
    clean_hits: dict[str, list[bool]] = {}
    for name, number, crop in crop_sets(1500):
        if number % 2 == 0:
            continue
        planted = _planted(crop, styles, rng)
        cases.setdefault(name, []).append((planted, _passes(planted.pixels)))
        clean.setdefault(name, []).append(_passes(crop))
        clean_hits.setdefault(name, []).append(_hits(crop))
    for name, of in cases.items():
        results.append(row("crops", f"{name}: with text, passed", (passed for _, passed in of)))
        results.append(row("crops", f"{name}: without text, passed", clean[name]))
    main_set = cases["pbc 360 px"]
    for factor in FACTORS:
        results += by(main_set, "crops", partial(_level, factor))
    results += by(main_set, "crops", lambda style: f"{style.colour} {style.height_px} px")
    for name, of in cases.items():
        looks = [_hits(planted.pixels) for planted, _ in of[:144]]
        results.append(row("crops", f"{name}: with text, for a person", looks))
        results.append(row("crops", f"{name}: without, for a person", clean_hits[name]))
    return [*results, *_crop_costs(clean["pbc 360 px"])]


def bench_barcodes() -> list[Result]:
    """Measure recall of barcodes, and false alarms on untouched fields."""
    rng = np.random.default_rng(SEED)
    files = field_files()
    results: list[Result] = []
    every: list[bool] = []
    for kind, sizes in MODULES_PX.items():
        for module_px in sizes:
            hits = []
            for turn in range(24):
                field = rgb(files[int(rng.integers(len(files)))])
                pixels, box = plant_barcode(field, kind, module_px, turn % 4, rng)
                pixels = saved_as(pixels, SAVED[turn // 4 % 2], rng)
                hits.append(any(overlap(hit.box, box) for hit in find_barcodes(pixels)))
            results.append(row("barcodes", f"{kind}, modules of {module_px} px", hits))
            every += hits
    alarms = (bool(find_barcodes(rgb(file))) for file in files)
    return [
        row("barcodes", "recall", every),
        *results,
        row("barcodes", "false alarms on untouched fields", alarms),
        *_codes_on_crops(rng),
    ]


def _codes_on_crops(rng: np.random.Generator) -> list[Result]:
    """Measure codes of 2 and 3 px a module on crops, where edges cut many, saved as JPEG."""
    sets: dict[str, list[Pixels]] = {}
    clean = []
    for name, _, crop in crop_sets(1500):
        clean.append(may_hold_barcode(crop))
        sets.setdefault(name, []).append(crop)
    results: list[Result] = []
    for kind in MODULES_PX:
        for share, name in ((0.0, "on crops"), (0.25, "cut by up to a quarter")):
            planted = [
                _code_on_some(list(sets.values()), kind, turn, share, rng) for turn in range(160)
            ]
            passed = (may_hold_barcode(pixels) for pixels in planted)
            results.append(row("barcodes", f"{kind} {name}: passed", passed))
            found = (bool(find_barcodes(pixels)) for pixels in planted)
            results.append(row("barcodes", f"{kind} {name}: found", found))
            seen = (_hits(pixels) for pixels in planted)
            results.append(row("barcodes", f"{kind} {name}: for a person", seen))
    return [*results, row("barcodes", "crops without a code: passed", clean)]


def _code_on_some(
    sets: list[list[Pixels]], kind: str, turn: int, cut: float, rng: np.random.Generator
) -> Pixels:
    """Put a code on a crop, and cut the crop through up to a share of the code's width."""
    while True:
        crops = sets[int(rng.integers(len(sets)))]
        crop = crops[int(rng.integers(len(crops)))]
        try:
            pixels, box = plant_barcode(crop, kind, 2 + turn // 4 % 2, turn % 4, rng)
        except ValueError:
            continue  # larger than this crop
        if cut:
            left = box[0] + int(rng.uniform(0, cut) * (box[2] - box[0]))
            pixels = np.ascontiguousarray(pixels[:, left:])
        if min(pixels.shape[:2]) >= 24:
            return saved_as(pixels, "jpeg", rng)


def bench_redaction() -> list[Result]:
    """Measure what is left of planted text after one round of blanking."""
    whole, again = [], []
    for planted in planted_fields(72, seed=SEED + 1):
        out = blank(planted.pixels, find_text(planted.pixels, 1))
        left = (planted.ink > 127) & (out == planted.pixels).all(axis=2)
        whole.append(not left.any())
        again.append(not find_text(out, 1))
    return [
        row("redaction", "no pixel of the text left", whole),
        row("redaction", "nothing found afterwards", again),
    ]


def bench_beyond() -> list[Result]:
    """Measure what is not promised, 36 of each."""
    plain = Style(12, "black", 0, "sans", "jpeg")
    results: list[Result] = []
    for height_px in (4, 5, 6, 7, 40, 60, 90):
        results.append(_beyond(f"height {height_px} px", replace(plain, height_px=height_px)))
    for colour in OTHER_COLOURS:
        results.append(_beyond(f"{colour}, 12 px", replace(plain, colour=colour)))
    for skew in (5, 15, 30, 45):
        results.append(_beyond(f"turned by {skew} degrees", plain, skew=skew))
    for name, text in _TEXTS.items():
        results.append(_beyond(name, plain, text=text))
    return results + _mosaics()


def _mosaics() -> list[Result]:
    """Measure text and false alarms on four fields put together, which are searched in tiles."""
    rng = np.random.default_rng(SEED)
    styles = designs(rng)
    found, alarms = [], []
    for start in range(0, 144, 4):
        four = [rgb(file) for file in field_files()[start : start + 4]]
        mosaic = np.vstack([np.hstack(four[:2]), np.hstack(four[2:])])
        found.append(_found(_planted(mosaic, styles, rng)))
        alarms.append(bool(find_text(mosaic, 1)))
    return [
        row("beyond", "1280x960 px, 8 to 24 px: recall", found),
        row("beyond", "1280x960 px: false alarms", alarms),
    ]


def bench_baseline() -> list[Result]:
    """Measure rapidocr as it comes on every fourth image of `fields`."""
    from rapidocr import RapidOCR

    reader = RapidOCR(params={"Global.log_level": "critical"})
    hits: list[bool] = []
    alarms: list[bool] = []
    ours: list[bool] = []
    theirs: list[float] = []
    own: list[float] = []

    def boxes(pixels: Pixels) -> list[Box]:
        corners = getattr(reader(np.ascontiguousarray(pixels[:, :, ::-1])), "boxes", None)
        return [
            (int(c[:, 0].min()), int(c[:, 1].min()), int(c[:, 0].max()), int(c[:, 1].max()))
            for c in (corners if corners is not None else ())
        ]

    for planted in list(planted_fields(COMBINATIONS))[::4]:
        hits.append(any(overlap(box, planted.box) for box in boxes(planted.pixels)))
        ours.append(_found(planted))
    for file in field_files()[::4]:
        pixels = rgb(file)
        alarms.append(bool(_timed(theirs, boxes, pixels)))
        _timed(own, find_text, pixels, 1)
    return [
        row("baseline", "rapidocr as it comes: recall", hits),
        row("baseline", "this search on the same: recall", ours),
        row("baseline", "rapidocr as it comes: false alarms", alarms),
        cost("baseline", "search of a field", own, "rapidocr as it comes, all cores", theirs),
    ]


SECTIONS: dict[str, Callable[[], list[Result]]] = {
    "fields": bench_fields,
    "crops": bench_crops,
    "barcodes": bench_barcodes,
    "redaction": bench_redaction,
    "beyond": bench_beyond,
    "baseline": bench_baseline,
}
_TEXTS = {
    "1 letter": "K",
    "2 letters": "KZ",
    "3 letters": "KZW",
    "4 digits": "4071",
    "only zeros and eights": "8008808",
    "Cyrillic": "Надежда",
    "Greek": "Θεοδώρα",
    "Arabic": "فاطمة الزهراء",
}


def planted_fields(count: int, seed: int = SEED) -> Iterator[Planted]:
    """Yield fields with a text each, going through the design; every field is used in turn."""
    rng = np.random.default_rng(seed)
    styles = designs(rng)
    files = field_files()
    order = np.concatenate([rng.permutation(len(files)) for _ in range(count // len(files) + 1)])
    for index in order[:count]:
        yield _planted(rgb(files[int(index)]), styles, rng)


def plant_barcode(
    field: Pixels, kind: str, module_px: int, turns: int, rng: np.random.Generator
) -> tuple[Pixels, Box]:
    """Put a barcode with its quiet zone on a field at a random place; return it with its box."""
    import zxingcpp

    content = f"P{rng.integers(10**7, 10**8)}"
    code = zxingcpp.create_barcode(content, zxingcpp.barcode_format_from_str(kind))
    drawn = np.array(zxingcpp.write_barcode_to_image(code, scale=module_px))
    drawn = np.rot90(drawn, turns)
    height, width = drawn.shape
    top = int(rng.integers(0, field.shape[0] - height + 1))
    left = int(rng.integers(0, field.shape[1] - width + 1))
    out = field.copy()
    out[top : top + height, left : left + width] = drawn[:, :, None]
    return out, (left, top, left + width, top + height)


def by(
    cases: Iterable[tuple[Planted, bool]], section: str, key: Callable[[Style], str]
) -> list[Row]:
    """Return one row for each group of styles, in order of the groups' names."""
    groups: dict[str, list[bool]] = {}
    for planted, found in cases:
        groups.setdefault(key(planted.style), []).append(found)
    return [row(section, f"  {name}", groups[name]) for name in sorted(groups, key=_natural)]


def row(section: str, what: str, outcomes: Iterable[bool]) -> Row:
    """Count outcomes, with the Wilson interval of their share."""
    every = [bool(outcome) for outcome in outcomes]
    found, n, z = sum(every), len(every), 1.96
    share = found / n
    centre, spread = (
        share + z * z / (2 * n),
        z * math.sqrt(share * (1 - share) / n + (z / n / 2) ** 2),
    )
    scale = 1 + z * z / n
    return Row(
        section, what, found, n, max((centre - spread) / scale, 0), (centre + spread) / scale
    )


def cost(
    section: str, what: str, times: list[float], baseline: str, baseline_times: list[float]
) -> Cost:
    """Compare the medians of two lists of seconds."""
    ms, baseline_ms = (1000 * float(np.median(t)) for t in (times, baseline_times))
    return Cost(section, what, round(ms, 3), baseline, round(ms / baseline_ms, 3))


def _field_costs() -> list[Result]:
    search: list[float] = []
    codes: list[float] = []
    bare: list[float] = []
    for file in field_files()[::20]:
        data = file.read_bytes()
        _timed(bare, release_image, data, Limits())
        pixels = rgb(file)
        _timed(search, find_text_lines, pixels, 1)
        _timed(codes, find_barcodes, pixels)
    name = "reading a field's file as curate does"
    return [
        cost("fields", "text search of a field", search, name, bare),
        cost("fields", "barcode search of a field", codes, name, bare),
    ]


def _crop_costs(passed: list[bool]) -> list[Result]:
    screen: list[float] = []
    search: list[float] = []
    bare: list[float] = []
    for number, file in enumerate(crop_files()[::5]):
        data = file.read_bytes()
        _timed(bare, release_image, data, Limits())
        pixels = rgb(file).copy()
        _timed(screen, text_likeness, pixels)
        if number % 10 == 0:
            _timed(search, find_text, pixels, 1)
    name = "reading a crop's file as curate does"
    share = float(np.mean(passed))
    added = [float(np.median(screen) + share * np.median(search))]
    return [
        cost("crops", "screen of a crop", screen, name, bare),
        cost("crops", "search of a crop", search, name, bare),
        cost("crops", f"added per crop, {share:.2%} searched", added, name, bare),
    ]


def _beyond(what: str, style: Style, text: str | None = None, skew: float = 0) -> Row:
    rng = np.random.default_rng(SEED)
    files = field_files()
    outcomes = []
    for number in range(36):
        turned = replace(style, rotation=ROTATIONS[number % 4], font=list(FONTS)[number % 3])
        planted = None
        while planted is None:
            planted = plant(rgb(files[number * 10]), turned, rng, text, skew)
        outcomes.append(_found(planted))
    return row("beyond", what, outcomes)


def _planted(pixels: Pixels, styles: Iterator[Style], rng: np.random.Generator) -> Planted:
    planted = None
    while planted is None:
        planted = plant(pixels, next(styles), rng)
    return planted


def _level(factor: str, style: Style) -> str:
    return f"{factor} {getattr(style, factor)}"


def _found(planted: Planted) -> bool:
    hits: tuple[TextHit, ...] = find_text_lines(planted.pixels, 1)
    return any(overlap(hit.box, planted.box) for hit in hits)


def _passes(pixels: Pixels) -> bool:
    return text_likeness(pixels) >= 0.5


def _hits(crop: Pixels) -> bool:
    return bool(FINDER.look(crop, whole_field=False).hits)


def _timed(times: list[float], call: Callable[P, T], *args: P.args, **options: P.kwargs) -> T:
    # Processor time, and the best of three: other load on the machine slows what is measured.
    best = math.inf
    for _ in range(3):
        started = time.process_time()
        result = call(*args, **options)
        best = min(best, time.process_time() - started)
    times.append(best)
    return result


def _natural(name: str) -> tuple[str | int, ...]:
    return tuple(int(part) if part.isdigit() else part for part in name.split())


def _line(result: Result) -> str:
    if isinstance(result, Cost):
        return (
            f"{result.section:<10} {result.what:<40} {result.ms:9.3f} ms   "
            f"ratio {result.ratio:.3f} to {result.baseline}"
        )
    share = result.found / result.n
    return (
        f"{result.section:<10} {result.what:<40} {result.found:5} of {result.n:5}  "
        f"{share:7.2%}  ({result.low:.2%} to {result.high:.2%})"
    )


if __name__ == "__main__":
    main()
