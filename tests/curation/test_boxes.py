from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from curation.curate import CurateConfig, curate
from curation.deidentify.text import TextHit
from curation.errors import SourceError
from curation.pixels import Limits
from curation.released_cell import _into_box
from curation.sources.box_source import BoxSource, open_boxes
from curation.sources.boxes import CONFLICT, REPEATED, box_rows, same_cell_problems
from curation.sources.crops import CropRules, crop_window, cut_out, place_problem
from curation.sources.source import RawCell
from curation.vocabulary import canonical_label

Cell = Callable[..., Image.Image]
Encoded = Callable[..., bytes]
WIDTH, HEIGHT = 200, 120
HEADER = "file,label,xmin,ymin,xmax,ymax"


def cells(source: BoxSource) -> list[RawCell]:
    return list(source.read(0, len(source)))


def pixels_of(path: Path) -> Any:
    with Image.open(path) as image:
        return np.asarray(image)


@pytest.fixture
def fields(tmp_path: Path) -> Path:
    """Three fields of 200x120 px, one of them in a folder of its own."""
    root = tmp_path / "fields"
    (root / "ward").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for name in ("a.png", "b.png", "ward/c.png"):
        array = rng.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
        Image.fromarray(array).save(root / name)
    return root


@pytest.fixture
def boxes(fields: Path, tmp_path: Path) -> Callable[..., BoxSource]:
    """boxes(*rows, header, **options) -> a source of the fields with such a table."""

    def make(*rows: str, header: str = HEADER, **options: Any) -> BoxSource:
        table = tmp_path / "roe.csv"
        table.write_text("\n".join([header, *rows]) + "\n")
        return open_boxes(fields, table, **options)

    return make


Boxes = Callable[..., BoxSource]


def test_cells_of_a_field_follow_each_other_and_share_it(boxes: Boxes, fields: Path) -> None:
    source = boxes(
        "b.png,BA,10,20,40,60", "a.png,MO,50,30,90,70", "b.png,MO,60,20,100,60",
        "c.png,LY,100,50,140,90", "a.png,LY,10,10,40,40",
    )  # fmt: skip
    found = cells(source)
    assert [(c.label, c.problem) for c in found] == [
        ("BA", None), ("MO", None), ("MO", None), ("LY", None), ("LY", None)
    ]  # fmt: skip
    assert dict(source.labels()) == {"BA": 1, "MO": 2, "LY": 2}
    field = pixels_of(fields / "b.png")
    first, second = found[0], found[1]
    assert first.pixels is not None
    assert first.data is None
    assert np.array_equal(first.pixels, field[20:60, 10:40])
    assert first.cut_from is not None
    assert second.cut_from is not None
    assert first.cut_from.pixels is second.cut_from.pixels, "decoded once for all cells"
    assert first.cut_from.name == second.cut_from.name == "b.png"
    assert first.cut_from.box == (10, 20, 40, 60)
    assert np.array_equal(first.cut_from.pixels, field)
    names = [c.cut_from.name for c in found if c.cut_from]
    assert names == ["b.png", "b.png", "a.png", "a.png", "c.png"]
    assert source.fields_without_boxes == 0


def test_any_range_can_be_read(boxes: Boxes) -> None:
    rows = [f"{name}.png,BA,{x},20,{x + 30},50" for x in (10, 60, 120) for name in "abc"]
    source = boxes(*rows, "a.png,MO,1,2,3,1")
    whole = cells(source)
    assert len(whole) == len(source) == 10
    for start in range(11):
        for stop in range(start, 12):
            got = list(source.read(start, stop))
            assert [c.name for c in got] == [c.name for c in whole[start:stop]]
            for one, other in zip(got, whole[start:stop], strict=True):
                assert one.problem == other.problem
                assert np.array_equal(np.asarray(one.pixels), np.asarray(other.pixels))


