"""Filling, the flat corners that a turn leaves, says nothing about whether two cells are one."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from curation.dedupe import alignment, registration, rough, signature, stain
from curation.dedupe.alignment import align
from curation.dedupe.candidates import _LAST_SCALE, _SCALES, gate_distance, least_rough_correlation
from curation.dedupe.model import false_rates
from curation.dedupe.near import near_pairs
from curation.dedupe.registration import is_same_place, register
from curation.dedupe.rough import rough_correlation
from curation.dedupe.signature import sign, thumb
from curation.dedupe.stain import fill, fills, stain_map, thumb_fill, without_corners, without_fill
from curation.pixels import Pixels
from curation.tiles import shrink
from scripts.altered_cells import ALTERATIONS, turned
from scripts.duplicate_losses import STAGES, losses
from smearkit.demo_cells import draw_cell, random_stain

Grey = NDArray[np.uint8]
CELLS = 20
CLASSES = ("neutrophil_segmented", "lymphocyte", "monocyte", "eosinophil", "basophil")
IN_PLACE = np.eye(2, 3, dtype=np.float32)
WHITE_CORNERS = ALTERATIONS["turned 15°, white corners"]


@pytest.fixture(scope="module")
def cells() -> list[Pixels]:
    """Cells that fill their picture and have little contrast, where a corner takes most away."""
    rng = np.random.default_rng(11)
    drawn = [
        np.asarray(draw_cell(CLASSES[row % len(CLASSES)], rng, random_stain(rng), side=320))
        for row in range(CELLS)
    ]
    return [(120 + 0.4 * (one[70:250, 70:250] - 128.0)).astype(np.uint8) for one in drawn]


@pytest.fixture(scope="module")
def textures() -> list[Pixels]:
    """Pictures with as much to see in the corners as in the middle, in low contrast."""
    rng = np.random.default_rng(4)
    coarse = rng.integers(100, 160, (CELLS, 14, 14, 3), np.uint8)
    return [np.asarray(cv2.resize(one, (224, 224), interpolation=cv2.INTER_CUBIC), np.uint8)
            for one in coarse]  # fmt: skip


@pytest.fixture(scope="module")
def thumbs(cells: list[Pixels]) -> Grey:
    return np.stack([thumb(shrink(one)) for one in cells])


def turning(degrees: float) -> NDArray[np.float32]:
    return np.asarray(cv2.getRotationMatrix2D((31.5, 31.5), degrees, 1), np.float32)


def knows_no_filling(pictures: Grey) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    return np.empty(0, np.int64), np.empty((0, *pictures.shape[1:]), np.bool_)


def blind_look(
    monkeypatch: pytest.MonkeyPatch, first: Grey, second: Grey, warps: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return what a first look finds that takes filling for picture."""
    with monkeypatch.context() as patched:
        patched.setattr(rough, "fills", knows_no_filling)
        return rough_correlation(first, second, warps)


def _nowhere(filled: NDArray[np.bool_]) -> bool:
    return False


def with_side_filled(pictures: Grey, level: int) -> Grey:
    filled = pictures.copy()
    filled[:, :, :9] = level
    return filled


def test_pictures_without_filling_look_as_before(
    thumbs: Grey, monkeypatch: pytest.MonkeyPatch
) -> None:
    others = np.roll(thumbs, 1, axis=0)
    warps = np.stack([turning(angle) for angle in np.linspace(-60, 60, CELLS)])
    expected = blind_look(monkeypatch, thumbs, others, warps)
    np.testing.assert_array_equal(rough_correlation(thumbs, others, warps), expected)
    # Nor does it matter that pairs beside them hold some.
    mixed = others.copy()
    mixed[::2] = with_side_filled(others[::2], 255)
    found = rough_correlation(thumbs, mixed, warps)
    np.testing.assert_array_equal(found[1::2], expected[1::2])
    assert (found[::2] != blind_look(monkeypatch, thumbs, mixed, warps)[::2]).all()


