"""What gives a picture away without anything being seen on it: encoder, spectrum, border, colour.

Each family is a function of images (n, s, s, 3) uint8 RGB, all of one size, and returns (n, k)
float64. A classifier that tells two sides apart by one of these says nothing about cells.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from curation.codec import encode
from curation.errors import MeasurementError
from curation.manifest import Codec
from curation.pixels import encode_png

Images = NDArray[np.uint8]
Rows = NDArray[np.float64]
Planes = NDArray[np.float32]

BLOCK_PX = 8
"""Side of the blocks that JPEG encodes one by one."""
FEWEST_PX = 2 * BLOCK_PX
_RINGS, _CHROMA_RINGS = 16, 8
_BINS = 8
_RIM_PX = 3  # of the smallest image, nine steps are left for eight phases
_TINY = 1e-6
_JPEG = Codec(format="jpeg", tables=((2,) * 64, (3,) * 64), subsampling=0)


def jpeg_grid(images_NHWC: Images) -> Rows:
    """Return the marks of JPEG's blocks: steps by their phase, and coefficients that are gone.

    Steps between neighbouring px are averaged over each of the 8 columns (rows) of a block and
    divided by their mean: without blocks, all phases are alike. Of the cosine transform of the
    blocks, how much more is near zero than of blocks half a block beside, diagonal by diagonal.
    """
    luma, chroma = _luma(images_NHWC), _chroma(images_NHWC)
    steps = [
        _phases(plane if across else plane.transpose(0, 2, 1))
        for plane in (luma, chroma)
        for across in (True, False)
    ]
    half = BLOCK_PX // 2
    # Blocks at the rim count half, so that both kinds lie over the same part of the picture.
    blocks, beside = _gone(luma, rim=0.5), _gone(luma[:, half:-half, half:-half], rim=1)
    return np.concatenate([*steps, blocks - beside], axis=1)


def spectrum(images_NHWC: Images) -> Rows:
    """Return the logarithm of the power in rings of frequency, and of across over down."""
    luma, chroma = _luma(images_NHWC), _chroma(images_NHWC)
    power = _power(luma)
    across = np.log(power[:, 0, 1:].sum(axis=1) + _TINY)
    down = np.log(power[:, 1:, 0].sum(axis=1) / 2 + _TINY)
    return np.concatenate(
        [_rings(power, _RINGS), _rings(_power(chroma), _CHROMA_RINGS), (across - down)[:, None]],
        axis=1,
    )


def border(images_NHWC: Images) -> Rows:
    """Return how the outermost px differ from those beside them, side by side."""
    luma = _luma(images_NHWC)
    found = []
    for turns in range(4):
        plane = np.rot90(luma, turns, axes=(1, 2))
        steps = np.abs(np.diff(plane[:, :5], axis=1)).mean(axis=2)
        found += [steps[:, 0] - steps[:, 1:].mean(axis=1), plane[:, 0].std(axis=1),
                  plane[:, 0].mean(axis=1) - plane[:, 1].mean(axis=1)]  # fmt: skip
    return np.stack(found, axis=1).astype(np.float64)


def colour(images_NHWC: Images) -> Rows:
    """Return means, spreads and correlations of the channels, and a histogram of each."""
    count = len(images_NHWC)
    flat = images_NHWC.reshape(count, -1, 3)
    values = flat.astype(np.float32)
    means, spreads = values.mean(axis=1), values.std(axis=1)
    centred = values - means[:, None]
    pairs = [
        (centred[..., one] * centred[..., other]).mean(axis=1)
        / (spreads[:, one] * spreads[:, other] + 1)
        for one, other in ((0, 1), (1, 2), (2, 0))
    ]
    bins = (flat // (256 // _BINS)).astype(np.int64)
    shares = [(bins == level).mean(axis=1) for level in range(_BINS)]
    return np.concatenate(
        [means, spreads, np.stack(pairs, axis=1), *shares], axis=1, dtype=np.float64
    )


def sharpness(images_NHWC: Images) -> Rows:
    """Return how strong edges and grain are, on a logarithm, at full and at half size."""
    luma = _luma(images_NHWC)
    side = luma.shape[1] // 2 * 2
    half = luma[:, :side, :side].reshape(len(luma), side // 2, 2, side // 2, 2).mean(axis=(2, 4))
    found = []
    for plane in (luma, half):
        inner = plane[:, 1:-1, 1:-1]
        curved = 4 * inner - plane[:, :-2, 1:-1] - plane[:, 2:, 1:-1]
        curved = curved - plane[:, 1:-1, :-2] - plane[:, 1:-1, 2:]
        flat = np.abs(curved).reshape(len(plane), -1)
        slopes = np.abs(np.diff(plane, axis=1)).mean(axis=(1, 2))
        found += [flat.var(axis=1), np.median(flat, axis=1), slopes]
    values = np.log(np.stack(found, axis=1) + 1e-2)
    return np.concatenate([values, values[:, :3] - values[:, 3:]], axis=1, dtype=np.float64)


def levels(images_NHWC: Images) -> Rows:
    """Return which of the 256 levels are used: how many, how many are even, how many clip."""
    count = len(images_NHWC)
    flat = images_NHWC.reshape(count, -1, 3)
    used = [[len(np.unique(image[:, channel])) / 256 for channel in range(3)] for image in flat]
    return np.concatenate(
        [
            np.array(used), (flat % 2 == 0).mean(axis=1), (flat % 4 == 0).mean(axis=1),
            (flat == 0).mean(axis=1), (flat == 255).mean(axis=1),
        ],
        axis=1,
    )  # fmt: skip


def file_size(images_NHWC: Images) -> Rows:
    """Return how many bytes each image takes as PNG and as a fine JPEG, on a logarithm."""
    sizes = [[len(encode_png(image)), len(encode(image, _JPEG))] for image in images_NHWC]
    return np.log(np.array(sizes, np.float64).reshape(-1, 2))


TRIVIAL: Mapping[str, Callable[[Images], Rows]] = {
    "jpeg_grid": jpeg_grid,
    "spectrum": spectrum,
    "border": border,
    "colour": colour,
    "sharpness": sharpness,
    "levels": levels,
    "file_size": file_size,
}


def trivial_features(images_NHWC: Images) -> dict[str, Rows]:
    """Return every family of trivial features of square images, (n, s, s, 3) uint8 RGB.

    Raises: MeasurementError for another shape or type, or for images of fewer than 16 px.
    """
    shape = images_NHWC.shape
    if images_NHWC.dtype != np.uint8 or len(shape) != 4 or shape[1] != shape[2] or shape[3] != 3:
        raise MeasurementError(
            f"square RGB images of one size, (n, s, s, 3) uint8, are needed, not {shape} "
            f"{images_NHWC.dtype}"
        )
    if shape[1] < FEWEST_PX:
        raise MeasurementError(f"images of {shape[1]} px show no grid; {FEWEST_PX} px are needed")
    return {name: make(images_NHWC) for name, make in TRIVIAL.items()}


def _luma(images_NHWC: Images) -> Planes:
    return np.asarray(images_NHWC @ np.array([0.299, 0.587, 0.114], np.float32), np.float32)


def _chroma(images_NHWC: Images) -> Planes:
    """Return the blue difference, (n, s, s): what encoders halve."""
    weights = np.array([-0.1687, -0.3313, 0.5], np.float32)
    return np.asarray(images_NHWC @ weights, np.float32)


def _phases(plane_NHW: Planes) -> Rows:
    # Without the rim: what encoders and filters do there is seen by `border`.
    inner = plane_NHW[:, _RIM_PX:-_RIM_PX, _RIM_PX:-_RIM_PX]
    steps = np.abs(np.diff(inner, axis=2)).mean(axis=1).astype(np.float64)
    phases = (_RIM_PX + np.arange(steps.shape[1])) % BLOCK_PX
    means = np.stack([steps[:, phases == phase].mean(axis=1) for phase in range(BLOCK_PX)], axis=1)
    return np.asarray(means / (means.mean(axis=1, keepdims=True) + _TINY))


def _gone(luma_NHW: Planes, *, rim: float) -> Rows:
    from scipy.fft import dctn

    count, side = len(luma_NHW), luma_NHW.shape[1] // BLOCK_PX
    cut = luma_NHW[:, : side * BLOCK_PX, : side * BLOCK_PX]
    blocks = cut.reshape(count, side, BLOCK_PX, side, BLOCK_PX).transpose(0, 1, 3, 2, 4)
    weights = np.ones(side)
    weights[[0, -1]] = rim
    weights /= weights.sum()
    gone = np.abs(dctn(blocks, axes=(3, 4), norm="ortho")) < 1
    near = np.einsum("nabuv,a,b->nuv", gone, weights, weights)
    diagonal = np.add.outer(np.arange(BLOCK_PX), np.arange(BLOCK_PX))
    return np.stack(
        [near[:, diagonal == rank].mean(axis=1) for rank in range(1, 2 * BLOCK_PX - 1)], axis=1
    ).astype(np.float64)


def _power(plane_NHW: Planes) -> Planes:
    side = plane_NHW.shape[1]
    window = np.hanning(side + 2)[1:-1].astype(np.float32)
    centred = plane_NHW - plane_NHW.mean(axis=(1, 2), keepdims=True)
    waves = np.fft.rfft2(centred * window[:, None] * window)
    return np.asarray(np.abs(waves) ** 2 / side**2, np.float32)


def _rings(power_NHW: Planes, count: int) -> Rows:
    side = power_NHW.shape[1]
    radius = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None]) * 2
    ring = np.minimum((radius * count).astype(np.int64), count - 1)
    # Small images have no wave in some of the rings.
    there = [one for one in range(count) if (ring == one).any()]
    return np.stack(
        [np.log(power_NHW[:, ring == one].mean(axis=1) + 1e-4) for one in there], axis=1
    ).astype(np.float64)
