from __future__ import annotations

import time
from pathlib import Path

import pytest

from curation.deidentify.dicom import clean
from scripts import fuzz_dicom
from scripts.fuzz_dicom import made_seeds, make_input, run, take, try_one


def test_the_first_inputs_go_through(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(range(30), 0, list(made_seeds()), tmp_path / "a.dcm") == 0
    assert "30 inputs from 15 files, 0 bad" in capsys.readouterr().out


def test_each_made_file_is_whole(tmp_path: Path) -> None:
    seeds = list(made_seeds())
    assert len(seeds) == 15
    for seed in seeds:
        (tmp_path / "a.dcm").write_bytes(seed)
        assert take(tmp_path / "a.dcm") == "ok / ok"


def test_an_input_is_the_same_in_every_run() -> None:
    seeds = list(made_seeds())
    assert make_input(3, 0, seeds) == make_input(3, 0, seeds)
    assert make_input(3, 0, seeds) != make_input(3, 1, seeds)


def test_a_leak_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(clean._VALUES, "term", lambda element: list(element.values))
    monkeypatch.setattr(fuzz_dicom, "make_input", lambda number, seed, seeds: seeds[0])
    outcome, _ = try_one(0, 0, list(made_seeds()), tmp_path / "a.dcm")
    assert outcome == "BAD AssertionError: the canary came out"


def test_a_crash_and_a_hang_are_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(path: Path) -> str:
        raise KeyError("x")

    def hang(path: Path) -> str:
        while True:
            pass

    seeds, path = list(made_seeds()), tmp_path / "a.dcm"
    monkeypatch.setattr(fuzz_dicom, "take", crash)
    assert try_one(0, 0, seeds, path)[0].startswith("BAD KeyError")
    monkeypatch.setattr(fuzz_dicom, "take", hang)
    monkeypatch.setattr(fuzz_dicom, "_SECONDS", 0.05)
    assert try_one(0, 0, seeds, path)[0] == "BAD hang"


def test_what_sleeps_for_ever_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def sleep(path: Path) -> str:
        while True:
            time.sleep(60)

    monkeypatch.setattr(fuzz_dicom, "take", sleep)
    monkeypatch.setattr(fuzz_dicom, "_WAITED_SECONDS", 0.05)
    seeds = list(made_seeds())
    assert try_one(0, 0, seeds, tmp_path / "a.dcm")[0] == "BAD hang"
