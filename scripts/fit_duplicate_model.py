"""Fit the codes of the near-duplicate search on real cells: writes curation/dedupe/model.npz.

Copies of each cell are made with a known geometry, so that keypoints of a cell and of its copy can
be paired by place. The directions kept are those in which different cells differ most compared with
copies (Fisher's linear discriminant). The centroids are those of k-means over the codes.
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow.parquet as pq
import scipy.linalg
from numpy.typing import NDArray

from curation.dedupe.invariants import describe_rings, sample_rings
from curation.dedupe.keypoints import KEYPOINTS, find_keypoints
from curation.dedupe.model import CODE_SIZE, CodeModel
from curation.dedupe.stain import stain_map, without_fill
from curation.pixels import Pixels, decode_rgb
from curation.tiles import TILE_PX, shrink
from scripts.altered_cells import blurred, contrast, cropped, jpeg, levels

_VIEWS = 5
_SAME_PLACE = 0.4  # in radii and log of size: a copy's keypoint is that of the cell
_OUTLIERS = 0.97  # quantile of differences kept: keypoints that were paired wrongly
_RIDGE = 0.003
_CENTROIDS = 8192


def main() -> None:
    """Fit and write the model."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cells", type=Path, help="Parquet with an image column")
    parser.add_argument("--cells-altered", type=int, default=2500)
    parser.add_argument("--cells-spread", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("curation/dedupe/model.npz"))
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    data = pq.read_table(options.cells, columns=["image"])["image"].combine_chunks().field("bytes")
    chosen = rng.permutation(len(data))
    framed = [
        _framed(decode_rgb(data[int(row)].as_py()), rng) for row in chosen[: options.cells_spread]
    ]
    differences = _differences(framed[: options.cells_altered], rng)
    spread = _invariants([shrink(pixels) for pixels in framed])
    model = fit(differences, spread)
    everything = np.concatenate(
        [spread, _invariants([shrink(decode_rgb(value.as_py())) for value in data])]
    )
    centroids = _centroids(model.codes(everything), options.seed)
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer, mean=model.mean, scale=model.scale, directions=model.directions,
        centroids=centroids.astype(np.float16),
    )  # fmt: skip
    options.out.write_bytes(buffer.getvalue())
    print(f"{options.out}: {len(differences)} pairs of copies, {len(spread)} keypoints of cells")


