"""Draws made-up blood cells that look like Giemsa-stained smears under oil at 100x.

Every picture is drawn from formulas and noise, so the demo and the tests need no patient
data.  A crop is a field of 24 um; lengths below are micrometres unless a name ends in `_px`.
Colour follows Beer and Lambert: each structure adds optical density and the light that is
left is background * exp(-density), which is why overlapping red cells darken by themselves.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Float = NDArray[np.float32]
Rgb = tuple[float, float, float]
Point = tuple[float, float]
Disc = tuple[float, float, float]

FIELD_UM = 24.0
SUPERSAMPLING = 2
BANK_PX = 512
BANK_SEED = 20240229


@dataclass(frozen=True)
class Stain:
    """Colour and light of one slide: densities per unit amount as (r, g, b) floats."""

    background: Rgb = (0.975, 0.925, 0.875)
    chromatin: Rgb = (1.13, 1.80, 0.64)
    azure: Rgb = (0.62, 0.44, 0.10)
    eosin: Rgb = (0.16, 0.82, 0.74)
    lilac: Rgb = (0.40, 0.80, 0.30)
    red_cell: Rgb = (0.13, 0.36, 0.33)
    strength: float = 1.0
    gradient: Point = (0.0, 0.0)
    blur_px: float = 0.45
    noise: float = 0.005


def random_stain(rng: np.random.Generator) -> Stain:
    """Return the `Stain` of one slide, varied as batches of dye and lamps vary."""

    def vary(colour: Rgb, spread: float) -> Rgb:
        r, g, b = (float(c * np.exp(rng.normal(0.0, spread))) for c in colour)
        return r, g, b

    base = Stain()
    # One warm-cool axis and one brightness axis: independent channels would give green slides.
    warmth = float(rng.uniform(-1.0, 1.0))
    light = float(rng.uniform(0.955, 1.015))
    background = (
        min(light * (0.965 + 0.012 * warmth), 0.995),
        min(light * (0.920 + 0.008 * float(rng.normal())), 0.970),
        light * (0.895 - 0.050 * warmth),
    )
    angle = rng.uniform(0.0, 2.0 * np.pi)
    slope = rng.uniform(0.005, 0.045)
    return Stain(
        background=background,
        chromatin=vary(base.chromatin, 0.07),
        azure=vary(base.azure, 0.09),
        eosin=vary(base.eosin, 0.08),
        lilac=vary(base.lilac, 0.08),
        red_cell=vary(base.red_cell, 0.10),
        strength=float(rng.uniform(0.85, 1.18)),
        gradient=(float(slope * np.cos(angle)), float(slope * np.sin(angle))),
        blur_px=float(rng.uniform(0.35, 0.60)),
        noise=float(rng.uniform(0.003, 0.007)),
    )


def draw_cell(
    label: str, rng: np.random.Generator, stain: Stain, side: int = 96
) -> NDArray[np.uint8]:
    """Draw one cell of class `label` amid red cells as a (side, side, 3) uint8 RGB array."""
    if label not in _PAINTERS:
        raise ValueError(f"unknown cell class {label!r}, choose one of {', '.join(CLASSES)}")
    if side < 16:
        raise ValueError(f"side must be at least 16 pixels, got {side}")
    scene = _Scene(side, rng, stain)
    cell = _PAINTERS[label](scene)
    _paint_surroundings(scene, cell)
    return _develop(scene)


# ---------------------------------------------------------------------------------------
# Textures


@dataclass(frozen=True)
class _Bank:
    """Textures for crops of n drawing pixels, each (BANK_PX + n, BANK_PX + n) float32."""

    noise: dict[float, Float]
    granules: dict[float, tuple[Float, Float]]


@lru_cache(maxsize=4)
def _bank(n: int) -> _Bank:
    """Make the textures once: filtering noise anew for each cell would cost most of the time."""
    rng = np.random.default_rng(BANK_SEED)
    um_px = n / FIELD_UM

    def wrapped(tile: Float) -> Float:
        # Continued by a crop's width, so that a crop is a plain slice wherever it starts.
        return np.pad(tile, (0, n), mode="wrap")

    noise = {grain: wrapped(_noise_tile(rng, grain * um_px)) for grain in (1.6, 0.55, 0.28)}
    granules = {}
    for gap in (0.46, 0.72, 0.80):
        distance, value = _granule_tile(rng, gap, um_px)
        granules[gap] = (wrapped(distance), wrapped(value))
    return _Bank(noise, granules)


def _noise_tile(rng: np.random.Generator, sigma_px: float) -> Float:
    """Band-limited noise of unit spread: one blur less a wider one, so no slow drift is left."""
    white = rng.standard_normal((BANK_PX, BANK_PX)).astype(np.float32)
    fine = ndimage.gaussian_filter(white, sigma_px * 0.5, mode="wrap")
    band = fine - ndimage.gaussian_filter(white, sigma_px * 1.25, mode="wrap")
    return np.asarray(band / band.std(), dtype=np.float32)


def _granule_tile(rng: np.random.Generator, gap: float, um_px: float) -> tuple[Float, Float]:
    """Distance to the nearest granule centre in um, and a value in [0, 1) of that granule."""
    count = max(4, round(BANK_PX / (gap * um_px)))
    step = BANK_PX / count
    grid = np.indices((count, count)).reshape(2, -1).T
    # Shifting every other row gives the dense packing that granules have.
    grid = grid + np.stack([np.zeros(len(grid)), 0.5 * (grid[:, 0] % 2)], axis=1)
    spots = (grid + rng.uniform(-0.36, 0.36, grid.shape)) * step
    rows, cols = np.floor(spots).astype(int).T % BANK_PX
    away = np.ones((BANK_PX, BANK_PX), dtype=bool)
    away[rows, cols] = False
    value = np.zeros((BANK_PX, BANK_PX), dtype=np.float32)
    value[rows, cols] = rng.random(len(rows), dtype=np.float32)
    pad = int(3 * step) + 1
    distance, nearest = ndimage.distance_transform_edt(
        np.pad(away, pad, mode="wrap"), return_indices=True
    )
    inner = slice(pad, pad + BANK_PX)
    padded = np.pad(value, pad, mode="wrap")[nearest[0], nearest[1]]
    return (distance[inner, inner] / um_px).astype(np.float32), padded[inner, inner]


class _Scene:
    """The crop while it is drawn: (n, n) coordinates in um and (3, n, n) optical density."""

    def __init__(self, side: int, rng: np.random.Generator, stain: Stain) -> None:
        self.n = side * SUPERSAMPLING
        self.um_px = self.n / FIELD_UM
        self.rng = rng
        self.stain = stain
        axis = ((np.arange(self.n) + 0.5) / self.um_px - FIELD_UM / 2).astype(np.float32)
        self.axis: Float = axis
        self.x: Float = np.broadcast_to(axis[None, :], (self.n, self.n))
        self.y: Float = np.broadcast_to(axis[:, None], (self.n, self.n))
        self.density: Float = np.zeros((3, self.n, self.n), dtype=np.float32)
        self.bank = _bank(self.n)

    def noise(self, grain: float) -> Float:
        """Random crop of band-limited noise with blobs of about `grain` um, (n, n)."""
        return self._crop(self._place(), self.bank.noise[grain])

    def granules(self, gap: float) -> tuple[Float, Float]:
        """Random crop of granules `gap` um apart: distance in um and value, both (n, n)."""
        place = self._place()
        distance, value = self.bank.granules[gap]
        return self._crop(place, distance), self._crop(place, value)

    def cover(self, depth: Float) -> Float:
        """Turn a signed depth in um (positive inside) into an antialiased mask in [0, 1]."""
        mask: Float = np.clip(depth * np.float32(0.6 * self.um_px) + np.float32(0.5), 0.0, 1.0)
        return mask

    def span(self, centre: float, reach: float) -> slice:
        """Pixels along one axis within `reach` um of `centre`, cut off at the border."""
        first = int((centre - reach + FIELD_UM / 2) * self.um_px)
        last = int((centre + reach + FIELD_UM / 2) * self.um_px) + 1
        return slice(min(max(first, 0), self.n), min(max(last, 0), self.n))

    def add(self, amount: Float, colour: Rgb) -> None:
        """Add `amount` (n, n) of a dye of density `colour` to the crop."""
        for plane, strength in zip(self.density, colour, strict=True):
            plane += amount * np.float32(strength)

    def _place(self) -> tuple[int, int, int]:
        top, left = self.rng.integers(0, BANK_PX, 2)
        return int(top), int(left), int(self.rng.integers(0, 8))

    def _crop(self, place: tuple[int, int, int], tile: Float) -> Float:
        top, left, turn = place
        crop = tile[top : top + self.n, left : left + self.n]
        if turn & 4:
            crop = crop.T
        return crop[:: -1 if turn & 1 else 1, :: -1 if turn & 2 else 1]


# ---------------------------------------------------------------------------------------
# Shapes: every function returns a signed depth in um, positive inside


def _blob(x: Float, y: Float, radius: float, wobble: float, rng: np.random.Generator) -> Float:
    """Round outline whose radius wobbles by a few low harmonics."""
    distance = np.sqrt(x * x + y * y) + np.float32(1e-6)
    turn = ((x + np.complex64(1j) * y) / distance).astype(np.complex64)
    # Powers of the unit vector give the harmonics without a cosine per pixel and order.
    wave = turn
    outline = np.full(x.shape, radius, dtype=np.float32)
    for order in range(2, 7):
        height = float(rng.normal(0.0, wobble * radius / order))
        phase = float(rng.uniform(0.0, 2.0 * np.pi))
        wave = wave * turn
        outline += np.float32(height * np.cos(phase)) * wave.real
        outline += np.float32(height * np.sin(phase)) * wave.imag
    return outline - distance


def _union_of_discs(scene: _Scene, discs: list[Disc]) -> Float:
    """Depth below the edge of a union of discs (x, y, radius)."""
    depth = np.full((scene.n, scene.n), -FIELD_UM, dtype=np.float32)
    for x, y, radius in discs:
        # A margin outside is kept for soft edges; farther off no part asks for the depth.
        rows, cols = scene.span(y, radius + 1.5), scene.span(x, radius + 1.5)
        down = (scene.axis[rows] - np.float32(y)) ** 2
        across = (scene.axis[cols] - np.float32(x)) ** 2
        part = depth[rows, cols]
        np.maximum(part, np.float32(radius) - np.sqrt(down[:, None] + across), out=part)
    return depth


def _tube(points: list[Point], radii: list[float], steps: int) -> list[Disc]:
    """Discs along a polyline, `steps` per leg, with radii blended between its corners."""
    along = np.linspace(0.0, len(points) - 1.0, steps * (len(points) - 1) + 1)
    knots = np.arange(len(points))
    xs = np.interp(along, knots, [p[0] for p in points])
    ys = np.interp(along, knots, [p[1] for p in points])
    rs = np.interp(along, knots, radii)
    return [(float(x), float(y), float(r)) for x, y, r in zip(xs, ys, rs, strict=True)]


def _polar(radius: float, angle: float, centre: Point = (0.0, 0.0)) -> Point:
    return centre[0] + radius * float(np.cos(angle)), centre[1] + radius * float(np.sin(angle))


@dataclass(frozen=True)
class _Lobe:
    """One lobe of a nucleus: a short sausage round `centre`, its long axis along `angle`."""

    centre: Point
    radius: float
    stretch: float
    angle: float

    def discs(self) -> list[Disc]:
        ends = [_polar(sign * self.stretch, self.angle, self.centre) for sign in (-1.0, 1.0)]
        return _tube(ends, [self.radius * 0.95, self.radius], 4)


def _lobed(scene: _Scene, lobes: list[_Lobe], thread: float) -> tuple[Float, Float]:
    """Depth of lobes joined by threads of half-width `thread`, and nearness to a lobe's edge."""
    depth = np.full((scene.n, scene.n), -FIELD_UM, dtype=np.float32)
    edge = np.full((scene.n, scene.n), FIELD_UM, dtype=np.float32)
    warp = scene.noise(1.6) * np.float32(0.13) + scene.noise(0.55) * np.float32(0.04)
    for lobe in lobes:
        one = _union_of_discs(scene, lobe.discs()) + warp
        np.minimum(edge, np.abs(one), out=edge)
        np.maximum(depth, one, out=depth)
    for first, second in pairwise(lobes):
        middle = (
            (first.centre[0] + second.centre[0]) / 2 + float(scene.rng.normal(0.0, 0.25)),
            (first.centre[1] + second.centre[1]) / 2 + float(scene.rng.normal(0.0, 0.25)),
        )
        path = [first.centre, middle, second.centre]
        # Threads widen into the lobes, otherwise they look like sticks.
        flare = 0.45 * min(first.radius, second.radius)
        bridge = _union_of_discs(scene, _tube(path, [flare, thread, flare], 6))
        np.maximum(depth, bridge, out=depth)
    return depth, edge