def test_every_bad_box_is_told_apart(boxes: Boxes, fields: Path) -> None:
    (fields / "broken.jpg").write_bytes(b"\xff\xd8 no image")
    Image.new("L", (9, 9)).save(fields / "small.png")
    rows = {
        "a.png,BA,100,20,140,60": None,
        "a.png,BA,101,20,140,60": "box_repeated",
        "a.png,BA,20,50,60,90": "box_conflict",
        "a.png,MO,20,51,60,90": "box_conflict",
        "a.png,BA,180,20,210,60": "box_outside",
        "a.png,BA,-9,20,30,60": "box_outside",
        "a.png,BA,900,20,930,60": "box_outside",
        "a.png,BA,60,20,30,60": "box_inverted",
        "a.png,BA,30,60,60,20": "box_inverted",
        "a.png,BA,30,60,30,60": "box_tiny",
        "a.png,BA,30,60,60,65": "box_tiny",
        "a.png,BA,ten,20,40,60": "box_not_numeric",
        "a.png,BA,,20,40,60": "box_not_numeric",
        "a.png,BA,nan,20,40,60": "box_not_numeric",
        "a.png,BA,1e999,20,40,60": "box_not_numeric",
        "a.png,BA,10,20,1e300,60": "box_outside",
        "a.png,,100,60,140,100": "label_missing",
        "a.png,BA,0,20,20,60": "box_at_edge",
        "a.png,BA,171,20,201,60": "box_at_edge",
        "a.png,BA,60,100,100,119": "box_at_edge",
        "a.png,BA,1,1,31,31": "box_at_edge",
        "a.png,BA,0,60,199,119": "box_at_edge",
        "b.png,BA,0,20,34,60": None,
        "b.png,BA,20,0,60,32": None,
        "b.png,BA,100,20,140,60": None,
        "gone.png,BA,100,20,140,60": "field_missing",
        ",BA,100,20,140,60": "field_missing",
        "broken.jpg,BA,100,20,140,60": "field_unreadable",
        "small.png,BA,1,1,7,7": "box_tiny",
        "small.png,BA,1,1,20,20": "field_too_small",
    }
    found = cells(boxes(*rows))
    assert len(found) == len(rows)
    numbered = {int(cell.name.rpartition(" ")[2]) - 1: cell.problem for cell in found}
    assert {row: numbered[n] for n, row in enumerate(rows)} == rows
    assert all((cell.pixels is None) == (cell.problem is not None) for cell in found)
    kept = {row: why for row, why in rows.items() if why in (None, "box_at_edge")}
    assert {c.problem for c in cells(boxes(*kept, edge="clip"))} == {None}


def test_bad_boxes_are_counted_by_name(boxes: Boxes, tmp_path: Path) -> None:
    """In the manifest and in the report; the rows add up."""
    good = [f"{name}.png,BA,{x},30,{x + 30},60" for name in "abc" for x in (20, 70, 120)]
    bad = {
        "a.png,BA,21,30,50,60": "box_repeated",
        "b.png,MO,20,70,60,110": "box_conflict",
        "b.png,BA,20,70,60,110": "box_conflict",
        "b.png,BA,190,20,230,60": "box_outside",
        "c.png,BA,60,20,30,60": "box_inverted",
        "c.png,BA,60,70,65,100": "box_tiny",
        "c.png,BA,x,70,65,100": "box_not_numeric",
        "c.png,BA,180,20,200,60": "box_at_edge",
        "c.png,,70,80,110,110": "label_missing",
        "gone.png,BA,10,20,40,60": "field_missing",
    }
    corpus = curate([boxes(*good, *bad)], tmp_path / "out", CurateConfig(text="off"))
    counted = dict(Counter(bad.values()))
    assert corpus.manifest.dropped == counted
    assert corpus.manifest.n_in == len(good) + len(bad)
    assert corpus.manifest.n_out == len(good)
    report = json.loads((tmp_path / "out" / "reports" / "curation.json").read_text())
    assert report["dropped"] == counted


def test_the_edge_of_a_box_that_counts_from_one(boxes: Boxes, fields: Path) -> None:
    found = cells(boxes("a.png,BA,1,1,41,61", "a.png,MO,150,50,201,121", edge="clip"))
    assert [c.problem for c in found] == [None, None]
    assert found[1].pixels is not None
    assert np.array_equal(found[1].pixels, pixels_of(fields / "a.png")[50:120, 150:200])


