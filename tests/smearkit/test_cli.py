from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import typer
from typer.main import get_command
from typer.testing import CliRunner, Result

from curation.output import partial_path
from smearkit import cli
from smearkit.console import progress_bars, table
from smearkit.inspection import inspect
from smearkit.options import pairs, resolve
from synth.config import SampleConfig, TrainConfig
from tests.made import PLAN, TRAINING, Made, use_fake_inception, write_export, write_report

ROOT = Path(__file__).resolve().parents[2]

VERBS = {
    "demo": {"--out", "-o", "--inception", "--quick", "--json"},
    "curate": {
        "--out", "-o", "--vault", "--quarantine", "--config", "--label-column", "--image-column",
        "--subject-column", "--slide-column", "--site-column", "--map-label",
        "--drop-unknown-labels", "--source-name", "--license", "--json", "--drop-column",
        "--policy", "--boxes", "--box-margin", "--box-edge", "--reencode", "--redact", "--text",
        "--no-text", "--small-groups", "--verbose-private", "--near", "--no-near",
        "--drop-flagged", "--engine", "--add-to", "--against", "--drop-overlap",
    },
    "overlap": {"--out", "-o", "--engine", "--json"},
    "policy show": set(),
    "policy check": {"--json"},
    "review": {"--vault", "--by", "--port", "--browser", "--no-browser"},
    "audit": {"--against", "--public", "--json"},
    "vault show": {"--json"},
    "vault rotate": {"--json"},
    "deidentify": {"--out", "-o", "--vault", "--text", "--no-text", "--json"},
    "train": {
        "--out", "-o", "--preset", "--config", "--images", "--minutes", "--batch",
        "--learning-rate", "--seed", "--stop-after", "--inception", "--log-to",
        "--list-presets", "--autoencoder", "--base", "--lora", "--json",
    },
    "sample": {
        "--out", "-o", "--balance", "--target", "--match", "--class", "-n", "--cap", "--select",
        "--no-select", "--keep-drawing", "--dry-run", "--guide", "--sign", "--config", "--steps",
        "--guidance", "--guidance-interval", "--acquisition", "--batch", "--seed", "--pretrained",
        "--json",
    },
    "evaluate": {
        "--real", "--synthetic", "--out", "-o", "--compare", "--inception",
        "--download-inception", "--family", "--config", "--max-per-class", "--json",
    },
    "release": {
        "--real", "--synthetic", "--report", "--version", "--out", "-o", "--name", "--license",
        "--vault", "--override", "--public", "--json", "--previous", "--about", "--repo", "--gated",
        "--validation", "--date",
    },
    "check-card": {"--json"},
    "verify": {"--json"},
    "diff": {"--json"},
    "withdraw": {
        "--release", "--out", "-o", "--vault", "--version", "--date", "--also", "--corpus-out",
        "--override", "--public", "--json",
    },
    "publish": {
        "--repo", "--to", "--archive", "--generator", "--report", "--dataset", "--private",
        "--gated", "--read-back", "--dry-run", "--previous", "--json",
    },
    "inspect": {"--verify", "--json"},
    "vocabulary": {"--json"},
    "validate": {"--out", "-o", "--vault", "--config", "--most-pictures", "--seed", "--json"},
}  # fmt: skip


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli.app, [str(argument) for argument in arguments])


def done(*arguments: object) -> dict[str, Any]:
    """Run a verb with --json; it succeeds and writes one JSON object."""
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)
    assert result.stdout.count("\n") == 1
    assert isinstance(found, dict)
    return found


def failed(status: int, *arguments: object) -> str:
    """Run a verb that fails; it says why on stderr and nothing on stdout."""
    result = run(*arguments)
    assert result.exit_code == status, result.output
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    # Wrong usage is told in a box: its words without the frame.
    return " ".join(result.stderr.replace("│", " ").split())


def commands_of(group: Any, prefix: str = "") -> dict[str, Any]:
    """Return every verb, those of groups as "group verb"."""
    found = {}
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            found.update(commands_of(command, f"{name} "))
        else:
            found[f"{prefix}{name}"] = command
    return found


def test_the_verbs_and_their_options_are_frozen() -> None:
    commands = commands_of(get_command(cli.app))
    found = {
        name: {
            option
            for parameter in command.params
            if parameter.param_type_name == "option" and parameter.name != "help"
            for option in (*parameter.opts, *parameter.secondary_opts)
        }
        for name, command in commands.items()
    }
    assert found == VERBS


