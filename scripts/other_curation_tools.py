"""cleanvision and then imagededup over a folder of images, as scripts/bench_curation.py asks.

cleanvision runs all that it checks by default, near duplicates among it; imagededup its pHash. Both
on all cores. It runs in an environment of its own: these tools are no dependency of smearkit.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import sys
import time
from collections.abc import Callable
from pathlib import Path


def main() -> None:
    """Run the tools over a small folder, which loads them, and then over the one that counts."""
    small, folder, cores = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    logging.disable(logging.CRITICAL)
    asked_by = sys.stdout
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        started = time.perf_counter()
        for tool in TOOLS.values():
            tool(small, cores)
        first_s = time.perf_counter() - started
        print("begin", file=asked_by, flush=True)
        time.sleep(0.1)  # so long that what was used until now is seen
        began, parts = time.perf_counter(), {}
        for name, tool in TOOLS.items():
            part = time.perf_counter()
            tool(folder, cores)
            parts[name] = time.perf_counter() - part
        wall_s = time.perf_counter() - began
    print(json.dumps({"wall_s": wall_s, "first_s": first_s, "parts_s": parts}), flush=True)


def _cleanvision(folder: Path, cores: int) -> None:
    from cleanvision import Imagelab

    lab = Imagelab(data_path=str(folder), verbose=False)
    lab.find_issues(n_jobs=cores, verbose=False)
    assert len(lab.issues)


def _imagededup(folder: Path, cores: int) -> None:
    from imagededup.methods import PHash

    found = PHash(verbose=False).find_duplicates(
        image_dir=str(folder), recursive=True, num_enc_workers=cores, num_dist_workers=cores
    )
    assert found


TOOLS: dict[str, Callable[[Path, int], None]] = {
    "cleanvision": _cleanvision, "imagededup": _imagededup,
}  # fmt: skip


if __name__ == "__main__":
    main()
