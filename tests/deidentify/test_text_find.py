from __future__ import annotations

import socket
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.deidentify.text import engine as engine_module
from curation.deidentify.text import find as find_module
from curation.deidentify.text import ocr
from curation.deidentify.text.barcode import find_barcodes
from curation.deidentify.text.engine import Engine, Reading, TextModelsError, model_files
from curation.deidentify.text.find import FinderConfig, TextFinder, find_text
from curation.deidentify.text.hit import TextHit, overlap, upright_box, widened
from curation.deidentify.text.ocr import may_hold_lines
from curation.pixels import Pixels
from tests.deidentify.text_made import burn, burn_barcode, field


@pytest.mark.parametrize(
    ("text", "colour", "rotation"),
    [
        ("MRN 4071963", "black", 0),
        ("Quill, Adalbert", "white", 90),
        ("17.03.1958", "purple", 180),
        ("H24-118203", "black", 270),
    ],
)
def test_text_is_found_in_every_direction(text: str, colour: str, rotation: int) -> None:
    made = burn(field(), text, colour, rotation)
    (hit,) = find_text(made.pixels)
    left, top, right, bottom = made.box
    # The whole of the ink is inside the box.
    assert max(hit.box[0] - left, hit.box[1] - top) <= 0
    assert min(hit.box[2] - right, hit.box[3] - bottom) >= 0
    assert (hit.kind, hit.text) == ("text", text)
    assert 0.65 <= hit.score <= 1


@pytest.mark.parametrize("seed", [1, 2])
def test_a_field_without_text_has_no_hit(seed: int) -> None:
    assert find_text(field(seed)) == ()


def test_grey_images_are_searched_and_twice_gives_the_same() -> None:
    grey = burn(field(3), "PID 556012").pixels[:, :, 1]
    first = find_text(grey)
    assert [hit.text for hit in first] == ["PID 556012"]
    assert find_text(grey) == first


def test_pieces_beside_a_text_are_hits_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def at(left: int, right: int, text: str, confidence: float) -> Reading:
        corners = [(left, 50), (right, 50), (right, 62), (left, 62)]
        return Reading(np.array(corners, np.float32), text, confidence)

    initial, name, cell = at(30, 42, "", 0.0), at(50, 120, "Brunhild", 0.99), at(200, 212, "O", 0.9)
    monkeypatch.setattr(ocr, "_readings", lambda *_: iter([initial, name, cell]))
    assert [hit.box[0] for hit in ocr.find_text_lines(field())] == [30, 50]
    monkeypatch.setattr(ocr, "_readings", lambda *_: iter([initial, cell]))
    assert ocr.find_text_lines(field()) == ()


def test_a_hit_does_not_show_what_it_says() -> None:
    assert "Quill" not in repr(TextHit((0, 0, 9, 9), "text", 0.9, "Quill"))


@pytest.mark.parametrize("kind", ["QRCode", "DataMatrix", "Code128"])
def test_barcodes_are_found(kind: str) -> None:
    made = burn_barcode(field(4, 480, 360), "P5560123", kind)
    for turns in range(4):
        (hit,) = find_barcodes(np.ascontiguousarray(np.rot90(made.pixels, turns)))
        assert (hit.kind, hit.text, hit.score) == ("barcode", "P5560123", 1.0)
    (hit,) = find_barcodes(made.pixels)
    assert overlap(hit.box, made.box)


def test_a_damaged_barcode_counts() -> None:
    made = burn_barcode(field(4), "P5560123", "QRCode", damaged=True)
    (hit,) = find_barcodes(made.pixels)
    assert (hit.kind, hit.score) == ("barcode", 0.5)
    assert overlap(hit.box, made.box)


def test_fields_have_no_barcode() -> None:
    assert [find_barcodes(field(seed)) for seed in range(5)] == [()] * 5


def test_large_images_are_searched_in_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ocr, "_LARGE_PX", 100_000)
    monkeypatch.setattr(ocr, "_TILE_PX", 320)
    monkeypatch.setattr(ocr, "_OVERLAP_PX", 96)
    made = burn(field(5, 500, 400), "Zweig 1961", at=(390, 370))
    hits = find_text(made.pixels)
    assert {hit.text for hit in hits} == {"Zweig 1961"}
    assert all(overlap(hit.box, made.box) for hit in hits)
    grown = widened(made.box, 12, 500, 400)
    assert all(grown[0] <= hit.box[0] and grown[1] <= hit.box[1] for hit in hits)


@given(st.integers(1, 5000), st.integers(1, 5000))
def test_views_cover_every_pixel(width: int, height: int) -> None:
    for length in (width, height):
        ends = [start + ocr._TILE_PX for start in ocr._starts(length)]
        starts = list(ocr._starts(length))
        assert starts[0] == 0
        assert ends[-1] >= length
        assert all(b <= a - ocr._OVERLAP_PX for a, b in zip(ends, starts[1:], strict=False))


