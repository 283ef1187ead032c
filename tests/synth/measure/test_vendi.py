from __future__ import annotations

import numpy as np
import pytest
from scipy.linalg import logm

from curation.errors import MeasurementError
from synth.measure.vendi import cosines, vendi


def test_so_many_kinds_of_equal_images_come_out_as_their_number() -> None:
    for kinds in (1, 2, 7):
        pool = np.repeat(np.eye(7)[:kinds] * 3, 5, axis=0)
        assert vendi(cosines(pool), np.arange(5 * kinds)) == pytest.approx(kinds)


def test_kinds_of_unequal_number_come_out_as_the_exponential_of_their_entropy() -> None:
    shares = np.array([0.5, 0.3, 0.2])
    pool = np.repeat(np.eye(3), (10, 6, 4), axis=0)
    expected = np.exp(-(shares * np.log(shares)).sum())
    assert vendi(cosines(pool), np.arange(20)) == pytest.approx(expected)


def test_two_images_have_a_closed_form() -> None:
    cosine = 0.6
    pool = np.array([[1.0, 0.0], [cosine, np.sqrt(1 - cosine**2)]])
    values = np.array([(1 + cosine) / 2, (1 - cosine) / 2])
    expected = np.exp(-(values * np.log(values)).sum())
    assert vendi(cosines(pool), np.arange(2)) == pytest.approx(expected)


def test_it_is_its_definition_on_any_features_and_some_rows() -> None:
    rng = np.random.default_rng(0)
    pool = rng.standard_normal((12, 30)) + 1
    rows = np.array([3, 1, 7, 8, 10])
    unit = pool[rows] / np.linalg.norm(pool[rows], axis=1, keepdims=True)
    similarity = unit @ unit.T / 5
    expected = np.exp(-np.trace(similarity @ logm(similarity)))
    assert vendi(cosines(pool), rows) == pytest.approx(expected, rel=1e-9)
    assert vendi(cosines(pool), rows[::-1]) == pytest.approx(expected, rel=1e-9)


def test_a_collapsed_generator_moves_it() -> None:
    rng = np.random.default_rng(1)
    pool = rng.standard_normal((60, 20))
    few = np.repeat(pool[:3], 20, axis=0)
    assert vendi(cosines(few), np.arange(60)) < vendi(cosines(pool), np.arange(60)) / 4


def test_features_without_a_direction_or_not_finite_are_refused() -> None:
    with pytest.raises(MeasurementError, match="zero length"):
        cosines(np.zeros((3, 2)))
    with pytest.raises(MeasurementError, match="not finite"):
        cosines(np.array([[1.0, np.nan], [0.0, 1.0]]))
