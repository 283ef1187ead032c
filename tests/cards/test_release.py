from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Callable
from itertools import compress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from huggingface_hub import DatasetCard

from cards.gates import GATE_NAMES, LEAK_GATE
from cards.hub import publication_plan
from cards.release import Release, read_release, release
from curation.cells import SCHEMA
from curation.corpus import Corpus, load_corpus
from curation.curate import CurateConfig, curate
from curation.deidentify.vault import default_vault, read_vault, record_identifiers
from curation.errors import (
    CorpusError,
    OutputExistsError,
    ReleaseRefusedError,
    SmearkitError,
    VaultError,
)
from curation.output import partial_path
from curation.vocabulary import LABELS
from synth.measure.measurement import Measurements
from synth.provenance_files import split_xmp, with_xmp
from tests.cards.rewriting import measured_as, rewritten
from tests.made import RECORD_NUMBERS, Made, write_export, write_report

# BibTeX doubles its braces as well, but leaves no space.
WORDS = re.compile(r"\bNone\b|\bnan\b|\{\{ |\{%|\bundefined\b|<built-in")


@pytest.fixture(scope="module")
def report(made: Made, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_report(made.real, made.synthetic, tmp_path_factory.mktemp("report") / "report")


@pytest.fixture(scope="module")
def released(made: Made, report: Path, tmp_path_factory: pytest.TempPathFactory) -> Release:
    out = tmp_path_factory.mktemp("release") / "release"
    return release(made.real, made.synthetic, report, "1.2.0", out, name="Drawn discs")


@pytest.fixture
def refused(made: Made, report: Path, tmp_path: Path) -> Callable[..., str]:
    """refused(real=…, synthetic=…, report=…, …) -> the text of the refusal; nothing is left."""

    def call(
        real: Corpus | None = None, synthetic: Corpus | None = None,
        measured: Path | None = None, version: str = "1.0.0", **options: Any,
    ) -> str:  # fmt: skip
        out = tmp_path / "refused"
        options.setdefault("vault", default_vault(made.real.path))
        with pytest.raises(ReleaseRefusedError) as found:
            release(real or made.real, synthetic or made.synthetic, measured or report, version,
                    out, **options)  # fmt: skip
        assert not out.exists()
        left = [path for path in partial_path(out).rglob("*") if path.is_file()]
        assert {path.name for path in left} <= {"job"}
        return str(found.value)

    return call


def gates_in(text: str) -> set[str]:
    return {name for name in GATE_NAMES if re.search(rf"^  {name}: ", text, re.M)}


# The happy path


def test_every_gate_passed(released: Release) -> None:
    assert {gate.name: gate.state for gate in released.info.gates} == dict.fromkeys(
        GATE_NAMES, "passed"
    )
    assert read_release(released.path) == released
    assert {path.name for path in released.path.iterdir()} == {"real", "synthetic", "release.json"}
    leak = released.info.gates[-1]
    assert int(re.search(r"none of (\d+) identifiers", leak.detail)[1]) > 100  # type: ignore[index]


@pytest.mark.parametrize("kind", ["real", "synthetic"])
def test_what_a_dataset_folder_holds(
    released: Release, made: Made, report: Path, kind: str
) -> None:
    folder = released.path / kind
    files = {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}
    corpus = made.real if kind == "real" else made.synthetic
    expected = {
        "README.md", "CHANGELOG.md", "CITATION.cff", "croissant.json", "schema.json",
        "checksums.txt", "reports/corpus.json", "reports/release.json", "figures/class_balance.png",
        "reports/measurements.json", "reports/report.html", "reports/figures/synthetic.jpg",
        *(shard.path for shard in corpus.manifest.shards),
    }  # fmt: skip
    if kind == "real":
        # Pictures of real cells stay with the real cells, which may be gated.
        expected |= {
            "reports/report-open.html", "reports/curation.json", "reports/conflicts.parquet",
            "figures/class_sheet.jpg",
            *(f"reports/figures/{figure.name}" for figure in (report / "figures").iterdir()),
        }  # fmt: skip
    assert files == expected
    assert "1.2.0" in (folder / "CHANGELOG.md").read_text()


@pytest.mark.parametrize("kind", ["real", "synthetic"])
def test_the_checksums_are_right(released: Release, kind: str) -> None:
    folder = released.path / kind
    listed = {}
    for line in (folder / "checksums.txt").read_text().splitlines():
        digest, name = line.split("  ", 1)
        listed[name] = digest
    found = {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file() and path.name != "checksums.txt"
    }
    assert listed == found


@pytest.mark.parametrize("kind", ["real", "synthetic"])
def test_datasets_loads_it(released: Release, made: Made, tmp_path: Path, kind: str) -> None:
    import datasets

    corpus = made.real if kind == "real" else made.synthetic
    loaded = datasets.load_dataset(str(released.path / kind), cache_dir=str(tmp_path))
    assert {split: len(rows) for split, rows in loaded.items()} == corpus.manifest.splits
    features = loaded["train"].features
    assert isinstance(features["image"], datasets.Image)
    assert features["label"].names == list(LABELS)
    assert loaded["train"][0]["image"].mode == "RGB"
    assert set(loaded["train"]["origin"]) == {kind}


@pytest.mark.parametrize("kind", ["real", "synthetic"])
def test_the_card(released: Release, kind: str) -> None:
    file = released.path / kind / "README.md"
    text = file.read_text()
    assert not WORDS.search(text), WORDS.search(text)
    head = yaml.safe_load(text.split("---\n")[1])
    assert head["license"] == "cc0-1.0"
    assert head["size_categories"] == ["n<1K"]
    assert ("synthetic" in head["tags"]) == (kind == "synthetic")
    card = DatasetCard.load(file)
    assert card.data.pretty_name == ("Drawn discs" if kind == "real" else "Drawn discs (synthetic)")
    splits = [entry["split"] for entry in card.data.configs[0]["data_files"]]
    assert splits == (["train", "validation", "test"] if kind == "real" else ["train"])
    searched = "Turned, cropped, shifted and recompressed copies were searched for"
    assert (searched in text) == (kind == "real")
    for gate in released.info.gates:
        assert f"| {gate.name} | passed | {gate.detail} |" in text
    # A table needs an empty line before it, or it is read as part of the paragraph.
    lines = text.splitlines()
    for before, line, after in zip(lines, lines[1:], lines[2:], strict=False):
        if after.startswith("|---") and line.startswith("|"):
            assert before == "", line


def class_table(text: str) -> dict[str, list[str]]:
    head = re.search(r"^\| class \| CL id \| (.*) \|$", text, re.M)
    assert head is not None
    rows = re.findall(r"^\| (\w+) \| (CL:\d+|–) \| (.*) \|$", text, re.M)
    # How many subjects a class has is counted elsewhere.
    kept = [name != "subjects" for name in head[1].split(" | ")]
    return {label: list(compress(cells.split(" | "), kept)) for label, _, cells in rows}


def counted(folder: Path) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for path in sorted((folder / "data").iterdir()):
        split = path.name.partition("-")[0]
        for label in pq.read_table(path, columns=["label"], partitioning=None)["label"].to_pylist():
            counts = found.setdefault(LABELS[label], {})
            counts[split] = counts.get(split, 0) + 1
    return found


def test_the_numbers_in_the_cards_are_those_of_the_shards(released: Release) -> None:
    real, drawn = counted(released.real), counted(released.synthetic)
    table = class_table((released.real / "README.md").read_text())
    assert {label: [int(cell) for cell in cells] for label, cells in table.items()} == {
        label: [counts[s] for s in ("train", "validation", "test")] + [drawn[label]["train"]]
        for label, counts in real.items()
    }
    table = class_table((released.synthetic / "README.md").read_text())
    assert {label: [int(cell) for cell in cells] for label, cells in table.items()} == {
        label: [counts["train"], real[label]["train"]] for label, counts in drawn.items()
    }


def test_the_measurements_in_the_card_are_those_of_the_report(
    released: Release, report: Path
) -> None:
    text = (released.synthetic / "README.md").read_text()
    found = Measurements.model_validate_json((report / "measurements.json").read_bytes())
    for kid in (m for m in found.measurements if m.name == "kid"):
        shown = f"{kid.value:.3g} | {kid.low:.3g} to {kid.high:.3g} | {kid.floor:.3g} |"
        where = "KID | distance to real cells" if kid.label == "all" else f"{kid.label} | KID"
        assert f"| {where} | {shown}" in text
    assert "Not measured: lymphocyte (only 2 synthetic cells; 4 are needed)." in text
    assert "Copies of training cells: 0 of 28" in text


# Every gate, with its fault planted


def test_an_edited_shard(made: Made, refused: Callable[..., str], tmp_path: Path) -> None:
    copy = shutil.copytree(made.real.path, tmp_path / "corpus")
    shard = next((copy / "data").glob("test-*"))
    data = bytearray(shard.read_bytes())
    data[len(data) // 2] ^= 1
    shard.write_bytes(data)
    text = refused(load_corpus(copy))
    # What was edited may be an image, of which another gate looks at the metadata.
    assert gates_in(text) - {"marked"} == {"whole"}
    assert "was changed" in text


def test_a_shard_too_many(made: Made, refused: Callable[..., str], tmp_path: Path) -> None:
    copy = shutil.copytree(made.synthetic.path, tmp_path / "synthetic")
    (copy / "data" / "train-extra.parquet").write_bytes(b"PAR1")
    assert "train-extra.parquet is not in the manifest" in refused(None, load_corpus(copy))


def test_a_report_of_another_corpus(
    refused: Callable[..., str], report: Path, tmp_path: Path
) -> None:
    other = measured_as(report, tmp_path / "other", synthetic="0" * 32)
    text = refused(measured=other)
    assert gates_in(text) == {"report_fits"}
    assert "the report measured synthetic corpus 0000" in text
    assert gates_in(refused(measured=measured_as(report, tmp_path / "r", real="0"))) == {
        "report_fits"
    }


@pytest.mark.parametrize("column", ["subject", "slide"])
def test_a_subject_in_two_splits(
    made: Made, report: Path, refused: Callable[..., str], tmp_path: Path, column: str
) -> None:
    def share(tables: dict[str, pa.Table]) -> None:
        value = tables["train"][column][0].as_py()
        table = tables["test"]
        values = [value, *table[column].to_pylist()[1:]]
        index = table.column_names.index(column)
        tables["test"] = table.set_column(index, SCHEMA.field(column), [values])

    corpus = rewritten(made.real, tmp_path / "corpus", share)
    measured = measured_as(report, tmp_path / "r", real=corpus.fingerprint)
    text = refused(corpus, measured=measured)
    assert gates_in(text) == {"splits_disjoint"}
    assert f"1 {column}(s) stand in several splits" in text


def test_an_image_in_two_splits(
    made: Made, report: Path, refused: Callable[..., str], tmp_path: Path
) -> None:
    def share(tables: dict[str, pa.Table]) -> None:
        row = tables["train"].slice(0, 1).to_pylist()[0] | {"subject": None, "slide": None}
        more = pa.Table.from_pylist([row], schema=SCHEMA)
        tables["test"] = pa.concat_tables([tables["test"], more])

    corpus = rewritten(made.real, tmp_path / "corpus", share)
    measured = measured_as(report, tmp_path / "r", real=corpus.fingerprint)
    assert "1 image_id(s) stand in several splits" in refused(corpus, measured=measured)


def test_a_synthetic_row_among_the_real(
    made: Made, report: Path, refused: Callable[..., str], tmp_path: Path
) -> None:
    def mix(tables: dict[str, pa.Table]) -> None:
        drawn = made.synthetic.rows(SCHEMA.names).slice(0, 1)
        tables["train"] = pa.concat_tables([tables["train"], drawn])

    corpus = rewritten(made.real, tmp_path / "corpus", mix)
    measured = measured_as(report, tmp_path / "r", real=corpus.fingerprint)
    text = refused(corpus, measured=measured)
    assert gates_in(text) == {"synthetic_in_train"}
    assert "the real corpus holds rows of origin ['real', 'synthetic']" in text


def with_images(change: Callable[[bytes], bytes]) -> Callable[[dict[str, pa.Table]], None]:
    """Change the bytes of the first image of the training split."""

    def changed(tables: dict[str, pa.Table]) -> None:
        rows = tables["train"].to_pylist()
        rows[0]["image"]["bytes"] = change(rows[0]["image"]["bytes"])
        tables["train"] = pa.Table.from_pylist(rows, schema=SCHEMA)

    return changed


COMMENT = b"\xff\xfe\x00\x06note"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda data: split_xmp(data)[0], "does not say in its own metadata that it is synthetic"),
        (lambda data: data[:2] + COMMENT + data[2:], "does not say in its own metadata"),
        (lambda data: data[:40] + b"x" + data[41:], "says in its metadata another"),
        (lambda data: data + b"more", "holds more than its pixels need"),
        (lambda data: data[:2] + b"\xff\xeb\x00\x05JP1" + data[2:], "is signed, which its corpus"),
        (lambda data: data[:-40], "is no JPEG that can be vouched for"),
    ],
)
def test_a_synthetic_image_without_its_marker(
    made: Made, report: Path, refused: Callable[..., str], tmp_path: Path,
    change: Callable[[bytes], bytes], said: str,
) -> None:  # fmt: skip
    corpus = rewritten(made.synthetic, tmp_path / "corpus", with_images(change))
    assert corpus.fingerprint == made.synthetic.fingerprint, "the pixels are the same"
    text = refused(None, corpus)
    assert gates_in(text) == {"marked"}
    assert f"1 image(s) of corpus; first: {corpus.rows(['image_id'])['image_id'][0]} {said}" in text
    assert "Draw it again with `smearkit sample`" in text