# ---------------------------------------------------------------------------------------
# Parts that several classes share


@dataclass(frozen=True)
class _Cell:
    """What the surroundings must know of the middle cell: its mask (n, n) and reach in um."""

    mask: Float
    reach: float


def _body(scene: _Scene, radius: float, wobble: float, rough: float) -> Float:
    """Depth of a cell body that is off the centre by a fraction of a um, as crops are."""
    dx, dy = scene.rng.normal(0.0, 0.3, 2)
    x = scene.x - np.float32(dx)
    y = scene.y - np.float32(dy)
    return _blob(x, y, radius, wobble, scene.rng) + np.float32(rough) * scene.noise(1.6)


def _chromatin(scene: _Scene, mask: Float, depth: Float, level: float, clump: float) -> None:
    """Fill a nucleus with clumped chromatin that is densest along the nuclear membrane."""
    coarse = np.tanh(scene.noise(0.55)) * np.float32(clump)
    fine = scene.noise(0.28) * np.float32(0.4 * clump)
    rim = np.exp(-np.abs(depth) / np.float32(0.22)) * np.float32(0.16)
    amount = np.maximum(np.float32(level) + coarse + fine + rim, np.float32(0.25))
    scene.add(mask * amount, scene.stain.chromatin)


def _cytoplasm(scene: _Scene, mask: Float, depth: Float, colour: Rgb, edge: float) -> None:
    """Fill a cell body with faintly cloudy cytoplasm, `edge` denser along its border."""
    cloud = np.float32(0.13) * scene.noise(0.55) + np.float32(0.06) * scene.noise(0.28)
    rim = np.exp(-np.abs(depth) / np.float32(0.35)) * np.float32(edge)
    scene.add(mask * (np.float32(1.0) + cloud + rim), colour)


