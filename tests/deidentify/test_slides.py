from __future__ import annotations

import io
import logging
import struct
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageCms

from curation.errors import ImageError, SourceError
from curation.pixels import Limits
from curation.sources import box_plan, slide_tiles
from curation.sources.box_source import open_boxes
from curation.sources.slide_file import is_slide, open_slide, refuse_slides
from curation.sources.tiff_directories import MAX_DIRECTORIES, read_directories

WIDTH, HEIGHT = 700, 500
LIMITS = Limits()
NAME, SCANNER, OPERATOR = "Roe_Jane_19610304", "SS7741", "b.quill"
Slide = Callable[..., Path]
Box = tuple[int, int, int, int]
Tag = tuple[int, int, int, int]


def smear(seed: int = 0) -> NDArray[np.uint8]:
    """Return a made slide of smooth colours, (500, 700, 3) uint8."""
    coarse = np.random.default_rng(seed).integers(0, 256, (25, 35, 3), dtype=np.uint8)
    image = Image.fromarray(coarse).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)
    return np.asarray(image)


def aperio(head: str) -> str:
    words = {"AppMag": 40, "MPP": 0.25, "Filename": NAME, "User": OPERATOR, "Date": "03/04/20",
             "ScanScope ID": SCANNER}  # fmt: skip
    return f"Aperio Image Library v12.0.1\r\n{head}|" + "|".join(
        f"{key} = {value}" for key, value in words.items()
    )


def picture(text: str, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Return what stands in for a label: its bytes are the text, over and over."""
    raw = (text.encode() * (size[0] * size[1] * 3 // len(text) + 1))[: size[0] * size[1] * 3]
    return np.frombuffer(raw, dtype=np.uint8).reshape(size[1], size[0], 3)


def write_svs(path: Path, pixels: NDArray[np.uint8], **options: Any) -> Path:
    """Write a pyramid as Aperio's scanners do: slide, thumbnail, level, label, macro."""
    height, width = pixels.shape[:2]
    tiles = {"photometric": "rgb", "metadata": None, "compression": "adobe_deflate"} | options
    plain: dict[str, Any] = {"photometric": "rgb", "metadata": None}
    with tifffile.TiffWriter(path) as file:
        file.write(pixels, tile=(128, 160), description=aperio(f"{width}x{height} (160x128)"),
                   software="Scanner 3", datetime="2020:03:04 05:06:07", **tiles)  # fmt: skip
        file.write(pixels[::8, ::8].copy(), description=aperio("700x500 -> 88x63 - "), **plain)
        file.write(pixels[::4, ::4].copy(), tile=(128, 160), description=aperio("a level"), **tiles)
        file.write(picture(NAME, (90, 60)), description=aperio("label 90x60"), subfiletype=1,
                   **plain)  # fmt: skip
        file.write(picture(NAME, (120, 40)), description=aperio("macro 120x40"), subfiletype=9,
                   **plain)  # fmt: skip
    return path


@pytest.fixture(scope="session")
def svs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_svs(tmp_path_factory.mktemp("svs") / f"{NAME}.svs", smear())


@pytest.fixture
def copy(svs: Path, tmp_path: Path) -> Path:
    """A copy of the slide that a test may damage."""
    path = tmp_path / f"{NAME}.svs"
    path.write_bytes(svs.read_bytes())
    return path


def region(path: Path, box: Box, limits: Limits = LIMITS) -> NDArray[np.uint8]:
    with open_slide(path, limits) as slide:
        return slide.read_region(box)


def outcome(path: Path, box: Box) -> NDArray[np.uint8] | ImageError:
    """Return the region, or why there is none."""
    try:
        return region(path, box)
    except ImageError as error:
        return error


def refused(path: Path, reason: str, match: str, box: Box = (0, 0, 9, 9),
            limits: Limits = LIMITS) -> None:  # fmt: skip
    started = time.process_time()
    with pytest.raises(ImageError, match=match) as caught:
        region(path, box, limits)
    assert caught.value.reason == reason
    assert NAME not in str(caught.value)
    assert time.process_time() - started < 5


@settings(max_examples=40, deadline=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture])  # fmt: skip
@given(st.tuples(st.integers(0, WIDTH - 1), st.integers(0, HEIGHT - 1), st.integers(1, 300),
                 st.integers(1, 300)))  # fmt: skip