@pytest.mark.parametrize(
    ("header", "box"),
    [
        ("file,label,xmin,ymin,xmax,ymax", "10,20,40,60"),
        ("file,label,width,height,xmin,ymin,xmax,ymax", "200,120,10,20,40,60"),
        ("Image,Class,X Min,Y Min,X Max,Y Max", "10,20,40,60"),
        ("file,label,left,top,right,bottom", "10,20,40,60"),
        ("file,label,bbox_x1,bbox_y1,bbox_x2,bbox_y2", "10,20,40,60"),
        ("file,label,x,y,width,height", "10,20,30,40"),
        ("file,label,left,top,width,height", "10,20,30,40"),
        ("file,label,x,y,w,h", "10.0,20.4,29.7,39.6"),
        ("file,label,bbox", '"[10, 20, 30, 40]"'),
        ("file,label,bbox", '"(10.2, 20.0, 29.8, 40)"'),
        ("file,label,bbox", "10 20 30 40"),
    ],
)
def test_boxes_as_they_are_written(boxes: Boxes, header: str, box: str) -> None:
    cell = cells(boxes(f"a.png,BA,{box}", header=header))[0]
    assert cell.cut_from is not None
    assert cell.cut_from.box == (10, 20, 40, 60)


def test_a_comma_may_be_the_decimal_point(fields: Path, tmp_path: Path) -> None:
    table = tmp_path / "boxes.csv"
    table.write_text("file;label;xmin;ymin;xmax;ymax\na.png;BA;10,5;20,2;39,1;59,9\n")
    found = cells(open_boxes(fields, table))
    assert found[0].cut_from is not None
    assert found[0].cut_from.box == (10, 20, 40, 60), "outwards, so that nothing is cut off"


def test_tables_that_are_refused(boxes: Boxes, tmp_path: Path) -> None:
    for header, match in (
        ("file,label,xmin,ymin,xmax", "no columns for the corners: expected xmin"),
        ("file,label,x,y,x,y", "two columns of one name"),
        ("file,label,xmin,x_min,ymin,xmax,ymax", "two columns for xmin"),
        ("file,kind,xmin,ymin,xmax,ymax", "no column for the label"),
        ("who,label,xmin,ymin,xmax,ymax", "no column for the file name"),
    ):
        with pytest.raises(SourceError, match=match) as caught:
            boxes(header=header)
        assert "roe" not in str(caught.value)
    for options in ({"margin": -0.1}, {"margin": float("nan")}, {"min_box_px": 0}, {"edge": "x"}):
        with pytest.raises(SourceError, match="cannot be used"):
            boxes(**options)
    table = tmp_path / "roe.csv"
    (tmp_path / "empty").mkdir()
    for place, match in (("empty", "holds none; looked for"), ("gone", "neither a folder nor")):
        with pytest.raises(SourceError, match=match):
            open_boxes(tmp_path / place, table)


def test_names_that_stand_for_one_file(boxes: Boxes, fields: Path) -> None:
    (fields / "other").mkdir()
    (fields / "other" / "a.png").write_bytes((fields / "a.png").read_bytes())
    rows = {
        "ward\\c.png": None, "c.png": None, "./ward/c.png": None, "c": None, "b": None,
        "elsewhere/c.png": "field_missing",  # another folder's file, whatever it is called
        "a": "field_missing",  # two files
        "a.png": None,
    }  # fmt: skip
    found = cells(boxes(*(f"{n},L{i},{10 + i * 12},20,{40 + i * 12},60"
                          for i, n in enumerate(rows))))  # fmt: skip
    told = {int(cell.name.rpartition(" ")[2]) - 1: cell.problem for cell in found}
    assert {name: told[n] for n, name in enumerate(rows)} == rows
    shared = {id(c.cut_from.pixels) for c in found if c.cut_from and c.label in ("L0", "L1", "L3")}
    assert len(shared) == 1, "one field, however it is called"


def test_a_link_out_of_the_folder_is_refused(boxes: Boxes, fields: Path, tmp_path: Path) -> None:
    (tmp_path / "jane_roe.png").write_bytes((fields / "a.png").read_bytes())
    (fields / "d.png").symlink_to(tmp_path / "jane_roe.png")
    with pytest.raises(SourceError, match="a link that leads out of it") as caught:
        boxes("a.png,BA,10,20,40,60")
    assert "jane" not in str(caught.value)


