from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from curation.dedupe import find as find_module
from curation.dedupe import near as near_module
from curation.dedupe.candidates import find_candidates
from curation.dedupe.find import find_copies
from curation.dedupe.near import near_pairs
from curation.dedupe.registration import Match, is_same_place, register
from curation.dedupe.signature import (
    MIN_SIDE_PX,
    SIGNATURE_SCHEMA,
    Signatures,
    read_signatures,
    sign,
    signature_columns,
    thumb,
)
from curation.dedupe.thumbs import ThumbArray, write_thumbs
from curation.dedupe.turned import ORIENTATIONS, turned_id
from curation.pixels import Pixels, pixel_id
from curation.staged_rows import StagedRows, write_rows
from curation.tiles import shrink
from scripts.altered_cells import ALTERATIONS
from smearkit.demo_cells import draw_cell, random_stain

CELLS = 24
CLASSES = ("neutrophil_segmented", "lymphocyte", "monocyte", "eosinophil", "basophil")


@pytest.fixture(scope="module")
def cells() -> list[Pixels]:
    rng = np.random.default_rng(7)
    return [
        np.asarray(draw_cell(CLASSES[row % len(CLASSES)], rng, random_stain(rng), side=180))
        for row in range(CELLS)
    ]


def signed(pictures: Sequence[Pixels]) -> Signatures:
    return sign(np.stack([shrink(one) for one in pictures]))


def ids(count: int) -> list[str]:
    return [f"{row:032x}" for row in range(count)]


def found_pairs(pictures: Sequence[Pixels]) -> set[tuple[int, int]]:
    pairs = near_pairs(signed(pictures), ids(len(pictures)))
    return set(zip(pairs.first.tolist(), pairs.second.tolist(), strict=True))


@pytest.mark.parametrize("turn", ORIENTATIONS)
@pytest.mark.parametrize(
    "shape",
    [(9, 9, 3), (8, 11, 3), (7, 12), (200, 200, 3), (200, 150, 3), (131, 160), (1, 5), (1, 1, 3)],
)
def test_a_turned_picture_keeps_its_identity(
    turn: Callable[[Pixels], Pixels], shape: tuple[int, ...]
) -> None:
    pixels = np.random.default_rng(3).integers(0, 255, shape, np.uint8)
    assert turned_id(turn(pixels)) == turned_id(pixels)


def tied(height: int, width: int, *places: tuple[int, int]) -> Pixels:
    pixels = np.zeros((height, width), np.uint8)
    for row, column in places:
        pixels[row, column] = 9
    return pixels