def _mix(first: Rgb, a: float, second: Rgb, b: float) -> Rgb:
    r, g, blue = (a * p + b * q for p, q in zip(first, second, strict=True))
    return r, g, blue


# ---------------------------------------------------------------------------------------
# The six classes


def _paint_neutrophil(scene: _Scene) -> _Cell:
    rng, stain = scene.rng, scene.stain
    radius = float(rng.uniform(5.6, 7.0))
    body = _body(scene, radius, 0.035, 0.07)
    mask = scene.cover(body)
    nucleus, edge = _lobed(scene, _segments(rng, radius), float(rng.uniform(0.16, 0.34)))
    nuclear = scene.cover(np.minimum(nucleus, body - np.float32(0.25)))
    plain = mask * (1.0 - nuclear)
    _cytoplasm(scene, plain, body, _mix(stain.eosin, 0.15, stain.azure, 0.17), 0.35)
    distance, value = scene.granules(0.46)
    dots = np.clip(1.0 - distance / np.float32(0.30), 0.0, 1.0) * value
    scene.add(plain * dots * np.float32(rng.uniform(0.45, 0.8)), stain.lilac)
    _chromatin(scene, nuclear, edge, 0.93, 0.20)
    return _Cell(mask, radius)


def _segments(rng: np.random.Generator, radius: float) -> list[_Lobe]:
    """Three to five lobes along an arc or a bent chain, as segmented nuclei lie."""
    count = int(rng.choice([3, 4, 5], p=[0.42, 0.42, 0.16]))
    size = radius * {3: 0.285, 4: 0.255, 5: 0.228}[count]
    sweep = float(rng.uniform(1.15, 1.55)) * {3: 1.08, 4: 0.97, 5: 0.90}[count]
    turn = float(rng.uniform(0.0, 2.0 * np.pi))
    ring = radius * float(rng.uniform(0.42, 0.54))
    drift = _polar(radius * float(rng.uniform(0.0, 0.10)), turn)
    # A chain that swings in and out reads as Z or W, one that does not as C or U.
    swing = radius * float(rng.choice([0.0, 0.10, 0.18, 0.26]))
    lobes = []
    for k in range(count):
        angle = turn + sweep * (k - (count - 1) / 2) + float(rng.normal(0.0, 0.08))
        out = ring + swing * (-1.0) ** k + float(rng.normal(0.0, 0.02 * radius))
        centre = _polar(out, angle, drift)
        thick = size * float(rng.uniform(0.88, 1.14))
        axis = angle + np.pi / 2 + float(rng.normal(0.0, 0.6))
        lobes.append(_Lobe(centre, thick, thick * float(rng.uniform(0.1, 0.6)), axis))
    return lobes