def test_a_synthetic_image_that_says_it_is_another(
    made: Made, report: Path, refused: Callable[..., str], tmp_path: Path
) -> None:
    def change(data: bytes) -> bytes:
        bare, packet = split_xmp(data)
        assert packet is not None
        return with_xmp(bare, packet.replace(b"label=", b"label=x"))

    corpus = rewritten(made.synthetic, tmp_path / "corpus", with_images(change))
    assert "another generator, class or seed than its row" in refused(None, corpus)


def test_a_real_image_with_metadata(
    made: Made, report: Path, refused: Callable[..., str], tmp_path: Path
) -> None:
    planted = with_images(lambda data: data[:2] + COMMENT + data[2:])
    text = refused(rewritten(made.real, tmp_path / "corpus", planted))
    assert gates_in(text) == {"marked"}
    assert "holds more than its pixels need. Curate again" in text
    marker = with_images(lambda data: with_xmp(data, b"<x/>"))
    assert gates_in(refused(rewritten(made.real, tmp_path / "more", marker))) == {"marked"}


def with_copies(report: Path, folder: Path, count: int) -> Path:
    found = Measurements.model_validate_json((report / "measurements.json").read_bytes())
    changed = tuple(
        m.model_copy(update={"value": count / 28}) if m.name == "copied_share" else m
        for m in found.measurements
    )
    return measured_as(report, folder, measurements=changed)


