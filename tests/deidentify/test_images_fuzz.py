"""A short run of the fuzzing in scripts/fuzz_images.py, and proof that it sees faults."""

from __future__ import annotations

import dataclasses
import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from curation.pixels import Limits, ReleasedImage, release_image
from scripts.fuzz_images import check
from scripts.mutated_images import Mutated, mutated

ROOT = Path(__file__).resolve().parents[2]
DAMAGE_FREE = [case for case in (mutated(0, number) for number in range(150)) if not case.damaged]


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(1, 2**32 - 1), number=st.integers(0, 2**32 - 1))
def test_whatever_comes_in(seed: int, number: int) -> None:
    outcome, _ = check(mutated(seed, number))
    assert outcome.split(":")[0] in {"released", "quarantined"}


def test_inputs_are_the_same_each_time_and_differ() -> None:
    assert mutated(3, 4) == mutated(3, 4)
    assert len({mutated(3, number).data for number in range(100)}) > 80
    assert any(case.canary for case in DAMAGE_FREE)


def test_a_leak_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    def leaky(data: bytes, limits: Limits) -> ReleasedImage:
        return dataclasses.replace(release_image(data, limits), data=data)

    monkeypatch.setattr("scripts.fuzz_images.release_image", leaky)
    seen = set()
    for case in DAMAGE_FREE:
        try:
            check(case)
        except AssertionError as error:
            seen.add(str(error).split(" is in")[0])
    assert "planted text" in seen


def test_other_pixels_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(data: bytes, limits: Limits) -> ReleasedImage:
        released = release_image(data, limits)
        return dataclasses.replace(released, pixels=np.ascontiguousarray(released.pixels[::-1]))

    monkeypatch.setattr("scripts.fuzz_images.release_image", wrong)
    out = io.BytesIO()
    Image.fromarray(np.arange(1200, dtype=np.uint32).astype(np.uint8).reshape(20, 20, 3)).save(
        out, "PNG"
    )
    with pytest.raises(AssertionError, match="named by"):
        check(Mutated(out.getvalue(), "plain", b"", damaged=False))


def test_the_script_prints_a_summary_and_its_status(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "scripts" / "fuzz_images.py"), "--seed", "5"]
    run = subprocess.run(
        [*command, "--inputs", "40"], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert run.stdout.startswith("40 inputs")
    assert "slowest" in run.stdout
    slow = subprocess.run(
        [*command, "--inputs", "3", "--seconds-each", "0"],
        capture_output=True, text=True, check=False, cwd=ROOT,
    )  # fmt: skip
    assert slow.returncode == 1
    assert "FAILED: seed 5 input 0 took" in slow.stdout
    written = tmp_path / "input.bin"
    subprocess.run([*command, "--only", "7", "--write", str(written)], check=True, cwd=ROOT)
    assert written.read_bytes() == mutated(5, 7).data
