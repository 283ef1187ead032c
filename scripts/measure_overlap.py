"""Are the pairs that `smearkit overlap` finds true? An oracle that knows how one set was made.

    python -m scripts.measure_overlap CORPUS OTHER PAIRS.parquet [--pictures FOLDER]

For sets of which one holds the centre squares of the other, whole and upright: every centre square
of CORPUS at 32 px is correlated with every one of OTHER, without keypoints, codes or registration.
The best one is the twin where it correlates at --twin or more and the next is far below. Prints one
JSON object; pictures of the weakest pairs go to a folder, which must not be published.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import cv2
import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray
from PIL import Image

from curation.corpus import Corpus, load_corpus
from curation.pixels import Pixels, decode_rgb

_SIDE = 32
_SHOWN, _SHOWN_PX = 24, 128


def centre(pixels: Pixels, side: int) -> Pixels:
    """Return the centre square at a size."""
    height, width = pixels.shape[:2]
    edge = min(height, width)
    top, left = (height - edge) // 2, (width - edge) // 2
    square = np.ascontiguousarray(pixels[top : top + edge, left : left + edge])
    small: Pixels = np.asarray(
        cv2.resize(square, (side, side), interpolation=cv2.INTER_AREA), dtype=np.uint8
    )
    return small


def vectors(corpus: Corpus) -> tuple[list[str], NDArray[np.float32]]:
    """Return image ids, and centred unit vectors of all cells, (n, 3072)."""
    rows = np.stack([centre(decode_rgb(d), _SIDE).ravel() for d in corpus.images()])
    values = rows.astype(np.float32)
    values -= values.mean(axis=1, keepdims=True)
    values /= np.linalg.norm(values, axis=1, keepdims=True)
    return corpus.rows(["image_id"])["image_id"].to_pylist(), values


def show(corpus: Corpus, other: Corpus, pairs: list[tuple[str, str]], folder: Path) -> None:
    """Write a sheet of pairs, ours over theirs."""
    sides = []
    for one, wanted in ((corpus, {a for a, _ in pairs}), (other, {b for _, b in pairs})):
        names = one.rows(["image_id"])["image_id"].to_pylist()
        found = {n: d for n, d in zip(names, one.images(), strict=True) if n in wanted}
        sides.append({n: centre(decode_rgb(d), _SHOWN_PX) for n, d in found.items()})
    tiles = [np.vstack([sides[0][a], sides[1][b]]) for a, b in pairs]
    rows = [np.hstack(tiles[n : n + 8]) for n in range(0, len(tiles) - len(tiles) % 8, 8)]
    folder.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.vstack(rows)).save(folder / "weakest.png")


def main() -> None:
    """Compare and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("other", type=Path)
    parser.add_argument("pairs", type=Path)
    parser.add_argument("--twin", type=float, default=0.98)
    parser.add_argument("--pictures", type=Path)
    given = parser.parse_args()
    ours, theirs = load_corpus(given.corpus), load_corpus(given.other)
    our_ids, our_vectors = vectors(ours)
    their_ids, their_vectors = vectors(theirs)
    correlation = our_vectors @ their_vectors.T
    best = correlation.argmax(axis=1)
    top = np.take_along_axis(correlation, best[:, None], axis=1)[:, 0]
    np.put_along_axis(correlation, best[:, None], -1, axis=1)
    second = correlation.max(axis=1)
    twin = {our_ids[n]: their_ids[best[n]] for n in np.flatnonzero(top >= given.twin)}
    table = pq.read_table(given.pairs).to_pylist()
    hits = {(row["image_id"], row["other_image_id"]): row["correlation"] for row in table}
    is_twin = top >= given.twin
    print(json.dumps({
        "cells": len(our_ids), "other_cells": len(their_ids), "twins": len(twin),
        "lowest_twin": round(float(top[is_twin].min()), 4),
        "highest_without": None if is_twin.all() else round(float(top[~is_twin].max()), 4),
        "highest_second": round(float(second.max()), 4),
        "hits": len(hits), "true_hits": sum(twin.get(a) == b for a, b in hits),
        "false_hits": [h for h in hits if twin.get(h[0]) != h[1]],
        "missed": sorted(twin.keys() - {a for a, _ in hits}),
        "lowest_hit": round(min(hits.values()), 4),
        "second_above_twin": int((second >= given.twin).sum()),
    }))  # fmt: skip
    if given.pictures is not None:
        weakest = sorted(hits, key=lambda pair: hits[pair])[:_SHOWN]
        show(ours, theirs, weakest, given.pictures)


if __name__ == "__main__":
    main()
