"""A small quarantine of drawn cells with made-up text burned in, and the vault beside it."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from smearkit.demo_cells import Stain, draw_cell

NAMES = ("Mueller_Anna/cell 1.png", "Okafor/cell 2.png", "ward7/field.png", "ward7/broken.jpg")
TEXTS = ("S24-1187", "Anna Mueller", "12.03.1961")


@dataclass(frozen=True)
class MadeQuarantine:
    """Where it lies, and the ids of its images in their order."""

    quarantine: Path
    vault: Path
    ids: tuple[str, ...]


def entry(number: int, **changes: Any) -> dict[str, Any]:
    """Return one line of `entries.jsonl` as JSON values; the id ends with the number."""
    made = f"{number:016x}"
    fields: dict[str, Any] = {
        "id": made, "position": 7 * number, "reason": "burned_in_text", "detail": "1 hit",
        "name": NAMES[number % len(NAMES)], "file": f"{made}.bin", "picture": None,
        "boxes": [[4, 4, 60, 16]], "texts": [TEXTS[number % len(TEXTS)]],
    }  # fmt: skip
    return fields | changes


def conflict() -> dict[str, Any]:
    """Return one group of copies that disagree."""
    return {
        "reason": "label_conflict", "image_id": "ab" * 16, "positions": [3, 90],
        "labels": ["monocyte", "lymphocyte"], "names": ["Mueller/3.png", "Okafor/90.png"],
    }  # fmt: skip


@lru_cache(maxsize=64)
def picture(number: int, width: int = 96, height: int = 96) -> bytes:
    """Return a drawn cell with text burned in, as a PNG that holds a name besides its pixels."""
    cell = draw_cell("monocyte", np.random.default_rng(number), Stain(), 96)
    image = Image.fromarray(cell).resize((width, height))
    ImageDraw.Draw(image).text((6, 5), TEXTS[number % len(TEXTS)], fill=(0, 0, 0))
    out = io.BytesIO()
    image.save(out, "PNG", pnginfo=_name_inside())
    return out.getvalue()


def make_quarantine(root: Path, n_images: int = 3) -> MadeQuarantine:
    """Write cells with text, then one file that cannot be decoded, then a conflict."""
    quarantine, vault = root / "export-quarantine", root / "export-vault"
    quarantine.mkdir(mode=0o700, parents=True)
    vault.mkdir(mode=0o700)
    entries = [entry(number) for number in range(1, n_images + 1)]
    for number, made in enumerate(entries, start=1):
        (quarantine / made["file"]).write_bytes(picture(number))
    broken = entry(n_images + 1, reason="unreadable", detail="OSError", boxes=[], texts=[])
    (quarantine / broken["file"]).write_bytes(b"\xff\xd8 no more than that")
    entries.append(broken)
    write_entries(quarantine, [*entries, conflict()])
    return MadeQuarantine(quarantine, vault, tuple(made["id"] for made in entries))


def write_entries(quarantine: Path, entries: list[dict[str, Any]]) -> None:
    """Write `entries.jsonl`."""
    lines = (json.dumps(one, ensure_ascii=False) + "\n" for one in entries)
    (quarantine / "entries.jsonl").write_text("".join(lines), encoding="utf-8")


def _name_inside() -> Any:
    from PIL.PngImagePlugin import PngInfo

    found = PngInfo()
    found.add_text("Patient", "Mueller Anna")
    return found
