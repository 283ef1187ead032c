from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict

import numpy as np
import pytest
from numpy.typing import NDArray
from prdc import compute_prdc
from scipy.spatial.distance import cdist

from curation.errors import MeasurementError
from synth.measure import neighbours as module
from synth.measure.neighbours import Neighbours, neighbours, squared_distances

Array = NDArray[np.float64]


def _of(real: Array, made: Array, k: int = 5) -> Neighbours:
    distances = squared_distances(np.concatenate([real, made]))
    n = len(real)
    return neighbours(distances, np.arange(n), np.arange(n, n + len(made)), k)


def _modes(rng: np.random.Generator, counts: tuple[int, ...]) -> Array:
    """Four far apart kinds of cells, so many of each."""
    centres = 12 * np.eye(4, 16)
    rows = np.repeat(np.arange(4), counts)
    return np.asarray(centres[rows] + rng.standard_normal((sum(counts), 16)))


@pytest.mark.parametrize("block", [7, 512])
def test_the_distances_are_scipys_and_equal_rows_have_none(
    block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_BLOCK", block)
    x = np.random.default_rng(0).standard_normal((40, 9)).astype(np.float32) + 500
    x[13] = x[4]
    found = squared_distances(x)
    np.testing.assert_allclose(found, cdist(x, x, "sqeuclidean"), rtol=1e-5, atol=1e-7)
    assert found[13, 4] == 0
    assert not np.diagonal(found).any()


@pytest.mark.parametrize(("n", "m", "k"), [(60, 60, 5), (40, 90, 3), (12, 11, 9)])
@pytest.mark.parametrize("shift", [0.0, 0.6, 9.0])
def test_agrees_with_prdc(
    n: int, m: int, k: int, shift: float, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(1)
    real, made = rng.standard_normal((n, 8)), rng.standard_normal((m, 8)) * 1.2 + shift
    theirs = compute_prdc(real, made, nearest_k=k)
    capsys.readouterr()  # it prints
    assert asdict(_of(real, made, k)) == pytest.approx(theirs, abs=1e-12)


def test_precision_and_recall_agree_with_torch_fidelity() -> None:
    import torch
    from torch_fidelity.metric_prc import prc_features_to_metric

    rng = np.random.default_rng(2)
    real, made = rng.standard_normal((50, 8)), rng.standard_normal((50, 8)) * 0.7
    theirs = prc_features_to_metric(
        torch.from_numpy(made), torch.from_numpy(real), prc_neighborhood=3, verbose=False
    )
    found = _of(real, made, 3)
    assert found.precision == pytest.approx(theirs["precision"])
    assert found.recall == pytest.approx(theirs["recall"])


def test_order_does_not_matter() -> None:
    rng = np.random.default_rng(3)
    real, made = rng.standard_normal((30, 5)), rng.standard_normal((40, 5))
    assert _of(rng.permutation(real), rng.permutation(made)) == _of(real, made)


def test_a_missing_mode_lowers_recall_and_coverage_and_not_precision() -> None:
    rng = np.random.default_rng(4)
    real = _modes(rng, (40, 40, 40, 40))
    whole, lacking = _of(real, _modes(rng, (40,) * 4)), _of(real, _modes(rng, (54, 53, 53, 0)))
    assert lacking.precision == pytest.approx(whole.precision, abs=0.05)
    assert lacking.density == pytest.approx(whole.density, abs=0.2)
    assert whole.recall - lacking.recall > 0.2
    assert whole.coverage - lacking.coverage > 0.2


def test_cells_of_a_kind_that_is_not_real_lower_precision_and_density_and_not_coverage() -> None:
    rng = np.random.default_rng(5)
    real = _modes(rng, (60, 60, 60, 0))
    whole, beside = _of(real, _modes(rng, (60, 60, 60, 0))), _of(real, _modes(rng, (60,) * 4))
    assert whole.precision - beside.precision > 0.15
    assert whole.density - beside.density > 0.15
    assert beside.coverage == pytest.approx(whole.coverage, abs=0.06)


def test_one_cell_again_and_again_has_no_recall() -> None:
    rng = np.random.default_rng(6)
    real = rng.standard_normal((60, 8))
    found = _of(real, np.repeat(real[:1], 60, axis=0))
    assert found.precision == 1
    assert found.recall < 0.05
    assert found.coverage < 0.3


@pytest.mark.parametrize("function", [_of, lambda real, made: _of(made, real)])
def test_no_more_images_than_neighbours_are_refused(
    function: Callable[[Array, Array], Neighbours],
) -> None:
    with pytest.raises(MeasurementError, match="5 images a side have no 5 neighbours"):
        function(np.zeros((5, 3)), np.zeros((9, 3)))


def test_values_that_are_not_finite_are_refused() -> None:
    with pytest.raises(MeasurementError, match="not finite"):
        squared_distances(np.array([[1.0, np.nan], [0.0, 1.0]]))
