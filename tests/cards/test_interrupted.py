"""Ctrl-C in `evaluate` and in `release`: nothing half-written, and the same call goes through."""

from __future__ import annotations

from pathlib import Path

import pytest

from cards.release import release
from curation.deidentify.vault import default_vault
from curation.progress import Progress
from smearkit import evaluate
from tests.made import MEASURED, Made, use_fake_inception, write_report


def stop_at(word: str) -> Progress:
    def progress(what: str, done: int, total: int) -> None:
        if what.startswith(word) and done:
            raise KeyboardInterrupt

    return progress


@pytest.mark.parametrize("word", ["features", "distances", "nearest"])
def test_evaluate(made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, word: str) -> None:
    use_fake_inception(monkeypatch)
    out = tmp_path / "report"
    config = MEASURED
    if word == "features":
        monkeypatch.setattr("synth.kept_features.inception_features", _interrupted)
    with pytest.raises(KeyboardInterrupt):
        evaluate(made.real, made.synthetic, out, config, progress=stop_at(word))
    assert not out.exists()
    use_fake_inception(monkeypatch)
    report = evaluate(made.real, made.synthetic, out, config)
    assert {entry.name for entry in report.measurements.measurements} >= {"kid", "copied_share"}
    assert sorted(path.name for path in out.iterdir()) == [
        "figures", "measurements.json", "report-open.html", "report.html",
    ]  # fmt: skip


def _interrupted(*args: object, **kwargs: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("place", ["write_derived", "no_identifier", "write_checksums"])
def test_release(made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    report = write_report(made.real, made.synthetic, tmp_path / "report")
    out = tmp_path / "release"
    vault = default_vault(made.real.path)

    def run() -> None:
        release(made.real, made.synthetic, report, "1.0.0", out, vault=vault)

    with monkeypatch.context() as patch:
        patch.setattr(f"cards.release.{place}", _interrupted)
        with pytest.raises(KeyboardInterrupt):
            run()
    assert not out.exists()
    run()
    for kind in ("real", "synthetic"):
        assert (out / kind / "checksums.txt").is_file()
