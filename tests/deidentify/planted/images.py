"""Class folders of single images, with planted facts in every format, in names and in times."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, time
from pathlib import Path

from .expected import Cell, facts_of_cells, label_of
from .fact import Fact, MadeImage, go
from .invented import Invented
from .jpeg import planted_jpegs
from .other_formats import planted_bmps, planted_gifs, planted_webps
from .png import planted_pngs
from .tables import Part
from .tiff import planted_tiffs

_SUFFIXES = {"JPEG": "jpg", "PNG": "png", "TIFF": "tif", "GIF": "gif", "WebP": "webp", "BMP": "bmp"}
_SEEDS_EACH = 200


Planted = Callable[[Invented, int], Iterator[MadeImage]]
FORMATS: tuple[Planted, ...] = (
    planted_jpegs, planted_pngs, planted_tiffs, planted_gifs, planted_webps, planted_bmps,
)  # fmt: skip


def write_image_part(
    folder: Path, invented: Invented, seed: int, formats: Sequence[Planted] = FORMATS
) -> Part:
    """Write class folders of some formats, in folders named after persons."""
    cells: list[Cell] = []
    facts: list[Fact] = []
    for number, image in enumerate(_images(invented, seed, formats)):
        label = label_of(number)
        below, planted = _folder(folder / label, number, invented)
        stem = invented.name().replace(", ", "_")
        path = below / f"{stem}.{_suffix(image, number)}"
        path.write_bytes(image.data)
        facts += [*image.plants, *planted, go("file names", f"of {image.where}", stem)]
        if number % 6 == 0:
            facts.append(_dated(path, invented))
        if image.shown is not None:
            cells.append(Cell(image.carrier, image.where, image.shown, label, image.levels,
                              image.scan))  # fmt: skip
    facts += _beside(folder / "BA", invented)
    return Part(folder, tuple(cells), (*facts, *facts_of_cells(cells)))


def _images(invented: Invented, seed: int, formats: Sequence[Planted]) -> Iterator[MadeImage]:
    for number, planted in enumerate(formats):
        yield from planted(invented, seed + _SEEDS_EACH * number)


def _suffix(image: MadeImage, number: int) -> str:
    suffix = _SUFFIXES[image.carrier]
    # Programs disagree about how to write it, and some leave a wrong one.
    return suffix.upper() if number % 5 == 0 else suffix


def _folder(label: Path, number: int, invented: Invented) -> tuple[Path, list[Fact]]:
    """Return the folder for an image; every third gets one of its own, named after a person."""
    if number % 3:
        label.mkdir(parents=True, exist_ok=True)
        return label, []
    name = invented.name()
    below = label / invented.number() / name
    below.mkdir(parents=True)
    return below, [go("folder names", "of a person", name),
                   go("folder names", "of a case", below.parent.name)]  # fmt: skip


def _dated(path: Path, invented: Invented) -> Fact:
    """Give a file a time of change, and return the fact that this is."""
    day = invented.day()
    moment = datetime.combine(day, time(9, 8, 7), UTC).timestamp()
    os.utime(path, (moment, moment))
    return go("times of files", f"of number {path.stat().st_mtime_ns % 97}", day.isoformat())


def _beside(folder: Path, invented: Invented) -> Iterator[Fact]:
    """Write what programs leave beside images."""
    for name in ("Befund.txt", "Thumbs.db", "desktop.ini", "cell.xmp", ".hidden.jpg", "export.log"):
        text = invented.name()
        (folder / name).write_text(f"[by {text}]", encoding="utf-8")
        yield go("files beside images", name, text)
