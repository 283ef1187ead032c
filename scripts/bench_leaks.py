"""How fast the leak scan is, against reading the same bytes and against grep, in one run.

    scan     `scan_for_leaks` over a made corpus of JPEG cells with a report beside it
    crc32    every byte through zlib.crc32: the least that any search can cost
    grep     `grep -F -i -f` for the same identifiers as they are, in the raw files alone

Grep neither decompresses nor decodes, so it finds a small part of what the scan finds. The scan's
seconds hold setting up the search as well, which is also shown by itself. Prints a table, or one
JSON object with --json.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import random
import resource
import shutil
import subprocess
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from curation.cells import SCHEMA
from curation.deidentify.leaks import scan_for_leaks
from curation.deidentify.vault import Vault, open_vault, record_identifiers

_ROWS = 4_000
_SYLLABLES = [consonant + vowel for consonant in "bdfgklmnprst" for vowel in "aeiou"]


def main() -> None:
    """Make a corpus, and time the scan and its baselines over it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--megabytes", type=int, default=200)
    parser.add_argument("--identifiers", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--grep-seconds", type=int, default=120, help="when grep is given up")
    parser.add_argument("--json", action="store_true", dest="as_json")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        corpus = Path(name) / "corpus"
        size = make_corpus(corpus, options.megabytes * 10**6)
        rows = [
            measure(corpus, size, Path(name) / f"vault-{count}", count, options.grep_seconds)
            for count in options.identifiers
        ]
    if options.as_json:
        print(json.dumps({"load": os.getloadavg()[0], "results": rows}))
        return
    print(f"load {os.getloadavg()[0]:.1f}, {size / 1e6:.0f} MB")
    for row in rows:
        print("  ".join(f"{key} {value}" for key, value in row.items()))


def measure(
    corpus: Path, size: int, vault_path: Path, count: int, grep_seconds: int
) -> dict[str, float | int | None]:
    """Return seconds and rates of the scan and its baselines for a number of identifiers."""
    vault = open_vault(vault_path)
    known = list(identifiers(count))
    record_identifiers(vault, known)
    empty = corpus.parent / "empty"
    empty.mkdir(exist_ok=True)
    set_up = seconds(lambda: scan_for_leaks(empty, vault))
    started = time.process_time()
    scan = seconds(lambda: _refuse_hits(corpus, vault))
    scan_cpu = time.process_time() - started
    crc = seconds(lambda: read_all(corpus))
    grep = grep_all(corpus, known, grep_seconds)
    return {
        "identifiers": count,
        "set_up_s": round(set_up, 1),
        "scan_s": round(scan, 1),
        "scan_MB_s": round(size / 1e6 / scan, 1),
        "scan_MB_cpu_s": round(size / 1e6 / scan_cpu, 1),
        "crc32_MB_s": round(size / 1e6 / crc, 1),
        "grep_MB_s": None if grep is None else round(size / 1e6 / grep, 1),
        "crc32_over_scan": round(scan / crc, 1),
        "peak_MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }


def _refuse_hits(corpus: Path, vault: Vault) -> None:
    scan = scan_for_leaks(corpus, vault)
    if not scan.clean:
        raise SystemExit(f"the made corpus holds none of them, but: {scan.hits[:3]}")


def seconds(work: Callable[[], object]) -> float:
    """Return how long a call takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def read_all(folder: Path) -> int:
    """Read every byte once."""
    check = 0
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            check = zlib.crc32(path.read_bytes(), check)
    return check


def grep_all(folder: Path, known: list[tuple[str, str]], limit_s: int) -> float | None:
    """Return how long grep takes for the identifiers as they are; None without it or too long."""
    if shutil.which("grep") is None:
        return None
    patterns = folder.parent / "patterns"
    patterns.write_text("\n".join(value for _, value in known) + "\n", encoding="utf-8")
    command = ["grep", "-r", "-a", "-c", "-F", "-i", "-f", str(patterns), str(folder)]
    try:
        return seconds(lambda: subprocess.run(command, capture_output=True, timeout=limit_s))
    except subprocess.TimeoutExpired:
        return None


def identifiers(count: int) -> Iterator[tuple[str, str]]:
    """Yield made names, record numbers, days, slides and file names, an equal share of each."""
    rng = random.Random(0)
    for number in range(count):
        family, given = ("".join(rng.choices(_SYLLABLES, k=k)).title() for k in (4, 3))
        day = date(1930, 1, 1) + timedelta(rng.randrange(34_000))
        yield (
            ("column patient_name", f"{family}^{given}"),
            ("column mrn", f"{rng.randrange(10**7, 10**8)}"),
            ("column birth_date", day.isoformat()),
            ("slide", f"S{rng.randrange(10**6):06d}-{rng.choice('ABC')}"),
            ("file", f"IMG_{number:07d}"),
        )[number % 5]


def make_corpus(folder: Path, size: int) -> int:
    """Write shards of JPEG cells and a report; return how many bytes they take."""
    (folder / "data").mkdir(parents=True)
    rng = np.random.default_rng(0)
    head = _jpeg_head()
    written = 0
    for number in range(10**6):
        path = folder / "data" / f"train-{number:05d}-of-99999.parquet"
        pq.write_table(_shard(rng, head), path, compression="none", row_group_size=1000)
        written += path.stat().st_size
        if written >= size:
            break
    report = folder / "reports" / "report.html"
    report.parent.mkdir()
    report.write_text("<p>Cells, KID 0.0123, n 1000.</p>\n" * 20_000, encoding="utf-8")
    return written + report.stat().st_size


def _shard(rng: np.random.Generator, head: bytes) -> pa.Table:
    rows = []
    for _ in range(_ROWS):
        scan = rng.integers(0, 255, int(rng.integers(8_000, 17_000)), dtype=np.uint8).tobytes()
        code = rng.bytes(24).hex()
        rows.append(
            {"image": {"bytes": head + scan + b"\xff\xd9", "path": None}, "image_id": code[:32],
             "label": int(rng.integers(20)), "subject": code[32:], "origin": "real"}
        )  # fmt: skip
    return pa.Table.from_pylist(rows, schema=SCHEMA)


def _jpeg_head() -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (128, 128), (200, 180, 190)).save(out, "JPEG", quality=90)
    whole = out.getvalue()
    start = whole.index(b"\xff\xda")
    return whole[: start + 2 + int.from_bytes(whole[start + 2 : start + 4])]


if __name__ == "__main__":
    main()