def test_every_verb_is_in_the_readme() -> None:
    readme = ROOT / "README.md"
    if not readme.is_file():
        pytest.skip("there is no README.md")
    text = readme.read_text(encoding="utf-8")
    assert [verb for verb in VERBS if f"smearkit {verb}" not in text] == []


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_and_option_has_a_help_text(verb: str) -> None:
    command = commands_of(get_command(cli.app))[verb]
    assert command.help
    for parameter in command.params:
        assert parameter.help, parameter.name
    assert run(*verb.split(), "--help").exit_code == 0


# Each verb


def test_curate(tmp_path: Path) -> None:
    export = write_export(tmp_path / "export", 6)
    shutil.copyfile(export / "smear_0000.jpg", export / "copy.jpg")
    (export / "broken.jpg").write_bytes(b"")
    out = tmp_path / "corpus"
    found = done("curate", export, "--out", out)
    assert set(found) == {
        "corpus", "fingerprint", "n_in", "n_out", "dropped", "classes", "splits",
        "duplicate_groups", "conflicts", "quarantined", "vault", "deidentification", "parents",
        "overlap",
    }  # fmt: skip
    assert found["vault"] == str(tmp_path / "corpus-vault")
    assert found["deidentification"]["text"]["images"] == 18
    assert found["corpus"] == str(out)
    assert found["n_in"] == found["n_out"] + sum(found["dropped"].values())
    assert found["classes"] == {"basophil": 6, "lymphocyte": 6, "monocyte": 6}
    assert sum(found["splits"].values()) == found["n_out"] == 18


def test_curate_for_a_person(tmp_path: Path) -> None:
    result = run("curate", write_export(tmp_path / "export", 6), "-o", tmp_path / "corpus")
    assert result.exit_code == 0
    assert "18 images in, 18 cells out; dropped: none" in result.stdout
    assert "  copies: none; 0 groups in conflict\n" in result.stdout
    assert "  checks: " in result.stdout
    assert result.stderr == ""


def test_train(made: Made, tmp_path: Path) -> None:
    out = tmp_path / "generator"
    result = run(
        "train", made.real.path, "--out", out, "--preset", "smoke", "--images", 16, "--json"
    )
    assert result.exit_code == 0
    assert result.stderr == "", "without a terminal there is no progress"
    found = json.loads(result.stdout)
    assert set(found) == {
        "generator", "fingerprint", "images_seen", "seconds", "final_loss", "stopped", "average",
        "paused",
    }  # fmt: skip
    assert found["images_seen"] == 16


def test_sample_of_a_class(made: Made, tmp_path: Path) -> None:
    out = tmp_path / "synthetic"
    found = done("sample", made.generator.path, "--class", "BA", "-n", 3, "--steps", 2, "-o", out)
    assert set(found) == {
        "corpus", "fingerprint", "n_out", "classes", "rejected", "short", "yield", "seconds",
    }  # fmt: skip
    assert (found["n_out"], found["classes"], found["rejected"]) == (3, {"basophil": 3}, {})
    assert inspect(out).fingerprint == found["fingerprint"]


def test_sample_of_every_class(made: Made, tmp_path: Path) -> None:
    found = done("sample", made.generator.path, "-n", 1, "--steps", 2, "-o", tmp_path / "s")
    assert found["classes"] == dict.fromkeys(("basophil", "lymphocyte", "monocyte"), 1)


def test_sample_to_balance(made: Made, tmp_path: Path) -> None:
    counts = made.real.manifest.classes["train"]
    target = max(counts.values()) + 1
    result = run("sample", made.generator.path, "--balance", made.real.path, "--target", target,
                 "--no-select", "--steps", 2, "-o", tmp_path / "s", "--json")  # fmt: skip
    assert result.exit_code == 0
    lacking = {label: target - count for label, count in counts.items()}
    assert json.loads(result.stdout)["classes"] == lacking
    assert result.stderr.startswith("the plan:")
    real = counts["basophil"]
    assert f"basophil    {real:>4}  {lacking['basophil']:>9}  {target:>5}" in result.stderr
    parents = json.loads((tmp_path / "s" / "manifest.json").read_bytes())["parents"]
    assert parents["balanced"] == made.real.fingerprint


