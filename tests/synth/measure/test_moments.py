from __future__ import annotations

import numpy as np
import pytest

from curation.errors import MeasurementError
from synth.measure import features_pair
from synth.measure.moments import factor, merged, moments, without


def test_the_moments_are_numpys_whatever_the_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.random.default_rng(0).standard_normal((50, 6)) + 1_000
    for rows in (7, 50, 64):
        monkeypatch.setattr(features_pair, "BLOCK_ROWS", rows)
        found = moments(x.astype(np.float32))
        assert found.count == 50
        np.testing.assert_allclose(found.mean, x.mean(axis=0), rtol=1e-6)
        np.testing.assert_allclose(found.scatter / 49, np.cov(x, rowvar=False), atol=1e-3)


def test_parts_merge_into_the_whole_and_come_off_again() -> None:
    x = np.random.default_rng(1).standard_normal((40, 5)) + 3
    whole, some, rest = moments(x), moments(x, np.arange(12)), moments(x, np.arange(12, 40))
    for found, expected in ((merged([some, rest]), whole), (without(whole, some), rest)):
        assert found.count == expected.count
        np.testing.assert_allclose(found.mean, expected.mean, rtol=1e-10)
        np.testing.assert_allclose(found.scatter, expected.scatter, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("lost", [0, 2, 5])
def test_the_factor_gives_the_covariance_also_where_it_is_singular(lost: int) -> None:
    rng = np.random.default_rng(2)
    x = rng.standard_normal((30, 5 - lost)) @ rng.standard_normal((5 - lost, 5))
    found = factor(moments(x))
    assert found.shape == (5 - lost, 5)
    np.testing.assert_allclose(found.T @ found, np.cov(x, rowvar=False), atol=1e-10)


def test_no_features_have_no_moments() -> None:
    with pytest.raises(MeasurementError, match="no features"):
        moments(np.empty((0, 3)))
