"""A map of the features: where drawn cells lie among held-out real ones, class by class.

The map is t-SNE of the leading principal components. What it shows is which cells are neighbours;
distances between groups and the sizes of groups mean nothing, and nothing is measured on it.

Source: van der Maaten and Hinton, JMLR 9:2579 (2008).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from curation.vocabulary import LABELS

from .sides import Cells, Context, Found, Picture, Sides

MOST_PER_CLASS = 60
"""Cells a class and side on the map: its cost grows with them, and its points hide each other."""
FEWEST_CELLS = 12
_COMPONENTS = 30
_COLUMNS, _PANEL_PX, _HEAD_PX, _GAP_PX, _RIM_PX = 3, 300, 54, 14, 12
_DOT_PX = 5
# Blue and vermilion of Okabe and Ito, told apart by every eye, and by shape as well.
_REAL, _DRAWN, _OTHERS = (0, 114, 178), (213, 94, 0), (224, 224, 230)
_INK, _PAPER, _RULE = (31, 32, 41), (255, 255, 255), (200, 200, 210)


def measure_feature_map(sides: Sides, context: Context) -> Found:
    """Return the map of the cells that distances use; nothing is measured."""
    held, drawn = _some(sides.equal(sides.held)), _some(sides.equal(sides.drawn))
    if len(held) + len(drawn) < FEWEST_CELLS:
        why = f"only {len(held) + len(drawn)} cells; {FEWEST_CELLS} are needed"
        return Found(skipped={"feature map": why})
    features = context.features(held), context.features(drawn)
    picture = feature_map(*features, held.labels, drawn.labels, seed=context.config.seed)
    return Found(pictures=(picture,))


def feature_map(
    held: NDArray[np.float32],
    drawn: NDArray[np.float32],
    held_labels: Sequence[str],
    drawn_labels: Sequence[str],
    *,
    seed: int = 0,
) -> Picture:
    """Return a panel for all classes and one for each: real circles, drawn triangles.

    `held` and `drawn` are features, (n, d) and (m, d) float32, with a label a row.
    """
    points = embed(np.concatenate([held, drawn]), seed)
    labels = np.array([*held_labels, *drawn_labels], dtype=object)
    is_drawn = np.arange(len(labels)) >= len(held_labels)
    classes = [label for label in LABELS if label in set(drawn_labels) | set(held_labels)]
    return Picture(
        "feature_map",
        "Where synthetic cells lie among real ones",
        f"A map (t-SNE, seed {seed}) of the features of {len(held)} held-out real cells (blue "
        f"circles) and {len(drawn)} synthetic ones (orange triangles), all classes first and then "
        "one class a panel, the other classes in grey. Where the two mix, the features cannot "
        "tell them apart; distances between groups mean nothing.",
        f"{len(classes) + 1} panels of points: all classes, then each class, with real cells as "
        "blue circles and synthetic cells as orange triangles.",
        _panels(points, labels, is_drawn, classes),
        shows_real=False,
    )


def embed(features: NDArray[np.float32], seed: int) -> NDArray[np.float64]:
    """Return features, (n, d), on a plane, (n, 2) float64 in [0, 1]; alike features lie together.

    Features that are all alike come to lie on one point.
    """
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    spread = features.std(axis=0)
    if not spread.any():
        return np.full((len(features), 2), 0.5)
    components = min(_COMPONENTS, len(features) - 1, features.shape[1])
    reduced = PCA(components, svd_solver="full").fit_transform(features.astype(np.float64))
    if components < 2:
        reduced = np.column_stack([reduced, np.zeros(len(reduced))])
    perplexity = min(30.0, (len(features) - 1) / 3)
    start = reduced[:, :2] / max(float(reduced[:, 0].std()), 1e-12) * 1e-4
    placed = TSNE(perplexity=perplexity, init=start, random_state=seed).fit_transform(reduced)
    low, high = placed.min(axis=0), placed.max(axis=0)
    return np.asarray((placed - low) / np.maximum(high - low, 1e-12), dtype=np.float64)


def _some(cells: Cells) -> Cells:
    rows = [cells.rows(label, MOST_PER_CLASS) for label in dict.fromkeys(cells.labels)]
    return cells.take(np.concatenate(rows)) if rows else cells


def _panels(
    points: NDArray[np.float64],
    labels: NDArray[np.object_],
    is_drawn: NDArray[np.bool_],
    classes: Sequence[str],
) -> Image.Image:
    panels: list[tuple[str, NDArray[np.bool_]]] = [("all classes", np.ones(len(labels), bool))]
    panels += [(label.replace("_", " "), labels == label) for label in classes]
    down = -(-len(panels) // _COLUMNS)
    step = _PANEL_PX + _GAP_PX, _PANEL_PX + _HEAD_PX
    size = _COLUMNS * step[0] - _GAP_PX, down * step[1]
    image = Image.new("RGB", size, _PAPER)
    draw = ImageDraw.Draw(image)
    for place, (title, mine) in enumerate(panels):
        corner = place % _COLUMNS * step[0], place // _COLUMNS * step[1]
        _panel(draw, corner, title, points, mine, is_drawn)
    return image


def _panel(
    draw: ImageDraw.ImageDraw,
    corner: tuple[int, int],
    title: str,
    points: NDArray[np.float64],
    mine: NDArray[np.bool_],
    is_drawn: NDArray[np.bool_],
) -> None:
    left, top = corner[0], corner[1] + _HEAD_PX
    _title(draw, (corner[0] + 2, top - 8), title)
    draw.rectangle((left, top, left + _PANEL_PX - 1, top + _PANEL_PX - 1), outline=_RULE, width=1)
    room = _PANEL_PX - 2 * _RIM_PX
    at = points * room + (left + _RIM_PX, top + _RIM_PX)
    for x, y in at[~mine]:
        draw.circle((float(x), float(y)), 2, fill=_OTHERS)
    # Real and drawn by turns, so that neither hides the other.
    shown = np.flatnonzero(mine)
    order = np.random.default_rng(0).permutation(shown)
    for row in order:
        _point(draw, float(at[row, 0]), float(at[row, 1]), bool(is_drawn[row]))


def _point(draw: ImageDraw.ImageDraw, x: float, y: float, drawn: bool) -> None:
    if drawn:
        corners = [(x, y - _DOT_PX), (x - _DOT_PX, y + 4), (x + _DOT_PX, y + 4)]
        draw.polygon(corners, fill=_DRAWN, outline=_PAPER)
    else:
        draw.circle((x, y), _DOT_PX, fill=None, outline=_REAL, width=2)


def _title(draw: ImageDraw.ImageDraw, place: tuple[int, int], title: str) -> None:
    """Write a panel's name as large as it fits, for the picture is shrunk on a phone."""
    size = 27
    while size > 14 and draw.textlength(title, ImageFont.load_default(size=size)) > _PANEL_PX - 4:
        size -= 1
    draw.text(place, title, fill=_INK, font=ImageFont.load_default(size=size), anchor="ls")
