"""Measure the search for copies on real cells: recall an alteration, and false merges.

    recall   each cell against an altered copy of itself, all cells together, through `near_pairs`
    false    every pair of a large set, and every pair across two laboratories (different for sure)
    others   imagehash and imagededup pHash, cleanvision, on the same pictures (--others PYTHON)

With --write-rates, the error rates that ship with the model are written anew.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray
from PIL import Image

from curation.dedupe import candidates as candidates_module
from curation.dedupe.candidates import find_candidates
from curation.dedupe.model import FalseRates
from curation.dedupe.near import NearPairs, near_pairs
from curation.dedupe.signature import Signatures, sign
from curation.dedupe.thumbs import ThumbArray
from curation.pixels import Pixels, decode_rgb
from curation.sources.box_source import open_boxes
from curation.tiles import shrink
from scripts.altered_cells import ALTERATIONS

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
_QUANTILE_QUERIES = 1500


def main() -> None:
    """Measure what was asked for and write one JSON file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("out/duplicates.json"))
    parser.add_argument("--cells", type=int, default=1000, help="of each laboratory, for recall")
    parser.add_argument(
        "--others", type=Path, help="Python with imagehash, imagededup, cleanvision"
    )
    parser.add_argument("--write-rates", action="store_true")
    parser.add_argument("--skip-false", action="store_true")
    parser.add_argument("--as-among", type=int, help="search as in a corpus of so many cells")
    parser.add_argument("--fields", action="store_true", help="BCCD's boxes instead of all else")
    parser.add_argument("--alterations", nargs="+", default=ALTERATIONS, choices=list(ALTERATIONS))
    options = parser.parse_args()
    if options.fields:
        print(json.dumps(fields(), indent=2))
        return
    if options.as_among is not None:
        # One setting for every size: that of the corpus asked for.
        candidates_module._SCALES = ((10**12, *candidates_module._scale(options.as_among)),)
    pbc, chula = _files("pbc_raw/*/*.jpg"), _files("chula_wbc/*.jpg")
    result: dict[str, Any] = {"recall": {}}
    for name, files in (("PBC, 360 px", pbc), ("Chula, 224 px", chula)):
        pixels = _distinct([decode_rgb(file.read_bytes()) for file in files[: options.cells]])
        result["recall"][name] = recall(pixels, options.alterations)
        if options.others is not None:
            result.setdefault("others", {})[name] = others(pixels, options.others)
    if not options.skip_false:
        result["false"], rates = false_merges(chula)
        if options.write_rates:
            target = Path("curation/dedupe/rates.json")
            target.write_text(rates.model_dump_json(indent=2) + "\n", encoding="utf-8")
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n")
    print(json.dumps(result, indent=2, ensure_ascii=False))


def recall(pixels: Sequence[Pixels], alterations: Iterable[str]) -> dict[str, Any]:
    """Return alteration -> how many cells' altered copies are found, all searched together."""
    plain = _signed(pixels)
    count = len(pixels)
    ids = [f"{row:08d}" for row in range(2 * count)]
    found: dict[str, Any] = {"n": count}
    for name in alterations:
        alter = ALTERATIONS[name]
        pairs = near_pairs(_joined(plain, _signed([alter(one) for one in pixels])), ids)
        hits = int(((pairs.second - pairs.first == count) & pairs.is_copy).sum())
        found[name] = {"found": hits, "share": round(hits / count, 4)}
        print(f"  {name}: {hits} of {count}", flush=True)
    return found


def false_merges(other: Sequence[Path]) -> tuple[dict[str, Any], FalseRates]:
    """Search all pairs of pbc128.parquet, and of it with another laboratory's cells."""
    table = pq.read_table(SHARED / "pbc128.parquet", columns=["image"])
    data = table["image"].combine_chunks().field("bytes")
    pbc = _signed_tiles([shrink(decode_rgb(value.as_py())) for value in data])
    chula = _signed([decode_rgb(file.read_bytes()) for file in other])
    started = time.process_time()
    pairs = near_pairs(pbc, [f"{row:08d}" for row in range(len(pbc))])
    seconds = time.process_time() - started
    both = near_pairs(
        _joined(pbc, chula), [f"{row:08d}" for row in range(len(pbc) + len(chula))],
        known=len(pbc),
    )  # fmt: skip
    crossing = (both.first < len(pbc)) & (both.second >= len(pbc))
    gates, shares = _gate(pbc)
    cross_pairs = len(pbc) * len(chula)
    result = {
        "pbc128": {**_summary(pairs), "cells": len(pbc), "pairs": len(pbc) * (len(pbc) - 1) // 2,
                   "cpu_seconds": round(seconds, 1)},
        "pbc128 x Chula": {"pairs": cross_pairs, "merged": int(crossing.sum())},
        "index_recall": _index_recall(pbc),
        "gate": dict(zip(map(str, gates), shares, strict=True)),
        "listed": [
            [int(a), int(b), *(round(float(value), 4) for value in measured)]
            for a, b, *measured in zip(
                pairs.first, pairs.second, pairs.correlation, pairs.detail, pairs.overlap,
                pairs.shift, strict=True,
            )
        ],
    }  # fmt: skip
    rates = FalseRates(
        measured_on=(
            "every pair of 14,596 PBC cells at 128 px, each that was taken looked at; and every "
            "pair of those with 508 cells of another laboratory"
        ),
        cells=len(pbc), pairs=len(pbc) * (len(pbc) - 1) // 2 + cross_pairs,
        gate_distance=tuple(gates), gate_share=tuple(shares), merged=int(crossing.sum()),
        highest_rejected=round(pairs.highest_rejected, 4),
    )  # fmt: skip
    return result, rates


