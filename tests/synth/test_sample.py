from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from curation.codec import codec_of, encode
from curation.corpus import load_corpus, verify_corpus
from curation.errors import GeneratorError, OutputExistsError
from curation.output import partial_path
from curation.pixels import Pixels, decode_rgb, pixel_id
from curation.vocabulary import LABELS
from synth import sample as module
from synth.config import SampleConfig
from synth.generator import Generator
from synth.plan import PlannedCell, planned_cells
from synth.sample import draw_cells, sample
from tests.made import FAST, PLAN, Made


def test_counts_are_as_planned(made: Made) -> None:
    manifest = made.synthetic.manifest
    assert manifest.classes == {"train": PLAN_IN_ORDER}
    assert (manifest.kind, manifest.n_in, manifest.n_out) == ("synthetic", 28, 28)
    assert manifest.splits == {"train": 28}
    assert manifest.parents == {
        "generator": made.generator.info.fingerprint,
        "training_corpus": made.real.fingerprint,
    }
    assert manifest.view == made.generator.info.view
    assert manifest.config["plan"] == PLAN
    verify_corpus(load_corpus(made.synthetic.path))


PLAN_IN_ORDER = {label: PLAN[label] for label in LABELS if label in PLAN}


def test_every_row_says_how_it_was_drawn(made: Made) -> None:
    table = made.synthetic.rows(
        ["origin", "guidance", "steps", "generator", "training_corpus", "license", "seed",
         "subject", "slide", "source", "label", "image_id"]
    )  # fmt: skip
    for name, value in (
        ("origin", "synthetic"),
        ("guidance", FAST.guidance),
        ("steps", FAST.steps),
        ("generator", made.generator.info.fingerprint),
        ("training_corpus", made.real.fingerprint),
        ("license", "cc0-1.0"),
        ("subject", None),
        ("slide", None),
        ("source", None),
    ):
        assert set(table[name].to_pylist()) == {value}, name
    cells = [
        PlannedCell(LABELS[label], seed)
        for label, seed in zip(table["label"].to_pylist(), table["seed"].to_pylist(), strict=True)
    ]
    assert set(cells) == set(planned_cells(PLAN, FAST.seed))
    ids = table["image_id"].to_pylist()
    assert ids == sorted(ids)
    assert ids == [pixel_id(decode_rgb(data)) for data in made.synthetic.images()]


def test_a_row_can_be_drawn_again(made: Made) -> None:
    row = made.synthetic.rows(["label", "seed"]).slice(4, 1).to_pylist()[0]
    data = list(made.synthetic.images())[4]
    drawn = made.generator.pipeline.draw(
        [LABELS[row["label"]]], [row["seed"]], FAST.steps, FAST.guidance
    )
    again = decode_rgb(encode(drawn[0], made.generator.info.codec))
    assert np.abs(again.astype(int) - decode_rgb(data)).mean() < 1


def test_synthetic_cells_have_the_codec_of_the_real(made: Made) -> None:
    real = {codec_of(data) for data in made.real.images()}
    drawn = {codec_of(data) for data in made.synthetic.images()}
    assert drawn == real == {made.generator.info.codec}
    assert len(made.generator.info.codec.tables) == 2
    assert made.synthetic.manifest.codec == made.real.manifest.codec


def test_png_stays_png(made: Made, tmp_path: Path) -> None:
    codec = made.generator.info.codec.model_copy(update={"format": "png", "tables": ()})
    info = made.generator.info.model_copy(update={"codec": codec})
    generator = Generator(made.generator.path, info, made.generator.pipeline)
    corpus = sample(generator, {"basophil": 2}, tmp_path / "synthetic", FAST)
    images = [np.asarray(Image.open(io.BytesIO(data))) for data in corpus.images()]
    cells = planned_cells({"basophil": 2}, 0)
    drawn = [pixels for _, pixels in draw_cells(generator, cells, FAST)]
    assert {image.tobytes() for image in images} == {pixels.tobytes() for pixels in drawn}
    assert {codec_of(data).format for data in corpus.images()} == {"png"}


def test_the_order_of_a_plan_changes_nothing(made: Made, tmp_path: Path) -> None:
    config = FAST.model_copy(update={"batch": 1})
    one = sample(made.generator, {"basophil": 3, "monocyte": 2}, tmp_path / "one", config)
    other = sample(made.generator, {"monocyte": 2, "basophil": 3}, tmp_path / "other", config)
    assert one.fingerprint == other.fingerprint


