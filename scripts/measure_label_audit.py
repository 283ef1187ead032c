"""How well the label audit finds labels that were changed on purpose.

    python scripts/measure_label_audit.py ../shared/data/pbc128.parquet --seeds 3

A share of all labels is replaced by that of a class beside it: by one that readers rarely mix up
(easy pairs), by the neighbour in maturation (hard pairs), or by either. The cells' own label errors
stay in; what the audit finds of those counts as a false alarm here.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from curation.pixels import Limits, decode_any
from curation.tiles import shrink
from curation.validate.features import cell_features
from curation.validate.label_audit import LabelAudit, audit_labels, audit_report

EASY = (
    ("lymphocyte", "erythroblast"), ("monocyte", "lymphocyte"),
    ("eosinophil", "neutrophil_segmented"), ("basophil", "eosinophil"),
    ("monocyte", "myelocyte"), ("platelet", "erythroblast"), ("basophil", "promyelocyte"),
)  # fmt: skip
HARD = (
    ("promyelocyte", "myelocyte"), ("myelocyte", "metamyelocyte"),
    ("metamyelocyte", "neutrophil_band"), ("neutrophil_band", "neutrophil_segmented"),
)  # fmt: skip
NOISES = {"easy": EASY, "hard": HARD, "both": EASY + HARD}
Pair = tuple[str, str]


def main() -> None:
    """Print one table per kind of noise, and everything as JSON at the end."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cells", type=Path)
    parser.add_argument("--share", type=float, default=0.05)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path, help="JSON file")
    asked = parser.parse_args()
    features, labels, seconds = load(asked.cells)
    print(f"{len(labels)} cells; features: {1000 * seconds / len(labels):.2f} CPU ms a cell")
    clean = audit_report(audit_labels(features, labels.tolist()))
    print(f"clean: accuracy {clean.accuracy}, balanced {clean.balanced_accuracy}, "
          f"{clean.suspicious} suspicious")  # fmt: skip
    found: dict[str, object] = {"n": len(labels), "clean": clean.model_dump(mode="json")}
    for kind, pairs in NOISES.items():
        runs = [run(features, labels, pairs, asked.share, seed) for seed in range(asked.seeds)]
        found[kind] = runs
        for name in runs[0]:
            values = [round(entry[name], 3) for entry in runs]
            print(f"{kind:5}  {name:45} {values}", flush=True)
    if asked.out:
        asked.out.write_text(json.dumps(found, indent=1))


def load(path: Path) -> tuple[NDArray[np.float32], NDArray[np.str_], float]:
    """Return features, labels, and the processor seconds that the features took."""
    table = pq.read_table(path, columns=["image", "label"])
    rows, seconds = [], 0.0
    for batch in table.to_batches(max_chunksize=1024):
        images = [one["bytes"].as_py() for one in batch["image"]]
        tiles = np.stack([shrink(decode_any(image, Limits())) for image in images])
        started = time.process_time()
        rows.append(cell_features(tiles))
        seconds += time.process_time() - started
    return np.concatenate(rows), np.array(table["label"].to_pylist()), seconds


def run(
    features: NDArray[np.float32],
    labels: NDArray[np.str_],
    pairs: tuple[Pair, ...],
    share: float,
    seed: int,
) -> dict[str, float]:
    """Return what the audit finds of labels changed with this seed."""
    noisy, planted = plant(labels, pairs, share, seed)
    audit = audit_labels(features, noisy.tolist(), seed=seed)
    count = int(planted.sum())
    worst = np.argsort(audit.quality, kind="stable")
    result = {
        "planted": float(count),
        "precision at the number planted": float(planted[worst[:count]].mean()),
        "suspicious": float(len(audit.order)),
        "precision of the suspicious": float(planted[audit.order].mean()),
        "recall of the suspicious": float(planted[audit.order].sum() / count),
        "suggestion right": float(np.mean(
            np.array(audit.classes)[audit.suggested[planted]] == labels[planted]
        )),
    }  # fmt: skip
    for pair in pairs:
        result[f"pair {pair[0]} / {pair[1]}"] = of_pair(audit, planted, labels, pair)
    return result


def plant(
    labels: NDArray[np.str_], pairs: tuple[Pair, ...], share: float, seed: int
) -> tuple[NDArray[np.str_], NDArray[np.bool_]]:
    """Return labels of which a share of all is changed within pairs, and which were."""
    rng = np.random.default_rng(seed)
    beside: dict[str, list[str]] = {}
    for one, other in pairs:
        beside.setdefault(one, []).append(other)
        beside.setdefault(other, []).append(one)
    able = np.flatnonzero(np.isin(labels, list(beside)))
    rows = rng.choice(able, round(share * len(labels)), replace=False)
    noisy = labels.copy()
    for row in rows:
        noisy[row] = rng.choice(beside[str(labels[row])])
    return noisy, np.isin(np.arange(len(labels)), rows)


def of_pair(
    audit: LabelAudit, planted: NDArray[np.bool_], labels: NDArray[np.str_], pair: Pair
) -> float:
    """Return the precision at the number planted in a pair, among cells said to be of the pair."""
    names = np.array(audit.classes)
    given, suggested = names[audit.given], names[audit.suggested]
    within = np.isin(given, pair) & np.isin(suggested, pair)
    mine = planted & np.isin(given, pair) & np.isin(labels, pair)
    rows = np.flatnonzero(within)
    worst = rows[np.argsort(audit.quality[rows], kind="stable")][: int(mine.sum())]
    return float(mine[worst].sum() / max(int(mine.sum()), 1))


if __name__ == "__main__":
    main()
