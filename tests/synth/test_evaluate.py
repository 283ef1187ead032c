from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from curation.cells import SCHEMA
from curation.codec import encode
from curation.corpus import Corpus, load_corpus
from curation.corpus_writer import shard_name, write_manifest, write_shard
from curation.errors import MeasurementError, OutputExistsError
from curation.pixels import decode_rgb, pixel_id
from smearkit.evaluation import evaluate
from synth import evaluate as module
from synth.evaluate import check_pair, measure
from synth.measure.measurement import read_measurements
from synth.view import apply_view
from tests.made import MEASURED, Made, use_fake_inception


@pytest.fixture(autouse=True)
def _fake(monkeypatch: pytest.MonkeyPatch) -> None:
    use_fake_inception(monkeypatch)


def plant_copies(made: Made, folder: Path, count: int = 6, turns: int = 1) -> Corpus:
    """Write the synthetic corpus with some of its images replaced by training cells."""
    folder.mkdir()
    rows = made.synthetic.rows(SCHEMA.names).to_pylist()
    view, codec = made.generator.info.view, made.generator.info.codec
    for row, data in zip(rows[:count], made.real.images(["train"]), strict=False):
        turned = np.ascontiguousarray(np.rot90(apply_view(decode_rgb(data), view), turns))
        coded = encode(turned, codec)
        row["image"] = {"bytes": coded, "path": None}
        row["image_id"] = pixel_id(decode_rgb(coded))
    table = pa.Table.from_pylist(rows, schema=SCHEMA)
    shards = [write_shard(folder, "train", shard_name("train", 0, 1), table)]
    old = made.synthetic.manifest
    write_manifest(
        folder, kind="synthetic", shards=shards, n_in=len(rows), dropped={}, grouped_by="none",
        codec=old.codec, view=old.view, parents=old.parents, config=old.config,
    )  # fmt: skip
    return load_corpus(folder)


def test_what_is_measured(made: Made) -> None:
    found = measure(made.real, made.synthetic, MEASURED).measurements
    names = {(m.name, m.label) for m in found.measurements}
    for name in ("kid", "fid"):
        assert {(name, label) for label in ("all", "basophil", "monocyte")} <= names
    assert {("precision", "all"), ("coverage", "all"), ("vendi_ratio", "all")} <= names
    assert {("copied_share", "all"), ("nearest_train", "all"), ("membership_auc", "all")} <= names
    assert ("subject_max_ratio", "all") in names
    families = [m.family for m in found.measurements]
    assert families == sorted(families, key=MEASURED.families.index), "in the order asked for"
    assert set(families) == set(MEASURED.families)
    assert found.skipped["lymphocyte"] == "only 2 synthetic cells; 4 are needed"
    assert found.real == made.real.fingerprint
    assert found.synthetic == made.synthetic.fingerprint
    assert found.generator == made.generator.info.fingerprint
    assert found.training_corpus == made.real.fingerprint
    sizes = {m.label: (m.n_real, m.n_synthetic) for m in found.measurements if m.name == "kid"}
    assert sizes == {"all": (20, 20), "basophil": (10, 10), "monocyte": (10, 10)}
    for measured in found.measurements:
        if measured.name in ("kid", "fid", "copied_share", "nearest_train"):
            assert measured.floor is not None, measured
        if measured.name == "kid":
            assert measured.floor_low is not None
            assert measured.low is not None
            assert measured.high is not None
            assert measured.low <= measured.value <= measured.high
            # A generator that saw 160 images is far from what a real cell scores.
            assert measured.floor is not None
            assert measured.value > 3 * abs(measured.floor)
        if measured.name == "fid":
            assert not measured.reliable
        assert made.real.fingerprint in measured.reference


def test_the_same_corpora_measure_the_same(made: Made) -> None:
    one, other = (measure(made.real, made.synthetic, MEASURED).measurements for _ in range(2))
    assert one.measurements == other.measurements


