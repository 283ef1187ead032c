"""`smearkit evaluate`: what it takes, and reports side by side."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from smearkit import cli
from tests.cards.made_report import full


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli.app, ["evaluate", *map(str, arguments)])


@pytest.fixture
def reports(tmp_path: Path) -> list[Path]:
    """Two report folders, of which the second is worse by KID."""
    found = []
    for name, shift in (("good", 0.0), ("bad", 0.2)):
        made = full()
        moved = tuple(
            m.model_copy(update={"value": m.value + shift, "low": (m.low or 0) + shift,
                                 "high": (m.high or 0) + shift})
            if m.name == "kid" else m for m in made.measurements
        )  # fmt: skip
        made = made.model_copy(update={"measurements": moved, "synthetic": name})
        (tmp_path / name).mkdir()
        (tmp_path / name / "measurements.json").write_text(made.model_dump_json(), "utf-8")
        found.append(tmp_path / name)
    return found


def test_reports_side_by_side(reports: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "side-by-side"
    result = run("--compare", *reports, "--out", out)
    assert result.exit_code == 0, result.stderr
    lines = result.stdout.splitlines()
    assert lines[0] == str(out / "compare.html")
    assert lines[1] == "By KID over all classes: good is best, bad worse."
    assert lines[2].split()[:3] == ["measure", "good", "bad"]
    assert (out / "compare.html").read_text("utf-8").startswith("<!DOCTYPE html>")
    written = json.loads((out / "compare.json").read_bytes())
    assert [report["name"] for report in written["reports"]] == ["good", "bad"]
    again = run("--compare", *reports, "--out", out)
    assert again.exit_code == 1
    assert "exists" in again.stderr


def test_reports_side_by_side_as_json(reports: list[Path]) -> None:
    result = run("--compare", reports[0] / "measurements.json", reports[1], "--json")
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)
    assert found["page"] is None
    kid = found["comparisons"][0]
    assert (kid["name"], kid["label"]) == ("kid", "all")
    assert [entry["standing"] for entry in kid["entries"]] == ["best", "worse"]


def test_reports_that_do_not_fit_are_refused(reports: list[Path]) -> None:
    result = run("--compare", reports[0])
    assert (result.exit_code, "two or more are needed" in result.stderr) == (1, True)
    result = run("--compare", *reports, reports[0].parent)
    assert (result.exit_code, "no complete report" in result.stderr) == (1, True)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--real", "r", "--synthetic", "s"], "--out is missing"),
        (["--synthetic", "s", "--out", "o"], "--real is missing"),
        ([], "--real, --synthetic, --out is missing"),
        (["some/report"], "compared with --compare"),
        (["--compare", "a", "b", "--real", "r"], "leave out --real and --synthetic"),
        (["--real", "r", "--synthetic", "s", "--out", "o", "--family", "beauty"], "families"),
    ],
)
def test_wrong_usage(arguments: list[str], said: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert said in " ".join(result.stderr.replace("│", " ").split())