@pytest.mark.parametrize(
    "pixels",
    [
        tied(10, 10, (1, 2), (8, 2)),  # two quarters with one sum
        tied(300, 300, (70, 80), (71, 220), (72, 221), (200, 80)),  # four corners with one sum
        tied(300, 200, (5, 6), (290, 7)),
        tied(200, 300, (100, 150)),
        tied(64, 64),
    ],
    ids=["quarters", "corners", "high", "wide", "nothing"],
)
def test_a_picture_of_ties_keeps_its_identity(pixels: Pixels) -> None:
    assert len({turned_id(turn(pixels)) for turn in ORIENTATIONS}) == 1
    other = pixels.copy()
    other[pixels.shape[0] // 2, 0] = 1
    assert turned_id(other) != turned_id(pixels)


def test_one_pixel_makes_another_identity() -> None:
    pixels = np.random.default_rng(3).integers(0, 255, (20, 20, 3), np.uint8)
    other = pixels.copy()
    other[4, 5, 0] ^= 1
    assert turned_id(other) != turned_id(pixels)
    assert turned_id(pixels[:, :19]) != turned_id(pixels)
    shapes = (20, 30), (24, 25), (20, 10, 3)
    assert len({turned_id(np.full(shape, 255, np.uint8)) for shape in shapes}) == len(shapes)


@pytest.mark.parametrize("alteration", ALTERATIONS)
def test_altered_copies_are_found(cells: list[Pixels], alteration: str) -> None:
    copies = [ALTERATIONS[alteration](one) for one in cells]
    found = found_pairs([*cells, *copies])
    hits = sum((row, row + CELLS) in found for row in range(CELLS))
    # Light that clips takes detail away, and one drawn cell in ten with it.
    assert hits >= CELLS - (2 if alteration.startswith("brighter") else 1), (
        f"{alteration}: {hits} of {CELLS}"
    )


def test_different_cells_are_not_taken_for_copies(cells: list[Pixels]) -> None:
    assert found_pairs(cells) == set()


def test_cells_masked_onto_white_are_told_apart(cells: list[Pixels]) -> None:
    y, x = np.indices(cells[0].shape[:2]) - 90
    outside = np.asarray(x**2 + y**2 > 45**2)
    masked = [np.where(outside[..., None], 255, one).astype(np.uint8) for one in cells]
    assert found_pairs(masked) == set()
    copies = [np.ascontiguousarray(np.rot90(one)) for one in masked]
    found = found_pairs([*masked, *copies])
    assert {(row, row + CELLS) for row in range(CELLS)} <= found


def test_the_order_and_the_batch_make_no_difference(cells: list[Pixels]) -> None:
    everything = [*cells, *(ALTERATIONS["cropped 5 %"](one) for one in cells)]
    signatures, names = signed(everything), ids(len(everything))
    whole = near_pairs(signatures, names)
    order = np.random.default_rng(0).permutation(len(everything))
    shuffled = near_pairs(
        Signatures(
            signatures.keypoints[order], signatures.codes[order],
            ThumbArray(signatures.thumbs.take(order)),
        ),
        [names[row] for row in order],
    )  # fmt: skip

    def named(first: np.ndarray, second: np.ndarray, who: Sequence[str]) -> set[frozenset[str]]:
        return {frozenset((who[a], who[b])) for a, b in zip(first, second, strict=True)}

    assert named(whole.first, whole.second, names) == named(
        shuffled.first, shuffled.second, [names[row] for row in order]
    )
    known = len(cells)
    later = near_pairs(signatures, names, known=known)
    new = whole.second >= known
    assert set(zip(later.first, later.second, strict=True)) == set(
        zip(whole.first[new], whole.second[new], strict=True)
    )
    assert sorted(later.correlation) == pytest.approx(sorted(whole.correlation[new]), abs=0)


def test_codes_are_gone_while_pairs_are_looked_at(
    cells: list[Pixels], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = signed([*cells[:3], *cells[:3]])
    # Of its own: those of `made` may be a view of more.
    codes = weakref.ref(held := made.codes.copy())
    there: list[bool] = []
    compare = near_module._compared

    def watched(*given: Any) -> Iterator[Any]:
        there.append(codes() is not None)
        return compare(*given)

    monkeypatch.setattr(near_module, "_compared", watched)
    handed = [Signatures(made.keypoints, held, made.thumbs)]
    del held
    found = near_pairs(handed.pop(), ids(6))
    assert len(found) == 3
    assert there
    assert not any(there)


def test_two_cells_of_one_field_are_neighbours_and_no_copies() -> None:
    rng = np.random.default_rng(1)
    found = 0
    for label in CLASSES:
        field = np.asarray(draw_cell(label, rng, random_stain(rng), side=300))
        pairs = near_pairs(signed([field[40:260, 20:240], field[40:260, 60:280]]), ids(2))
        assert not pairs.is_copy.any()
        assert pairs.shift == pytest.approx(40 / 220, abs=0.02)
        found += len(pairs)
    assert found >= 3


def test_small_pictures_are_only_compared_exactly(cells: list[Pixels]) -> None:
    tiles = np.stack([shrink(one) for one in cells[:2]])
    signatures = sign(tiles, np.array([MIN_SIDE_PX - 1, MIN_SIDE_PX], np.int32))
    assert np.isnan(signatures.codes[0]).all()
    assert not np.isnan(signatures.codes[1, 0]).any()
    both = sign(tiles, np.full(2, MIN_SIDE_PX - 1, np.int32))
    assert len(find_candidates(both.codes)) == 0


def test_a_pair_needs_correlation_and_overlap() -> None:
    assert is_same_place(Match(0.99, 0.95, 0.8, 0.0))
    assert not is_same_place(Match(0.97, 0.95, 0.8, 0.0))
    assert not is_same_place(Match(0.99, 0.8, 0.8, 0.0))
    assert not is_same_place(Match(0.99, 0.95, 0.2, 0.0))


def test_a_blurred_round_spot_is_no_copy_of_anything(cells: list[Pixels]) -> None:
    y, x = np.indices((64, 64)) - 31.5
    spot = (220 - 40 * np.exp(-(x**2 + y**2) / 24.0**2)).astype(np.uint8)
    in_place = np.eye(2, 3, dtype=np.float32)
    match = register(spot, spot, in_place)
    assert match.correlation > 0.99
    assert match.detail == -1, "there is no structure that could agree"
    assert not is_same_place(match)
    cell = thumb(shrink(cells[0]))
    assert is_same_place(register(cell, cell, in_place))


def test_signatures_come_back_from_columns(cells: list[Pixels], tmp_path: Path) -> None:
    signatures = signed(cells)
    columns = signature_columns(signatures)
    table = pa.table(columns, schema=SIGNATURE_SCHEMA)
    thumbs = write_thumbs(tmp_path / "thumbs.u8", table["thumbs"].chunks)
    back = read_signatures(pa.concat_tables([table.slice(0, 5), table.slice(5)]), thumbs)
    np.testing.assert_array_equal(back.codes, signatures.codes)
    np.testing.assert_array_equal(back.keypoints, signatures.keypoints)
    rows = np.array([7, 0, 7])
    np.testing.assert_array_equal(back.thumbs.take(rows), signatures.thumbs.take(rows))
    thumbs.close()


def rows_of(pictures: Sequence[Pixels], labels: Sequence[str], sizes: Sequence[int]) -> pa.Table:
    return pa.table({
        "image_id": [pixel_id(one) for one in pictures],
        "turned_id": [turned_id(one) for one in pictures],
        "label": list(labels),
        "subject": pa.nulls(len(pictures), pa.string()),
        "pixels": [one.shape[0] * one.shape[1] for one in pictures],
        "size": list(sizes),
        **signature_columns(signed(pictures)),
    })  # fmt: skip


def staged_in(folder: Path, table: pa.Table) -> StagedRows:
    """Return rows in files of two rows each."""
    files = []
    for start in range(0, len(table), 2):
        files.append(folder / f"{start:06d}.arrow")
        write_rows(files[-1], table.slice(start, 2))
    return StagedRows(files)


def test_the_best_copy_stays(cells: list[Pixels], tmp_path: Path) -> None:
    half = ALTERATIONS["half size"](cells[0])
    turned = np.ascontiguousarray(np.rot90(cells[0]))
    pictures = [half, cells[1], cells[0], turned, cells[0]]
    staged = staged_in(tmp_path, rows_of(pictures, ["monocyte"] * 5, [10, 90, 80, 90, 80]))
    thumbs = ThumbArray(signed(pictures).thumbs.take(np.arange(5)))
    found = find_copies(staged, np.arange(5), thumbs)
    assert found.duplicates.reasons.tolist() == [
        "near_duplicate", "", "turned_duplicate", "", "turned_duplicate"
    ]  # fmt: skip
    assert found.duplicates.kept_row.tolist() == [3, -1, 3, -1, 3]
    only_equal = find_copies(staged, np.arange(5), None)
    assert only_equal.duplicates.reasons.tolist()[0] == ""


def test_altered_copies_with_two_labels_are_a_conflict(cells: list[Pixels], tmp_path: Path) -> None:
    pictures = [cells[0], ALTERATIONS["cropped 5 %"](cells[0]), cells[1]]
    staged = staged_in(
        tmp_path, rows_of(pictures, ["monocyte", "lymphocyte", "monocyte"], [1, 1, 1])
    )
    found = find_copies(staged, np.arange(3), signed(pictures).thumbs)
    assert found.duplicates.reasons.tolist() == ["label_conflict", "label_conflict", ""]
    assert found.duplicates.conflicts[0].rows == (0, 1)


def test_rows_that_cannot_be_used_are_in_no_group(cells: list[Pixels], tmp_path: Path) -> None:
    pictures = [cells[0], cells[0], cells[1]]
    staged = staged_in(tmp_path, rows_of(pictures, ["monocyte"] * 3, [1, 1, 1]))
    found = find_copies(staged, np.array([1, 2]), signed(pictures).thumbs)
    assert found.duplicates.reasons.tolist() == ["", "", ""]


def test_a_giant_group_is_reported_and_not_merged(
    cells: list[Pixels], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(find_module, "LARGEST_GROUP", 3)
    names = ("JPEG quality 50", "darker by 20 %", "contrast 75 %", "colour cast")
    pictures = [cells[0], *(ALTERATIONS[name](cells[0]) for name in names)]
    staged = staged_in(tmp_path, rows_of(pictures, ["monocyte"] * 5, [1] * 5))
    found = find_copies(staged, np.arange(5), signed(pictures).thumbs)
    assert found.giant == (5,)
    assert set(found.duplicates.reasons.tolist()) == {""}
    assert len(found.same_place) >= 4, "they still belong in one split"