@pytest.mark.parametrize("level", [255, 0])
@pytest.mark.parametrize("filled", ["first", "second", "both"])
def test_filling_counts_neither_way_at_first_look(
    thumbs: Grey, monkeypatch: pytest.MonkeyPatch, level: int, filled: str
) -> None:
    first = with_side_filled(thumbs, level) if filled != "second" else thumbs
    # Turned by 90°, its filled side lies over another: the mask must be turned along.
    second = np.rot90(with_side_filled(thumbs, level) if filled == "second" else thumbs, 1, (1, 2))
    if filled == "both":
        second = with_side_filled(second, level)
    warps = np.repeat(turning(90)[None], CELLS, axis=0)
    second = np.ascontiguousarray(second)
    assert rough_correlation(first, second, warps).min() > 0.98
    assert blind_look(monkeypatch, first, second, warps).max() < 0.9


def test_where_hardly_anything_but_filling_is_left_it_counts(
    thumbs: Grey, monkeypatch: pytest.MonkeyPatch
) -> None:
    masked = np.full_like(thumbs, 255)
    masked[:, 28:36, 28:36] = thumbs[:, 28:36, 28:36]
    warps = np.repeat(IN_PLACE[None], CELLS, axis=0)
    found = rough_correlation(masked, masked, warps)
    np.testing.assert_array_equal(found, blind_look(monkeypatch, masked, masked, warps))
    assert found.min() > 0.99


def test_only_pictures_with_filling_are_masked(thumbs: Grey) -> None:
    some = thumbs.copy()
    some[3, 5, 5], some[7, 60, 60] = 254, 1
    rows, where = fills(some)
    assert rows.tolist() == [3, 7]
    assert where[0, 4:7, 4:7].all()
    assert where[1, 59:62, 59:62].all()
    assert not where[:, 20:40].any()


def test_beside_filled_corners_two_px_are_mixed_and_beside_a_mask_one() -> None:
    corner, mask = (np.full((64, 64), 90, np.uint8) for _ in range(2))
    corner[:10, :10], mask[:, :30] = 255, 255
    tips = 2 * 2 * 6  # two px deep along both edges
    assert np.count_nonzero(thumb_fill(corner)) == 12**2 + tips
    assert np.count_nonzero(thumb_fill(mask)) == 31 * 64


@pytest.mark.parametrize("channels", [(), (3,)])
def test_filled_corners_repeat_what_is_nearest(channels: tuple[int, ...]) -> None:
    rows = np.arange(20, 116, dtype=np.uint8)
    picture = np.broadcast_to(rows.reshape(-1, 1, *[1] * len(channels)), (96, 96, *channels)).copy()
    picture[:12] = 255
    whole, filled = without_corners(picture, fill(picture))
    assert not filled.any()
    assert (whole[:13] == rows[13]).all()
    np.testing.assert_array_equal(whole[13:], picture[13:])
    np.testing.assert_array_equal(without_fill(picture), whole)


def test_what_fills_more_than_corners_has_the_colour_of_the_background() -> None:
    picture = np.full((96, 96), 70, np.uint8)
    picture[:40] = 255
    kept, filled = without_corners(picture, fill(picture))
    assert kept is picture
    assert filled[:41].all()
    assert (without_fill(picture)[:40] == 255).all()


def test_filled_corners_do_not_move_blobs_and_codes(
    cells: list[Pixels], monkeypatch: pytest.MonkeyPatch
) -> None:
    tiles = np.stack([shrink(one) for one in cells])
    cornered = tiles.copy()
    y, x = np.indices((96, 96))
    cornered[:, np.minimum(x, 95 - x) + np.minimum(y, 95 - y) < 22] = 255

    def apart() -> float:
        one, other = sign(tiles).codes, sign(cornered).codes
        differences = (one[:, 0].astype(np.float32) - other[:, 0]) ** 2
        return float(np.median(np.sqrt(differences.mean(axis=1))))

    repeated = apart()
    monkeypatch.setattr(signature, "without_corners", lambda picture, filled: (picture, filled))
    monkeypatch.setattr(stain, "is_corners", lambda filled: False)
    assert repeated < apart() / 2


def test_rings_that_run_into_filling_count_less(
    textures: list[Pixels], monkeypatch: pytest.MonkeyPatch
) -> None:
    thumbs = np.stack([thumb(shrink(one)) for one in textures])
    points = np.tile(np.array([[30.0, 40.0, 12.0]], np.float32), (CELLS, 1))
    whole = align(thumbs, points, thumbs, points)
    cornered = thumbs.copy()
    cornered[::2, :20, :20] = 255
    beside = align(cornered, points, thumbs, points)
    np.testing.assert_array_equal(beside.agreement[1::2], whole.agreement[1::2])
    np.testing.assert_array_equal(beside.warps[1::2], whole.warps[1::2])
    monkeypatch.setattr(alignment, "is_corners", _nowhere)
    blind = align(cornered, points, thumbs, points)
    assert (beside.agreement[::2] > blind.agreement[::2]).all()