def test_what_else_the_table_says(boxes: Boxes) -> None:
    source = boxes(
        "a.png,BA,10,20,40,60,Jane Roe,007", "b.png,BA,10,20,40,60,,008",
        "gone_Roe.png,BA,10,20,40,60,x,9", header=f"{HEADER},operator,patient id",
    )  # fmt: skip
    assert source.columns == ("operator", "patient id")
    first, second, _ = cells(source)
    assert first.fields == {"operator": "Jane Roe", "patient id": "007"}
    assert second.fields == {"operator": None, "patient id": "008"}
    told = set(source.identifiers())
    assert {("file", "a"), ("folder", "ward"), ("file", "gone_Roe"), ("operator", "Jane Roe"),
            ("patient id", "007")} <= told  # fmt: skip
    assert source.fields_without_boxes == 1
    assert source.kind == "boxes in fields"


def test_identity_follows_the_files_and_the_rules(boxes: Boxes, fields: Path) -> None:
    table = boxes("a.png,BA,10,20,40,60").table_path
    before = open_boxes(fields, table).identity()
    assert open_boxes(fields, table).identity() == before
    assert open_boxes(fields, table, margin=0.1).identity() != before
    Image.new("RGB", (WIDTH, HEIGHT)).save(fields / "b.png")
    assert open_boxes(fields, table).identity() != before


