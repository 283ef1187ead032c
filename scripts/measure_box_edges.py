"""How well a box alone tells that the edge of its field cuts the cell off.

Boxes of real cells that touch no edge are cut by computer: a share of the width, or of the height,
is taken away. Prints, per class and share, how many are then taken as cut (`WHOLE_SHARE`); in the
column 0 they are whole. Below, what becomes of the real boxes that do touch an edge.

    python -m scripts.measure_box_edges [--data ../shared/data]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from curation.sources.boxes import Corners, box_rows
from curation.sources.crops import EDGE_PX, seems_cut
from curation.sources.tables import read_table

WIDTH, HEIGHT = 640, 480
SHARES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)
LEAST_PX = 16


def cut_share(corners: Corners, share: float) -> float:
    """Return how many boxes are taken as cut once a share of them lies outside at one edge."""
    found = []
    for left, top, right, bottom in corners.tolist():
        across, down = right - left, bottom - top
        at_left = (0, top, round((1 - share) * across), bottom)
        at_top = (left, 0, right, round((1 - share) * down))
        found += [seems_cut(box, WIDTH, HEIGHT) for box in (at_left, at_top)]
    return float(np.mean(found))


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    rows = box_rows(read_table(parser.parse_args().data / "bccd_fields" / "boxes.csv"), None, None)
    corners, labels = rows.corners, np.array(rows.labels, dtype=object)
    sound = (corners[:, 2:] - corners[:, :2]).min(axis=1) >= LEAST_PX
    away = np.minimum(corners[:, :2], [WIDTH, HEIGHT] - corners[:, 2:]).min(axis=1)
    print("| class | boxes | " + " | ".join(f"{100 * share:.0f} % gone" for share in SHARES) + " |")
    print("|---|---|" + "---|" * len(SHARES))
    for name in sorted(set(labels)):
        inner = corners[(labels == name) & sound & (away > EDGE_PX)]
        shares = " | ".join(f"{100 * cut_share(inner, share):.0f} %" for share in SHARES)
        print(f"| {name} | {len(inner)} | {shares} |")
    print("\n| class | boxes | touch an edge | seem cut |\n|---|---|---|---|")
    for name in sorted(set(labels)):
        mine = corners[(labels == name) & sound]
        touching = mine[away[(labels == name) & sound] <= EDGE_PX]
        cut = sum(seems_cut((a, b, c, d), WIDTH, HEIGHT) for a, b, c, d in touching.tolist())
        print(
            f"| {name} | {len(mine)} | {len(touching)} ({100 * len(touching) / len(mine):.0f} %) "
            f"| {cut} ({100 * cut / len(mine):.0f} %) |"
        )


if __name__ == "__main__":
    main()