def _paint_lymphocyte(scene: _Scene) -> _Cell:
    rng, stain = scene.rng, scene.stain
    large = rng.random() < 0.25
    radius = float(rng.uniform(5.3, 6.3) if large else rng.uniform(4.2, 5.1))
    share = float(rng.uniform(0.74, 0.82) if large else rng.uniform(0.80, 0.89))
    body = _body(scene, radius, 0.05, 0.10)
    mask = scene.cover(body)
    # The nucleus leans to one side, so the rim of cytoplasm is a crescent.
    centre = _polar(radius * (0.95 - share), float(rng.uniform(0.0, 2.0 * np.pi)))
    x, y = scene.x - np.float32(centre[0]), scene.y - np.float32(centre[1])
    nucleus = _blob(x, y, radius * share, 0.035, rng) + np.float32(0.06) * scene.noise(1.6)
    if rng.random() < 0.35:
        nucleus = _notched(scene, nucleus, radius * share, centre)
    nuclear = scene.cover(np.minimum(nucleus, body - np.float32(0.12)))
    plain = mask * (1.0 - nuclear)
    tone = float(rng.uniform(0.62, 1.0))
    _cytoplasm(scene, plain, body, _mix(stain.azure, tone, stain.eosin, 0.05), 0.45)
    if large and rng.random() < 0.5:
        distance, value = scene.granules(0.80)
        dots = scene.cover(np.float32(0.2) - distance) * (value > 0.7)
        scene.add(plain * dots * np.float32(0.6), stain.lilac)
    _chromatin(scene, nuclear, nucleus, 0.98 if not large else 0.86, 0.17)
    return _Cell(mask, radius)