@pytest.fixture(scope="module")
def report(made: Made, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_report(made.real, made.synthetic, tmp_path_factory.mktemp("cli") / "report")


def test_evaluate(made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_fake_inception(monkeypatch)
    settings = tmp_path / "settings.yaml"
    settings.write_text("min_per_class: 4\nmax_per_class: 13\nfamilies: [distance, copying]\n")
    out = tmp_path / "report"
    arguments = ["evaluate", "--real", made.real.path, "--synthetic", made.synthetic.path, "-o"]
    found = done(*arguments, out, "--config", settings)
    assert set(found) == {"report", "measurements", "skipped"}
    assert found["report"] == str(out / "report.html")
    assert Path(found["report"]).is_file()
    keys = {
        "name", "family", "arm", "label", "value", "low", "high", "n_real", "n_synthetic", "floor",
        "goal_low", "goal_high", "extractor",
    }  # fmt: skip
    for entry in found["measurements"]:
        assert set(entry) == keys | {"reliable", "verdict"}
    # Ten test cells of each of two classes, and both together.
    assert {entry["n_real"] for entry in found["measurements"] if entry["name"] == "fid"} == {
        20, 10
    }  # fmt: skip
    text = run(*arguments, tmp_path / "again", "--config", settings).stdout
    assert "kid basophil" in text
    assert "small n" in text


def test_release_and_publish(
    made: Made, report: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # No Hub listens there; what one answers is in tests/cards and tests/e2e.
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr("cards.hub_patience.time", SimpleNamespace(sleep=lambda seconds: None))
    out = tmp_path / "release"
    found = done("release", "--real", made.real.path, "--synthetic", made.synthetic.path,
                 "--report", report, "--version", "1.2.0", "--out", out)  # fmt: skip
    assert set(found) == {"release", "version", "real", "synthetic", "gates"}
    assert set(found["gates"].values()) == {"passed"}
    assert Path(found["real"], "README.md").is_file()
    listed = done("publish", out, "--repo", "lab/cells", "--dry-run")
    assert [entry["repository"] for entry in listed["repositories"]] == [
        "lab/cells", "lab/cells-synthetic"
    ]  # fmt: skip
    assert "README.md" in listed["repositories"][0]["files"]
    text = run("publish", out, "--repo", "lab/cells", "--dry-run").stdout
    assert "lab/cells-synthetic/checksums.txt" in text
    assert "the connection failed" in failed(1, "publish", out, "--repo", "lab/cells")
    assert done("publish", out, "--to", tmp_path / "place")["version"] == "1.2.0"
    assert done("publish", out, "--archive", tmp_path / "cells.tar")["version"] == "1.2.0"
    assert "one place: --repo" in failed(2, "publish", out)
    assert "give a RELEASE" in failed(2, "publish", "--repo", "lab/cells")
    assert "--previous goes with" in failed(2, "publish", out, "--repo", "a/b", "--previous", out)
    assert "goes to the Hub" in failed(2, "publish", "--generator", out, "--to", tmp_path / "x")
    assert "expected ORG/NAME" in failed(1, "publish", out, "--repo", "cells", "--dry-run")
    (out / "real" / "README.md").write_text("edited")
    said = failed(1, "publish", out, "--repo", "lab/cells", "--dry-run")
    assert "real/README.md was changed after the release was made" in said


def test_a_refused_release_names_its_gate(made: Made, report: Path, tmp_path: Path) -> None:
    said = failed(1, "release", "--real", made.real.path, "--synthetic", made.synthetic.path,
                  "--report", report, "--version", "1.0", "--out", tmp_path / "r")  # fmt: skip
    assert said == "error: version '1.0' is not MAJOR.MINOR.PATCH, such as 1.2.0"


def test_vocabulary() -> None:
    found = done("vocabulary")
    assert found["version"] == 2
    assert {"name", "rollup", "cl", "loinc", "aliases"} == set(found["labels"][0])
    assert "CL:0000767" in run("vocabulary").stdout


# What is this directory


def test_inspect_of_each_kind(made: Made, report: Path, tmp_path: Path) -> None:
    keys = {"kind", "complete", "fingerprint", "rows", "classes", "splits", "problem"}
    found = done("inspect", made.real.path, "--verify")
    assert set(found) == keys
    assert (found["kind"], found["complete"], found["rows"]) == ("real-corpus", True, 120)
    assert found["fingerprint"] == made.real.fingerprint
    assert found["splits"] == made.real.manifest.splits
    found = done("inspect", made.synthetic.path)
    assert (found["kind"], found["classes"]["basophil"]) == ("synthetic-corpus", PLAN["basophil"])
    found = done("inspect", made.generator.path)
    assert set(found) == keys
    assert (found["kind"], found["complete"]) == ("generator", True)
    assert found["fingerprint"] == made.generator.info.fingerprint
    assert done("inspect", report)["kind"] == "report"
    out = tmp_path / "release"
    done("release", "--real", made.real.path, "--synthetic", made.synthetic.path,
         "--report", report, "--version", "1.2.0", "--out", out)  # fmt: skip
    found = done("inspect", out)
    assert (found["kind"], found["complete"]) == ("release", True)
    assert made.synthetic.fingerprint in found["fingerprint"]
    text = run("inspect", made.real.path).stdout
    assert "real-corpus, complete" in text
    assert "basophil" in text


@pytest.mark.parametrize(
    ("kind", "last"), [("corpus", "manifest.json"), ("generator", "generator.json")]
)
def test_inspect_of_what_is_not_complete(made: Made, tmp_path: Path, kind: str, last: str) -> None:
    source = made.real.path if kind == "corpus" else made.generator.path
    copy = shutil.copytree(source, tmp_path / "copy")
    (copy / last).unlink()
    found = done("inspect", copy)
    assert (found["kind"], found["complete"]) == (kind, False)
    assert last in found["problem"]
    assert "NOT complete" in run("inspect", copy).stdout


def test_inspect_of_a_damaged_corpus(made: Made, tmp_path: Path) -> None:
    copy = shutil.copytree(made.real.path, tmp_path / "copy")
    shard = next((copy / "data").iterdir())
    data = shard.read_bytes()
    shard.write_bytes(data[:-10] + b"x" + data[-9:])
    assert done("inspect", copy)["complete"]
    found = done("inspect", copy, "--verify")
    assert not found["complete"]
    assert "was changed" in found["problem"]
    shard.unlink()
    assert "is missing" in done("inspect", copy)["problem"]


def test_inspect_of_nothing(tmp_path: Path) -> None:
    assert "is no directory" in failed(1, "inspect", tmp_path / "nothing")
    found = done("inspect", tmp_path)
    assert (found["kind"], found["complete"]) == ("unknown", False)


# Settings


def test_flags_go_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text("steps: 7\nguidance: 2\n")
    config = resolve(SampleConfig, {}, file, {"steps": 9, "batch": None})
    assert config == SampleConfig(steps=9, guidance=2.0)
    base = TRAINING.model_dump()
    file.write_text("channels: [16, 16]\nimages: 40\n")
    trained = resolve(TrainConfig, base, file, {"images": 50})
    assert (trained.channels, trained.images, trained.side) == ((16, 16), 50, TRAINING.side)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("stepps: 3", "stepps: Extra inputs are not permitted"),
        ("steps: many", "steps: Input should be a valid integer"),
        ("steps: 2024-01-02", "steps: Input should be a valid integer"),
        ("steps: 0", "steps: Input should be greater than 0"),
        ("- steps", "holds no mapping"),
        ("", "holds no mapping"),
        ("steps: [", "cannot be read"),
    ],
)
def test_a_file_that_does_not_fit(made: Made, tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text(text)
    out = tmp_path / "s"
    found = failed(2, "sample", made.generator.path, "-n", 1, "-o", out, "--config", file)
    assert said in found
    assert not out.exists()


def test_a_file_that_is_not_there(made: Made, tmp_path: Path) -> None:
    file = tmp_path / "settings.yaml"
    said = failed(2, "train", made.real.path, "-o", tmp_path / "g", "--config", file)
    assert "cannot be read" in said


def test_pairs() -> None:
    assert pairs(["a=b", "c d=e=f"], "--map-label") == {"a": "b", "c d": "e=f"}
    assert pairs(None, "--map-label") is None
    for bad in ("a", "a=", "=b"):
        with pytest.raises(typer.BadParameter, match="takes OWN=KNOWN"):
            pairs([bad], "--map-label")


# Exit status


@pytest.mark.parametrize(
    "arguments",
    [
        ["no-such-verb"],
        ["curate"],
        ["curate", "x"],
        ["train", "x", "--out", "y", "--images", "many"],
        ["train", "x", "--out", "y", "--images", "0"],
        ["sample", "--out", "y", "-n", "3"],
        ["sample", "g", "--pretrained", "--out", "y", "-n", "3"],
        ["sample", "g", "--out", "y"],
        ["sample", "g", "--out", "y", "--balance", "c", "-n", "3"],
        ["sample", "g", "--out", "y", "--balance", "c", "--class", "BA"],
        ["sample", "g", "--out", "y", "-n", "3", "--target", "4"],
        ["sample", "g", "--out", "y", "-n", "0"],
        ["sample", "g", "--out", "y", "-n", "3", "--match", "c"],
        ["sample", "g", "--out", "y", "--balance", "c", "--match", "d", "--target", "4"],
        ["sample", "g", "--out", "y", "-n", "3", "--select", "c", "--no-select"],
        ["curate", "x", "--out", "y", "--map-label", "a"],
        ["inspect", "x", "--colour"],
    ],
    ids=" ".join,
)
def test_wrong_usage(arguments: list[str]) -> None:
    failed(2, *arguments)


def test_refusals(made: Made, tmp_path: Path) -> None:
    out = tmp_path / "out"
    generator, corpus = made.generator.path, made.real.path
    for said, *arguments in (
        ("is no directory; expected a corpus", "train", tmp_path / "no", "-o", out),
        ("no preset 'big'", "train", corpus, "-o", out, "--preset", "big"),
        ("holds synthetic cells", "train", made.synthetic.path, "-o", out),
        ("no complete generator", "sample", tmp_path, "-n", 1, "-o", out),
        ("no class 'basofil'", "sample", generator, "--class", "basofil", "-n", 1, "-o", out),
        ("never saw eosinophil", "sample", generator, "--class", "EO", "-n", 1, "-o", out),
        ("nothing to draw", "sample", generator, "--balance", corpus, "--target", 1, "-o", out),
        ("--synthetic takes", "evaluate", "--real", corpus, "--synthetic", corpus, "-o", out),
        ("is no complete release", "publish", tmp_path, "--repo", "a/b", "--dry-run"),
    ):
        text = failed(1, *arguments)
        assert said in text
        assert "error: " in text
        assert not out.exists()


def test_an_existing_out_is_refused_before_any_work(made: Made, tmp_path: Path) -> None:
    for arguments in (
        ["curate", made.folder / "export"],
        ["train", made.real.path],
        ["sample", made.generator.path, "-n", 1],
        ["evaluate", "--real", made.real.path, "--synthetic", made.synthetic.path],
        ["release", "--real", "x", "--synthetic", "y", "--report", "z", "--version", "1.0.0"],
    ):
        said = failed(1, *arguments, "--out", tmp_path)
        assert f"{tmp_path} exists already and is never overwritten" in said.replace("- ", "-")
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c(made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*args: object, **kwargs: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("synth.train.TrainingRun.step", stop)
    out = tmp_path / "generator"
    said = failed(130, "train", made.real.path, "-o", out, "--preset", "smoke")
    assert said == "stopped; the same command goes on where it stopped"
    assert not out.exists()
    assert partial_path(out).is_dir()


def test_bars_are_drawn_on_a_terminal_only(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with progress_bars() as progress:
        progress("draw", 1, 2)
    assert capsys.readouterr() == ("", "")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with progress_bars() as progress:
        progress("train, loss 0.5", 1, 2)
        progress("train, loss 0.4", 2, 2)
    found = capsys.readouterr()
    assert found.out == ""


def test_tables_are_aligned() -> None:
    assert table(["class", "n"], [["a", 10], ["long name", 2]]) == [
        "  class       n", "  a          10", "  long name   2"
    ]  # fmt: skip


@pytest.fixture
def alone(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    def call(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "smearkit", *arguments],
            cwd=ROOT, capture_output=True, text=True, check=False,
        )  # fmt: skip

    return call


def test_as_a_process(
    alone: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    result = alone("inspect", str(tmp_path / "nothing"))
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1