def test_a_turned_picture_with_white_corners_registers(
    textures: list[Pixels], monkeypatch: pytest.MonkeyPatch
) -> None:
    thumbs = [thumb(shrink(one)) for one in textures]
    copies = [thumb(shrink(turned(one, 15, cv2.BORDER_CONSTANT))) for one in textures]

    def lowest() -> float:
        found = [register(one, copy, turning(15)) for one, copy in zip(thumbs, copies, strict=True)]
        return float(np.mean([min(match.correlation, match.detail) for match in found]))

    assert all(
        is_same_place(register(one, copy, turning(15)))
        for one, copy in zip(thumbs, copies, strict=True)
    )
    mended = lowest()
    monkeypatch.setattr(registration, "thumb_fill", fill)
    assert lowest() < mended


def found_pairs(cells: list[Pixels], alteration: str) -> set[tuple[int, int]]:
    copies = [ALTERATIONS[alteration](one) for one in cells]
    signatures = sign(np.stack([shrink(one) for one in [*cells, *copies]]))
    pairs = near_pairs(signatures, [f"{row:032x}" for row in range(2 * CELLS)])
    return set(zip(pairs.first.tolist(), pairs.second.tolist(), strict=True))


@pytest.mark.parametrize("fault", ["none", "signatures"])
def test_tight_cells_with_white_corners_are_found_as_with_mirrored_ones(
    cells: list[Pixels], monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    if fault == "signatures":
        monkeypatch.setattr(signature, "without_corners", lambda picture, filled: (picture, filled))
        monkeypatch.setattr(stain, "is_corners", _nowhere)
    mirrored = found_pairs(cells, "turned 15°")
    white = found_pairs(cells, "turned 15°, white corners")
    assert white <= {(row, row + CELLS) for row in range(CELLS)}
    assert len(mirrored) > CELLS / 2
    assert (len(white) >= len(mirrored)) == (fault == "none")


def test_losses_end_where_the_search_ends(cells: list[Pixels]) -> None:
    ends, beyond = losses(cells, "turned 15°, white corners")
    copies = [WHITE_CORNERS(one) for one in cells]
    signatures = sign(np.stack([shrink(one) for one in [*cells, *copies]]))
    pairs = near_pairs(signatures, [f"{row:032x}" for row in range(2 * CELLS)])
    expected = set(pairs.first[pairs.is_copy & (pairs.second - pairs.first == CELLS)].tolist())
    found = {row for row, stage in enumerate(ends) if stage == STAGES.index("found")}
    assert found == expected
    assert len(beyond) == ends.count(STAGES.index("gate"))


def test_a_cell_has_at_most_ten_candidates_by_chance() -> None:
    rates = false_rates()
    limits = [limit for limit, _, _ in _SCALES]
    assert limits == sorted(limits)
    for limit in limits:
        share = float(np.interp(gate_distance(limit), rates.gate_distance, rates.gate_share))
        assert share * limit / 2 <= 10
    gates = [gate_distance(limit) for limit in limits] + [_LAST_SCALE[0]]
    looks = [least_rough_correlation(limit) for limit in limits] + [_LAST_SCALE[1]]
    assert gates == sorted(gates, reverse=True)
    assert looks == sorted(looks)


def test_the_stain_of_a_filled_corner_is_that_of_what_is_beside_it(cells: list[Pixels]) -> None:
    tile = shrink(cells[0])
    cornered = tile.copy()
    cornered[:14, :14] = 255
    picture, filled = without_corners(cornered, fill(cornered))
    assert np.abs(stain_map(picture, filled) - stain_map(tile))[20:, 20:].max() < 0.1


def test_the_thin_tips_of_filled_corners_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    grey = np.full((224, 224, 3), 110, np.uint8)
    filled = thumb(shrink(turned(grey, 15, cv2.BORDER_CONSTANT)))
    mixed = np.abs(filled.astype(np.int16) - 110) > 6
    assert not (mixed & ~thumb_fill(filled)).any()
    monkeypatch.setattr(stain, "_TIP_PX", 1)
    assert (mixed & ~thumb_fill(filled)).any()