def _notched(scene: _Scene, nucleus: Float, radius: float, centre: Point) -> Float:
    """Press a shallow dent into a round nucleus."""
    rng = scene.rng
    size = float(rng.uniform(0.5, 1.0))
    spot = _polar(radius + 0.45 * size, float(rng.uniform(0.0, 2.0 * np.pi)), centre)
    dent = _union_of_discs(scene, [(spot[0], spot[1], size)])
    return np.minimum(nucleus, -dent)


def _paint_monocyte(scene: _Scene) -> _Cell:
    rng, stain = scene.rng, scene.stain
    radius = float(rng.uniform(7.1, 8.7))
    body = _body(scene, radius, 0.07, 0.20)
    mask = scene.cover(body)
    warp = np.float32(0.24) * scene.noise(1.6) + np.float32(0.05) * scene.noise(0.55)
    nucleus = _union_of_discs(scene, _horseshoe(rng, radius)) + warp
    nuclear = scene.cover(np.minimum(nucleus, body - np.float32(0.3)))
    holes = _vacuoles(scene, radius)
    plain = mask * (1.0 - nuclear)
    tone = float(rng.uniform(0.50, 0.72))
    grey = _mix(stain.azure, tone, stain.eosin, 0.13)
    _cytoplasm(scene, plain * (1.0 - 0.85 * holes), body, grey, 0.35)
    distance, value = scene.granules(0.46)
    dust = np.clip(1.0 - distance / np.float32(0.28), 0.0, 1.0) * value
    scene.add(plain * (1.0 - holes) * dust * np.float32(0.28), stain.lilac)
    _lacy_chromatin(scene, nuclear * (1.0 - 0.5 * holes), nucleus)
    return _Cell(mask, radius)


