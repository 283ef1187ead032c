"""Selection: planted faults are dropped by their own rule, and only while that rule is on."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from numpy.typing import NDArray

from curation.cells import Split
from curation.corpus import Corpus
from curation.errors import MeasurementError
from curation.manifest import View
from curation.pixels import decode_rgb
from synth import select as select_module
from synth import select_calibration as calibration_module
from synth import select_cells as cells_module
from synth.measure.memorisation import prepare
from synth.select import broken, fit_selector, select
from synth.select_cells import Ints, SelectCells
from synth.select_classifier import LabelJudge
from synth.select_config import RULES, Rule, SelectConfig
from synth.select_limits import ClassLimits, SelectLimits, low_limit
from synth.select_realism import Realism
from synth.select_scores import Scores, near_pairs
from synth.selector import Learned, Selector
from tests.made import Made
from tests.made_selection import (
    COMMON,
    COUNTS,
    PNG,
    SIDE,
    VIEW,
    made_cells,
    made_selector,
    made_split,
    write_corpus,
)

Images = NDArray[np.uint8]
NO_JUDGE = LabelJudge((), None)
NO_REALISM = Realism(np.empty(0, np.float32), np.empty(0, np.float32), 5, {})


@pytest.fixture(scope="session")
def selector(tmp_path_factory: pytest.TempPathFactory) -> Selector:
    return made_selector(tmp_path_factory.getbasetemp() / "selection")


@pytest.fixture(scope="module")
def two_splits(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """A smaller corpus, without a test split."""
    splits: dict[Split, dict[str, Images]] = {
        split: {label: cells[:25] for label, cells in made_split(split).items()}
        for split in ("train", "validation")
    }
    return write_corpus(tmp_path_factory.mktemp("two") / "corpus", splits)


def planted(rule: Rule, selector: Selector) -> tuple[Images, list[str]]:
    """Return real cells that are kept, then one with the fault of a rule; and their labels."""
    label = "lymphocyte"
    cells = made_cells(label, 20, 7)
    kept = select(selector.scores(cells, [label] * len(cells)), selector.limits)
    good = cells[[reason == "" for reason in kept]]
    assert len(good) >= 15, "hardly any cell without a fault is dropped"
    faults: dict[Rule, tuple[Images, str]] = {
        "blank": (np.full((SIDE, SIDE, 3), 230, np.uint8), label),
        "label": (made_cells("neutrophil_segmented", 1, 7)[0], label),
        "unreal": (
            np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8), label,
        ),
        "copy": (np.rot90(made_split("train")[label][3])[:, ::-1], label),
        "duplicate": (np.rot90(good[4], 3), label),
    }  # fmt: skip
    image, asked = faults[rule]
    return np.concatenate([good, image[None]]), [label] * len(good) + [asked]


def without(selector: Selector, rule: Rule) -> SelectLimits:
    """Return the limits as they are set with one rule off."""
    off: dict[Rule, dict[str, object]] = {
        "blank": {"spread_least": None},
        "label": {"classes": _classes(selector, label_least=None)},
        "unreal": {"classes": _classes(selector, realism_least=None)},
        "copy": {"copy_least": None},
        "duplicate": {"duplicate_least": None},
    }
    return selector.limits.model_copy(update=off[rule])


def _classes(selector: Selector, **changes: object) -> tuple[ClassLimits, ...]:
    return tuple(entry.model_copy(update=changes) for entry in selector.limits.classes)


@pytest.mark.parametrize("rule", RULES)
def test_a_planted_fault_breaks_its_rule(selector: Selector, rule: Rule) -> None:
    images, labels = planted(rule, selector)
    scores = selector.scores(images, labels)
    found = {name for name, rows in broken(scores, selector.limits).items() if rows[-1]}
    assert rule in found
    # What is of another class, blank or noise is unlike its class in both ways.
    assert found - {rule} <= {"label", "unreal"}
    *others, last = select(scores, selector.limits)
    assert last == next(name for name in RULES if name in found)
    assert set(others) == {""}, "the cells without a fault are kept"


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_that_is_off_drops_nothing(selector: Selector, rule: Rule) -> None:
    images, labels = planted(rule, selector)
    scores = selector.scores(images, labels)
    limits = without(selector, rule)
    assert not broken(scores, limits)[rule].any()
    assert rule not in select(scores, limits)


@pytest.mark.parametrize("rule", RULES)
def test_the_switch_of_a_rule_unsets_its_limits(
    selector: Selector, two_splits: Corpus, rule: Rule
) -> None:
    config = SelectConfig().model_copy(update={f"drop_{rule}": False})
    fitted = fit_selector(two_splits, VIEW, PNG, config)
    images, labels = planted(rule, selector)
    found = broken(fitted.scores(images, labels), fitted.limits)
    assert not found[rule].any()
    assert [name for name in RULES if not config.is_on(name)] == [rule]


def test_rules_are_the_switches() -> None:
    assert {f"drop_{rule}" for rule in get_args(Rule)} <= set(SelectConfig.model_fields)


# What sets the limits


def test_low_limit_keeps_its_promise() -> None:
    scores = np.arange(1.0, 100.0)
    assert low_limit(scores, 0.05) == 5.0
    assert low_limit(scores[::-1], 0.05) == 5.0
    assert low_limit(scores[:19], 0.05) == 1.0
    assert low_limit(scores[:18], 0.05) is None, "18 cells cannot promise 1 in 20"
    generator = np.random.default_rng(0)
    lost = []
    for _ in range(2_000):
        limit = low_limit(generator.normal(size=39), 0.05)
        assert limit is not None
        lost.append(generator.normal() < limit)
    assert 0.035 < np.mean(lost) < 0.065, "2 of 40 exchangeable cells, on average"


def test_limits_come_from_validation(selector: Selector) -> None:
    limits = selector.limits
    assert {entry.label for entry in limits.classes} == set(COMMON)
    for entry in limits.classes:
        assert (entry.calibrated_on, entry.calibrated, entry.train) == ("validation", 30, 50)
        assert entry.label_least is not None
        assert 0 < entry.label_least <= SelectConfig().label_enough
        assert entry.realism_least is not None
        assert entry.realism_least > 0
        assert entry.note is None
    assert (limits.copy_calibrated_on, limits.copy_calibrated) == ("validation", 90)
    assert limits.held_out_most is not None
    assert limits.duplicate_least == max(SelectConfig().correlation, limits.held_out_most)


def test_what_real_cells_lose_is_measured_on_the_test_split(selector: Selector) -> None:
    loss = selector.real_loss
    assert loss.measured_on == "test"
    assert [(entry.label, entry.n) for entry in loss.classes] == [(name, 30) for name in COMMON]
    test = made_split("test")
    for entry in loss.classes:
        scores = selector.scores(test[entry.label], [entry.label] * 30)
        found = broken(scores, selector.limits)
        assert entry.broken == {rule: int(rows.sum()) for rule, rows in found.items()}
        assert max(entry.broken.values()) <= entry.any <= sum(entry.broken.values())


def test_limits_do_not_depend_on_the_test_split(tmp_path: Path, selector: Selector) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (5, SIDE, SIDE, 3), dtype=np.uint8)
    splits = {split: made_split(split) for split in COUNTS}
    splits["test"] = {"platelet": noise}
    other = fit_selector(write_corpus(tmp_path / "corpus", splits), VIEW, PNG)
    assert other.limits == selector.limits
    assert other.real_loss.classes[0].broken["unreal"] == 5


def test_without_validation_and_test(tmp_path: Path) -> None:
    splits: dict[Split, dict[str, Images]] = {"train": made_split("train")}
    fitted = fit_selector(write_corpus(tmp_path / "corpus", splits, subjects=True), VIEW, PNG)
    for entry in fitted.limits.classes:
        assert (entry.calibrated_on, entry.calibrated) == ("cross-validation in train", 50)
        assert entry.label_least is not None
        assert entry.realism_least is not None
    assert fitted.limits.copy_calibrated_on == "cross-validation in train"
    assert fitted.real_loss.measured_on == "nothing"
    images = made_cells("neutrophil_segmented", 10, 7)
    wrong = select(fitted.scores(images, ["lymphocyte"] * 10), fitted.limits)
    right = select(fitted.scores(images, ["neutrophil_segmented"] * 10), fitted.limits)
    assert wrong.count("label") == 10
    assert right.count("") >= 8


def test_no_subject_judges_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[set[str], set[str]]] = []

    def remembered(cells: SelectCells, config: SelectConfig, rows: Ints | None = None) -> Learned:
        assert cells.groups is not None
        if rows is not None:
            taught = {str(cells.groups[row]) for row in rows}
            told.append((taught, {str(group) for group in cells.groups} - taught))
        return Learned(dict.fromkeys(COMMON, 50), NO_JUDGE, NO_REALISM)

    monkeypatch.setattr(select_module, "learn", remembered)
    monkeypatch.setattr(calibration_module, "learn", remembered)
    splits: dict[Split, dict[str, Images]] = {"train": made_split("train")}
    fit_selector(write_corpus(tmp_path / "corpus", splits, subjects=True), VIEW, PNG)
    assert [len(judged) for _, judged in told] == [1] * 5, "five subjects, each judged once"


def test_a_class_with_few_validation_cells_is_cross_validated(tmp_path: Path) -> None:
    splits = {split: made_split(split) for split in COUNTS}
    splits["validation"]["platelet"] = splits["validation"]["platelet"][:3]
    limits = fit_selector(write_corpus(tmp_path / "corpus", splits), VIEW, PNG).limits
    on = {entry.label: (entry.calibrated_on, entry.calibrated) for entry in limits.classes}
    assert on == {
        "lymphocyte": ("validation", 30),
        "neutrophil_segmented": ("validation", 30),
        "platelet": ("cross-validation in train", 50),
    }


def test_a_class_of_one_training_cell_is_not_judged(tmp_path: Path) -> None:
    splits = {split: made_split(split) for split in COUNTS}
    splits["train"]["basophil"] = made_cells("basophil", 1, 0)
    fitted = fit_selector(write_corpus(tmp_path / "corpus", splits), VIEW, PNG)
    limits = fitted.limits.of("basophil")
    assert limits is not None
    assert (limits.calibrated_on, limits.label_least, limits.realism_least) == (
        "nothing",
        None,
        None,
    )
    assert limits.note == "1 training cells; 10 are needed to judge a class"
    drawn = np.concatenate([made_cells("basophil", 1, 0), made_cells("basophil", 2, 1)])
    scores = fitted.scores(drawn, ["basophil"] * 3)
    assert np.isnan(scores.label_probability).all()
    assert np.isnan(scores.realism).all()
    assert select(scores, fitted.limits) == ("copy", "", "")
    never = fitted.scores(drawn[1:], ["eosinophil"] * 2)
    assert select(never, fitted.limits) == ("", "")


def test_a_corpus_of_one_class(tmp_path: Path) -> None:
    splits = {split: made_split(split, ("platelet",)) for split in COUNTS}
    fitted = fit_selector(write_corpus(tmp_path / "corpus", splits), VIEW, PNG)
    limits = fitted.limits.of("platelet")
    assert limits is not None
    assert limits.label_least is None
    assert limits.realism_least is not None
    assert limits.note == "no other class to mix it up with"


def test_classes_that_cannot_be_told_apart_are_not_dropped(tmp_path: Path) -> None:
    """Two labels on cells of one kind: the classifier may guess, but must drop neither."""
    splits: dict[Split, dict[str, Images]] = {
        split: {
            "myelocyte": made_cells("lymphocyte", 2 * COUNTS[split], 20 + place)[::2],
            "metamyelocyte": made_cells("lymphocyte", 2 * COUNTS[split], 20 + place)[1::2],
            "platelet": made_split(split)["platelet"],
        }
        for place, split in enumerate(COUNTS)
    }
    fitted = fit_selector(write_corpus(tmp_path / "corpus", splits), VIEW, PNG)
    drawn = made_cells("lymphocyte", 30, 30)
    for label in ("myelocyte", "metamyelocyte"):
        found = broken(fitted.scores(drawn, [label] * 30), fitted.limits)
        assert found["label"].mean() <= 0.2, label
    assert broken(fitted.scores(drawn, ["platelet"] * 30), fitted.limits)["label"].all()


# Copies and duplicates


def test_every_orientation_of_a_training_cell_is_a_copy(selector: Selector) -> None:
    cell = made_split("train")["platelet"][0]
    turns = [np.rot90(cell, turn) for turn in range(4)]
    images = np.stack([*turns, *(turn[:, ::-1] for turn in turns)])
    scores = selector.scores(images, ["platelet"] * 8)
    np.testing.assert_allclose(scores.nearest_train, 1, atol=1e-5)
    assert broken(scores, selector.limits)["copy"].all()


def test_nothing_nearer_than_held_out_cells_come_is_a_copy() -> None:
    scores = scored(nearest_train=[0.94, 0.96, 0.97, 0.99])
    assert select(scores, limits_of(held_out_most=0.97)) == ("", "", "", "copy")
    assert select(scores, limits_of(held_out_most=0.5)) == ("", "copy", "copy", "copy")
    assert select(scores, limits_of(held_out_most=None)) == ("", "copy", "copy", "copy")


def test_pairs_are_those_of_a_plain_loop() -> None:
    cells = made_cells("lymphocyte", 20, 3)
    images = np.concatenate([cells, np.rot90(cells[:3], axes=(1, 2)), cells[5:6, ::-1]])
    pairs = near_pairs(prepare(images), 0.95)
    assert pairs.tolist() == [[0, 20], [1, 21], [2, 22], [5, 23]]
    assert near_pairs(prepare(images[:0]), 0.95).shape == (0, 2)


def test_pairs_are_found_across_blocks() -> None:
    cells = made_cells("lymphocyte", 4, 3)
    images = np.random.default_rng(0).integers(0, 256, (600, SIDE, SIDE, 3), dtype=np.uint8)
    images[[3, 400]], images[[260, 270]] = cells[0], cells[1]
    pairs = near_pairs(prepare(images), 0.95)
    assert pairs.tolist() == [[260, 270], [3, 400]]


def test_a_duplicate_of_a_dropped_cell_stays() -> None:
    pairs = [[0, 1], [0, 2], [1, 2], [3, 4]]
    scores = scored(label_probability=[0.1, 0.9, 0.9, 0.9, 0.9], pairs=pairs)
    assert select(scores, limits_of(label_least=0.5)) == ("label", "", "duplicate", "", "duplicate")
    duplicates = ("", "duplicate", "duplicate", "", "duplicate")
    assert select(scores, limits_of(label_least=None)) == duplicates


def scored(
    label_probability: list[float] | None = None,
    nearest_train: list[float] | None = None,
    pairs: list[list[int]] | None = None,
) -> Scores:
    n = len(label_probability or nearest_train or [])
    ones = np.ones(n, np.float32)
    return Scores(
        labels=np.array(["platelet"] * n),
        label_probability=np.array(label_probability or ones, np.float32),
        realism=ones,
        nearest_train=np.array(nearest_train or 0 * ones, np.float32),
        spread=50 * ones,
        pairs=np.array(pairs or [], np.int64).reshape(-1, 2),
    )


def limits_of(label_least: float | None = 0.5, held_out_most: float | None = 0.9) -> SelectLimits:
    entry = ClassLimits(
        label="platelet", train=50, calibrated_on="validation", calibrated=30,
        label_least=label_least, realism_least=0.5,
    )  # fmt: skip
    return SelectLimits(
        classes=(entry,), spread_least=2.0, copy_least=0.95, duplicate_least=0.95,
        held_out_most=held_out_most, copy_calibrated_on="validation", copy_calibrated=30,
    )  # fmt: skip


# What comes in


def test_scores_do_not_depend_on_the_others(selector: Selector) -> None:
    images, labels = made_cells("platelet", 6, 8), ["platelet"] * 6
    together = selector.scores(images, labels)
    alone = [selector.scores(images[[row]], ["platelet"]) for row in range(6)]
    for name in ("label_probability", "realism", "nearest_train", "spread"):
        single = np.concatenate([getattr(one, name) for one in alone])
        np.testing.assert_allclose(getattr(together, name), single, rtol=1e-4, atol=1e-5)


def test_scores_are_finite(selector: Selector) -> None:
    images, labels = planted("blank", selector)
    scores = selector.scores(images, labels)
    for name in ("label_probability", "realism", "nearest_train", "spread"):
        assert np.isfinite(getattr(scores, name)).all(), name


def test_no_cells(selector: Selector) -> None:
    scores = selector.scores(np.empty((0, SIDE, SIDE, 3), np.uint8), [])
    assert select(scores, selector.limits) == ()


def test_other_images_are_refused(selector: Selector) -> None:
    good = made_cells("platelet", 2, 8)
    for images, labels in (
        (good[:, :32, :32], ["platelet"] * 2),
        (good, ["platelet"]),
        (good.astype(np.float32), ["platelet"] * 2),
        (good[..., :1], ["platelet"] * 2),
    ):
        with pytest.raises(MeasurementError, match=r"expected \(\d, 40, 40, 3\) uint8.*Next: fit"):
            selector.scores(images, labels)  # type: ignore[arg-type]


def test_a_synthetic_corpus_is_refused(made: Made) -> None:
    with pytest.raises(MeasurementError, match="is a synthetic corpus.*Next: give the corpus"):
        fit_selector(made.synthetic, VIEW, PNG)


def test_a_corpus_without_training_cells_is_refused(tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "corpus", {"test": made_split("test")})
    with pytest.raises(MeasurementError, match="no training cells"):
        fit_selector(corpus, VIEW, PNG)


def test_a_curated_corpus_in_its_own_view_and_codec(made: Made) -> None:
    info = made.generator.info
    fitted = fit_selector(made.real, info.view, info.codec)
    assert fitted.corpus == made.real.fingerprint
    drawn = np.stack([decode_rgb(data) for data in made.synthetic.images()])
    reasons = select(fitted.scores(drawn, made.synthetic.labels()), fitted.limits)
    assert len(reasons) == len(drawn)
    assert reasons.count("label") + reasons.count("unreal") > len(drawn) / 2, (
        "160 images of training make no cells"
    )


def test_the_cache_is_taken_up(
    tmp_path: Path, two_splits: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache"
    first = fit_selector(two_splits, VIEW, PNG, cache=cache)
    assert len(list(cache.iterdir())) == 3
    other = View(side=SIDE, crop=0.9)
    with monkeypatch.context() as patch:
        patch.setattr(cells_module, "view_through_codec", lambda *args: 1 / 0)
        assert fit_selector(two_splits, VIEW, PNG, cache=cache).limits == first.limits
        with pytest.raises(ZeroDivisionError):
            fit_selector(two_splits, other, PNG, cache=cache)
    assert fit_selector(two_splits, VIEW, PNG).limits == first.limits


def test_at_most_so_many_training_cells(two_splits: Corpus) -> None:
    config = SelectConfig(max_train=30, max_held_out=60)
    fitted = fit_selector(two_splits, VIEW, PNG, config)
    assert len(fitted.training) == 30
    assert [entry.train for entry in fitted.limits.classes] == [10, 10, 10]


def test_progress_is_told(two_splits: Corpus) -> None:
    told: list[tuple[str, int, int]] = []
    fit_selector(two_splits, VIEW, PNG, progress=lambda *what: told.append(what))
    assert ("measure train", 75, 75) in told
    assert ("measure validation", 75, 75) in told


def test_a_view_keeps_the_scale_of_the_cell() -> None:
    """The middle two thirds on a tile are where the whole image has them."""
    whole = made_cells("lymphocyte", 1, 9)[0].repeat(3, axis=0).repeat(3, axis=1)[:96, :96]
    view = View(side=64, crop=2 / 3)
    tile = cells_module.view_tile(whole[16:80, 16:80], view)
    assert tile.shape == (96, 96, 3)
    np.testing.assert_array_equal(tile[16:80, 16:80], whole[16:80, 16:80])
    np.testing.assert_array_equal(tile[:16, 16:80], whole[16:17, 16:80].repeat(16, axis=0))
    whole_view = View(side=96, crop=1.0)
    np.testing.assert_array_equal(cells_module.view_tile(whole, whole_view), whole)
