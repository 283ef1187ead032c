"""The repository of a generator: its card, its results in the Hub's format, and that it loads."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import yaml
from huggingface_hub import ModelCard, parse_eval_result_entries

from cards.checksums import check_files
from cards.model_card import eval_results, render_model_card, write_model_repo
from curation.errors import GeneratorError, OutputExistsError
from synth.measure.measurement import Measurements
from synth.packaged.folder import pretrained_folder
from tests.made_cards import MadeCards, measurements_of


@pytest.fixture(scope="module")
def fingerprint() -> str:
    found = json.loads((pretrained_folder() / "generator.json").read_bytes())["fingerprint"]
    assert isinstance(found, str)
    return found


@pytest.fixture(scope="module")
def measured(cards_made: MadeCards, fingerprint: str) -> Measurements:
    return measurements_of(cards_made.real, cards_made.synthetic, generator=fingerprint)


@pytest.fixture(scope="module")
def repository(measured: Measurements, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("model") / "repository"
    return write_model_repo(
        pretrained_folder(), out, measured, repository="lab/discs-generator", dataset="lab/discs",
        revision="1.0.0", source="drawn discs", date="2027-01-31",
    )  # fmt: skip


def test_the_card(repository: Path) -> None:
    card = ModelCard.load(repository / "README.md")
    assert card.data.license == "cc-by-4.0"
    assert card.data.library_name == "diffusers"
    assert card.data.datasets == ["lab/discs"]
    text = card.text
    info = json.loads((repository / "generator.json").read_bytes())
    for label, count in info["trained_on"].items():
        assert f"| {label} | " in text
        assert f" | {count} |" in text
    assert f"| all | | {sum(info['trained_on'].values())} |" in text
    assert "| KID | 0.1 | 0.08 to 0.12 | 0.01 | at most 0.2 | met | 9 | 14 |" in text
    assert 'from_pretrained("lab/discs-generator", trust_remote_code=True)' in text
    assert "None" not in text


def test_the_results_are_in_the_hubs_format(repository: Path, measured: Measurements) -> None:
    file = repository / ".eval_results" / "discs.yaml"
    entries = parse_eval_result_entries(yaml.safe_load(file.read_text()))
    pooled = [one for one in measured.measurements if one.label == "all"]
    assert [entry.value for entry in entries] == [one.value for one in pooled]
    assert {entry.dataset_id for entry in entries} == {"lab/discs"}
    assert entries[0].task_id == "kid"
    assert entries[0].dataset_revision == "1.0.0"
    assert entries[0].notes == (
        "n=9 real, 14 synthetic; 95 % interval 0.08 to 0.12; floor 0.01 (real against real); "
        "goal met"
    )
    assert entries[3].task_id == "balanced_accuracy_real+synthetic"
    assert yaml.safe_load(eval_results(measured, "lab/discs"))[0]["value"] == pooled[0].value


def test_diffusers_loads_it(repository: Path) -> None:
    from diffusers import DiffusionPipeline

    assert check_files(repository) > 8
    pipeline = DiffusionPipeline.from_pretrained(str(repository), trust_remote_code=True)
    drawn = pipeline(["basophil"], seeds=[0], num_inference_steps=2)
    assert drawn.images[0].size == (64, 64)


def test_without_measurements_or_a_dataset(tmp_path: Path) -> None:
    text = render_model_card(pretrained_folder())
    assert "Not measured for this release." in text
    out = write_model_repo(pretrained_folder(), tmp_path / "out")
    assert not (out / ".eval_results").exists()
    with pytest.raises(OutputExistsError):
        write_model_repo(pretrained_folder(), out)


def test_measurements_of_another_generator(cards_made: MadeCards) -> None:
    other = measurements_of(cards_made.real, cards_made.synthetic)
    with pytest.raises(GeneratorError, match="the report measured generator 0f0f"):
        render_model_card(pretrained_folder(), other)


def test_what_is_no_generator(tmp_path: Path, repository: Path) -> None:
    with pytest.raises(GeneratorError, match="is no complete generator"):
        write_model_repo(tmp_path, tmp_path / "out")
    copy = shutil.copytree(repository, tmp_path / "copy")
    (copy / "checkpoint-1").mkdir()
    (copy / "logs").mkdir()
    out = write_model_repo(copy, tmp_path / "out")
    assert not {"checkpoint-1", "logs"} & {path.name for path in out.iterdir()}