def test_copies(report: Path, refused: Callable[..., str], tmp_path: Path) -> None:
    text = refused(measured=with_copies(report, tmp_path / "r", 1))
    assert gates_in(text) == {"no_copies"}
    assert "1 of 28 synthetic cells copy a training cell" in text


def test_a_report_that_did_not_look_for_copies(
    report: Path, refused: Callable[..., str], tmp_path: Path
) -> None:
    found = Measurements.model_validate_json((report / "measurements.json").read_bytes())
    kept = tuple(m for m in found.measurements if m.name != "copied_share")
    text = refused(measured=measured_as(report, tmp_path / "r", measurements=kept))
    assert "the report does not say (copied_share)" in text


def test_a_copied_cell_shuts_the_gate_by_measurement(
    made: Made, refused: Callable[..., str], tmp_path: Path
) -> None:
    from curation.codec import encode
    from curation.pixels import decode_rgb, pixel_id
    from curation.vocabulary import LABELS
    from synth.provenance import Marker, marked
    from synth.view import apply_view

    info = made.generator.info

    def copy_cells(tables: dict[str, pa.Table]) -> None:
        rows = tables["train"].to_pylist()
        for row, data in zip(rows[:2], made.real.images(["train"]), strict=False):
            coded = encode(apply_view(decode_rgb(data), info.view), info.codec)
            marker = Marker(row["generator"], LABELS[row["label"]], row["seed"])
            row |= {"image": {"bytes": marked(coded, marker), "path": None}}
            row |= {"image_id": pixel_id(decode_rgb(coded))}
        tables["train"] = pa.Table.from_pylist(rows, schema=SCHEMA)

    planted = rewritten(made.synthetic, tmp_path / "planted", copy_cells)
    measured = write_report(made.real, planted, tmp_path / "report")
    text = refused(None, planted, measured)
    assert gates_in(text) == {"no_copies"}
    assert "2 of 28 synthetic cells" in text