def test_duplicates_are_rejected_and_counted(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    equal = [PlannedCell("basophil", seed) for seed in (1, 2, 1, 1)]
    monkeypatch.setattr(module, "planned_cells", lambda plan, seed, after: equal)
    # One by one: the same seed in another place of a batch may differ in the last bit.
    config = FAST.model_copy(update={"batch": 1})
    corpus = sample(made.generator, {"basophil": 4}, tmp_path / "synthetic", config)
    assert corpus.manifest.dropped == {"duplicate": 2}
    assert (corpus.manifest.n_in, corpus.manifest.n_out) == (4, 2)
    assert sorted(corpus.rows(["seed"])["seed"].to_pylist()) == [1, 2]


def blanked(blank: Sequence[int]) -> Any:
    plain = draw_cells

    def drawn(
        generator: Generator,
        cells: Sequence[PlannedCell],
        config: SampleConfig,
        guide: Generator | None = None,
    ) -> Iterator[tuple[PlannedCell, Pixels]]:
        for number, (cell, pixels) in enumerate(plain(generator, cells, config)):
            yield cell, np.full_like(pixels, 200 + number) if number in blank else pixels

    return drawn


def test_blank_cells_are_rejected_and_counted(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "draw_cells", blanked([1]))
    corpus = sample(made.generator, {"basophil": 4}, tmp_path / "synthetic", FAST)
    assert corpus.manifest.dropped == {"blank": 1}
    assert corpus.manifest.n_out == 3


def test_all_cells_rejected(made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "draw_cells", blanked([0, 1]))
    with pytest.raises(GeneratorError, match="all 2 cells were rejected: {'blank': 2}"):
        sample(made.generator, {"basophil": 2}, tmp_path / "synthetic", FAST)
    assert not (tmp_path / "synthetic").exists()


@pytest.mark.parametrize("at", ["draw", "shard", "manifest"])
def test_an_interrupted_run_goes_on(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    plan = {"basophil": 5, "monocyte": 4}
    monkeypatch.setattr(module, "PIECE_CELLS", 4)
    unbroken = sample(made.generator, plan, tmp_path / "unbroken", FAST)
    calls: Counter[str] = Counter()
    plain = draw_cells

    def drawing(*args: Any) -> Any:
        calls["draw"] += 1
        if at == "draw" and calls["draw"] == 3:
            raise KeyboardInterrupt
        return plain(*args)

    def interrupt(*args: Any, **kwargs: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "draw_cells", drawing)
    out = tmp_path / "out"
    with monkeypatch.context() as patch:
        if at != "draw":
            patch.setattr(module, f"write_{at}", interrupt)
        with pytest.raises(KeyboardInterrupt):
            sample(made.generator, plan, out, FAST)
    assert not out.exists()
    assert len(list((partial_path(out) / "pieces").iterdir())) == (2 if at == "draw" else 3)
    calls.clear()
    calls["draw"] = 10
    resumed = sample(made.generator, plan, out, FAST)
    assert calls["draw"] == 10 + (1 if at == "draw" else 0), "finished pieces are not drawn again"
    assert resumed.fingerprint == unbroken.fingerprint
    assert {p.name for p in out.iterdir()} == {"data", "manifest.json"}
    assert not partial_path(out).exists()


def test_other_pieces_start_anew(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = {"basophil": 5}
    with monkeypatch.context() as patch:
        patch.setattr(module, "PIECE_CELLS", 2)
        patch.setattr(module, "write_manifest", lambda *a, **k: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            sample(made.generator, plan, tmp_path / "out", FAST)
    corpus = sample(made.generator, plan, tmp_path / "out", FAST)
    assert corpus.manifest.n_out == 5


def test_progress_counts_cells(made: Made, tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    sample(
        made.generator, {"basophil": 3}, tmp_path / "s", FAST, progress=lambda *a: told.append(a)
    )
    assert told[0] == ("sample", 0, 3)
    assert told[-1] == ("sample", 3, 3)


def test_refusals(made: Made, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(GeneratorError, match="never saw eosinophil"):
        sample(made.generator, {"eosinophil": 1}, out, FAST)
    with pytest.raises(GeneratorError, match="nothing to draw"):
        sample(made.generator, {}, out, FAST)
    assert not out.exists()
    assert not partial_path(out).exists()
    out.mkdir()
    with pytest.raises(OutputExistsError):
        sample(made.generator, {"basophil": 1}, out, FAST)


def test_guidance_without_dropped_labels(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from synth.denoiser import Denoiser
    from synth.generator import build_pipeline
    from tests.made import TRAINING

    plain = made.generator.pipeline
    unguided = build_pipeline(
        Denoiser(plain.unet, plain.conditioner),
        TRAINING.model_copy(update={"label_dropout": 0.0}),
        {"basophil": [1.0]},
    )
    generator = Generator(made.generator.path, made.generator.info, unguided)
    with pytest.raises(GeneratorError, match="cannot be guided.*--guidance 1"):
        sample(generator, {"basophil": 1}, tmp_path / "out", FAST)
    config = FAST.model_copy(update={"guidance": 1.0})
    assert sample(generator, {"basophil": 1}, tmp_path / "out", config).manifest.n_out == 1


def test_datasets_loads_it(made: Made, tmp_path: Path) -> None:
    import datasets

    loaded = datasets.load_dataset(str(made.synthetic.path), cache_dir=str(tmp_path / "cache"))
    assert list(loaded) == ["train"]
    rows = loaded["train"]
    assert len(rows) == 28
    assert rows.features["label"].names == list(LABELS)
    assert rows[0]["image"].size == (16, 16)
    assert rows[0]["origin"] == "synthetic"
