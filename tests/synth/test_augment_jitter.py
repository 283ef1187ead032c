from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from synth.augment_jitter import JITTER_COLUMNS, draw_jitter, jittered

SIDE = 16


def told(count: int, **columns: float) -> Tensor:
    jitter = torch.zeros(count, len(JITTER_COLUMNS))
    for name, value in columns.items():
        jitter[:, JITTER_COLUMNS.index(name)] = value
    return jitter


def images(count: int = 3) -> Tensor:
    """Muted colours, so that no jitter runs into the limits."""
    generator = torch.Generator().manual_seed(0)
    return torch.rand(count, 3, SIDE, SIDE, generator=generator) * 0.4 - 0.2


def grey(x_BCHW: Tensor) -> Tensor:
    weights = torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)
    return (x_BCHW * weights).sum(dim=1, keepdim=True)


def test_rows_of_zeros_are_not_touched() -> None:
    x = images(4) * 9  # beyond the limits, to which jittered rows are cut
    assert jittered(x, told(4)) is x
    jitter = told(4)
    jitter[2] = torch.tensor([0.5, 1.0, -1.0, 0.3])
    out = jittered(x, jitter)
    for row in (0, 1, 3):
        assert torch.equal(out[row], x[row])
    assert not torch.equal(out[2], x[2])
    assert float(out[2].abs().max()) <= 1
    assert out is not x


def test_brightness_is_what_is_told() -> None:
    x = images()
    torch.testing.assert_close(jittered(x, told(3, brightness=-1.5)), x - 0.15)


def test_contrast_is_what_is_told() -> None:
    x = images()
    middle = x.mean(dim=(1, 2, 3), keepdim=True)
    out = jittered(x, told(3, contrast=1.0))
    torch.testing.assert_close(out, middle + (x - middle) * float(np.exp(0.2)))
    torch.testing.assert_close(out.mean(dim=(1, 2, 3), keepdim=True), middle)


def test_saturation_is_what_is_told() -> None:
    x = images()
    out = jittered(x, told(3, saturation=-2.0))
    torch.testing.assert_close(grey(out), grey(x))
    torch.testing.assert_close(out - grey(x), (x - grey(x)) * float(np.exp(-0.8)))


def test_zoom_is_what_is_told() -> None:
    # An image seen larger has a gentler slope around the same middle.
    where = (torch.arange(SIDE) + 0.5) / SIDE - 0.5
    x = where.expand(2, 3, SIDE, SIDE) * 1.6
    jitter = told(2, zoom=1.0)
    jitter[1] = told(1, zoom=2.0)
    out = jittered(x, jitter)[:, :, 3:-3, 3:-3]
    for row, strength in enumerate((1.0, 2.0)):
        slope, middle = np.polyfit(where[3:-3], out[row].mean(dim=(0, 1)), 1)
        assert slope == pytest.approx(1.6 * np.exp(-0.2 * strength), rel=0.01)
        assert middle == pytest.approx(0, abs=1e-4)


def test_each_jitter_happens_by_chance_and_zooms_inwards() -> None:
    jitter = draw_jitter(20_000, 0.15, np.random.default_rng(0))
    assert jitter.dtype == np.float32
    np.testing.assert_allclose((jitter != 0).mean(axis=0), 0.15, atol=0.02)
    assert jitter[:, 0].min() == 0
    assert jitter[:, 1:].min() < -1
    assert np.abs(jitter).max() <= 2
    both = ((jitter[:, 1] != 0) & (jitter[:, 2] != 0)).mean()
    assert both == pytest.approx(0.15**2, abs=0.01)


def test_no_chance_no_jitter() -> None:
    assert not draw_jitter(50, 0.0, np.random.default_rng(0)).any()
