from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from curation.corpus import load_corpus
from curation.curate import CurateConfig, curate
from curation.pixels import Pixels
from smearkit import cli, sample_verb
from synth import sample as sampling
from synth.config import SampleConfig
from synth.estimate import Estimate
from synth.generator import Generator
from synth.judge import PlainJudge
from synth.plan import PlannedCell, planned_cells
from synth.rounds import MOST_DRAWN
from synth.selection_report import read_selection
from synth.view import apply_view
from tests.made import LABELS, Made, disc, write_export


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli.app, ["sample", *(str(argument) for argument in arguments)])


def planned(*arguments: object) -> tuple[dict[str, Any], str]:
    """Return what a dry run says to machines and to people; both are checked for success."""
    result = run(*arguments, "--dry-run", "--json")
    assert result.exit_code == 0, result.stderr
    found: dict[str, Any] = json.loads(result.stdout)
    return found, result.stderr


@pytest.fixture
def two_classes(tmp_path: Path) -> Path:
    """A corpus with twice as many monocytes as basophils, and no lymphocytes."""
    export = write_export(tmp_path / "export", 32)
    table = export / "metadata.csv"
    head, *rows = table.read_text().splitlines()
    kept = [row for row in rows if ",monocyte," in row]
    kept += [row for row in rows if ",basophil," in row][:16]
    table.write_text("\n".join([head, *kept]) + "\n")
    names = {row.split(",")[0] for row in kept}
    for path in export.glob("*.jpg"):
        if path.name not in names:
            path.unlink()
    return curate([export], tmp_path / "other", CurateConfig()).path


def draw_discs(
    generator: Generator,
    cells: Sequence[PlannedCell],
    config: SampleConfig,
    guide: Generator | None = None,
) -> Iterator[tuple[PlannedCell, Pixels]]:
    """Draw what the corpus holds, as a good generator would; one in five is of another class."""
    for cell in cells:
        label = LABELS[LABELS.index(cell.label) - 1] if cell.seed % 5 == 0 else cell.label
        yield cell, apply_view(np.asarray(disc(label, cell.seed % 2**32)), generator.info.view)


def test_a_dry_run_shows_the_plan_and_draws_nothing(made: Made, tmp_path: Path) -> None:
    counts = made.real.manifest.classes["train"]
    out = tmp_path / "out"
    target = max(counts.values()) + 5
    found, said = planned(
        made.generator.path, "--balance", made.real.path, "--target", target, "-o", out
    )
    assert set(found) == {"out", "plan", "real", "cap", "cut", "seconds", "bytes"}
    assert found["plan"] == {label: target - n for label, n in counts.items()}
    assert (found["real"], found["cut"], found["cap"]) == (counts, {}, 10.0)
    assert found["bytes"] > 300 * sum(found["plan"].values())
    lines = said.splitlines()
    assert lines[0] == "the plan:"
    assert lines[1].split() == ["class", "real", "synthetic", "total", "ratio"]
    label, real, synthetic, total, ratio = lines[2].split()
    assert (int(real), int(synthetic)) == (counts[label], found["plan"][label])
    assert (int(total), ratio) == (target, f"{int(synthetic) / int(real):.2f}")
    assert lines[-2].split()[0] == "all"
    assert int(lines[-2].split()[3]) == 3 * target
    assert "to draw, and then the selection" in lines[-1]
    assert "two steps of " in lines[-1]
    assert list(tmp_path.iterdir()) == []


def test_the_cap_is_said(made: Made, tmp_path: Path) -> None:
    counts = made.real.manifest.classes["train"]
    target = 3 * max(counts.values())
    found, said = planned(
        made.generator.path, "--balance", made.real.path, "--target", target, "--cap", 0.5,
        "-o", tmp_path / "out",
    )  # fmt: skip
    assert found["plan"] == {label: n // 2 for label, n in counts.items()}
    assert found["cut"] == {label: target - n - n // 2 for label, n in counts.items()}
    basophils = counts["basophil"]
    assert (
        f"cut by the cap of 0.5 to one: basophil {basophils // 2} of {target - basophils}" in said
    )


def test_the_cap_of_a_number_of_cells(made: Made, tmp_path: Path) -> None:
    arguments = (made.generator.path, "--class", "BA", "-n", 3000, "-o", tmp_path / "out")
    assert planned(*arguments)[0]["plan"] == {"basophil": 3000}, "none by default"
    real = made.generator.info.trained_on["basophil"]
    found, _ = planned(*arguments, "--cap", 2)
    assert (found["plan"], found["real"]) == ({"basophil": 2 * real}, {"basophil": real})


def test_match_another_corpus(made: Made, tmp_path: Path, two_classes: Path) -> None:
    counts = made.real.manifest.classes["train"]
    other = load_corpus(two_classes).manifest.classes["train"]
    found, said = planned(
        made.generator.path, "--balance", made.real.path, "--match", two_classes,
        "-o", tmp_path / "out",
    )  # fmt: skip
    share = {label: counts[label] + found["plan"].get(label, 0) for label in other}
    one, more = (share[label] / n for label, n in other.items())
    assert abs(one - more) < 1 / min(other.values())
    assert "lymphocyte" not in found["plan"]
    assert "not in the corpus to match, left as they are: lymphocyte" in said


def test_the_parents_name_the_corpus_that_was_matched(
    made: Made, tmp_path: Path, two_classes: Path
) -> None:
    out = tmp_path / "out"
    done = run(made.generator.path, "--balance", made.real.path, "--match", two_classes,
               "--steps", 2, "--no-select", "-o", out)  # fmt: skip
    assert done.exit_code == 0, done.stderr
    parents = load_corpus(out).manifest.parents
    assert parents["matched"] == load_corpus(two_classes).fingerprint


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--cap", "0.01"], "leaves nothing to draw. Next: raise --cap"),
        (["--acquisition", "7"], "knows no acquisition 7; it knows 0 to 0"),
        (["--guidance-interval", "3", "0.3"], "cannot act between the noise levels 3 and 0.3"),
        (["--guidance", "1", "--guide", "GENERATOR"], "the guide would change nothing"),
    ],
)
def test_refusals(made: Made, tmp_path: Path, flags: list[str], said: str) -> None:
    given = [str(made.generator.path) if flag == "GENERATOR" else flag for flag in flags]
    result = run(made.generator.path, "-n", 5, "-o", tmp_path / "out", *given)
    assert result.exit_code == 1
    assert said in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_selection_by_other_cells_is_refused(made: Made, tmp_path: Path, two_classes: Path) -> None:
    out = tmp_path / "out"
    result = run(made.generator.path, "-n", 5, "--select", two_classes, "-o", out)
    assert result.exit_code == 1
    assert "copies of its training cells could not be found. Next: select by" in result.stderr
    assert not out.exists()