def fields() -> dict[str, Any]:
    """Search the cells of BCCD's fields, as its boxes cut them, for copies."""
    place = SHARED / "bccd_fields"
    source = open_boxes(place / "images", place / "boxes.csv", margin=0.15, edge="clip")
    cells = [cell for cell in source.read(0, len(source)) if cell.pixels is not None]
    pixels = [cell.pixels for cell in cells if cell.pixels is not None]
    names = [cell.cut_from.name if cell.cut_from else "" for cell in cells]
    sides = np.array([min(one.shape[:2]) for one in pixels], np.int32)
    signatures = sign(np.stack([shrink(one) for one in pixels]), sides)
    pairs = near_pairs(signatures, [f"{row:08d}" for row in range(len(cells))])
    ends = zip(pairs.first.tolist(), pairs.second.tolist(), strict=True)
    same = np.array([names[a] == names[b] for a, b in ends], dtype=bool)
    return {
        "cells": len(cells), "within a field": int(same.sum()),
        "across fields": int((~same).sum()), "of these copies": int((~same & pairs.is_copy).sum()),
    }  # fmt: skip


def _summary(pairs: NearPairs) -> dict[str, Any]:
    return {
        "found": len(pairs), "copies": int(pairs.is_copy.sum()),
        "neighbours": int((~pairs.is_copy).sum()), "candidates": pairs.candidates,
        "registered": pairs.registered, "highest_rejected": round(pairs.highest_rejected, 4),
        "lowest_correlation": round(float(pairs.correlation.min(initial=1)), 4),
        "lowest_detail": round(float(pairs.detail.min(initial=1)), 4),
        "cut_off": pairs.cut_off,
    }  # fmt: skip


def _gate(signatures: Signatures) -> tuple[list[float], list[float]]:
    """Return distances of codes and the share of pairs of cells below, from a sample of cells."""
    codes = signatures.codes.astype(np.float32)
    rng = np.random.default_rng(0)
    asked = rng.permutation(len(codes))[:_QUANTILE_QUERIES]
    gates = [1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5]
    below = np.zeros(len(gates))
    for row in asked:
        distances = np.full(len(codes), np.inf, np.float32)
        for mine in codes[row]:
            apart = np.sqrt(((codes - mine) ** 2).mean(axis=2))
            distances = np.fmin(distances, np.nan_to_num(apart, nan=np.inf).min(axis=1))
        distances[row] = np.inf
        below += [(distances < gate).sum() for gate in gates]
    shares = below / (len(asked) * (len(codes) - 1))
    return gates, [float(f"{share:.3g}") for share in shares]


def _index_recall(signatures: Signatures) -> dict[str, float]:
    """Return the share of pairs within a distance that the inverted file finds of all there are."""
    found = find_candidates(signatures.codes)
    before = candidates_module.ALL_PAIRS_UP_TO
    candidates_module.ALL_PAIRS_UP_TO = 10**9
    try:
        everything = find_candidates(signatures.codes)
    finally:
        candidates_module.ALL_PAIRS_UP_TO = before
    count = len(signatures)
    there = set((found.first.astype(np.int64) * count + found.second).tolist())
    shares = {}
    for limit in (1.0, 2.0, 3.0, 3.5, 4.0, 4.5):
        near = everything.distances <= limit
        keys = np.unique(
            (everything.first.astype(np.int64) * count + everything.second)[near]
        ).tolist()
        shares[str(limit)] = round(sum(key in there for key in keys) / max(len(keys), 1), 4)
    return shares


def others(pixels: Sequence[Pixels], python: Path) -> dict[str, Any]:
    """Run the other tools over the same pictures and their altered copies."""
    found = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for alteration, alter in ALTERATIONS.items():
            target = folder / "cells"
            target.mkdir(exist_ok=True)
            for row, one in enumerate(pixels):
                Image.fromarray(one).save(target / f"{row:05d}a.png", compress_level=1)
                Image.fromarray(alter(one)).save(target / f"{row:05d}b.png", compress_level=1)
            done = subprocess.run(
                [str(python), "scripts/other_duplicate_tools.py", str(target)],
                capture_output=True, text=True, check=True,
            )  # fmt: skip
            found[alteration] = json.loads(done.stdout.splitlines()[-1])
            print(f"  others, {alteration}: {found[alteration]}", flush=True)
    return found


def _files(pattern: str) -> list[Path]:
    files = sorted(SHARED.glob(pattern))
    return [files[row] for row in np.random.default_rng(0).permutation(len(files))]


def _distinct(pixels: list[Pixels]) -> list[Pixels]:
    seen = {one.tobytes(): one for one in pixels}
    return list(seen.values())


def _signed(pixels: Sequence[Pixels]) -> Signatures:
    return _signed_tiles([shrink(one) for one in pixels])


def _signed_tiles(tiles: Sequence[NDArray[np.uint8]]) -> Signatures:
    parts = [sign(np.stack(tiles[at : at + 1024])) for at in range(0, len(tiles), 1024)]
    joined = parts[0]
    for part in parts[1:]:
        joined = _joined(joined, part)
    return joined


def _joined(a: Signatures, b: Signatures) -> Signatures:
    thumbs = [one.thumbs.take(np.arange(len(one))) for one in (a, b)]
    return Signatures(
        np.concatenate([a.keypoints, b.keypoints]), np.concatenate([a.codes, b.codes]),
        ThumbArray(np.concatenate(thumbs)),
    )  # fmt: skip


if __name__ == "__main__":
    main()