def test_any_region_is_the_slide_there(svs: Path, place: Box) -> None:
    left, top, right, bottom = place[0], place[1], place[0] + place[2], place[1] + place[3]
    box = (left, top, min(right, WIDTH), min(bottom, HEIGHT))
    assert np.array_equal(region(svs, box), smear()[box[1] : box[3], box[0] : box[2]])


@pytest.mark.parametrize(
    "options",
    [
        {"compression": None}, {"compression": "lzw", "predictor": True},
        {"compression": "packbits"}, {"compression": "jpeg2000"},
        {"compression": "jpeg"},
        {"compression": "jpeg", "photometric": "ycbcr", "subsampling": (2, 2)},
        {"bigtiff": True}, {"byteorder": ">"}, {"tile": None, "rowsperstrip": 48},
    ],
    ids=str,
)  # fmt: skip
def test_codings_of_tiles(options: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "x.tif"
    wide = {key: options.pop(key) for key in ("bigtiff", "byteorder") if key in options}
    options = {"photometric": "rgb", "tile": (128, 160)} | options
    mode = "YCbCr" if options["photometric"] == "ycbcr" else "RGB"
    stored = np.asarray(Image.fromarray(smear()).convert(mode))
    with tifffile.TiffWriter(path, **wide) as file:
        file.write(stored, metadata=None, **options)
        file.write(stored[::2, ::2].copy(), subfiletype=1, metadata=None, **options)
    box = (100, 90, 420, 380)
    wanted = tifffile.imread(path, key=0)[90:380, 100:420]
    assert np.array_equal(region(path, box), wanted)
    assert np.abs(wanted.astype(int) - smear()[90:380, 100:420]).mean() < 4


def test_grey_slides(tmp_path: Path) -> None:
    grey = smear()[:, :, 0].copy()
    for photometric, shown in (("minisblack", grey), ("miniswhite", 255 - grey)):
        path = tmp_path / f"{photometric}.svs"
        tifffile.imwrite(path, grey, photometric=photometric, tile=(128, 128), metadata=None)
        assert np.array_equal(region(path, (5, 5, 300, 200)), shown[5:200, 5:300])


def test_a_colour_profile_is_applied(tmp_path: Path) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    path = tmp_path / "x.svs"
    tag = [(34675, 7, len(profile), profile, True)]
    tifffile.imwrite(path, smear(), photometric="rgb", tile=(128, 128), extratags=tag)
    assert np.array_equal(region(path, (0, 0, 200, 200)), smear()[:200, :200])
    broken = [(34675, 7, 400, b"\x07" * 400, True)]
    tifffile.imwrite(path, smear(), photometric="rgb", tile=(128, 128), extratags=broken)
    refused(path, "unreadable", "colour profile")


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> set[int]:
    """The numbers of the pages of which a tile was read."""
    pages: set[int] = set()
    read = slide_tiles._tile_bytes

    def watched(page: Any, index: int) -> bytes:
        pages.add(page.index)
        return read(page, index)

    monkeypatch.setattr(slide_tiles, "_tile_bytes", watched)
    return pages


def test_label_macro_and_thumbnail_are_never_read(copy: Path, decoded: set[int]) -> None:
    # Were any of them decoded, what stands there now would end in an error.
    with tifffile.TiffFile(copy) as file:
        pages = [page_of(file, number) for number in range(5)]
        spans = [(p.dataoffsets[0], sum(p.databytecounts)) for p in pages]
        kinds = [(p.is_tiled, int(p.subfiletype)) for p in pages]
    assert kinds == [(True, 0), (False, 0), (True, 0), (False, 1), (False, 9)]
    data = bytearray(copy.read_bytes())
    assert NAME.encode() * 9 in data
    for offset, count in spans[1:]:
        data[offset : offset + count] = b"\xff" * count
    copy.write_bytes(data)
    assert np.array_equal(region(copy, (0, 0, WIDTH, HEIGHT)), smear())
    assert decoded == {0}


@pytest.mark.parametrize("left", [(1, 3, 4), (3, 4), (3,)])
def test_a_file_with_only_such_images_has_no_slide(left: tuple[int, ...], tmp_path: Path) -> None:
    path = tmp_path / f"{NAME}.svs"
    with tifffile.TiffWriter(path) as file:
        for number in left:
            head, kind = {1: ("9x9 -> 88x63 - ", 0), 3: ("label 90x60", 1), 4: ("macro 1x1", 9)}[
                number
            ]
            file.write(picture(NAME, (90 + number, 60)), description=aperio(head),
                       subfiletype=kind, photometric="rgb", metadata=None)  # fmt: skip
    refused(path, "slide_without_image", "label, macro or thumbnail images, but no slide image")


def test_a_label_larger_than_the_slide_is_no_slide(tmp_path: Path) -> None:
    path = tmp_path / "x.tif"
    small = smear()[:200, :300].copy()
    for words in ("Label Image", "macro", "Macro image of the glass", "Thumbnail"):
        with tifffile.TiffWriter(path) as file:
            for pixels, text in ((smear(1), words), (small, "")):
                file.write(pixels, tile=(128, 128), description=text, photometric="rgb",
                           metadata=None)  # fmt: skip
        assert np.array_equal(region(path, (0, 0, 300, 200)), small)


def test_an_ome_label_is_no_slide(tmp_path: Path) -> None:
    path = tmp_path / "x.ome.tif"
    names = {"Roe": (300, 200), "label image": (WIDTH, HEIGHT)}
    images = "".join(
        f'<Image ID="Image:{n}" Name="{name}"><Pixels SizeX="{w}" SizeY="{h}"/></Image>'
        for n, (name, (w, h)) in enumerate(names.items())
    )
    xml = f'<?xml version="1.0"?><OME xmlns="http://x/OME">{images}</OME>'
    with tifffile.TiffWriter(path) as file:
        for pixels in (smear()[:200, :300].copy(), smear(1)):
            file.write(pixels, tile=(128, 128), description=xml, photometric="rgb", metadata=None)
    with open_slide(path, LIMITS) as slide:
        assert (slide.width, slide.height) == (300, 200)


def test_several_focal_planes_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.svs"
    with tifffile.TiffWriter(path) as file:
        for seed in range(3):
            file.write(smear(seed), tile=(128, 128), photometric="rgb", metadata=None)
    refused(path, "several_images", "3 focal planes or channels")


def test_what_a_slide_says_of_itself(svs: Path, tmp_path: Path) -> None:
    with open_slide(svs, LIMITS) as slide:
        told = dict(slide.texts)
    assert told["slide:Filename"] == NAME
    assert told["slide:User"] == OPERATOR
    assert told["slide:ScanScope ID"] == SCANNER
    assert told["slide:DateTime"] == "2020:03:04 05:06:07"
    path = tmp_path / "x.ome.tif"
    xml = (
        '<?xml version="1.0"?><OME xmlns="http://x/OME"><Experimenter LastName="Quill"/>'
        "<Image Name='Roe, J'><Description>ward 3</Description></Image><!-- Roe -->"
        '<Attribute Name="DICOM_SERIAL">SN 9</Attribute></OME>'
    )
    tifffile.imwrite(path, smear(), tile=(128, 128), description=xml, photometric="rgb",
                     metadata=None, extratags=[(65000, 2, 0, "St Elsewhere\0Roe", True),
                                               (700, 1, 6, b"<x>Roe", True),
                                               (315, 2, 0, "x" * 9000, True)])  # fmt: skip
    with open_slide(path, LIMITS) as slide:
        assert set(slide.texts) >= {
            ("slide:OME/Experimenter@LastName", "Quill"), ("slide:OME/Image@Name", "Roe, J"),
            ("slide:OME/Image/Description", "ward 3"), ("slide:ImageDescription", "SN 9"),
            ("slide:tag 65000", "St Elsewhere Roe"), ("slide:XMP", "<x>Roe"),
            ("slide:Artist", None),
        }  # fmt: skip


@pytest.fixture
def boxes(tmp_path: Path) -> Slide:
    """boxes(row, …) -> a table of boxes of the slide."""

    def make(*rows: str) -> Path:
        table = tmp_path / "boxes.csv"
        lines = ["slide_file,label,x,y,width,height,operator", *(f"{NAME},{r}" for r in rows)]
        table.write_text("\n".join(lines).replace("slide_file", "file") + "\n")
        return table

    return make


def test_cells_of_a_slide(
    svs: Path, boxes: Slide, decoded: set[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(box_plan, "BLOCK_PX", 256)
    rows = {
        "BA,500,300,60,50,Ann": None, "MO,40,30,60,50,Ann": None, "LY,60,60,90,90,Bob": None,
        "BA,0,0,60,60,Ann": "box_at_edge", "BA,690,300,60,50,Ann": "box_outside",
        "MO,100,20,400,300,Ann": None,
    }  # fmt: skip
    source = open_boxes(svs.parent, boxes(*rows))
    found = list(source.read(0, len(source)))
    told = {int(cell.name.rpartition(" ")[2]) - 1: cell for cell in found}
    assert [told[n].problem for n in range(len(rows))] == list(rows.values())
    for number, row in enumerate(rows):
        _, *sizes, _ = row.split(",")
        x, y, width, height = map(int, sizes)
        cell = told[number]
        if cell.problem is None:
            assert cell.pixels is not None
            assert np.array_equal(cell.pixels, smear()[y : y + height, x : x + width])
            assert cell.cut_from is not None
            left, top, right, bottom = cell.cut_from.box
            assert np.array_equal(cell.cut_from.pixels[top:bottom, left:right], cell.pixels)
    near = [told[n].cut_from for n in (1, 2)]
    far = told[0].cut_from
    assert near[0]
    assert near[1]
    assert far
    assert near[0].pixels is near[1].pixels, "a block is decoded once"
    assert near[0].pixels is not far.pixels, "a slide is never held whole"
    assert near[0].name == far.name, "the cells of a slide stay together in a split"
    assert decoded == {0}
    again = list(source.read(2, 4))
    assert [c.name for c in again] == [c.name for c in found[2:4]]


def test_a_policy_decides_about_the_words_of_a_slide(svs: Path, boxes: Slide) -> None:
    source = open_boxes(svs, boxes("BA,500,300,60,50,Ann"))
    assert {"operator", "slide:Filename", "slide:User", "slide:DateTime"} <= set(source.columns)
    cell = next(source.read(0, 1))
    assert cell.fields["slide:Filename"] == NAME
    assert cell.fields["operator"] == "Ann"
    told = set(source.identifiers())
    assert {("file", NAME), ("slide:User", OPERATOR), ("slide:ScanScope ID", SCANNER)} <= told


def test_a_slide_without_boxes_is_refused(svs: Path, tmp_path: Path) -> None:
    Image.fromarray(smear()).save(tmp_path / "field.tif")
    refuse_slides([tmp_path / "field.tif", tmp_path / "x.jpg"], LIMITS)
    with pytest.raises(SourceError, match="1 of .* whole slides.*give a table of boxes") as caught:
        refuse_slides([tmp_path / "field.tif", svs], LIMITS)
    assert NAME not in str(caught.value)


def test_which_files_are_slides(svs: Path, tmp_path: Path) -> None:
    renamed = tmp_path / "x.tif"
    renamed.write_bytes(svs.read_bytes())
    assert is_slide(renamed, LIMITS)
    tifffile.imwrite(renamed, smear(), tile=(128, 128), photometric="rgb")
    assert not is_slide(renamed, LIMITS), "a field can be tiled"
    assert is_slide(renamed, Limits(max_pixels=1000)), "too large to be a field"
    tifffile.imwrite(renamed, np.stack([smear(), smear(1)]), photometric="rgb")
    assert not is_slide(renamed, LIMITS), "two images, but no pyramid"
    renamed.write_bytes(b"II*\x00\xff\xff\xff\xff")
    assert not is_slide(renamed, LIMITS)
    with tifffile.TiffWriter(renamed) as file:
        file.write(smear(), tile=(128, 128), subifds=1, photometric="rgb")
        file.write(smear()[::2, ::2].copy(), tile=(128, 128), subfiletype=1, photometric="rgb")
    assert is_slide(renamed, LIMITS)
    assert np.array_equal(region(renamed, (9, 9, 200, 200)), smear()[9:200, 9:200])


def page_of(file: tifffile.TiffFile, number: int) -> tifffile.TiffPage:
    page = file.pages[number]
    assert isinstance(page, tifffile.TiffPage)
    return page


def next_directory(path: Path, page: int) -> int:
    """Return where the offset of the directory after a page is written."""
    with tifffile.TiffFile(path) as file:
        offset = page_of(file, page).offset
    data = path.read_bytes()
    count: int = struct.unpack_from("<H", data, offset)[0]
    return offset + 2 + 12 * count


def test_directories_that_run_in_a_circle(copy: Path, svs: Path) -> None:
    where = next_directory(svs, 4)
    with tifffile.TiffFile(svs) as file:
        offsets = [page.offset for page in file.pages]
    for target in (offsets[0], offsets[4]):
        data = bytearray(svs.read_bytes())
        struct.pack_into("<I", data, where, target)
        copy.write_bytes(data)
        refused(copy, "unreadable", "run in a circle")


def test_a_long_circle_and_a_long_chain(tmp_path: Path) -> None:
    # tifffile notices circles of fewer than a hundred directories.
    path = tmp_path / "x.svs"
    for count, target, match in ((300, 8, "circle"), (MAX_DIRECTORIES + 5, 0, "more than")):
        data = bytearray(b"II*\x00" + struct.pack("<I", 8))
        for number in range(count):
            after = 8 + (number + 1) * 18 if number + 1 < count else target
            data += struct.pack("<HHHII", 1, 256, 4, 1, 9) + struct.pack("<I", after)
        path.write_bytes(data)
        refused(path, "unreadable", match)


@pytest.mark.parametrize(
    ("code", "value", "match"),
    [
        (256, 2**31 - 1, "not in the file"), (257, 2**31 - 1, "not in the file"),
        (322, 65_520, "a tile"), (323, 65_520, "a tile"), (323, 4, "tiles of"),
        (258, 16, "samples of"), (277, 4, "samples of"), (259, 34_934, "compression 34934"),
        (262, 3, "samples of"), (284, 2, "stored apart"),
    ],
)  # fmt: skip
def test_tags_that_lie(copy: Path, code: int, value: int, match: str) -> None:
    with tifffile.TiffFile(copy, mode="r+") as file:
        tag = page_of(file, 0).tags[code]
        tag.overwrite((value,) * tag.count if tag.count > 1 else value)
    with pytest.raises(ImageError, match=match) as caught, open_slide(copy, LIMITS) as slide:
        # Where such a slide ends there is nothing: what it says of its size is not believed.
        slide.read_region((slide.width - 90, slide.height - 90, slide.width, slide.height))
    assert caught.value.reason in ("unreadable", "too_large")


def test_a_slide_is_cut_off_anywhere(copy: Path, svs: Path) -> None:
    data = svs.read_bytes()
    for kept in range(0, len(data) - 1, len(data) // 60):
        copy.write_bytes(data[:kept])
        found = outcome(copy, (0, 0, WIDTH, HEIGHT))
        if isinstance(found, ImageError):
            assert found.reason in ("unreadable", "slide_without_image")
        else:
            assert kept > len(data) * 0.95, "only what is behind the slide is missing"
            assert np.array_equal(found, smear())


def test_a_tile_that_is_left_out(copy: Path) -> None:
    with tifffile.TiffFile(copy, mode="r+") as file:
        tag = page_of(file, 0).tags[325]
        tag.overwrite((0, *tag.value[1:]))
    refused(copy, "unreadable", "a tile that is not in the file")
    assert region(copy, (200, 0, 300, 100)).shape == (100, 100, 3)


def tiles_of(path: Path, tile: bytes, compression: str) -> Path:
    """Write a slide of one kind of coded tile, whatever that says."""
    with tifffile.TiffWriter(path) as file:
        file.write(iter([tile] * 4), shape=(512, 512, 3), dtype="uint8", tile=(256, 256),
                   photometric="rgb", compression=compression, metadata=None)  # fmt: skip
    return path


def test_bombs_in_tiles(tmp_path: Path) -> None:
    path = tmp_path / "x.svs"
    deflated = zlib.compress(bytes(100_000_000), 9)
    assert len(deflated) < 256 * 256 * 3 * 4
    tiles_of(path, deflated, "adobe_deflate")
    started = time.process_time()
    found = outcome(path, (0, 0, 9, 9))
    assert isinstance(found, ImageError) or found.shape == (9, 9, 3)
    assert time.process_time() - started < 2
    out = io.BytesIO()
    Image.fromarray(smear()[:256, :256]).save(out, "JPEG")
    honest = out.getvalue()
    size = honest.index(b"\xff\xc0") + 5
    lying = honest[:size] + struct.pack(">HH", 65_500, 65_500) + honest[size + 4 :]
    refused(tiles_of(path, lying, "jpeg"), "too_large", "a tile of 65500x65500 px")
    small = honest[:size] + struct.pack(">HH", 16, 16) + honest[size + 4 :]
    refused(tiles_of(path, small, "jpeg"), "unreadable", "a tile", (200, 200, 240, 240))
    refused(tiles_of(path, b"\xff\xd8 Jane Roe", "jpeg"), "unreadable", "no baseline JPEG")
    cut = honest[: len(honest) // 2]
    refused(tiles_of(path, cut, "jpeg"), "unreadable", "a tile is cut off")
    progressive = io.BytesIO()
    Image.fromarray(smear()[:256, :256]).save(progressive, "JPEG", progressive=True)
    refused(tiles_of(path, progressive.getvalue(), "jpeg"), "unreadable", "no baseline JPEG")
    codestream = b"\xff\x4f\xff\x51" + struct.pack(">HHIIIIIIII", 47, 0, *[2**31 - 1] * 2, *[0] * 6)
    refused(tiles_of(path, codestream, "jpeg2000"), "too_large", "a tile of 2147483647x")
    refused(tiles_of(path, b"Jane Roe", "jpeg2000"), "unreadable", "no JPEG 2000")


def test_regions_and_pieces_have_bounds(svs: Path, tmp_path: Path) -> None:
    refused(svs, "too_large", "a region of 300x300 px", (0, 0, 300, 300), Limits(max_pixels=50_000))
    path = tmp_path / "x.svs"
    tifffile.imwrite(path, smear(), photometric="rgb", rowsperstrip=HEIGHT, metadata=None)
    refused(path, "too_large", "pieces of 700x500 px", limits=Limits(max_pixels=300_000))
    for box in ((-1, 0, 9, 9), (0, 0, WIDTH + 1, 9), (9, 0, 9, 9)):
        with pytest.raises(ValueError, match="is not inside 700x500 px"):
            region(svs, box)


def test_files_that_are_no_slides(tmp_path: Path) -> None:
    path = tmp_path / f"{NAME}.svs"
    refused(path, "unreadable", "No such file")
    for data in (
        b"",
        b"II*\x00",
        b"II*\x00\x00\x00\x00\x00",
        b"\xff\xd8\xff",
        b"II+\x00" + bytes(12),
    ):
        path.write_bytes(data)
        refused(path, "unreadable", ".")


def test_damage_is_quarantined_with_the_cells_it_costs(copy: Path, boxes: Slide) -> None:
    with tifffile.TiffFile(copy, mode="r+") as file:
        tag = page_of(file, 0).tags[325]
        tag.overwrite((0, *tag.value[1:]))
    source = open_boxes(copy, boxes("BA,20,20,60,50,Ann", "MO,300,300,60,50,Ann"))
    found = list(source.read(0, 9))
    assert [cell.problem for cell in found] == ["field_unreadable", None]
    assert np.array_equal(np.asarray(found[1].pixels), smear()[300:350, 300:360])
    copy.write_bytes(b"II*\x00")
    source = open_boxes(copy, boxes("BA,20,20,60,50,Ann"))
    assert [cell.problem for cell in source.read(0, 9)] == ["field_unreadable"]
    assert source.labels() == {}


def test_the_reader_logs_nothing(
    copy: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    data = bytearray(copy.read_bytes())
    rng = np.random.default_rng(0)
    with caplog.at_level(logging.DEBUG):
        for _ in range(40):
            damaged = bytearray(data)
            for at in rng.integers(len(data) - 4000, len(data), 30):
                damaged[at] = rng.integers(256)
            copy.write_bytes(damaged)
            assert NAME not in str(outcome(copy, (0, 0, WIDTH, HEIGHT)))
    assert not caplog.records
    assert capfd.readouterr() == ("", "")


def write_ndpi(path: Path, pixels: NDArray[np.uint8]) -> Path:
    """Write a slide as Hamamatsu's scanners do: one JPEG with restart markers, and a macro."""
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "JPEG", subsampling=0, quality=95, restart_marker_blocks=16)
    scan = out.getvalue()
    first = scan.index(b"\xff\xda")
    first += 2 + int.from_bytes(scan[first + 2 : first + 4])
    restarts = [n + 2 for n in range(first, len(scan) - 2)
                if scan[n] == 0xFF and 0xD0 <= scan[n + 1] <= 0xD7]  # fmt: skip
    words = f"Reference={NAME}\r\nOperator={OPERATOR}".encode()
    macro = picture(NAME, (200, 40)).tobytes()
    data = bytearray(b"II*\x00" + bytes(8))

    def placed(value: bytes) -> int:
        data.extend(value)
        return len(data) - len(value)

    def directory(tags: list[Tag], after: int) -> int:
        entries = b"".join(struct.pack("<HHII", *tag) for tag in sorted(tags))
        start = placed(struct.pack("<H", len(tags)) + entries)
        placed(struct.pack("<Q", after) + bytes(4 * len(tags)))
        return start

    def common(width: int, height: int, coding: int, lens: float) -> list[Tag]:
        return [
            (256, 4, 1, width), (257, 4, 1, height),
            (258, 3, 3, placed(struct.pack("<3H", 8, 8, 8))),
            (259, 3, 1, coding), (262, 3, 1, 6 if coding == 7 else 2), (277, 3, 1, 3),
            (278, 4, 1, height), (271, 2, 10, placed(b"Hamamatsu\0")), (65420, 4, 1, 1),
            (65421, 11, 1, struct.unpack("<I", struct.pack("<f", lens))[0]),
        ]  # fmt: skip

    height, width = pixels.shape[:2]
    starts = struct.pack(f"<{len(restarts) + 1}I", first, *restarts)
    last = directory([*common(200, 40, 1, -1.0), (273, 4, 1, placed(macro)),
                      (279, 4, 1, len(macro))], 0)  # fmt: skip
    full = directory([
        *common(width, height, 7, 40.0), (273, 4, 1, placed(scan)), (279, 4, 1, len(scan)),
        (65426, 4, len(restarts) + 1, placed(starts)), (65449, 2, len(words), placed(words)),
    ], last)  # fmt: skip
    struct.pack_into("<Q", data, 4, full)
    path.write_bytes(data)
    return path


def test_ndpi(tmp_path: Path, decoded: set[int]) -> None:
    pixels = smear()[:480, :640].copy()
    path = write_ndpi(tmp_path / f"{NAME}.ndpi", pixels)
    with path.open("rb") as file:
        assert len(read_directories(file, ndpi=True)) == 2
    with open_slide(path, LIMITS) as slide:
        assert (slide.width, slide.height) == (640, 480)
        assert (slide.page.tilewidth, slide.page.tilelength) == (128, 8), "pieces, not the whole"
        assert {("slide:Reference", NAME), ("slide:Operator", OPERATOR)} <= set(slide.texts)
        part = slide.read_region((130, 100, 300, 260))
    assert np.abs(part.astype(int) - pixels[100:260, 130:300]).mean() < 3
    assert decoded == {0}
    assert is_slide(path, LIMITS)