def test_an_identifier_in_the_source_name(
    made: Made, report: Path, refused: Callable[..., str], tmp_path: Path
) -> None:
    config = CurateConfig(source_name=f"sent with {RECORD_NUMBERS[1]}", license="cc0-1.0")
    corpus = curate([write_export(tmp_path / "export", 8)], tmp_path / "corpus", config)
    measured = measured_as(report, tmp_path / "r", real=corpus.fingerprint)
    text = refused(corpus, measured=measured, vault=None)
    assert gates_in(text) == {LEAK_GATE}
    assert RECORD_NUMBERS[1] not in text, "the refusal does not repeat it"


def test_a_name_that_is_meant_to_be_public(
    made: Made, report: Path, refused: Callable[..., str], tmp_path: Path
) -> None:
    hospital = "Saint Quibble Infirmary"
    config = CurateConfig(source_name=f"smears of the {hospital}", license="cc0-1.0")
    corpus = curate([write_export(tmp_path / "export", 8)], tmp_path / "corpus", config)
    record_identifiers(read_vault(default_vault(corpus.path)), [("site", hospital)])
    measured = measured_as(report, tmp_path / "r", real=corpus.fingerprint)
    assert gates_in(refused(corpus, measured=measured, vault=None)) == {LEAK_GATE}
    done = release(corpus, made.synthetic, measured, "1.0.0", tmp_path / "out", public=[hospital])
    assert {gate.name: gate.state for gate in done.info.gates}[LEAK_GATE] == "passed"
    assert hospital in (done.real / "README.md").read_text()
    assert "1 text(s) were declared public" in (done.real / "README.md").read_text()