def _horseshoe(rng: np.random.Generator, radius: float) -> list[Disc]:
    """Discs of a bent nucleus, from a plump kidney to an open horseshoe."""
    bend = float(rng.uniform(0.0, 1.0))
    sweep = 1.5 + 2.5 * bend
    ring = radius * (0.34 + 0.12 * bend)
    thick = radius * (0.40 - 0.13 * bend)
    turn = float(rng.uniform(0.0, 2.0 * np.pi))
    # Pushed back along the open side, so that the bent shape stays in the middle of the cell.
    drift = _polar(-radius * (0.22 - 0.16 * bend), turn)
    corners, radii = [], []
    for t in np.linspace(-0.5, 0.5, 6):
        corners.append(_polar(ring * (1 + float(rng.normal(0.0, 0.05))), turn + sweep * t, drift))
        radii.append(thick * float(rng.uniform(0.86, 1.14)))
    return _tube(corners, radii, 4)


def _vacuoles(scene: _Scene, radius: float) -> Float:
    """Mask of a few clear round vacuoles anywhere in the cell body, (n, n)."""
    rng = scene.rng
    discs = []
    for _ in range(int(rng.integers(1, 13))):
        x, y = _polar(radius * float(np.sqrt(rng.uniform(0.1, 0.85))), float(rng.uniform(0, 6.283)))
        discs.append((x, y, float(rng.gamma(4.0, 0.085)) + 0.1))
    return scene.cover(_union_of_discs(scene, discs))


def _lacy_chromatin(scene: _Scene, mask: Float, depth: Float) -> None:
    """Fill a nucleus with a loose net of threads: the ridges of noise, not its blobs."""
    net = np.float32(0.30) * (0.75 - np.abs(scene.noise(0.55)))
    fine = np.float32(0.08) * scene.noise(0.28)
    rim = np.exp(-np.abs(depth) / np.float32(0.2)) * np.float32(0.14)
    scene.add(mask * np.maximum(0.70 + net + fine + rim, 0.3), scene.stain.chromatin)


def _paint_eosinophil(scene: _Scene) -> _Cell:
    rng, stain = scene.rng, scene.stain
    radius = float(rng.uniform(5.9, 7.2))
    body = _body(scene, radius, 0.04, 0.12)
    mask = scene.cover(body)
    nucleus, edge = _lobed(scene, _spectacles(rng, radius), float(rng.uniform(0.3, 0.6)))
    nuclear = scene.cover(np.minimum(nucleus, body - np.float32(0.2)))
    distance, value = scene.granules(0.80)
    beads = scene.cover(np.float32(0.37) - distance) * (value > rng.uniform(0.0, 0.12))
    shade = np.float32(0.62) + np.float32(0.40) * value - np.float32(0.5) * distance
    # Some granules lie above the nucleus; without them the nucleus looks pasted on.
    above = nuclear * (value > 0.88)
    plain = mask * (1.0 - nuclear)
    _cytoplasm(scene, plain, body, _mix(stain.eosin, 0.42, stain.azure, 0.10), 0.25)
    scene.add((plain + np.float32(0.5) * above) * beads * shade, stain.eosin)
    _chromatin(scene, nuclear * (1.0 - 0.3 * above * beads), edge, 0.86, 0.18)
    return _Cell(mask, radius)


def _spectacles(rng: np.random.Generator, radius: float) -> list[_Lobe]:
    """Two plump lobes side by side, seldom three, set off the middle of the cell."""
    count = 3 if rng.random() < 0.12 else 2
    size = radius * float(rng.uniform(0.33, 0.39)) * (0.86 if count == 3 else 1.0)
    turn = float(rng.uniform(0.0, 2.0 * np.pi))
    aside = _polar(radius * float(rng.uniform(0.08, 0.30)), turn)
    gap = size * float(rng.uniform(1.12, 1.30))
    lobes = []
    for k in range(count):
        along = gap * (2 * k - (count - 1))
        bow = -0.5 * size if count == 3 and k != 1 else 0.0
        spot = _polar(along, turn + np.pi / 2, _polar(bow, turn, aside))
        thick = size * float(rng.uniform(0.86, 1.06))
        axis = turn + float(rng.normal(0.0, 0.5))
        lobes.append(_Lobe(spot, thick, thick * float(rng.uniform(0.1, 0.45)), axis))
    return lobes