def test_a_field_is_turned_upright_first(boxes: Boxes, fields: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    with Image.open(fields / "a.png") as image:
        image.save(fields / "turned.png", exif=exif)
    cell = cells(boxes("turned.png,BA,30,150,60,190"))[0]
    upright = np.rot90(pixels_of(fields / "a.png"), -1)
    assert cell.pixels is not None
    assert np.array_equal(cell.pixels, upright[150:190, 30:60])


SIDES = st.integers(20, 400)


@st.composite
def placed(draw: Any) -> tuple[tuple[int, int, int, int], int, int]:
    width, height = draw(SIDES), draw(SIDES)
    left, top = draw(st.integers(0, width - 1)), draw(st.integers(0, height - 1))
    right, bottom = draw(st.integers(left + 1, width)), draw(st.integers(top + 1, height))
    return (left, top, right, bottom), width, height


@pytest.mark.parametrize("square", [False, True])
def test_a_padded_crop_keeps_its_size_around_the_cell(
    boxes: Boxes, fields: Path, square: bool
) -> None:
    rows = ("a.png,BA,2,20,42,60", "a.png,MO,150,90,201,121", "a.png,LY,80,50,120,90")
    found = cells(boxes(*rows, edge="pad", margin=0.5, square=square))
    field = pixels_of(fields / "a.png")
    around = np.pad(field, ((100, 100), (100, 100), (0, 0)), mode="edge")
    for cell, row in zip(found, rows, strict=True):
        left, top, right, bottom = map(int, row.split(",")[2:])
        longer = max(right - left, bottom - top)
        added = round(0.5 * longer)
        assert cell.pixels is not None
        assert cell.cut_from is not None
        if square:
            assert cell.pixels.shape == (longer + 2 * added, longer + 2 * added, 3)
        else:
            assert cell.pixels.shape == (bottom - top + 2 * added, right - left + 2 * added, 3)
        x0, y0, x1, y1 = cell.cut_from.box
        assert abs((x0 + x1) - (left + right)) <= 1
        assert abs((y0 + y1) - (top + bottom)) <= 1
        assert np.array_equal(cell.pixels, around[y0 + 100 : y1 + 100, x0 + 100 : x1 + 100])


def test_text_on_a_padded_crop_is_found_where_it_lies() -> None:
    hit = TextHit((0, 10, 30, 20), "text", 1.0, "Roe")
    moved = _into_box(hit, (-15, 5, 40, 60))
    assert moved is not None
    assert moved.box == (15, 5, 45, 15)


@given(placed(), st.floats(0, 2), st.booleans())
def test_padded_windows_are_centred_on_their_box(
    place: tuple[tuple[int, int, int, int], int, int], margin: float, square: bool
) -> None:
    box, width, height = place
    window = crop_window(box, width, height, CropRules(margin, square, edge="pad"))
    assert abs((window[0] + window[2]) - (box[0] + box[2])) <= 1
    assert abs((window[1] + window[3]) - (box[1] + box[3])) <= 1
    pixels = np.zeros((height, width), np.uint8)
    shape = (window[3] - window[1], window[2] - window[0])
    assert cut_out(pixels, window).shape == shape


@given(placed(), st.floats(0, 2), st.booleans())
def test_crops_hold_the_box_and_stay_inside(
    place: tuple[tuple[int, int, int, int], int, int], margin: float, square: bool
) -> None:
    box, width, height = place
    rules = CropRules(margin=margin, square=square)
    left, top, right, bottom = crop_window(box, width, height, rules)
    assert 0 <= left <= box[0] < box[2] <= right <= width
    assert 0 <= top <= box[1] < box[3] <= bottom <= height
    longer = max(box[2] - box[0], box[3] - box[1])
    wanted = longer + 2 * round(margin * longer)
    if square:
        assert (right - left, bottom - top) == (min(wanted, width), min(wanted, height))
    if margin == 0 and not square:
        assert (left, top, right, bottom) == box


@given(placed())
def test_boxes_inside_are_only_refused_for_size_or_edge(
    place: tuple[tuple[int, int, int, int], int, int],
) -> None:
    box, width, height = place
    assert place_problem(box, width, height, CropRules(min_box_px=1, edge="clip")) is None
    why = place_problem(box, width, height, CropRules(min_box_px=1))
    near = [side <= 1 for side in (box[0], width - box[2], box[1], height - box[3])]
    across, down = box[2] - box[0], box[3] - box[1]
    shallow = across < 0.8 * down if any(near[:2]) else down < 0.8 * across
    cut = sum(near) > 1 or (any(near) and shallow)
    assert why == ("box_at_edge" if cut else None)


def overlap(one: list[int], other: list[int]) -> float:
    canvas = np.zeros((2, 40, 40), dtype=bool)
    for layer, (left, top, right, bottom) in enumerate((one, other)):
        canvas[layer, top:bottom, left:right] = True
    return float(canvas.all(axis=0).sum() / canvas.any(axis=0).sum())


CORNER = st.tuples(st.integers(0, 6), st.integers(0, 6), st.integers(18, 22), st.integers(28, 32))


@settings(max_examples=60)
@given(st.lists(st.tuples(CORNER, st.sampled_from("xy")), max_size=9))
def test_coinciding_boxes_against_painted_ones(
    found: list[tuple[tuple[int, int, int, int], str]],
) -> None:
    corners = [list(box) for box, _ in found]
    labels = [label for _, label in found]
    problems = same_cell_problems(np.array(corners, dtype=np.int64).reshape(-1, 4), labels)
    for index, box in enumerate(corners):
        near = [n for n, o in enumerate(corners) if n != index and overlap(box, o) > 0.9]
        if any(labels[n] != labels[index] for n in near):
            # An exact copy of a box in conflict may be told as a copy: it goes all the same.
            assert problems[index] in (CONFLICT, REPEATED)
        else:
            earlier = [n for n in near if n < index]
            assert (problems.get(index) == REPEATED) == bool(earlier)


def test_many_copies_of_one_box_take_no_time() -> None:
    count = 30_000
    corners = np.tile(np.array([[10, 10, 60, 60]], dtype=np.int64), (count, 1))
    started = time.monotonic()
    problems = same_cell_problems(corners, ["x"] * count)
    assert Counter(problems.values()) == {REPEATED: count - 1}
    assert time.monotonic() - started < 5


def test_an_empty_table_has_no_cells(boxes: Boxes) -> None:
    source = boxes()
    assert len(source) == 0
    assert cells(source) == []
    assert source.fields_without_boxes == 3
    empty = pa.table({n: pa.array([], pa.string()) for n in HEADER.split(",")})
    assert box_rows(empty, None, None).corners.shape == (0, 4)


def test_limits_hold_for_fields(boxes: Boxes) -> None:
    found = cells(boxes("a.png,BA,10,20,40,60", limits=Limits(max_pixels=1000)))
    assert [c.problem for c in found] == ["field_too_large"]


@pytest.mark.real
def test_the_published_boxes_of_real_fields(shared_data: Path) -> None:
    folder = shared_data / "bccd_fields"
    source = open_boxes(folder / "images", folder / "boxes.csv", edge="clip")
    assert len(source) == 4888
    assert Counter(cell.problem for cell in source.read(0, len(source))) == {
        None: 4879, "box_repeated": 7, "box_tiny": 2
    }  # fmt: skip
    cut = open_boxes(folder / "images", folder / "boxes.csv")
    reasons = Counter((cell.problem, cell.label) for cell in cut.read(0, len(cut)))
    assert reasons["box_at_edge", "WBC"] / 372 < 0.16, "29 % of them touch an edge"
    assert all(canonical_label(label) is not None for label in source.labels())
    assert source.columns == ()
