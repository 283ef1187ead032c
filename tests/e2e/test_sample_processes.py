"""`sample` in several processes, as a launcher starts them, and one of them killed."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from curation.corpus import load_corpus, verify_corpus
from curation.output import partial_path
from tests.made import Made, made_in

ROOT = Path(__file__).resolve().parents[2]
# One thread everywhere: sums over several threads may differ in the last bit.
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
DEADLINE_SECONDS = 900

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return made_in(tmp_path_factory.getbasetemp() / "made")


def verb(made: Made, out: Path, count: int) -> list[str]:
    generator = str(made.generator.path)
    return ["sample", generator, "-n", str(count), "--steps", "2", "-o", str(out), "--json"]


def run(arguments: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], env=ENVIRONMENT, cwd=ROOT, capture_output=True, text=True,
        timeout=DEADLINE_SECONDS,
    )  # fmt: skip


def start(made: Made, out: Path, count: int, rank: int) -> subprocess.Popen[str]:
    said = {"RANK": str(rank), "WORLD_SIZE": "2", "LOCAL_RANK": str(rank)}
    return subprocess.Popen(
        [sys.executable, "-m", "smearkit", *verb(made, out, count)], env={**ENVIRONMENT, **said},
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def test_a_launcher_makes_the_corpus_of_one_process(made: Made, tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    alone = run(["-m", "smearkit", *verb(made, one, 100)])
    assert alone.returncode == 0, alone.stderr
    launched = run(
        ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", "-m", "smearkit",
         *verb(made, two, 100)]
    )  # fmt: skip
    assert launched.returncode == 0, launched.stderr
    assert launched.stdout.count('"fingerprint"') == 1, "one process speaks for all"
    assert launched.stderr.count("the plan:") == 1
    found = load_corpus(two)
    verify_corpus(found)
    assert found.manifest.shards == load_corpus(one).manifest.shards
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "two"]


def test_a_killed_process_ends_the_run_and_the_same_command_goes_on(
    made: Made, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    first, second = (start(made, out, 600, rank) for rank in range(2))
    try:
        pieces = partial_path(out) / "pieces"
        end = time.monotonic() + DEADLINE_SECONDS
        while not any(pieces.glob("00000[13579].arrow")):
            assert second.poll() is None, second.communicate()[1]
            assert time.monotonic() < end, "no piece was drawn"
            time.sleep(0.02)
        second.kill()
        stdout, stderr = first.communicate(timeout=DEADLINE_SECONDS)
    finally:
        for process in (first, second):
            process.kill()
            process.communicate()
    assert first.returncode == 1
    assert "error: process 1 of this run ended before its work. What was drawn is kept." in stderr
    assert stdout == ""
    assert not out.exists()
    kept = {path.name: path.stat().st_mtime_ns for path in pieces.glob("*.arrow")}
    assert "000001.arrow" in kept
    again = run(["-m", "smearkit", *verb(made, out, 600)])
    assert again.returncode == 0, again.stderr
    assert load_corpus(out).manifest.n_in == 1800
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
