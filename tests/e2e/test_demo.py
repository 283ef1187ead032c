from __future__ import annotations

import hashlib
import time
from pathlib import Path

import pytest

from curation.errors import MeasurementError
from smearkit.demo import run_demo
from smearkit.demo_export import write_demo_export
from smearkit.inspection import inspect
from synth.measure.inception import find_inception

pytestmark = pytest.mark.e2e


def files(folder: Path) -> dict[Path, str]:
    return {
        path.relative_to(folder): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def identifiers(folder: Path) -> list[bytes]:
    """Return what the demo plants in its export: names, numbers, dates, file stems."""
    planted = write_demo_export(folder, scale=0.25).identifiers
    # Numbers of five digits occur in any large file by chance.
    return [value.encode() for value in planted if len(value) >= 6]


def test_the_whole_way(tmp_path: Path) -> None:
    try:
        find_inception()
    except MeasurementError as error:
        pytest.skip(str(error).splitlines()[0])
    import datasets

    out, said = tmp_path / "demo", []  # type: ignore[var-annotated]
    result = run_demo(out, quick=True, say=said.append)

    for place in (result.real, result.synthetic, result.report, result.picture):
        assert Path(place).exists()
        assert any(place in line for line in result.lines())
    assert "1/6" in said[0]
    assert "6/6" in said[-1]
    for name, kind in (
        ("corpus", "real-corpus"), ("generator", "generator"), ("synthetic", "synthetic-corpus"),
        ("report", "report"), ("release", "release"),
    ):  # fmt: skip
        found = inspect(out / name, verify=True)
        assert (found.kind, found.complete) == (kind, True)

    for place, splits in ((result.real, {"train", "validation", "test"}),
                          (result.synthetic, {"train"})):  # fmt: skip
        loaded = datasets.load_dataset(place, cache_dir=str(tmp_path / "cache"))
        assert set(loaded) == splits
        assert loaded["train"][0]["image"].mode == "RGB"

    planted = identifiers(tmp_path / "key")
    export = b"".join(path.read_bytes() for path in (out / "export").rglob("*") if path.is_file())
    assert sum(value in export for value in planted) > 20, "they are in the export"
    for name in ("corpus", "generator", "synthetic", "report", "release"):
        for path in (out / name).rglob("*"):
            if path.is_file():
                data = path.read_bytes()
                assert [value for value in planted if value in data] == [], path.name
                assert [value for value in planted if value in path.name.encode()] == []

    before, started = files(out), time.monotonic()
    again = run_demo(out, quick=True, say=said.append)
    assert time.monotonic() - started < 2
    assert files(out) == before
    assert again.real == result.real
    assert "6/6" in said[-1], "nothing was done again, so nothing was said"