def test_a_missing_vault(made: Made, refused: Callable[..., str], tmp_path: Path) -> None:
    copy = load_corpus(shutil.copytree(made.real.path, tmp_path / "corpus"))
    text = refused(copy, vault=None)
    assert gates_in(text) == {LEAK_GATE}
    assert "give it with --vault" in text


def test_a_vault_that_is_none(made: Made, report: Path, tmp_path: Path) -> None:
    with pytest.raises(VaultError, match="is no vault"):
        release(made.real, made.synthetic, report, "1.0.0", tmp_path / "out", vault=tmp_path)


def test_an_overridden_gate_is_stated_in_the_cards(
    made: Made, report: Path, tmp_path: Path
) -> None:
    measured = with_copies(report, tmp_path / "r", 3)
    done = release(made.real, made.synthetic, measured, "1.0.0", tmp_path / "out",
                   overrides=["no_copies", "whole"])  # fmt: skip
    states = {gate.name: gate.state for gate in done.info.gates}
    assert states == {**dict.fromkeys(GATE_NAMES, "passed"), "no_copies": "overridden"}
    for folder in (done.real, done.synthetic):
        text = (folder / "README.md").read_text()
        assert "| no_copies | **overridden** | 3 of 28 synthetic cells copy" in text


def test_an_overridden_leak_gate_is_stated_in_the_cards(
    made: Made, report: Path, tmp_path: Path
) -> None:
    copy = load_corpus(shutil.copytree(made.real.path, tmp_path / "corpus"))
    done = release(copy, made.synthetic, report, "1.0.0", tmp_path / "out", overrides=[LEAK_GATE])
    for folder in (done.real, done.synthetic):
        assert f"| {LEAK_GATE} | **overridden** |" in (folder / "README.md").read_text()
    publication_plan(done.path, "org/name")


def test_facts_that_are_not_known(made: Made, report: Path, tmp_path: Path) -> None:
    def forget(tables: dict[str, pa.Table]) -> None:
        for split, table in tables.items():
            for name in ("source", "license", "subject", "slide"):
                nothing = pa.nulls(len(table), pa.string())
                table = table.set_column(table.column_names.index(name), name, nothing)
            tables[split] = table

    corpus = rewritten(made.real, tmp_path / "corpus", forget)
    manifest = corpus.manifest.model_copy(update={"grouped_by": "duplicate_group"})
    own = corpus.fingerprint
    measured = measured_as(report, tmp_path / "r", real=own, training_corpus=own)
    done = release(
        Corpus(corpus.path, manifest), made.synthetic, measured, "0.1.0", tmp_path / "out",
        vault=default_vault(made.real.path),
    )  # fmt: skip
    states = {gate.name: gate.state for gate in done.info.gates if gate.state != "passed"}
    assert states == {
        "card_facts": "warned", "splits_disjoint": "warned", "licence": "warned",
    }  # fmt: skip
    assert done.info.license == "unknown"
    for folder in (done.real, done.synthetic):
        text = (folder / "README.md").read_text()
        assert not WORDS.search(text)
        assert "all rights reserved" in text
    assert "Subjects and slides are not known" in (done.real / "README.md").read_text()
    with_license = release(
        corpus, made.synthetic, measured, "0.1.0", tmp_path / "more", license_id="cc-by-4.0",
        vault=default_vault(made.real.path),
    )  # fmt: skip
    assert with_license.info.license == "cc-by-4.0"


