from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from curation.cells import SCHEMA
from curation.corpus import Corpus, load_corpus
from curation.corpus_writer import shard_name, write_manifest, write_shard
from curation.errors import GeneratorError, MeasurementError, OutputExistsError
from curation.manifest import Codec, parse_model
from curation.pixels import Pixels, decode_rgb, encode_png, pixel_id
from curation.vocabulary import LABEL_IDS
from smearkit.demo import _pretrained_sheet
from smearkit.demo_cells import draw_cell, random_stain
from synth.evaluate import measure
from synth.generator import Generator, load_generator, weights_fingerprint
from synth.measure.measurement import MEASUREMENTS_NAME, Measurements
from synth.packaged import folder as packaged_folder
from synth.packaged.folder import LIMIT_BYTES, has_pretrained, is_pretrained, pretrained_folder
from synth.packaged.pack import MOST_LEVELS, Source, pack_generator, rounding_of
from synth.packaged.seen import CODES_NAME, IDS_NAME, SAME_BITS, image_codes, read_seen
from synth.sample import sample
from tests.made import FAST, MEASURED, Made, use_fake_inception, write_report

SOURCE = Source(
    citation="Discs, drawn by a test.", license_id="cc0-1.0", license_name="CC0 1.0",
    license_url="https://creativecommons.org/publicdomain/zero/1.0/",
)  # fmt: skip