def _paint_basophil(scene: _Scene) -> _Cell:
    rng, stain = scene.rng, scene.stain
    radius = float(rng.uniform(5.0, 6.3))
    body = _body(scene, radius, 0.045, 0.15)
    mask = scene.cover(body)
    nucleus, edge = _lobed(scene, _spectacles(rng, radius * 1.05), 0.9)
    nuclear = scene.cover(np.minimum(nucleus, body - np.float32(0.3)))
    plain = mask * (1.0 - nuclear)
    _cytoplasm(scene, plain, body, _mix(stain.lilac, 0.38, stain.eosin, 0.05), 0.3)
    _chromatin(scene, nuclear * np.float32(0.72), edge, 0.80, 0.12)
    distance, value = scene.granules(0.72)
    size = np.float32(0.22) + np.float32(0.17) * value
    # Coarse granules bulge over the border, hence the mask that reaches a little further out.
    wide = scene.cover(body + np.float32(0.22))
    full = (value > rng.uniform(0.08, 0.30)) & (wide > 0)
    dots = scene.cover(size - distance) * full * wide
    scene.add(dots * (np.float32(0.75) + np.float32(0.3) * value), stain.chromatin)
    return _Cell(np.maximum(mask, dots), radius)


def _paint_platelet(scene: _Scene) -> _Cell:
    rng = scene.rng
    radius = float(rng.uniform(1.15, 1.85))
    dx, dy = rng.normal(0.0, 0.3, 2)
    mask = _platelet(scene, float(dx), float(dy), radius)
    return _Cell(mask, radius)


def _platelet(scene: _Scene, at_x: float, at_y: float, radius: float) -> Float:
    """Paint one platelet and return its mask (n, n)."""
    rng, stain = scene.rng, scene.stain
    x, y = scene.x - np.float32(at_x), scene.y - np.float32(at_y)
    ratio = float(np.exp(rng.normal(0.0, 0.16)))
    angle = float(rng.uniform(0.0, np.pi))
    long = (x * np.cos(angle) + y * np.sin(angle)) * np.float32(ratio)
    wide = (y * np.cos(angle) - x * np.sin(angle)) / np.float32(ratio)
    body = _blob(long, wide, radius, 0.10, rng) + np.float32(0.12) * scene.noise(0.55)
    mask = scene.cover(body)
    _cytoplasm(scene, mask, body, _mix(stain.azure, 0.30, stain.lilac, 0.28), 0.3)
    distance, value = scene.granules(0.46)
    core = np.clip(body / np.float32(0.5 * radius), 0.0, 1.0)
    dots = np.clip(1.3 - distance / np.float32(0.26), 0.0, 1.0) * (0.3 + value)
    scene.add(core * dots * np.float32(rng.uniform(0.7, 1.15)), stain.chromatin)
    return mask


_PAINTERS: dict[str, Callable[[_Scene], _Cell]] = {
    "neutrophil_segmented": _paint_neutrophil,
    "lymphocyte": _paint_lymphocyte,
    "monocyte": _paint_monocyte,
    "eosinophil": _paint_eosinophil,
    "platelet": _paint_platelet,
    "basophil": _paint_basophil,
}
CLASSES: tuple[str, ...] = tuple(_PAINTERS)


# ---------------------------------------------------------------------------------------
# Red cells, stray platelets, light


def _paint_surroundings(scene: _Scene, cell: _Cell) -> None:
    """Lay red cells round the middle cell, and now and then a stray platelet."""
    rng = scene.rng
    open_field = 1.0 - cell.mask
    pallor = float(rng.uniform(0.55, 1.0))
    reds = _scatter(rng, cell.reach)
    layer = np.zeros((scene.n, scene.n), dtype=np.float32)
    for x, y, radius in reds:
        _stamp_red_cell(scene, layer, x, y, radius, pallor)
    scene.add(layer * open_field, scene.stain.red_cell)
    if rng.random() < 0.22:
        angle, out = float(rng.uniform(0.0, 6.283)), float(rng.uniform(9.0, 12.5))
        x, y = _polar(out, angle)
        size = float(rng.uniform(0.8, 1.3))
        if out > cell.reach + 2.0 and all(math.hypot(x - a, y - b) > r + 0.6 for a, b, r in reds):
            _platelet(scene, x, y, size)