def test_classes_are_cut_to_a_size(made: Made) -> None:
    config = MEASURED.model_copy(update={"max_per_class": 5})
    found = measure(made.real, made.synthetic, config).measurements
    assert {m.n_real for m in found.measurements if m.name == "kid"} == {5, 10}


def test_held_out_cells_are_test_cells_where_there_are_enough(made: Made) -> None:
    found = measure(made.real, made.synthetic, MEASURED).measurements
    assert found.held_out == ("test",)
    assert found.measurements[0].reference == f"{made.real.fingerprint} test"
    most = made.real.manifest.classes["test"]
    fewest = min(most["basophil"], most["monocyte"]) + 1
    many = MEASURED.model_copy(update={"min_per_class": fewest})
    found = measure(made.real, made.synthetic, many).measurements
    assert found.held_out == ("validation", "test")


def test_no_class_is_large_enough(made: Made) -> None:
    with pytest.raises(MeasurementError, match="no class can be measured.*only 2 synthetic"):
        measure(made.real, made.synthetic, MEASURED.model_copy(update={"min_per_class": 50}))


def test_real_cells_as_synthetic_are_refused(made: Made) -> None:
    with pytest.raises(MeasurementError, match="is a real corpus; --synthetic takes"):
        check_pair(made.real, made.real)
    with pytest.raises(MeasurementError, match="is a synthetic corpus; --real takes"):
        check_pair(made.synthetic, made.synthetic)


def test_another_training_corpus_is_refused(made: Made) -> None:
    manifest = made.real.manifest.model_copy(update={"fingerprint": "0" * 32})
    other = Corpus(made.real.path, manifest)
    with pytest.raises(MeasurementError, match="held-out cells may have been trained on.*Next"):
        measure(other, made.synthetic, MEASURED)


@pytest.mark.parametrize("turns", [0, 1, 3])
def test_planted_copies_are_found(made: Made, tmp_path: Path, turns: int) -> None:
    planted = plant_copies(made, tmp_path / "planted", 6, turns)
    found = measure(made.real, planted, MEASURED)
    share = next(m for m in found.measurements.measurements if m.name == "copied_share")
    assert share.value == pytest.approx(6 / 28)
    assert share.low is not None
    assert share.low > 0
    clean = measure(made.real, made.synthetic, MEASURED).measurements
    assert next(m for m in clean.measurements if m.name == "copied_share").value == 0


def test_the_report_directory(made: Made, tmp_path: Path) -> None:
    report = evaluate(made.real, made.synthetic, tmp_path / "report", MEASURED)
    files = {str(p.relative_to(report.path)) for p in report.path.rglob("*") if p.is_file()}
    figures = {name for name in files if name.startswith("figures/")}
    assert files - figures == {"measurements.json", "report.html", "report-open.html"}
    assert figures >= {
        "figures/synthetic.jpg", "figures/synthetic.png", "figures/real_over_synthetic.jpg",
        "figures/closest_training_pairs.png", "figures/cells_basophil.png",
    }  # fmt: skip
    assert read_measurements(report.path) == report.measurements
    with Image.open(report.path / "figures" / "real_over_synthetic.jpg") as sheet:
        assert sheet.height > 6 * 64, "two rows for each of three classes"
    assert "NaN" not in (report.path / "measurements.json").read_text()
    assert json.loads((report.path / "measurements.json").read_bytes())["format_version"] == 2


def test_an_existing_report_is_refused(made: Made, tmp_path: Path) -> None:
    (tmp_path / "report").mkdir()
    with pytest.raises(OutputExistsError):
        evaluate(made.real, made.synthetic, tmp_path / "report", MEASURED)


def test_nothing_stands_at_out_after_a_failure(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise MeasurementError("no network")

    monkeypatch.setattr(module, "find_inception", fail)
    with pytest.raises(MeasurementError, match="no network"):
        evaluate(made.real, made.synthetic, tmp_path / "report", MEASURED)
    assert not (tmp_path / "report").exists()