@pytest.mark.parametrize(
    ("text", "confidence", "height_px", "expected"),
    [
        ("Quill", 0.7, 20, True),
        ("Quill", 0.6, 20, False),
        ("Quill", 0.7, 80, False),
        ("Quill", 0.9, 80, True),
        ("Qu", 0.99, 20, False),
        ("- . -", 0.99, 20, False),
        ("80008", 0.8, 20, False),
        ("80008", 0.9, 20, True),
        ("80007", 0.7, 20, True),
    ],
)
def test_rows_of_cells_are_not_text(
    text: str, confidence: float, height_px: int, expected: bool
) -> None:
    corners = [(10, 10), (110, 10), (110, 10 + height_px), (10, 10 + height_px)]
    reading = Reading(np.array(corners, np.float32), text, confidence)
    assert ocr.is_text(reading, shorter_side_px=240) is expected


@given(
    st.lists(st.tuples(st.floats(-50, 150), st.floats(-50, 150)), min_size=4, max_size=4),
    st.integers(1, 100),
    st.integers(1, 100),
)
def test_boxes_lie_in_the_image(points: list[tuple[float, float]], width: int, height: int) -> None:
    left, top, right, bottom = upright_box(np.array(points), width, height)
    assert 0 <= left < right <= width
    assert 0 <= top < bottom <= height


def refuse(*_: object, **__: object) -> tuple[TextHit, ...]:
    raise AssertionError("was searched")


def test_the_screen_decides_on_crops_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(find_module, "find_text", refuse)
    finder = TextFinder()
    plain = field(6, 300, 300)
    assert finder.look(plain, whole_field=False) == find_module.Look(False, ())
    with pytest.raises(AssertionError, match="was searched"):
        finder.look(plain, whole_field=True)
    with pytest.raises(AssertionError, match="was searched"):
        finder.look(field(6, 520, 300), whole_field=False)
    with pytest.raises(AssertionError, match="was searched"):
        finder.look(burn(plain, "MRN 4071963").pixels, whole_field=False)
    with pytest.raises(AssertionError, match="was searched"):
        TextFinder(FinderConfig(min_likeness=0)).look(plain, whole_field=False)


def test_an_unsure_crop_is_searched_where_its_strokes_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sizes: list[tuple[int, ...]] = []

    def seen(pixels: Pixels, threads: int | None) -> bool:
        sizes.append(pixels.shape[:2])
        return may_hold_lines(pixels, threads)

    monkeypatch.setattr(find_module, "may_hold_lines", seen)
    # None is as sure as this, so that all of them are searched in part first.
    finder = TextFinder(FinderConfig(min_likeness=1e-9, unread_likeness=1.01))
    made = burn(field(6, 360, 300), "MRN 4071963", at=(150, 260))
    (hit,) = finder.look(made.pixels, whole_field=False).hits
    assert hit.text == "MRN 4071963"
    assert overlap(hit.box, made.box)
    assert finder.look(field(6, 360, 300), whole_field=False) == find_module.Look(True, ())
    assert sizes == [(200, 200)] * 2


def test_text_that_only_its_part_shows_is_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(find_module, "find_text", lambda *_: ())
    finder = TextFinder(FinderConfig(min_likeness=1e-9, unread_likeness=1.01))
    made = burn(field(6, 360, 300), "MRN 4071963", at=(150, 260))
    (hit,) = finder.look(made.pixels, whole_field=False).hits
    assert overlap(hit.box, made.box)
    assert hit.box[0] >= 130


def test_a_crop_that_looks_like_text_goes_to_a_person_unread(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(find_module, "find_text", lambda *_: ())
    monkeypatch.setattr(find_module, "may_hold_lines", lambda *_: False)
    crop = burn(field(6, 300, 300), "MRN 4071963").pixels
    (hit,) = TextFinder().look(crop, whole_field=False).hits
    assert hit.unread
    assert hit.box == (0, 0, 300, 300)
    assert hit.score >= 0.97
    monkeypatch.setattr(find_module, "may_hold_barcode", lambda *_: False)
    lenient = TextFinder(FinderConfig(unread_likeness=1.01))
    assert lenient.look(crop, whole_field=False) == find_module.Look(True, ())
    # Nothing can be said of an image of a few pixels, so that it is not held against it.
    tiny: Pixels = np.zeros((9, 9, 3), np.uint8)
    assert TextFinder().look(tiny, whole_field=False) == find_module.Look(True, ())


def test_loading_and_reading_need_no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*_: object, **__: object) -> socket.socket:
        raise AssertionError("the network was used")

    monkeypatch.setattr(socket, "socket", offline)
    monkeypatch.setattr(socket, "getaddrinfo", offline)
    pixels = burn(field(0, 200, 160), "MRN 4071963", at=(20, 20)).pixels
    assert [reading.text for reading in Engine(1).read(pixels)] == ["MRN 4071963"]


def test_missing_models_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert all(path.is_file() for path in model_files().values())
    monkeypatch.setattr(engine_module, "MODELS", {"Det.model_path": "absent.onnx"})
    with pytest.raises(TextModelsError, match=r"no absent\.onnx.*Next: pip install") as error:
        model_files()
    assert str(Path(engine_module.__file__).parents[3]) not in str(error.value)


@pytest.mark.parametrize(
    ("given", "variable", "expected"), [(None, "1", 1), (3, "1", 3), (0, None, 1), (None, "x", 4)]
)
def test_threads_follow_the_setting(
    monkeypatch: pytest.MonkeyPatch, given: int | None, variable: str | None, expected: int
) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 4)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if variable is not None:
        monkeypatch.setenv("OMP_NUM_THREADS", variable)
    assert engine_module._threads(given) == expected
