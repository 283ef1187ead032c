"""A small release folder, laid out as `smearkit release` does, without any of its gates."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import yaml
from PIL import Image

from cards.release_info import RELEASE_NAME, ReleaseInfo
from curation.cells import SCHEMA, SPLITS
from curation.corpus_writer import shard_name, write_shard

LABELS_HERE = 4


def made_rows(numbers: Sequence[int], kind: str, side: int = 16) -> pa.Table:
    """Return rows of the corpus' schema, one noisy image a number; the same number, the same."""
    rows = []
    for number in numbers:
        pixels = np.random.default_rng(number).integers(0, 256, (side, side, 3), dtype=np.uint8)
        out = io.BytesIO()
        Image.fromarray(pixels).save(out, "PNG")
        row: dict[str, object] = {
            "image": {"bytes": out.getvalue(), "path": None}, "image_id": f"{number:032x}",
            "label": number % LABELS_HERE, "origin": kind,
        }  # fmt: skip
        if kind == "real":
            row |= {"subject": f"s{number % 7}", "source": "drawn", "license": "cc0-1.0"}
        else:
            row |= {
                "generator": "g", "seed": number, "guidance": 1.0, "steps": 4,
                "training_corpus": "c",
            }  # fmt: skip
        rows.append(row)
    return pa.Table.from_pylist(rows, schema=SCHEMA)


def write_release(
    folder: Path, version: str = "1.0.0", cells: int = 12, *, shards: int = 1, side: int = 16,
    files: int = 0, previous: str | None = None, repository: str | None = None,
) -> Path:  # fmt: skip
    """Write a release of so many real and half as many synthetic cells.

    `shards` are those of the real training split, `files` small reports beside them.
    """
    real, synthetic = folder / "real", folder / "synthetic"
    train = list(range(cells))
    _write_split(real, "train", "real", train, shards, side)
    for number, split in enumerate(("validation", "test"), start=1):
        _write_split(real, split, "real", range(10_000 * number, 10_000 * number + 3), 1, side)
    _write_split(synthetic, "train", "synthetic", range(50_000, 50_000 + cells // 2), 1, side)
    for number in range(files):
        path = real / "reports" / f"part-{number:04d}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps({"number": number, "version": version}))
    return finish_release(folder, version, previous, repository)


def finish_release(
    folder: Path, version: str, previous: str | None = None, repository: str | None = None
) -> Path:
    """Write the cards, checksums and `release.json` of two dataset folders that hold their data."""
    for kind in ("real", "synthetic"):
        found = {path.name.partition("-")[0] for path in (folder / kind / "data").iterdir()}
        _write_card(folder / kind, [split for split in SPLITS if split in found], version)
        write_sums(folder / kind)
    info = ReleaseInfo(
        format_version=1, name="Drawn noise", version=version, license="cc0-1.0", real="r" * 32,
        synthetic="s" * 32, gates=(), previous=previous, repository=repository,
    )  # fmt: skip
    (folder / RELEASE_NAME).write_text(info.model_dump_json())
    return folder


def _write_split(
    folder: Path, split: str, kind: str, numbers: Sequence[int], shards: int, side: int
) -> None:
    for shard in range(shards):
        table = made_rows(numbers[shard::shards], kind, side)
        write_shard(folder, split, shard_name(split, shard, shards), table)


def _write_card(folder: Path, splits: Sequence[str], version: str) -> None:
    for note in (folder / "shards").glob("*"):
        note.unlink()
    (folder / "shards").rmdir()
    files = [{"split": split, "path": f"data/{split}-*.parquet"} for split in splits]
    head = yaml.safe_dump({
        "license": "cc0-1.0", "configs": [{"config_name": "default", "data_files": files}],
    })  # fmt: skip
    (folder / "README.md").write_text(f"---\n{head}---\n\n# Drawn noise {version}\n")
    (folder / "CHANGELOG.md").write_text(f"# Changelog\n\n## {version}\n")


def write_sums(folder: Path) -> None:
    """Write `checksums.txt` over every other file."""
    files = sorted(p for p in folder.rglob("*") if p.is_file() and p.name != "checksums.txt")
    lines = [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(folder).as_posix()}\n"
        for path in files
    ]
    (folder / "checksums.txt").write_text("".join(lines))
