from __future__ import annotations

import numpy as np
import pytest
from torch_fidelity.metric_kid import kernel_mmd

from curation.errors import MeasurementError
from synth.measure.cmmd import SCALE, cmmd, cmmd_floors, gaussian, unit_rows
from synth.measure.floors import halves
from synth.measure.kernel import kernel_mean


def test_the_value_is_torch_fidelitys_with_this_kernel() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((40, 8)), rng.standard_normal((40, 8)) + 0.5
    unit_x, unit_y = (side / np.linalg.norm(side, axis=1, keepdims=True) for side in (x, y))
    theirs = kernel_mmd(unit_x, unit_y, kid_kernel="rbf", kid_kernel_rbf_sigma=10.0)
    assert cmmd(x, y).value == pytest.approx(SCALE * theirs, abs=1e-4)


def test_gaussians_have_a_closed_form() -> None:
    # The mean kernel of N(0, 1) and N(m, 1) is (1 + 2/s^2)^(-d/2) exp(-|m|^2 / 2(s^2 + 2)).
    rng = np.random.default_rng(1)
    size, gap = 6, 4.0
    x, y = rng.standard_normal((4_000, size)), rng.standard_normal((4_000, size))
    y[:, 0] += gap
    scale = (1 + 2 / 100) ** (-size / 2)
    expected = 2 * scale * (1 - np.exp(-(gap**2) / (2 * 102)))
    assert kernel_mean(x, y, gaussian) == pytest.approx(expected, rel=0.05)


def test_it_is_unbiased_covers_zero_and_the_length_of_a_feature_does_not_matter() -> None:
    rng = np.random.default_rng(2)
    found = [
        cmmd(rng.standard_normal((30, 16)), rng.standard_normal((30, 16)), seed=i)
        for i in range(100)
    ]
    values = [estimate.value for estimate in found]
    assert abs(np.mean(values)) < 3 * np.std(values) / 10
    assert np.mean([estimate.low <= 0 <= estimate.high for estimate in found]) >= 0.88
    x, y = rng.standard_normal((20, 8)), rng.standard_normal((20, 8)) + 1
    longer = cmmd(x * 7, y / 3)
    assert longer.value == pytest.approx(cmmd(x, y).value, abs=1e-4)
    assert longer.low > 0


def test_floors_are_the_distances_of_the_halves() -> None:
    pool = np.random.default_rng(3).standard_normal((24, 8))
    parted = halves([12], 3, 0)
    expected = [cmmd(pool[first], pool[~first]).value for first in parted]
    assert cmmd_floors(pool, parted) == pytest.approx(expected, abs=1e-9)


def test_a_feature_of_zero_length_is_refused() -> None:
    with pytest.raises(MeasurementError, match="zero length"):
        unit_rows(np.zeros((4, 3)))
