"""What stands in the cards: links that lead somewhere, what only a maintainer knows, gating."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml
from datasets import Features, load_dataset, load_dataset_builder
from huggingface_hub import DatasetCard
from PIL import Image

from cards.about import About, read_about
from cards.card_head import head_values
from cards.facts import read_facts
from cards.measure_names import family_name, measure_name
from cards.release_parts import validated_acquisitions
from cards.repository_name import check_repository
from curation.errors import ReleaseRefusedError
from curation.validate.acquisition_report import Acquisition, AcquisitionReport, ClassAcquisition
from tests.made_cards import MadeCards, measured, release_again

SECTIONS = {
    # The seven of Datasheets for Datasets, and what a medical dataset needs besides.
    "Motivation", "Composition", "Collection process", "Preprocessing, cleaning and labelling",
    "Uses", "Distribution, licence and source", "Maintenance",
    "De-identification, and what remains", "Known confounders and limits", "Citation",
    "Checks of this release",
}  # fmt: skip


def body(folder: Path) -> str:
    return (folder / "README.md").read_text().split("---\n", 2)[2]


@pytest.mark.parametrize("kind", ["real", "synthetic"])
def test_every_section_is_there_once(cards_made: MadeCards, kind: str) -> None:
    headings = re.findall(r"^## (.+)$", body(cards_made.release.path / kind), re.M)
    assert len(headings) == len(set(headings))
    assert set(headings) >= SECTIONS


@pytest.mark.parametrize("kind", ["real", "synthetic"])
@pytest.mark.parametrize("name", ["README.md", "CHANGELOG.md"])
def test_every_link_leads_somewhere(cards_made: MadeCards, kind: str, name: str) -> None:
    folder = cards_made.release.path / kind
    links = re.findall(r"\]\(([^)\s]+)\)", (folder / name).read_text())
    local = [link for link in links if "://" not in link]
    assert [link for link in local if not (folder / link).is_file()] == []
    others = {link for link in links if "://" in link}
    assert all(re.match(r"https://(spdx\.org|huggingface\.co)/", link) for link in others)
    if name == "README.md":
        assert len(local) >= 6


def test_the_pictures(cards_made: MadeCards) -> None:
    real, synthetic = cards_made.release.real, cards_made.release.synthetic
    for name in ("class_sheet.jpg", "class_balance.png"):
        with Image.open(real / "figures" / name) as image:
            colours = image.convert("RGB").getcolors(1 << 24)
            assert colours is not None
            assert len(colours) > 5, "it is not blank"
        assert f"](figures/{name})" in body(real)
    assert "](reports/figures/real_over_synthetic.jpg)" in body(real)
    assert "](reports/figures/synthetic.jpg)" in body(synthetic)
    assert sorted(path.name for path in (synthetic / "figures").iterdir()) == ["class_balance.png"]


def test_what_the_maintainer_said_stands_there(cards_made: MadeCards) -> None:
    text = body(cards_made.release.real)
    for said in (
        "Made to test releases.",
        "Drawn by code on no day at all.",
        "nobody@example.org",
        "The code that drew a disc named it.",
        "author = {Ada Quibble and {Laboratory",
    ):
        assert said in text
    assert 'load_dataset("lab/discs", revision="1.0.0")' in text
    assert "[lab/discs-synthetic](https://huggingface.co/datasets/lab/discs-synthetic)" in text
    assert "Not stated by the maintainer" not in text


def test_measurements_with_n_floor_and_verdict(cards_made: MadeCards) -> None:
    text = body(cards_made.release.synthetic)
    assert ("| KID | distance to real cells | 0.1 | 0.08 to 0.12 | 0.01 | at most 0.2 | met | 9 "
            "| 14 |") in text  # fmt: skip
    assert ("| balanced accuracy on real cells, real+synthetic | usefulness | 0.7 | 0.68 to 0.72 "
            "| 0.01 | at least 0.9 | missed | 9 | 14 |") in text  # fmt: skip
    assert "| FID | distance to real cells | 31.5 \\* | – | 0.01 | – | no goal |" in text
    assert "| odd new measure | shortcuts | 3.25 |" in text
    assert "Not measured: lymphocyte (only 2 synthetic cells; 4 are needed)." in text
    assert "GDPR" in text
    assert measure_name(measured("quite_new", arm="a b")) == "quite new, a b"
    assert family_name("other_family") == "other family"


def test_the_head_is_what_datasets_would_write(cards_made: MadeCards) -> None:
    folder = cards_made.release.real
    head = DatasetCard.load(folder / "README.md").data.to_dict()
    assert head["extra_gated_fields"]["Affiliation"] == "text"
    assert "extra_gated_prompt" in head
    features = Features._from_yaml_list(head["dataset_info"]["features"])
    assert features == load_dataset_builder(str(folder)).info.features
    again = yaml.safe_load(yaml.safe_dump(features._to_yaml_list()))
    assert again == head["dataset_info"]["features"]
    assert [entry["num_examples"] for entry in head["dataset_info"]["splits"]] == [12, 6, 6]
    synthetic = head_values(read_facts(cards_made.release.synthetic))
    assert "extra_gated_prompt" not in synthetic, "the synthetic dataset is open"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("- a list", "holds no mapping"),
        ("creators: [{given_names: Ada}]", "at creators.0"),
        ("creators: [{name: A, family_names: B}]", "give either name"),
        ("ethic: none", "at ethic"),
        ("doi: doi.org/1", "at doi"),
        ("purpose: [", "cannot be read"),
    ],
)
def test_a_file_about_the_dataset_that_does_not_fit(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "about.yaml"
    file.write_text(text)
    with pytest.raises(ReleaseRefusedError, match=re.escape(said)):
        read_about(file)


def test_nothing_stated() -> None:
    assert read_about(None) == About()
    assert "purpose" in About().not_stated
    assert About(purpose="x").not_stated.count("purpose") == 0


@pytest.mark.parametrize(
    "name",
    ["cells", "lab/", "/cells", "a/b/c", "lab/ce lls", "-a/b", "lab/a--b", "lab/a..b",
     "lab/cells.git", "lab/cells-", "lab/" + "x" * 90],
)  # fmt: skip
def test_repository_names_that_are_not_allowed(
    cards_made: MadeCards, tmp_path: Path, name: str
) -> None:
    with pytest.raises(ReleaseRefusedError, match="expected ORG/NAME"):
        check_repository(name)
    with pytest.raises(ReleaseRefusedError, match="expected ORG/NAME"):
        release_again(cards_made, tmp_path / "out", "1.0.1", repository=name)


def test_a_day_that_is_none(cards_made: MadeCards, tmp_path: Path) -> None:
    with pytest.raises(ReleaseRefusedError, match="is no day such as"):
        release_again(cards_made, tmp_path / "out", "1.0.1", date="31.1.2027")


def confounded(fingerprint: str) -> str:
    one = ClassAcquisition(
        label="basophil",
        cells=8,
        auc=0.98,
        auc_low=0.9,
        auc_high=1.0,
        acquisition=1,
        share=1.0,
        others=0.1,
        p=0.001,
        confounded=True,
    )
    two = one.model_copy(update={"label": "monocyte", "confounded": False, "auc": 0.5})
    place = Acquisition(
        cells=12,
        share=0.5,
        background=(1, 2, 3),
        width=24,
        height=24,
        codec="jpeg",
        classes={"basophil": 8},
    )
    found = AcquisitionReport(n=24, acquisitions=(place, place), n_classified=24, grouped=True,
                              balanced_accuracy=0.8, low=0.7, high=0.9, chance=0.333,
                              classes=(one, two))  # fmt: skip
    return f'{{"fingerprint": "{fingerprint}", "acquisitions": {found.model_dump_json()}}}'


def test_confounders_that_validate_found(cards_made: MadeCards, tmp_path: Path) -> None:
    validation = tmp_path / "validation"
    validation.mkdir()
    (validation / "report.json").write_text(confounded(cards_made.real.fingerprint))
    done = release_again(cards_made, tmp_path / "out", "1.0.1", validation=validation)
    text = body(done.real)
    assert "**Bound to one way of taking pictures: basophil.**" in text
    assert "| basophil | 8 | 1 | 0.1 | 0.98 |" in text
    assert "a balanced accuracy of 0.8 (95 % interval 0.7 to 0.9; chance 0.333; 24 cells)" in text
    assert (
        "Bound to one way of taking pictures: basophil."
        in (done.real / "croissant.json").read_text()
    )


def test_a_validation_of_another_corpus(cards_made: MadeCards, tmp_path: Path) -> None:
    (tmp_path / "report.json").write_text(confounded("ab" * 16))
    with pytest.raises(ReleaseRefusedError, match="validated corpus abab"):
        validated_acquisitions(tmp_path, cards_made.real)
    (tmp_path / "report.json").write_text("{}")
    with pytest.raises(ReleaseRefusedError, match="is no validation"):
        validated_acquisitions(tmp_path, cards_made.real)


def test_two_releases_on_disk_are_not_taken_for_one_another(
    cards_made: MadeCards, tmp_path: Path
) -> None:
    folders = [tmp_path / name / "real" for name in ("one", "other")]
    for folder in folders:
        shutil.copytree(cards_made.release.path / "real", folder)
    fingerprint = cards_made.real.fingerprint
    text = (folders[1] / "README.md").read_text()
    assert text.split("---")[1].count(fingerprint) == 1
    (folders[1] / "README.md").write_text(text.replace(fingerprint, "0" * 32))
    (shard,) = (folders[1] / "data").glob("test-*")
    rows = pq.read_table(shard)
    pq.write_table(rows.take(list(reversed(range(len(rows))))), shard)
    first = [
        load_dataset(str(folder), split="test", cache_dir=str(tmp_path / "cache"))["image_id"][0]
        for folder in folders
    ]
    assert first[0] != first[1]
