"""Where true copies are lost on their way through the search: `python -m scripts.duplicate_losses`.

Each cell and one altered copy of it, all searched together as `measure_duplicates` does; a pair
counts where the best of its tries ends. Of those that the gate stops, how far the best of all their
pairs of blobs would have come tells whether a wider gate would help.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from curation.dedupe.alignment import align
from curation.dedupe.candidates import find_candidates, least_rough_correlation
from curation.dedupe.keypoints import KEYPOINTS
from curation.dedupe.near import _MIN_AGREEMENT, SAME_VIEW_SHIFT
from curation.dedupe.registration import (
    MIN_CORRELATION,
    MIN_DETAIL,
    MIN_OVERLAP,
    Match,
    register,
)
from curation.dedupe.rough import rough_correlation
from curation.dedupe.signature import Signatures
from curation.pixels import Pixels, decode_rgb
from scripts.altered_cells import ALTERATIONS
from scripts.measure_duplicates import _distinct, _files, _joined, _signed

STAGES = (
    "gate", "rings", "first look", "registration", "overlap", "correlation", "detail",
    "another view", "found",
)  # fmt: skip
SETS = {"PBC": "pbc_raw/*/*.jpg", "Chula": "chula_wbc/*.jpg"}
DEFAULT = (
    "cropped 5 %", "cropped 10 %", "cropped 10 % at one corner", "turned 15°",
    "turned 15°, white corners",
)  # fmt: skip

Flat = NDArray[np.int64]


def main() -> None:
    """Print one line an alteration, and one of how far those at the gate would have come."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cells", type=int, default=400, help="of each set")
    parser.add_argument("--alterations", nargs="+", default=DEFAULT, choices=list(ALTERATIONS))
    options = parser.parse_args()
    for name, pattern in SETS.items():
        files = _files(pattern)[: options.cells]
        pixels = _distinct([decode_rgb(file.read_bytes()) for file in files])
        print(f"{name}, {len(pixels)} cells")
        for alteration in options.alterations:
            ends, beyond = losses(pixels, alteration)
            print(f"  {alteration}: {_told(ends)}")
            print(f"    of those at the gate, without it: {_told(beyond)}", flush=True)


def losses(pixels: Sequence[Pixels], alteration: str) -> tuple[list[int], list[int]]:
    """Return where each true pair ends, by number of `STAGES`; and those at the gate without it."""
    count = len(pixels)
    altered = _signed([ALTERATIONS[alteration](one) for one in pixels])
    signatures = _joined(_signed(pixels), altered)
    found = find_candidates(signatures.codes)
    true = found.second - found.first == count
    tries = np.stack([found.first, found.first_keypoint, found.second_keypoint])[:, true]
    ends = _furthest(signatures, tries, count)
    stopped = np.flatnonzero(ends == 0)
    everything = np.stack(np.meshgrid(stopped, *[np.arange(KEYPOINTS)] * 2)).reshape(3, -1)
    here = ~np.isnan(signatures.keypoints[everything[0], everything[1], 0])
    there = ~np.isnan(signatures.keypoints[everything[0] + count, everything[2], 0])
    beyond = _furthest(signatures, everything[:, here & there], count)
    return ends.tolist(), beyond[stopped].tolist()


def _furthest(signatures: Signatures, tries: Flat, count: int) -> Flat:
    """Return the last stage that any of the tries (3, m) of each cell and its copy reaches."""
    ends = np.zeros(count, np.int64)
    first, one_point, other_point = tries
    if not len(first):
        return ends
    pictures = signatures.thumbs.take(first), signatures.thumbs.take(first + count)
    alignment = align(
        pictures[0], signatures.keypoints[first, one_point],
        pictures[1], signatures.keypoints[first + count, other_point],
    )  # fmt: skip
    looks = rough_correlation(*pictures, alignment.warps)
    least = least_rough_correlation(len(signatures))
    for slot, row in enumerate(first.tolist()):
        if alignment.agreement[slot] < _MIN_AGREEMENT:
            stage = 1
        elif looks[slot] < least:
            stage = 2
        else:
            stage = _verified(register(pictures[0][slot], pictures[1][slot], alignment.warps[slot]))
        ends[row] = max(ends[row], stage)
    return ends


def _verified(match: Match) -> int:
    failed = (
        match.correlation == -1, match.overlap < MIN_OVERLAP, match.correlation < MIN_CORRELATION,
        match.detail < MIN_DETAIL, match.shift > SAME_VIEW_SHIFT, True,
    )  # fmt: skip
    return STAGES.index("registration") + failed.index(True)


def _told(ends: Sequence[int]) -> str:
    counts = Counter(ends)
    return ", ".join(f"{STAGES[stage]} {counts[stage]}" for stage in sorted(counts)) or "none"


if __name__ == "__main__":
    main()
