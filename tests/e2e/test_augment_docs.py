"""The example of docs/augment.md runs as it stands, and prints what it is said to print."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "augment.md").read_text(encoding="utf-8")
LINE = re.compile(r"(.{22})balanced accuracy (\d\.\d{3}), recall of basophils (\d\.\d{3})")
COUNTS = re.compile(r"(\d+) real cells \((\d+) basophils\), (\d+) synthetic, (\d+) held out")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def results(text: str) -> dict[str, tuple[float, float]]:
    """Return arm -> balanced accuracy and recall of the rare class."""
    return {name.strip(): (float(a), float(r)) for name, a, r in LINE.findall(text)}


@pytest.mark.e2e
def test_the_example_runs_as_it_stands(tmp_path: Path) -> None:
    environment = {**os.environ, "TMPDIR": str(tmp_path), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", blocks("python")[1]],
        cwd=tmp_path, env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found, shown = results(done.stdout), results(blocks("text")[0])
    assert list(found) == list(shown) == [
        "real cells", "rare ones repeated", "with synthetic cells"
    ]  # fmt: skip
    assert all(0 <= value <= 1 for pair in found.values() for value in pair)
    counted, said = COUNTS.search(done.stdout), COUNTS.search(blocks("text")[0])
    assert counted is not None
    assert said is not None
    # How many drawn cells are kept may hang on the processor; what is real does not.
    assert (counted[1], counted[2], counted[4]) == (said[1], said[2], said[4])
    assert int(counted[3]) > 0
