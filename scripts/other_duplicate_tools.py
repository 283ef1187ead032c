"""imagehash pHash, imagededup pHash and cleanvision over a folder of NNNNNa.png and NNNNNb.png.

Prints, as JSON, how many pairs a/b each finds, and how many pairs of different cells it takes for
copies. It runs in an environment of its own: these tools are no dependency of smearkit.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import json
import logging
import sys
from pathlib import Path

import numpy as np


def main() -> None:
    """Run the tools."""
    folder = Path(sys.argv[1])
    logging.disable(logging.CRITICAL)
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        found = {
            "imagehash pHash, 10 bits": _imagehash(folder, 10),
            "imagehash pHash, 4 bits": _imagehash(folder, 4),
            "imagededup pHash, 10 bits": _imagededup(folder),
            "cleanvision": _cleanvision(folder),
        }
    print(json.dumps(found))


def _count(pairs: set[tuple[str, str]]) -> dict[str, int]:
    hits = sum(a[:5] == b[:5] for a, b in pairs)
    return {"found": hits, "false": len(pairs) - hits}


def _imagehash(folder: Path, bits: int) -> dict[str, int]:
    import imagehash
    from PIL import Image

    files = sorted(folder.glob("*.png"))
    hashes = np.stack([imagehash.phash(Image.open(file)).hash.ravel() for file in files])
    packed = hashes.astype(np.int16)
    apart = packed.sum(1)[:, None] + packed.sum(1)[None] - 2 * packed @ packed.T
    one, other = np.nonzero(np.triu(apart <= bits, 1))
    return _count({(files[a].stem, files[b].stem) for a, b in zip(one, other, strict=True)})


def _imagededup(folder: Path) -> dict[str, int]:
    from imagededup.methods import PHash

    found = PHash(verbose=False).find_duplicates(
        image_dir=str(folder), max_distance_threshold=10, num_enc_workers=0, num_dist_workers=0
    )
    pairs = ((Path(a).stem, Path(b).stem) for a, near in found.items() for b in near)
    return _count({(min(a, b), max(a, b)) for a, b in pairs})


def _cleanvision(folder: Path) -> dict[str, int]:
    from cleanvision import Imagelab

    lab = Imagelab(data_path=str(folder), verbose=False)
    lab.find_issues({"exact_duplicates": {}, "near_duplicates": {}}, n_jobs=1, verbose=False)
    pairs: set[tuple[str, str]] = set()
    for kind in ("exact_duplicates", "near_duplicates"):
        for group in lab.info.get(kind, {}).get("sets", []):
            stems = sorted(Path(file).stem for file in group)
            pairs |= set(itertools.combinations(stems, 2))
    return _count(pairs)


if __name__ == "__main__":
    main()
