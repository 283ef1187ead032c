"""CITATION.cff, croissant.json and schema.json: each judged by what others wrote for it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import jsonschema
import mlcroissant
import pyarrow.parquet as pq
import pytest
import yaml

from cards.about import About
from cards.citation import citation_file
from cards.release_record import read_record
from curation.vocabulary import LABELS
from tests.made_cards import GENERATOR, MadeCards

# mlcroissant uses what rdflib and pandas will take away one day.
pytestmark = [
    pytest.mark.filterwarnings("ignore:ConjunctiveGraph is deprecated"),
    pytest.mark.filterwarnings("ignore:The inplace keyword in DataFrame.reset_index"),
]

CFF_SCHEMA = json.loads((Path(__file__).parent / "cff" / "schema-1.2.0.json").read_text())


def cff_faults(text: str) -> list[str]:
    checker = jsonschema.Draft7Validator(CFF_SCHEMA)
    return [error.message for error in checker.iter_errors(yaml.safe_load(text))]


@pytest.mark.parametrize("kind", ["real", "synthetic"])
def test_the_citation_fits_the_schema_of_its_format(cards_made: MadeCards, kind: str) -> None:
    text = (cards_made.release.path / kind / "CITATION.cff").read_text()
    assert cff_faults(text) == []
    found = yaml.safe_load(text)
    assert found["version"] == "1.0.0"
    assert found["authors"][0]["family-names"] == "Quibble"
    assert found["license"] == "CC0-1.0"
    assert cff_faults(text.replace("type: dataset", "type: cells")), "a fault would be seen"
    bare = read_record(cards_made.release.path / kind).model_copy(
        update={"about": About(), "license": "own terms", "repository": None, "source": None}
    )
    assert cff_faults(citation_file(bare)) == []


@pytest.mark.parametrize("kind", ["real", "synthetic"])
def test_croissant_validates_and_yields_the_rows(cards_made: MadeCards, kind: str) -> None:
    folder = cards_made.release.path / kind
    dataset = mlcroissant.Dataset(jsonld=folder / "croissant.json")
    issues = dataset.metadata.ctx.issues
    assert (issues.errors, issues.warnings) == (set(), set())
    records = list(dataset.records("cells"))
    corpus = cards_made.real if kind == "real" else cards_made.synthetic
    assert len(records) == corpus.manifest.n_out
    ids = {record["cells/image_id"].decode() for record in records}
    assert ids == set(corpus.rows(["image_id"])["image_id"].to_pylist())
    assert {r["cells/split"].decode() for r in records} == set(corpus.manifest.splits)
    assert {r["cells/origin"] for r in records} == {kind.encode()}
    assert records[0]["cells/image"].size[0] >= 16
    labels = [record["labels/name"] for record in dataset.records("labels")]
    assert labels == list(LABELS)


def test_croissant_says_what_is_synthetic(cards_made: MadeCards) -> None:
    for kind in ("real", "synthetic"):
        file = cards_made.release.path / kind / "croissant.json"
        kept = mlcroissant.Dataset(jsonld=file).metadata.to_json()
        assert kept["rai:hasSyntheticData"] is (kind == "synthetic")
        assert ("prov:wasGeneratedBy" in kept) is (kind == "synthetic")
        for term in (
            "rai:dataCollection",
            "rai:dataBiases",
            "rai:dataLimitations",
            "rai:personalSensitiveInformation",
            "rai:dataReleaseMaintenancePlan",
        ):
            assert kept[term]
    assert kept["prov:wasGeneratedBy"]["prov:wasAssociatedWith"] == GENERATOR


def test_croissant_lists_the_checksums(cards_made: MadeCards, tmp_path: Path) -> None:
    copy = shutil.copytree(cards_made.release.real, tmp_path / "real")
    told = json.loads((copy / "croissant.json").read_text())
    shards = [e for e in told["distribution"] if e["@type"] == "cr:FileObject"]
    assert {(e["contentUrl"], e["sha256"]) for e in shards} == {
        (shard.path, shard.sha256) for shard in cards_made.real.manifest.shards
    }


def schema_faults(folder: Path, row: dict[str, object]) -> list[str]:
    schema = json.loads((folder / "schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    return [error.message for error in jsonschema.Draft202012Validator(schema).iter_errors(row)]


@pytest.mark.parametrize("kind", ["real", "synthetic"])
def test_every_row_fits_the_column_schema(cards_made: MadeCards, kind: str) -> None:
    folder = cards_made.release.path / kind
    for shard in sorted((folder / "data").iterdir()):
        for row in pq.read_table(shard, partitioning=None).to_pylist():
            assert schema_faults(folder, row) == []
    for change in ({"label": 99}, {"origin": "other"}, {"patient_name": "x"}, {"image_id": None},
                   {"seed": 1 if kind == "real" else None}):  # fmt: skip
        assert schema_faults(folder, {**row, **change}), f"{change} would be seen"