# Words and places


@pytest.mark.parametrize("version", ["1", "1.0", "v1.0.0", "1.0.0-rc1", "01.0.0", "", "1.0.0\n"])
def test_versions_that_are_none(refused: Callable[..., str], version: str) -> None:
    text = refused(version=version)
    assert text == f"version {version!r} is not MAJOR.MINOR.PATCH, such as 1.2.0"


def test_an_unknown_gate(refused: Callable[..., str]) -> None:
    text = refused(overrides=["no_copy", "whole"])
    assert text.startswith("there is no gate no_copy; the gates are whole, report_fits, ")


def test_an_existing_out(made: Made, report: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with pytest.raises(OutputExistsError):
        release(made.real, made.synthetic, report, "1.0.0", tmp_path / "out")


def test_a_truncated_shard_is_no_corpus(made: Made, report: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(made.real.path, tmp_path / "corpus")
    shard = next((copy / "data").glob("test-*"))
    shard.write_bytes(shard.read_bytes()[:-1])
    with pytest.raises(CorpusError, match="is not whole"):
        release(copy, made.synthetic, report, "1.0.0", tmp_path / "out")


@pytest.mark.parametrize("name", ["measurements.json", "report-open.html", "figures/synthetic.jpg"])
def test_half_a_report(made: Made, report: Path, tmp_path: Path, name: str) -> None:
    copy = shutil.copytree(report, tmp_path / "report")
    (copy / name).unlink()
    with pytest.raises(SmearkitError, match=f"is no complete report: it has no {name}"):
        release(made.real, made.synthetic, copy, "1.0.0", tmp_path / "out")
    assert not (tmp_path / "out").exists()


# Publication


def test_the_publication_lists_every_file(released: Release) -> None:
    plan = publication_plan(released.path, "lab/cells")
    assert [entry.repository for entry in plan.repositories] == ["lab/cells", "lab/cells-synthetic"]
    for entry, folder in zip(plan.repositories, (released.real, released.synthetic), strict=True):
        assert entry.files == {
            path.relative_to(folder).as_posix(): path.stat().st_size
            for path in folder.rglob("*")
            if path.is_file()
        }
    assert plan.version == "1.2.0"


@pytest.mark.parametrize("repo", ["cells", "lab/", "/cells", "a/b/c", "lab/ce lls", "-a/b"])
def test_names_that_are_no_repository(released: Release, repo: str) -> None:
    with pytest.raises(ReleaseRefusedError, match="expected ORG/NAME"):
        publication_plan(released.path, repo)


@pytest.fixture
def own_release(released: Release, tmp_path: Path) -> Path:
    return shutil.copytree(released.path, tmp_path / "release")


def test_an_edited_release_is_not_published(own_release: Path) -> None:
    with (own_release / "synthetic" / "README.md").open("a") as file:
        file.write("more\n")
    with pytest.raises(ReleaseRefusedError, match=r"synthetic/README\.md was changed after"):
        publication_plan(own_release, "lab/cells")


def test_an_added_file_is_not_published(own_release: Path) -> None:
    (own_release / "real" / "data" / "train-extra.parquet").write_bytes(b"")
    with pytest.raises(ReleaseRefusedError, match=r"train-extra\.parquet is not in checksums"):
        publication_plan(own_release, "lab/cells")


@pytest.mark.parametrize("name", ["README.md", "checksums.txt"])
def test_a_missing_file_is_not_published(own_release: Path, name: str) -> None:
    (own_release / "real" / name).unlink()
    with pytest.raises(ReleaseRefusedError, match=f"real/{name} is missing"):
        publication_plan(own_release, "lab/cells")


def test_what_is_no_release_is_not_published(own_release: Path) -> None:
    (own_release / "release.json").unlink()
    with pytest.raises(ReleaseRefusedError, match="is no complete release"):
        publication_plan(own_release, "lab/cells")
    assert json.loads((own_release / "real" / "reports" / "corpus.json").read_bytes())
