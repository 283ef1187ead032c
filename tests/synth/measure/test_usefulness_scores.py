"""Scores, calibration and intervals against independent answers and known truths."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import balanced_accuracy_score, f1_score, recall_score

from synth.measure.calibration_curve import BINS, calibration_curve, calibration_errors
from synth.measure.class_scores import balanced_accuracies, confusions, macro_f1s, recalls
from synth.measure.seed_interval import Score, cell_draws, least_variance, mean_score

CLASSES = 4


def answers(n: int, seed: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, CLASSES, n)
    logits = rng.normal(0, 1, (n, CLASSES)) + 1.5 * np.eye(CLASSES)[codes]
    shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    return shares.astype(np.float32), codes


def test_scores_are_those_of_scikit_learn() -> None:
    shares, codes = answers(200, 0)
    said = shares.argmax(1)
    counts = np.random.default_rng(1).integers(0, 3, (5, 200)).astype(float)
    counts[0] = 1
    tables = confusions(said, codes, CLASSES, counts)
    for row, weight in enumerate(counts):
        expected = balanced_accuracy_score(codes, said, sample_weight=weight)
        assert balanced_accuracies(tables)[row] == pytest.approx(expected)
        expected = f1_score(codes, said, average="macro", sample_weight=weight)
        assert macro_f1s(tables)[row] == pytest.approx(expected)
        each = recall_score(codes, said, average=None, sample_weight=weight)
        np.testing.assert_allclose(recalls(tables)[row], each)


def test_a_class_without_test_cells_does_not_count_but_can_be_said() -> None:
    codes, said = np.array([0, 0, 1, 1]), np.array([0, 3, 1, 0])
    tables = confusions(said, codes, CLASSES, np.ones((1, 4)))
    assert balanced_accuracies(tables)[0] == pytest.approx(0.5)
    # By hand: class 0 has F1 2 / (2 + 2), class 1 has 2 / (2 + 1).
    assert macro_f1s(tables)[0] == pytest.approx((1 / 2 + 2 / 3) / 2)
    assert np.isnan(recalls(tables)[0, 2:]).all()


def test_calibration_by_hand() -> None:
    # Three cells at 0.9 of which two are right, two at 0.7 of which none is.
    shares = np.array([[0.9, 0.1]] * 3 + [[0.3, 0.7]] * 2, np.float32)
    codes = np.array([0, 0, 1, 0, 0])
    curve = calibration_curve(shares, codes)
    assert curve.error == pytest.approx(0.6 * (0.9 - 2 / 3) + 0.4 * 0.7, rel=1e-6)
    assert calibration_errors(shares, codes, np.ones((1, 5)))[0] == pytest.approx(curve.error)
    assert curve.share.sum() == pytest.approx(1)
    assert np.isnan(curve.right).sum() == BINS - 2


def test_an_overconfident_classifier_has_a_larger_error_than_a_calibrated_one() -> None:
    rng = np.random.default_rng(0)
    sure = rng.uniform(0.5, 1, 20_000)
    codes = (rng.random(20_000) > sure).astype(np.int64)
    honest = np.stack([sure, 1 - sure], 1).astype(np.float32)
    loud = np.stack([sure**0.3, 1 - sure**0.3], 1).astype(np.float32)
    assert calibration_curve(honest, codes).error < 0.02
    assert calibration_curve(loud, codes).error == pytest.approx(
        float((sure**0.3 - sure).mean()), abs=0.01
    )


def _held(seeds: int, effect: float, *, as_one: bool = False, rounds: int = 300) -> float:
    """Return how often intervals hold the truth, where seeds and cells both have effects.

    `as_one` forgets that there were several seeds.
    """
    rng = np.random.default_rng(3)
    held = 0
    for number in range(rounds):
        # Cells differ in how hard they are, and each seed is better or worse at all of them.
        ease = rng.normal(0, 0.2, 120)
        skill = rng.normal(0, effect, seeds)
        right = ease + skill[:, None] + rng.normal(0, 0.3, (seeds, 120))
        codes = np.repeat(np.arange(4), 30)
        counts = cell_draws(codes, [None] * 120, number, draws=300)
        values = right.mean(1)
        draws = (right @ counts.T / 120).mean(0)
        score = Score(values.mean(keepdims=True) if as_one else values, draws)
        held += score.interval.low <= 0 <= score.interval.high
    return held / rounds


@pytest.mark.parametrize(
    ("seeds", "effect"), [(2, 0.05), (5, 0.0), (5, 0.05), (5, 0.2), (10, 0.02)]
)
def test_intervals_hold_the_truth(seeds: int, effect: float) -> None:
    assert 0.92 <= _held(seeds, effect) <= 0.99


def test_an_interval_that_forgets_the_seeds_is_too_narrow() -> None:
    assert _held(5, 0.2, as_one=True) < 0.6


def test_differences_are_paired() -> None:
    rng = np.random.default_rng(5)
    skill, luck = rng.normal(0, 0.1, 5), rng.normal(0, 0.05, 400)
    first = Score(0.7 + skill, 0.7 + luck)
    second = Score(0.68 + skill + rng.normal(0, 0.002, 5), 0.68 + luck)
    gain = (first - second).interval
    assert gain.low > 0
    assert gain.value == pytest.approx(0.02, abs=0.003)
    assert first.interval.low < second.interval.value


def test_one_seed_tells_of_the_cells_alone() -> None:
    draws = np.random.default_rng(6).normal(0.8, 0.01, 2_000)
    found = Score(np.array([0.8]), draws).interval
    assert found.value == 0.8
    assert found.high - found.low == pytest.approx(2 * 1.96 * 0.01, rel=0.05)
    same = Score(np.array([0.8, 0.8]), np.full(9, 0.8)).interval
    assert (same.low, same.high) == (0.8, 0.8)


def test_cells_without_a_fault_are_no_proof_of_none() -> None:
    codes = np.array([0] * 20 + [1] * 60)
    least = least_variance(codes, [None] * 80)
    right = Score(np.ones(5), np.ones(100), least[0]).interval
    # The rule of three: of 20 cells without a fault, up to 3 / 20 could have one.
    assert right.low == pytest.approx(1 - 3 / 20)
    assert Score(np.ones(5), np.ones(100), least[1]).interval.low == pytest.approx(1 - 3 / 60)
    one_subject = least_variance(codes, ["a"] * 40 + ["b"] * 40)
    assert one_subject[0] == pytest.approx(least[0] * 20**2)
    assert one_subject[1] == pytest.approx(least[1] * 60**2 / 2**2)
    spread = np.random.default_rng(0).normal(0.5, 0.2, 2_000)
    kept = Score(np.full(5, 0.5), spread, least[0]).interval
    assert kept == Score(np.full(5, 0.5), spread).interval


def test_a_difference_and_a_mean_keep_the_least_variance() -> None:
    first = Score(np.ones(2), np.ones(9), 0.04)
    second = Score(np.zeros(2), np.zeros(9), 0.01)
    assert (first - second).least == 0.04
    mean = mean_score([first, second])
    assert mean.least == pytest.approx(0.05 / 4)
    np.testing.assert_allclose(mean.seeds, 0.5)


def test_draws_take_each_class_whole_and_subjects_together() -> None:
    codes = np.array([0] * 5 + [1] * 15)
    counts = cell_draws(codes, [None] * 20, 0, draws=50)
    assert (counts[:, :5].sum(1) == 5).all()
    assert (counts[:, 5:].sum(1) == 15).all()
    assert (counts == 0).any()
    subjects = ["a", "b", "a", None, "b"] * 4
    counts = cell_draws(codes, subjects, 0, draws=50)
    of_a = counts[:, [row for row, name in enumerate(subjects) if name == "a"]]
    assert (of_a == of_a[:, :1]).all()
    alone = counts[:, [row for row, name in enumerate(subjects) if name is None]]
    assert (alone != alone[:, :1]).any()


def test_cells_of_few_subjects_make_wider_intervals() -> None:
    rng = np.random.default_rng(7)
    subject = np.arange(200) % 10
    right = rng.normal(0, 0.3, 10)[subject] + rng.normal(0, 0.1, 200)
    codes = np.zeros(200, np.int64)

    def width(subjects: list[str | None]) -> float:
        counts = cell_draws(codes, subjects, 0)
        found = Score(np.array([right.mean()]), counts @ right / 200).interval
        return found.high - found.low

    assert width([str(name) for name in subject]) > 2.5 * width([None] * 200)