@pytest.fixture(scope="module")
def packed(made: Made, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny generator as a package carries it; read only."""
    out = tmp_path_factory.mktemp("packed") / "discs-16"
    pack_generator(made.generator, made.real, out, SOURCE, cells_per_class=1)
    return out


@pytest.fixture
def pretrained(packed: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The tiny generator stands where the packaged one does."""
    monkeypatch.setattr(packaged_folder, "_FOLDER", packed)
    return packed


def drawn_cells(count: int, first: int = 0) -> list[tuple[str, Pixels]]:
    """Return cells that look nothing like the discs that the generator learned from."""
    labels = ("basophil", "monocyte")
    found = []
    for number in range(first, first + count):
        rng = np.random.default_rng(number)
        label = labels[number % 2]
        found.append((label, draw_cell(label, rng, random_stain(rng), 48)))
    return found


def other_corpus(folder: Path, **splits: list[tuple[str, Pixels]]) -> Corpus:
    """Write a real corpus of cells by split."""
    folder.mkdir()
    shards = []
    for split, cells in splits.items():
        rows: list[dict[str, Any]] = [dict.fromkeys(SCHEMA.names) for _ in cells]
        for row, (label, pixels) in zip(rows, cells, strict=True):
            image = {"bytes": encode_png(pixels), "path": None}
            row.update(image=image, image_id=pixel_id(pixels), label=LABEL_IDS[label],
                       origin="real")  # fmt: skip
        table = pa.Table.from_pylist(rows, schema=SCHEMA)
        shards.append(write_shard(folder, split, shard_name(split, 0, 1), table))
    count = sum(map(len, splits.values()))
    write_manifest(folder, kind="real", shards=shards, n_in=count, dropped={}, grouped_by="none",
                   codec=Codec(format="png"), parents={}, config={})  # fmt: skip
    return load_corpus(folder)


def training_cells(made: Made, count: int) -> list[tuple[str, Pixels]]:
    labels = made.real.labels(["train"])
    cells = zip(labels, map(decode_rgb, made.real.images(["train"])), strict=True)
    return [cell for cell in cells if cell[0] != "lymphocyte"][:count]


def test_weights_are_halved_and_loaded_as_float32(made: Made, packed: Path) -> None:
    for name in ("unet", "conditioner"):
        (file,) = (packed / name).glob("*.safetensors")
        before = load_file(made.generator.path / name / file.name)
        after = load_file(file)
        assert {value.dtype for value in after.values()} == {torch.bfloat16}
        assert after.keys() == before.keys()
        for key, value in after.items():
            assert torch.equal(value, before[key].to(torch.bfloat16))
    again = load_generator(packed)
    pipeline = again.pipeline
    for module in (pipeline.unet, pipeline.conditioner):
        assert {value.dtype for value in module.parameters()} == {torch.float32}
    assert again.info.fingerprint == weights_fingerprint(packed)
    assert again.info.fingerprint != made.generator.info.fingerprint
    assert again.info.trained_on == made.generator.info.trained_on


def test_nothing_of_the_folder_is_code_or_a_picture(packed: Path) -> None:
    names = {str(path.relative_to(packed)) for path in packed.rglob("*") if path.is_file()}
    assert names == {
        "generator.json", "model_index.json", "unet/config.json", "conditioner/config.json",
        "unet/diffusion_pytorch_model.safetensors", "scheduler/scheduler_config.json",
        "conditioner/diffusion_pytorch_model.safetensors", IDS_NAME, CODES_NAME, "README.md",
        "LICENSE",
    }  # fmt: skip


def test_no_path_of_a_machine_comes_along(made: Made, tmp_path: Path) -> None:
    copied = shutil.copytree(made.generator.path, tmp_path / "generator")
    config = copied / "unet" / "config.json"
    config.write_text(
        json.dumps({**json.loads(config.read_text()), "_name_or_path": "/home/quill"})
    )
    info = copied / "generator.json"
    fingerprint = weights_fingerprint(copied)
    info.write_text(json.dumps({**json.loads(info.read_text()), "fingerprint": fingerprint}))
    out = tmp_path / "out"
    pack_generator(load_generator(copied), made.real, out, SOURCE, cells_per_class=1)
    assert b"quill" not in b"".join(p.read_bytes() for p in out.rglob("*") if p.is_file())


def test_the_training_cells_are_listed(made: Made, packed: Path) -> None:
    expected = sorted(made.real.rows(["image_id"], ["train"])["image_id"].to_pylist())
    assert gzip.decompress((packed / IDS_NAME).read_bytes()).decode().split() == expected
    seen = read_seen(packed, len(expected))
    assert seen.ids == set(expected)
    by_id = {pixel_id(p): image_codes(p)[0] for p in map(decode_rgb, made.real.images(["train"]))}
    np.testing.assert_array_equal(seen.codes, np.stack([by_id[name] for name in expected]))


def test_the_card_is_computed(made: Made, packed: Path, tmp_path: Path) -> None:
    card, info = (packed / "README.md").read_text(), made.generator.info
    assert f"| all | {sum(info.trained_on.values())} |" in card
    assert f"{info.images_seen} images seen" in card
    assert "Not measured yet." in card
    assert SOURCE.citation in card
    assert SOURCE.citation in (packed / "LICENSE").read_text()

    report = write_report(made.real, made.synthetic, tmp_path / "report") / MEASUREMENTS_NAME
    out = tmp_path / "measured"
    pack_generator(made.generator, made.real, out, SOURCE, measured=report, cells_per_class=1)
    text = (out / "README.md").read_text()
    kid = next(m for m in parse_model(Measurements, report).measurements if m.name == "kid")
    assert f"| all | {kid.value:.4g} | {kid.low:.4g} to {kid.high:.4g} |" in text
    assert "Copies of training cells: " in text
    assert "Measured before rounding." in text

    changed = json.loads(report.read_text())
    report.write_text(json.dumps({**changed, "generator": "0" * 32}))
    with pytest.raises(GeneratorError, match="measured generator 0000"):
        pack_generator(made.generator, made.real, tmp_path / "x", SOURCE, measured=report)


def refusals(made: Made, tmp_path: Path) -> dict[str, Callable[[Path], object]]:
    other = other_corpus(tmp_path / "other", train=drawn_cells(4))
    mit = SOURCE.model_copy(update={"license_id": "mit"})
    made_of = (made.generator, made.real)
    return {
        "its list of training cells would be of other cells":
            lambda out: pack_generator(made.generator, other, out, SOURCE),
        "under 'cc0-1.0', and the source is said to be under 'mit'":
            lambda out: pack_generator(*made_of, out, mit),
        r"at most 0\.0 MB go into the package":
            lambda out: pack_generator(*made_of, out, SOURCE, cells_per_class=1, limit_bytes=999),
        "at most -1 are allowed":
            lambda out: pack_generator(*made_of, out, SOURCE, cells_per_class=1, most_levels=-1),
    }  # fmt: skip


def test_what_is_refused_leaves_nothing(made: Made, tmp_path: Path) -> None:
    for said, call in refusals(made, tmp_path).items():
        out = tmp_path / "place" / "out"
        with pytest.raises(GeneratorError, match=said):
            call(out)
        assert not out.exists()
        assert list(out.parent.iterdir() if out.parent.exists() else []) == []
    (tmp_path / "taken").mkdir()
    with pytest.raises(OutputExistsError):
        pack_generator(made.generator, made.real, tmp_path / "taken", SOURCE)


def test_more_weights_than_are_packed_are_refused(made: Made, tmp_path: Path) -> None:
    copied = shutil.copytree(made.generator.path, tmp_path / "generator")
    generator = load_generator(copied)
    (copied / "vae").mkdir()
    shutil.copy(next((copied / "unet").glob("*.safetensors")), copied / "vae" / "a.safetensors")
    with pytest.raises(GeneratorError, match="more than a network .* vae/a.safetensors"):
        pack_generator(generator, made.real, tmp_path / "out", SOURCE)


def test_rounding_is_measured_on_what_is_drawn(made: Made, packed: Path) -> None:
    same = rounding_of(made.generator, made.generator, 1)
    assert (same.mean, same.most, same.cells) == (0.0, 0.0, 3)
    rounded = rounding_of(made.generator, load_generator(packed), 2)
    assert 0 < rounded.mean <= rounded.p99 <= rounded.most
    assert rounded.p99 <= MOST_LEVELS
    worse = load_generator(packed)
    with torch.no_grad():
        for value in worse.pipeline.unet.parameters():
            value.copy_(value.to(torch.float8_e4m3fn))
    assert rounding_of(made.generator, worse, 2).p99 > MOST_LEVELS


def test_it_is_loaded_by_name(pretrained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = load_generator("pretrained")
    assert (found.path, pretrained_folder()) == (pretrained, pretrained)
    assert is_pretrained(found.info.fingerprint)
    assert not is_pretrained("0" * 32)
    monkeypatch.setattr(packaged_folder, "_FOLDER", pretrained / "absent")
    assert not has_pretrained()
    assert not is_pretrained(found.info.fingerprint)
    with pytest.raises(GeneratorError, match="no pretrained generator in it. Next: install"):
        load_generator("pretrained")


@pytest.mark.skipif(not has_pretrained(), reason="the package holds no pretrained generator")
def test_the_packaged_generator_is_whole() -> None:
    folder = pretrained_folder()
    assert sum(path.stat().st_size for path in folder.rglob("*")) <= LIMIT_BYTES
    info = load_generator("pretrained", device="cpu").info
    assert len(read_seen(folder, sum(info.trained_on.values())).ids) > 0


@pytest.mark.parametrize(
    "alter",
    [lambda p: np.asarray(Image.fromarray(p).resize((40, 40))),
     lambda p: np.ascontiguousarray(p[::-1]), lambda p: np.ascontiguousarray(np.rot90(p)),
     lambda p: (p * 0.9).astype(np.uint8)],
)  # fmt: skip
def test_codes_find_altered_copies_and_no_other_cells(alter: Callable[[Pixels], Pixels]) -> None:
    cells = [pixels for _, pixels in drawn_cells(12)]
    codes = np.stack([image_codes(pixels)[0] for pixels in cells])
    bits = np.unpackbits(codes, axis=1)
    for own, pixels in enumerate(cells):
        turned = np.unpackbits(image_codes(alter(pixels)), axis=1)
        distances = (turned[:, None] != bits).sum(axis=2).min(axis=0)
        assert distances[own] <= SAME_BITS
        assert (np.delete(distances, own) > SAME_BITS).all()


def test_another_corpus_measures_it_without_the_cells_that_it_saw(
    made: Made, pretrained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_fake_inception(monkeypatch)
    drawn = sample(
        load_generator("pretrained"), {"basophil": 8, "monocyte": 8}, tmp_path / "s", FAST
    )
    exact, altered = training_cells(made, 5)[:3], training_cells(made, 5)[3:]
    turned = [(label, np.ascontiguousarray(np.rot90(pixels))) for label, pixels in altered]
    held = drawn_cells(24)
    other = other_corpus(
        tmp_path / "other", train=drawn_cells(16, 100), validation=[*held[:8], *exact],
        test=[*turned, *held[8:]],
    )  # fmt: skip
    both = MEASURED.model_copy(update={"held_out": "validation+test"})
    found = measure(other, drawn, both).measurements
    assert found.skipped["held-out cells"].startswith("5 of 29 held-out cells were left out")
    assert "copies of its cells were not looked for" in found.skipped["copies"]
    baseline = next(m for m in found.measurements if m.name == "nearest_train_held_out")
    assert baseline.note == "of 16 held-out real cells: the baseline"

    clean = other_corpus(tmp_path / "clean", train=drawn_cells(16, 100), test=held)
    found = measure(clean, drawn, MEASURED).measurements
    assert found.skipped["held-out cells"].startswith("0 of 24 held-out cells were left out")
    learned = other_corpus(tmp_path / "learned", train=held, test=training_cells(made, 8))
    with pytest.raises(MeasurementError, match="learned from all 8 held-out cells"):
        measure(learned, drawn, MEASURED)
    # Its own corpus was split when it was trained: there is nothing to leave out.
    assert "held-out cells" not in measure(made.real, drawn, MEASURED).measurements.skipped


def test_another_generator_is_measured_on_its_own_corpus_only(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_fake_inception(monkeypatch)
    other = other_corpus(tmp_path / "other", train=drawn_cells(8), test=drawn_cells(8, 50))
    with pytest.raises(MeasurementError, match="its held-out cells may have been trained on"):
        measure(other, made.synthetic, MEASURED)


@pytest.mark.parametrize("damage", ["short", "absent", "codes"])
def test_lists_that_are_not_whole(packed: Path, tmp_path: Path, damage: str) -> None:
    copied = shutil.copytree(packed, tmp_path / "packed")
    expected = 60
    if damage == "short":
        (copied / IDS_NAME).write_bytes(gzip.compress(b"a\n"))
    elif damage == "absent":
        (copied / IDS_NAME).unlink()
    else:
        np.save(copied / CODES_NAME, np.zeros((expected, 31), np.uint8))
    with pytest.raises(GeneratorError, match="Next: install smearkit again"):
        read_seen(copied, expected)


def test_the_demo_shows_a_sheet_of_it(
    pretrained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sheet = _pretrained_sheet(tmp_path / "pretrained.jpg")
    assert sheet is not None
    with Image.open(sheet) as image:
        assert image.height > 3 * 64
    before = sheet.stat().st_mtime_ns
    assert _pretrained_sheet(sheet) == sheet
    assert sheet.stat().st_mtime_ns == before
    monkeypatch.setattr(packaged_folder, "_FOLDER", tmp_path / "absent")
    assert _pretrained_sheet(tmp_path / "other.jpg") is None


def test_a_loaded_generator_is_what_it_says(packed: Path) -> None:
    found = load_generator(packed)
    assert isinstance(found, Generator)
    index = json.loads((packed / "model_index.json").read_text())
    assert "_name_or_path" not in index