def _scatter(rng: np.random.Generator, reach: float) -> list[Disc]:
    """Place red cells beside the middle cell, some of them overlapping one another."""
    wanted = int(rng.integers(7, 19))
    closeness = float(rng.uniform(0.66, 1.0))
    typical = float(rng.uniform(3.2, 3.7))
    half = FIELD_UM / 2 + 2.5
    found: list[Disc] = []
    for _ in range(90):
        if len(found) == wanted:
            break
        x, y = (float(v) for v in rng.uniform(-half, half, 2))
        radius = typical * float(np.exp(rng.normal(0.0, 0.07)))
        # Red cells give way to the white cell, they hardly ever lie under it.
        if math.hypot(x, y) < reach + 0.93 * radius:
            continue
        if all(math.hypot(x - a, y - b) > closeness * (radius + r) for a, b, r in found):
            found.append((x, y, radius))
    return found


def _stamp_red_cell(
    scene: _Scene, layer: Float, x: float, y: float, radius: float, pallor: float
) -> None:
    """Add one biconcave disc to `layer` (n, n), touching only the window it covers."""
    rng = scene.rng
    window = scene.span(y, 1.35 * radius), scene.span(x, 1.35 * radius)
    if layer[window].size == 0:
        return
    dx, dy = scene.x[window] - np.float32(x), scene.y[window] - np.float32(y)
    ratio = float(np.exp(rng.normal(0.0, 0.05)))
    angle = float(rng.uniform(0.0, np.pi))
    along = (dx * np.cos(angle) + dy * np.sin(angle)) * np.float32(ratio)
    across = (dy * np.cos(angle) - dx * np.sin(angle)) / np.float32(ratio)
    depth = _blob(along, across, radius, 0.025, rng)
    outward = 1.0 - depth / np.float32(radius)
    shift = rng.normal(0.0, 0.05 * radius, 2).astype(np.float32)
    width = np.float32(radius * rng.uniform(0.44, 0.62))
    middle = np.sqrt((along - shift[0]) ** 2 + (across - shift[1]) ** 2) / width
    hollow = pallor * float(rng.uniform(0.6, 1.15))
    profile = 1.0 - np.float32(hollow) * np.exp(-(middle * middle * middle))
    rim = np.float32(0.13) * np.exp(-(((outward - 0.93) / np.float32(0.06)) ** 2))
    thickness = float(rng.uniform(0.85, 1.15))
    layer[window] += scene.cover(depth) * (profile + rim) * np.float32(thickness)


def _develop(scene: _Scene) -> NDArray[np.uint8]:
    """Turn optical density into a (side, side, 3) uint8 picture as lens and camera would."""
    stain, side = scene.stain, scene.n // SUPERSAMPLING
    light = np.exp(scene.density * np.float32(-stain.strength))
    # Two sums of strided views are several times quicker than one mean over four axes.
    light = sum(
        (light[:, k::SUPERSAMPLING] for k in range(1, SUPERSAMPLING)), light[:, ::SUPERSAMPLING]
    )
    light = sum(
        (light[..., k::SUPERSAMPLING] for k in range(1, SUPERSAMPLING)), light[..., ::SUPERSAMPLING]
    )
    axis = np.linspace(-1.0, 1.0, side, dtype=np.float32)
    lamp = (
        1.0 + np.float32(stain.gradient[0]) * axis + np.float32(stain.gradient[1]) * axis[:, None]
    )
    level = np.asarray(stain.background, dtype=np.float32) / np.float32(SUPERSAMPLING**2)
    # Focus differs a little from crop to crop, scaled so that a larger crop is as sharp.
    blur = stain.blur_px * float(scene.rng.uniform(0.85, 1.3)) * side / 96.0
    picture = ndimage.gaussian_filter(
        light * lamp * level[:, None, None], (0.0, blur, blur), truncate=3.0
    )
    grain = scene.rng.standard_normal((1, side, side), dtype=np.float32) * np.float32(0.7)
    grain = grain + scene.rng.standard_normal((3, side, side), dtype=np.float32) * np.float32(0.5)
    picture += np.float32(stain.noise) * grain
    levels = np.clip(np.rint(picture * np.float32(255.0)), 0, 255).astype(np.uint8)
    return np.ascontiguousarray(levels.transpose(1, 2, 0))