def test_balancing_selects_by_the_corpus_that_is_filled(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sampling, "draw_cells", draw_discs)
    out = tmp_path / "out"
    target = max(made.real.manifest.classes["train"].values()) + 20
    arguments = (made.generator.path, "--balance", made.real.path, "--target", target, "--json")
    result = run(*arguments, "-o", out)
    assert result.exit_code == 0, result.stderr
    corpus, found = load_corpus(out), json.loads(result.stdout)
    report = read_selection(corpus)
    assert report is not None
    assert (report.drawn, report.kept) == (corpus.manifest.n_in, corpus.manifest.n_out)
    assert report.corpus == made.real.fingerprint
    assert found["yield"] == {entry.label: round(entry.share, 4) for entry in report.yields}
    assert sum(found["short"].values()) == report.drawn - report.kept
    # Every fifth cell shows another class than it was asked for.
    wrong = sum(c.seed % 5 == 0 for c in planned_cells(corpus.manifest.config["plan"], 0))
    assert report.dropped["label"] >= 0.8 * wrong
    rows = corpus.rows(["label_probability", "realism", "nearest_training", "seed"]).to_pylist()
    assert all(0 < row["nearest_training"] <= 1 for row in rows)
    assert any(row["label_probability"] is not None for row in rows)
    assert sum(row["seed"] % 5 == 0 for row in rows) <= 0.2 * wrong
    met = json.loads(run(*arguments, "--keep-drawing", "-o", tmp_path / "met").stdout)
    assert met["short"] == {}
    more = {
        row["seed"]: row for row in load_corpus(tmp_path / "met").rows(list(rows[0])).to_pylist()
    }
    assert {row["seed"]: row for row in rows}.items() <= more.items(), "scores are as they were"


def test_no_selection_leaves_no_scores(made: Made, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = run(made.generator.path, "-n", 2, "--steps", 2, "-o", out)
    assert result.exit_code == 0, result.stderr
    corpus = load_corpus(out)
    assert read_selection(corpus) is None
    assert set(corpus.rows(["realism"])["realism"].to_pylist()) == {None}
    assert corpus.manifest.config["selected"] is False


def test_drawing_on_until_the_plan_is_met(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = PlainJudge.judge
    # Two in three of the cells are found wanting, by their number.
    monkeypatch.setattr(
        PlainJudge, "judge",
        lambda self, drawn: [
            reason or ("unreal" if row % 3 else "") for row, reason in enumerate(plain(self, drawn))
        ],
    )  # fmt: skip
    out = tmp_path / "out"
    arguments = (made.generator.path, "--class", "BA", "-n", 9, "--steps", 2, "--json")
    short = run(*arguments, "-o", out)
    assert json.loads(short.stdout)["short"] == {"basophil": 6}
    met = run(*arguments, "-o", tmp_path / "met", "--keep-drawing")
    found = json.loads(met.stdout)
    assert (found["short"], found["n_out"]) == ({}, 9)
    manifest = load_corpus(tmp_path / "met").manifest
    assert manifest.n_in == 9 + manifest.dropped["unreal"] <= MOST_DRAWN * 9
    seeds = load_corpus(tmp_path / "met").rows(["seed"])["seed"].to_pylist()
    assert len(set(seeds)) == 9
    assert set(load_corpus(out).rows(["seed"])["seed"].to_pylist()) <= set(seeds)


def test_drawing_on_has_an_end(made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        PlainJudge, "judge",
        lambda self, drawn: [""] + ["unreal"] * (len(drawn) - 1),
    )  # fmt: skip
    arguments = (made.generator.path, "--class", "BA", "-n", 5, "--steps", 2)
    result = run(*arguments, "--keep-drawing", "-o", tmp_path / "out")
    assert result.exit_code == 0, result.stderr
    assert load_corpus(tmp_path / "out").manifest.n_in == MOST_DRAWN * 5
    assert "short of the plan: basophil 4" in result.stdout


@pytest.mark.parametrize(
    ("seconds", "size", "said"),
    [
        (12.4, 900, "about 12 s to draw, 1 KB (measured: two steps of 32 cells, and 8 cells"),
        (600, 2_500_000, "about 10 min to draw, 2.5 MB"),
        (9000, 2_500_000, "about 2.5 h to draw"),
    ],
)
def test_how_an_estimate_is_said(seconds: float, size: int, said: str) -> None:
    found = sample_verb._estimate_line(Estimate(seconds, size, 32, 8), selected=False)
    assert found.startswith(said)