def _framed(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """Return a picture, or as often its middle: laboratories frame their cells differently."""
    if rng.random() < 0.5:
        return pixels
    return cropped(pixels, rng.uniform(0.2, 0.5), enlarged=False)


def fit(differences: NDArray[np.float32], spread: NDArray[np.float32]) -> CodeModel:
    """Return the model of differences between copies (m, 432) and invariants of cells (n, 432)."""
    mean, scale = spread.mean(axis=0), spread.std(axis=0) + 1e-3
    within = differences / scale / np.sqrt(2)
    size = np.sqrt((within**2).mean(axis=1))
    within = within[size < np.quantile(size, _OUTLIERS)]
    noise = within.T @ within / len(within) + np.eye(within.shape[1]) * _RIDGE
    between = np.cov(((spread - mean) / scale).T)
    ratios, directions = scipy.linalg.eigh(between, noise)
    print("variance of cells over that of copies:", ratios[::-1][:CODE_SIZE:6].round(1))
    chosen = directions[:, ::-1][:, :CODE_SIZE].astype(np.float32)
    return CodeModel(mean, scale, chosen, np.empty((0, CODE_SIZE), np.float32))


def _differences(pixels: Sequence[Pixels], rng: np.random.Generator) -> NDArray[np.float32]:
    places, described = _described(pixels)
    found: list[NDArray[np.float32]] = []
    for _ in range(_VIEWS):
        views, maps = zip(*(_altered(one, rng) for one in pixels), strict=True)
        view_places, view_described = _described(views)
        for row, matrix in enumerate(maps):
            found.extend(
                described[row][here] - view_described[row][there]
                for here, there in _paired(places[row], view_places[row], matrix)
            )
    return np.stack(found)


def _described(
    pixels: Sequence[Pixels],
) -> tuple[list[NDArray[Any]], list[NDArray[np.float32]]]:
    places, described = [], []
    for one in pixels:
        tile = shrink(one)
        points = find_keypoints(stain_map(tile))
        points = points[~np.isnan(points[:, 0])]
        places.append(_in_picture(points, *one.shape[:2]))
        described.append(describe_rings(sample_rings(without_fill(tile), points)))
    return places, described


def _in_picture(points: NDArray[np.float32], height: int, width: int) -> NDArray[Any]:
    scale = TILE_PX / max(height, width)
    left, top = (TILE_PX - round(width * scale)) // 2, (TILE_PX - round(height * scale)) // 2
    x = (points[:, 0] + 0.5 - left) / scale - 0.5
    y = (points[:, 1] + 0.5 - top) / scale - 0.5
    return np.stack([x, y, points[:, 2] / scale], axis=1)


def _paired(here: NDArray[Any], there: NDArray[Any], matrix: NDArray[Any]) -> list[tuple[int, int]]:
    """Return the one pair of keypoints that a known geometry maps onto each other best."""
    if len(here) == 0 or len(there) == 0:
        return []
    mapped = here[:, :2] @ matrix[:2, :2].T + matrix[:2, 2]
    radius = here[:, 2] * np.sqrt(abs(np.linalg.det(matrix[:2, :2])))
    apart = np.linalg.norm(mapped[:, None] - there[None, :, :2], axis=2) / radius[:, None]
    apart = apart + np.abs(np.log(there[None, :, 2] / radius[:, None]))
    best = int(apart.argmin())
    if apart.flat[best] > _SAME_PLACE:
        return []
    return [(best // len(there), best % len(there))]


def _altered(pixels: Pixels, rng: np.random.Generator) -> tuple[Pixels, NDArray[Any]]:
    """Return a copy as people make them, and the matrix from the cell's px to the copy's."""
    matrix = np.eye(3)
    if rng.random() < 0.5:
        matrix = np.array([[-1, 0, pixels.shape[1] - 1], [0, 1, 0], [0, 0, 1.0]])
        pixels = np.ascontiguousarray(pixels[:, ::-1])
    for _ in range(int(rng.integers(4))):
        # A quarter turn: (x, y) goes to (y, width - 1 - x).
        matrix = np.array([[0, 1, 0], [-1, 0, pixels.shape[1] - 1], [0, 0, 1.0]]) @ matrix
        pixels = np.ascontiguousarray(np.rot90(pixels))
    kind = int(rng.choice([0, 1, 1, 2, 3, 3, 4, 4]))
    if kind in (0, 4):
        pixels, matrix = _warped(pixels, matrix, _rotation(pixels, rng), rng)
    if kind in (1, 4):
        pixels, matrix = _cut(pixels, matrix, rng.uniform(0, 0.06, 4))
    if kind == 2:
        shift = rng.uniform(-0.04, 0.04, 2) * max(pixels.shape[:2])
        move = np.array([[1, 0, shift[0]], [0, 1, shift[1]], [0, 0, 1]])
        pixels, matrix = _warped(pixels, matrix, move, rng)
    if kind == 3:
        pixels, matrix = _cut(pixels, matrix, np.full(4, rng.uniform(0, 0.055)))
    if rng.random() < 0.4:
        pixels, matrix = _resized(pixels, matrix, rng.uniform(0.6, 1.2))
    return _relit(pixels, rng), matrix


def _rotation(pixels: Pixels, rng: np.random.Generator) -> NDArray[Any]:
    height, width = pixels.shape[:2]
    middle = ((width - 1) / 2, (height - 1) / 2)
    return np.vstack([cv2.getRotationMatrix2D(middle, rng.uniform(-18, 18), 1), [0, 0, 1]])


def _warped(
    pixels: Pixels, before: NDArray[Any], matrix: NDArray[Any], rng: np.random.Generator
) -> tuple[Pixels, NDArray[Any]]:
    height, width = pixels.shape[:2]
    borders = (cv2.BORDER_REFLECT, cv2.BORDER_REPLICATE, cv2.BORDER_CONSTANT)
    level = float(rng.choice([0, 255]))
    warped = cv2.warpAffine(
        pixels, matrix[:2], (width, height), borderMode=borders[int(rng.integers(3))],
        borderValue=(level, level, level),
    )  # fmt: skip
    return np.asarray(warped, np.uint8), matrix @ before


def _cut(pixels: Pixels, before: NDArray[Any], shares: NDArray[Any]) -> tuple[Pixels, NDArray[Any]]:
    height, width = pixels.shape[:2]
    top, bottom, left, right = (int(s * n) for s, n in zip(shares, (height,) * 2 + (width,) * 2,
                                                            strict=True))  # fmt: skip
    inside = np.ascontiguousarray(pixels[top : height - bottom, left : width - right])
    return inside, np.array([[1, 0, -left], [0, 1, -top], [0, 0, 1.0]]) @ before


def _resized(pixels: Pixels, before: NDArray[Any], factor: float) -> tuple[Pixels, NDArray[Any]]:
    how = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
    small = np.asarray(cv2.resize(pixels, None, fx=factor, fy=factor, interpolation=how), np.uint8)
    x, y = small.shape[1] / pixels.shape[1], small.shape[0] / pixels.shape[0]
    return small, np.array([[x, 0, (x - 1) / 2], [0, y, (y - 1) / 2], [0, 0, 1.0]]) @ before


def _relit(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    red, green, blue = rng.uniform(0.88, 1.1, 3).tolist()
    pixels = contrast(levels(pixels, (red, green, blue)), rng.uniform(0.75, 1.15))
    if rng.random() < 0.3:
        pixels = levels(pixels, rng.uniform(0.8, 1.2))
    if rng.random() < 0.3:
        pixels = blurred(pixels, rng.uniform(0.8, 2.0))
    if rng.random() < 0.5:
        pixels = jpeg(pixels, int(rng.integers(40, 90)))
    return pixels


def _invariants(tiles: Sequence[Pixels]) -> NDArray[np.float32]:
    rings = []
    for tile in tiles:
        points = find_keypoints(stain_map(tile))
        rings.append(sample_rings(without_fill(tile), points[~np.isnan(points[:, 0])]))
    assert max(len(found) for found in rings) <= KEYPOINTS
    return describe_rings(np.concatenate(rings))


def _centroids(codes: NDArray[np.float32], seed: int) -> NDArray[np.float32]:
    import faiss

    kmeans = faiss.Kmeans(CODE_SIZE, _CENTROIDS, niter=20, seed=seed, min_points_per_centroid=1)
    kmeans.train(codes)
    return np.asarray(kmeans.centroids, dtype=np.float32)


if __name__ == "__main__":
    main()
