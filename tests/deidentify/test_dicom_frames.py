from __future__ import annotations

import io
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pydicom
import pytest
import simplejpeg
from numpy.typing import NDArray
from PIL import Image, ImageCms
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.pixels.utils import pixel_array
from pydicom.sequence import Sequence as Items

from curation.deidentify.dicom.frames import open_frames, read_frames
from curation.deidentify.dicom.header import read_header
from curation.deidentify.dicom.read import open_dicom
from curation.deidentify.dicom.srgb import srgb_profile
from curation.deidentify.jpeg import clean_jpeg
from curation.errors import ImageError
from curation.pixels import Limits, Pixels
from tests.deidentify.dicom_made import (
    BASELINE,
    BIG,
    COLUMNS,
    DEFLATED,
    EXPLICIT,
    HTJ2K,
    IMPLICIT,
    JPEG_2000,
    JPEG_LS,
    LIMITS,
    RLE,
    ROWS,
    as_file,
    colours,
    installed_files,
    item,
    jpeg,
    picture,
    whole_slide,
    write,
)

GREY: dict[str, Any] = {"SamplesPerPixel": 1, "PhotometricInterpretation": "MONOCHROME2"}
DEEP: dict[str, Any] = {**GREY, "BitsAllocated": 16, "BitsStored": 12, "HighBit": 11}


def frames_of(path: Path) -> list[bytes | Pixels]:
    found = list(read_frames(path, limits=LIMITS))
    bad = [frame for frame in found if isinstance(frame, ImageError)]
    assert not bad, bad
    return [frame for frame in found if not isinstance(frame, ImageError)]


def pixels_of(path: Path) -> Pixels:
    (frame,) = frames_of(path)
    assert isinstance(frame, np.ndarray)
    return frame


def encoded(pixels: NDArray[Any], how: Callable[..., Any]) -> list[bytes]:
    return [bytes(how(pixels))]


def rle(pixels: NDArray[Any]) -> bytes:
    """Encode as the standard says, in literal runs: a segment for each byte of each sample."""
    channels = pixels.reshape(*pixels.shape[:2], -1)
    width = pixels.dtype.itemsize
    planes = [
        np.ascontiguousarray(channels[..., n]).view(np.uint8).reshape(-1, width)[:, byte].tobytes()
        for n in range(channels.shape[2])
        for byte in range(width - 1, -1, -1)
    ]
    segments = [b"".join(bytes([len(run) - 1]) + run for run in _runs(plane)) for plane in planes]
    segments = [segment + b"\x80" * (len(segment) % 2) for segment in segments]
    starts = [64 + sum(map(len, segments[:n])) for n in range(len(segments))]
    head = struct.pack("<16I", len(segments), *starts, *[0] * (15 - len(starts)))
    return head + b"".join(segments)


def _runs(data: bytes) -> list[bytes]:
    return [data[n : n + 128] for n in range(0, len(data), 128)]


# The same picture, however it is stored.


@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT, BIG, DEFLATED])
@pytest.mark.parametrize("planar", [0, 1])
def test_uncompressed_colours(tmp_path: Path, syntax: str, planar: int) -> None:
    pixels = colours()
    stored = np.ascontiguousarray(np.moveaxis(pixels, -1, 0)) if planar else pixels
    path = write(tmp_path / "a.dcm", picture(PlanarConfiguration=planar), stored, syntax)
    assert np.array_equal(pixels_of(path), pixels)


def test_bytes_in_big_endian_words(tmp_path: Path) -> None:
    pixels = colours()
    swapped = pixels.reshape(-1, 2)[:, ::-1].copy()
    path = write(tmp_path / "a.dcm", picture(), swapped, BIG, vr="OW")
    assert np.array_equal(pixels_of(path), pixels)


@pytest.mark.parametrize(
    ("syntax", "encode", "photometric"),
    [
        (RLE, rle, "RGB"),
        (JPEG_LS, imagecodecs.jpegls_encode, "RGB"),
        (JPEG_2000, lambda p: imagecodecs.jpeg2k_encode(p, codecformat="J2K"), "YBR_RCT"),
        (JPEG_2000, lambda p: imagecodecs.jpeg2k_encode(p, codecformat="JP2", mct=False), "RGB"),
        (HTJ2K, lambda p: imagecodecs.htj2k_encode(p), "YBR_RCT"),
        (BASELINE[:-2] + "70", lambda p: imagecodecs.jpeg8_encode(
            p, lossless=True, colorspace="RGB", outcolorspace="RGB"), "RGB"),
    ],
)  # fmt: skip
def test_lossless_codecs(
    tmp_path: Path, syntax: str, encode: Callable[..., bytes], photometric: str
) -> None:
    dataset = picture(PhotometricInterpretation=photometric)
    path = write(tmp_path / "a.dcm", dataset, encoded(colours(), encode), syntax)
    assert np.array_equal(pixels_of(path), colours())


@pytest.mark.parametrize("syntax", [EXPLICIT, RLE, JPEG_LS])
def test_ycbcr_is_converted(tmp_path: Path, syntax: str) -> None:
    # Source: DICOM PS3.3 C.7.6.3.1.2.
    matrix = [[0.299, 0.587, 0.114], [-0.1687, -0.3313, 0.5], [0.5, -0.4187, -0.0813]]
    ycc = np.clip(np.rint(colours() @ np.transpose(matrix) + [0, 128, 128]), 0, 255)
    ycc = ycc.astype(np.uint8)
    frames: Any = ycc
    if syntax != EXPLICIT:
        frames = encoded(ycc, rle if syntax == RLE else imagecodecs.jpegls_encode)
    dataset = picture(PhotometricInterpretation="YBR_FULL")
    found = pixels_of(write(tmp_path / "a.dcm", dataset, frames, syntax))
    assert np.abs(found.astype(int) - colours()).max() <= 1


@pytest.mark.parametrize("columns", [COLUMNS, COLUMNS - 1])
def test_colour_shared_by_two_pixels(tmp_path: Path, columns: int) -> None:
    grey = np.linspace(0, 255, ROWS * (columns + columns % 2)).astype(np.uint8).reshape(ROWS, -1)
    stored = np.full((ROWS, grey.shape[1] // 2, 4), 128, np.uint8)
    stored[..., :2] = grey.reshape(ROWS, -1, 2)
    dataset = picture(PhotometricInterpretation="YBR_FULL_422", Columns=columns)
    found = pixels_of(write(tmp_path / "a.dcm", dataset, stored))
    assert np.array_equal(found, np.repeat(grey[:, :columns, None], 3, axis=2))


def test_palette(tmp_path: Path) -> None:
    index = colours()[..., 0] // 4
    table = np.random.default_rng(1).integers(0, 256, (3, 64), dtype=np.uint8)
    dataset = picture(**{**GREY, "PhotometricInterpretation": "PALETTE COLOR"})
    for n, name in enumerate(("Red", "Green", "Blue")):
        setattr(dataset, f"{name}PaletteColorLookupTableDescriptor", [64, 0, 8])
        setattr(dataset, f"{name}PaletteColorLookupTableData", table[n].tobytes())
    found = pixels_of(write(tmp_path / "a.dcm", dataset, index))
    assert np.array_equal(found, np.moveaxis(table[:, index], 0, -1))


def test_sixteen_bit_colours(tmp_path: Path) -> None:
    deep = colours().astype(np.uint16) * 257
    dataset = picture(BitsAllocated=16, BitsStored=16, HighBit=15)
    assert np.array_equal(pixels_of(write(tmp_path / "a.dcm", dataset, deep)), colours())


# Grey.


@pytest.mark.parametrize("syntax", [EXPLICIT, BIG, RLE, JPEG_LS])
def test_deep_grey_is_spread_from_darkest_to_brightest(tmp_path: Path, syntax: str) -> None:
    deep = colours()[..., 0].astype(np.uint16) * 10 + 100
    frames: Any = deep.astype(">u2") if syntax == BIG else deep
    if syntax in (RLE, JPEG_LS):
        frames = encoded(deep, rle if syntax == RLE else imagecodecs.jpegls_encode)
    path = write(tmp_path / "a.dcm", picture(**DEEP), frames, syntax)
    found = pixels_of(path)
    share = (deep - deep.min()) / np.ptp(deep)
    assert np.array_equal(found, np.rint(share * 255))
    assert read_header(path).grey == "darkest to brightest"


def test_deep_grey_is_shown_through_its_window(tmp_path: Path) -> None:
    deep = np.linspace(0, 4095, ROWS * COLUMNS).astype(np.uint16).reshape(ROWS, COLUMNS)
    dataset = picture(**DEEP, WindowCenter="500", WindowWidth="400", RescaleSlope="0.5",
                      RescaleIntercept="-100")  # fmt: skip
    path = write(tmp_path / "a.dcm", dataset, deep)
    found = pixels_of(path)
    values = deep * 0.5 - 100
    assert (found[values <= 300] == 0).all()
    assert (found[values >= 699] == 255).all()
    middle = (values > 300) & (values < 699)
    assert np.array_equal(found[middle], np.rint((values[middle] - 300) / 399 * 255))
    assert read_header(path).grey == "window"


def test_signed_grey(tmp_path: Path) -> None:
    signed = np.linspace(-2048, 2047, ROWS * COLUMNS).astype(np.int16).reshape(ROWS, COLUMNS)
    masked = (signed.astype(np.int32) & 0xFFF).astype(np.uint16)
    dataset = picture(**DEEP, PixelRepresentation=1)
    found = pixels_of(write(tmp_path / "a.dcm", dataset, masked))
    assert np.array_equal(found, np.rint((signed + 2048.0) / 4095 * 255))


def test_eight_bit_grey_stays_and_monochrome1_is_inverted(tmp_path: Path) -> None:
    grey = colours()[..., 0]
    assert np.array_equal(pixels_of(write(tmp_path / "a.dcm", picture(**GREY), grey)), grey)
    inverted = picture(**{**GREY, "PhotometricInterpretation": "MONOCHROME1"})
    assert np.array_equal(pixels_of(write(tmp_path / "b.dcm", inverted, grey)), 255 - grey)


def test_one_bit_pictures(tmp_path: Path) -> None:
    bits = (colours()[..., 0] > 127).astype(np.uint8)
    dataset = picture(**{**GREY, "BitsAllocated": 1, "BitsStored": 1, "HighBit": 0})
    path = write(tmp_path / "a.dcm", dataset, np.packbits(bits, bitorder="little"))
    assert np.array_equal(pixels_of(path), bits * 255)


# What must not come out.


def test_overlays_in_unused_bits_are_masked_off(tmp_path: Path) -> None:
    deep = colours()[..., 0].astype(np.uint16) * 16
    overlay = np.random.default_rng(2).integers(0, 16, deep.shape, dtype=np.uint16) << 12
    plain = pixels_of(write(tmp_path / "a.dcm", picture(**DEEP), deep))
    drawn = pixels_of(write(tmp_path / "b.dcm", picture(**DEEP), deep | overlay))
    assert np.array_equal(plain, drawn)
    low = picture(**{**DEEP, "HighBit": 15})
    shifted = pixels_of(write(tmp_path / "c.dcm", low, deep << 4 | overlay >> 12))
    assert np.array_equal(plain, shifted)


def test_overlay_planes_are_never_burnt_in(tmp_path: Path) -> None:
    dataset = picture(**GREY)
    grey = colours()[..., 0]
    dataset.add_new(0x60000010, "US", ROWS)
    dataset.add_new(0x60000011, "US", COLUMNS)
    dataset.add_new(0x60000100, "US", 1)
    dataset.add_new(0x60003000, "OW", b"\xff" * (ROWS * COLUMNS // 8))
    assert np.array_equal(pixels_of(write(tmp_path / "a.dcm", dataset, grey)), grey)


def test_bytes_behind_the_last_frame_are_not_read(tmp_path: Path) -> None:
    stored = np.frombuffer(colours().tobytes() + b"Berta Quill ", np.uint8)
    assert np.array_equal(pixels_of(write(tmp_path / "a.dcm", picture(), stored)), colours())


@pytest.mark.parametrize("value", ["LABEL", "OVERVIEW", "THUMBNAIL", "LOCALIZER"])
def test_label_and_overview_pictures_are_not_read(tmp_path: Path, value: str) -> None:
    dataset = picture(ImageType=["ORIGINAL", "PRIMARY", value, "NONE"])
    path = write(tmp_path / "a.dcm", dataset)
    assert read_header(path).problem == "slide_label_image"
    assert read_header(path).frames == 0
    with pytest.raises(ImageError, match="slide_label_image"):
        next(read_frames(path))


def test_label_pictures_are_known_by_their_frames_and_flags_too(tmp_path: Path) -> None:
    shared = item(
        WholeSlideMicroscopyImageFrameTypeSequence=Items(
            [item(FrameType=["DERIVED", "PRIMARY", "THUMBNAIL", "RESAMPLED"])]
        )
    )
    volume = item(
        WholeSlideMicroscopyImageFrameTypeSequence=Items(
            [item(FrameType=["ORIGINAL", "PRIMARY", "VOLUME", "NONE"])]
        )
    )
    for groups in ([shared], [volume, shared], [shared, volume]):
        mixed = picture(PerFrameFunctionalGroupsSequence=Items(groups))
        assert read_header(write(tmp_path / "m.dcm", mixed)).problem == "slide_label_image"
    short = picture(ImageType=["ORIGINAL", "", "LABEL"])
    assert read_header(write(tmp_path / "s.dcm", short)).problem == "slide_label_image"
    typed = picture(SharedFunctionalGroupsSequence=Items([shared]))
    assert read_header(write(tmp_path / "a.dcm", typed)).problem == "slide_label_image"
    flagged = picture(SpecimenLabelInImage="YES")
    assert read_header(write(tmp_path / "b.dcm", flagged)).problem == "slide_label_image"
    burned = picture(BurnedInAnnotation="YES")
    assert read_header(write(tmp_path / "c.dcm", burned)).problem == "burned_in_annotation"


# JPEG scans.


def jpegs(path: Path) -> list[bytes]:
    found = frames_of(path)
    assert all(isinstance(frame, bytes) for frame in found)
    return [frame for frame in found if isinstance(frame, bytes)]


def test_a_jpeg_keeps_its_scan_and_loses_the_rest(tmp_path: Path) -> None:
    source = jpeg(colours(), comment=b"Berta Quill", exif=b"Exif\x00\x00Berta")
    dataset = picture(PhotometricInterpretation="YBR_FULL_422", NumberOfFrames=2)
    path = write(tmp_path / "a.dcm", dataset, [source, jpeg(colours(1))], BASELINE)
    first, second = jpegs(path)
    whole = clean_jpeg(source)
    assert first == whole.data
    assert b"Berta" not in first
    start, end = whole.scans[0]
    assert whole.data[start:end] in source
    assert np.array_equal(simplejpeg.decode_jpeg(second), simplejpeg.decode_jpeg(jpeg(colours(1))))


def test_a_grey_jpeg_keeps_its_scan_unless_it_is_shown_inverted(tmp_path: Path) -> None:
    source = jpeg(colours()[..., 0])
    assert jpegs(write(tmp_path / "a.dcm", picture(**GREY), [source], BASELINE))
    inverted = picture(**{**GREY, "PhotometricInterpretation": "MONOCHROME1"})
    found = pixels_of(write(tmp_path / "b.dcm", inverted, [source], BASELINE))
    decoded = simplejpeg.decode_jpeg(source, "GRAY")[:, :, 0]
    assert np.array_equal(found, 255 - decoded)


def rgb_jpeg(marked: bool) -> bytes:
    """Return a JPEG of RGB samples, with or without Adobe's mark that says so."""
    data = bytes(imagecodecs.jpeg8_encode(
        colours(), level=95, colorspace="RGB", outcolorspace="RGB", subsampling="444"))  # fmt: skip
    cleaned = clean_jpeg(data).data
    assert cleaned[2:4] == b"\xff\xee"
    return cleaned if marked else cleaned[:2] + cleaned[18:]


def test_rgb_samples_in_a_jpeg(tmp_path: Path) -> None:
    marked = write(tmp_path / "a.dcm", picture(), [rgb_jpeg(True)], BASELINE)
    (scan,) = jpegs(marked)
    assert np.abs(simplejpeg.decode_jpeg(scan).astype(int) - colours()).max() < 25
    # Without the mark a decoder takes them for YCbCr: only the header knows, so they are decoded.
    bare = pixels_of(write(tmp_path / "b.dcm", picture(), [rgb_jpeg(False)], BASELINE))
    assert np.array_equal(bare, simplejpeg.decode_jpeg(scan))


def test_the_mark_in_the_jpeg_outranks_a_header_copied_from_elsewhere(tmp_path: Path) -> None:
    ycc = jpeg(colours())
    assert b"JFIF" in ycc[:20]
    (scan,) = jpegs(write(tmp_path / "a.dcm", picture(), [ycc], BASELINE))
    assert np.array_equal(simplejpeg.decode_jpeg(scan), simplejpeg.decode_jpeg(ycc))


# Colour profiles.


def swapped_profile() -> bytes:
    """Return a profile that takes red for green."""
    data = srgb_profile()
    return data.replace(b"rXYZ", b"tXYZ").replace(b"gXYZ", b"rXYZ").replace(b"tXYZ", b"gXYZ")


def test_a_colour_profile_is_applied(tmp_path: Path) -> None:
    profile = ImageCms.ImageCmsProfile(io.BytesIO(swapped_profile()))
    expected = ImageCms.profileToProfile(
        Image.fromarray(colours()), profile, ImageCms.createProfile("sRGB")
    )
    top = picture(ICCProfile=swapped_profile())
    nested = picture(OpticalPathSequence=Items([item(ICCProfile=swapped_profile())]))
    for name, dataset in (("a.dcm", top), ("b.dcm", nested)):
        found = pixels_of(write(tmp_path / name, dataset))
        assert np.array_equal(found, np.asarray(expected))
        assert not np.array_equal(found, colours())


def test_a_jpeg_with_a_foreign_profile_is_decoded_and_with_srgb_it_stays(tmp_path: Path) -> None:
    said: dict[str, Any] = {"PhotometricInterpretation": "YBR_FULL_422"}
    foreign = picture(**said, ICCProfile=swapped_profile())
    plain = picture(**said, ICCProfile=srgb_profile())
    source = [jpeg(colours())]
    assert pixels_of(write(tmp_path / "a.dcm", foreign, source, BASELINE)).shape == (
        ROWS,
        COLUMNS,
        3,
    )
    assert jpegs(write(tmp_path / "b.dcm", plain, source, BASELINE))


@pytest.mark.parametrize("profile", [b"Berta Quill", srgb_profile()[:200]])
def test_a_damaged_profile_is_an_error(tmp_path: Path, profile: bytes) -> None:
    path = write(tmp_path / "a.dcm", picture(ICCProfile=profile))
    with pytest.raises(ImageError, match="unreadable: its colour profile"):
        frames_of(path)


def test_two_profiles_are_refused(tmp_path: Path) -> None:
    paths = [item(ICCProfile=srgb_profile()), item(ICCProfile=swapped_profile())]
    path = write(tmp_path / "a.dcm", picture(OpticalPathSequence=Items(paths)))
    with pytest.raises(ImageError, match="dicom_unsupported"):
        frames_of(path)


# Several frames.


def test_tiles_are_frames_as_they_are(tmp_path: Path) -> None:
    tiles = np.stack([colours(n) for n in range(3)])
    path = write(tmp_path / "a.dcm", whole_slide(), tiles)
    found = frames_of(path)
    assert read_header(path).frames == 3
    assert np.array_equal(np.stack([np.asarray(tile) for tile in found]), tiles)
    second = list(read_frames(path, 1, 2))
    assert len(second) == 1
    assert np.array_equal(np.asarray(second[0]), tiles[1])
    assert list(read_frames(path, 3, 9)) == []


@pytest.mark.parametrize("has_table", [True, False])
def test_frames_in_several_fragments(tmp_path: Path, has_table: bool) -> None:
    sources = [jpeg(colours(n)) for n in range(3)]
    dataset = picture(PhotometricInterpretation="YBR_FULL_422", NumberOfFrames=3)
    dataset.add_new(0x7FE00010, "OB", pydicom.encaps.encapsulate(
        sources, fragments_per_frame=2, has_bot=has_table))  # fmt: skip
    dataset["PixelData"].is_undefined_length = True
    path = tmp_path / "a.dcm"
    path.write_bytes(as_file(dataset, BASELINE))
    assert jpegs(path) == [clean_jpeg(source).data for source in sources]


def test_a_damaged_frame_costs_only_itself(tmp_path: Path) -> None:
    sources = [jpeg(colours()), jpeg(colours())[:200], jpeg(colours(rows=16)), jpeg(colours(2))]
    dataset = picture(PhotometricInterpretation="YBR_FULL_422", NumberOfFrames=4)
    found = list(read_frames(write(tmp_path / "a.dcm", dataset, sources, BASELINE)))
    assert [isinstance(frame, ImageError) for frame in found] == [False, True, True, False]


def test_limits_hold_before_anything_is_decoded(tmp_path: Path) -> None:
    path = write(tmp_path / "a.dcm", picture())
    with pytest.raises(ImageError, match="too_small"):
        read_header(path, Limits(min_side_px=25))
    with pytest.raises(ImageError, match="too_large"):
        next(read_frames(path, limits=Limits(max_pixels=100)))


# What does not fit.


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ({"SamplesPerPixel": 4}, "unreadable"),
        ({"PhotometricInterpretation": "HSV"}, "dicom_unsupported"),
        ({"BitsAllocated": 12}, "dicom_unsupported"),
        ({"BitsStored": 9}, "unreadable"),
        ({"HighBit": 9}, "unreadable"),
        ({"Rows": 0}, "unreadable"),
        ({"Rows": 60000, "Columns": 60000}, "too_large"),
        ({"NumberOfFrames": 2}, "unreadable"),
        ({"NumberOfFrames": 2_000_000_000}, "unreadable"),
        ({"BitsAllocated": 64, "BitsStored": 64, "HighBit": 63}, "dicom_unsupported"),
    ],
)
def test_a_description_that_does_not_fit(tmp_path: Path, said: dict[str, Any], reason: str) -> None:
    path = write(tmp_path / "a.dcm", picture(**said))
    with pytest.raises(ImageError) as caught:
        read_header(path, LIMITS)
    assert caught.value.reason == reason


@pytest.mark.parametrize("keyword", ["FloatPixelData", "DoubleFloatPixelData"])
def test_pixels_as_floating_point_numbers_are_refused(tmp_path: Path, keyword: str) -> None:
    dataset = picture()
    setattr(dataset, keyword, bytes(16))
    path = tmp_path / "a.dcm"
    path.write_bytes(as_file(dataset))
    with pytest.raises(ImageError, match="dicom_unsupported"):
        frames_of(path)


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2.4.100", "1.2.840.10008.1.2.4.94"])
def test_films_and_references_are_refused(tmp_path: Path, syntax: str) -> None:
    path = write(tmp_path / "a.dcm", picture(), [b"film"], syntax)
    (found,) = read_frames(path)
    assert isinstance(found, ImageError)
    assert found.reason == "dicom_unsupported"


def test_pixels_in_another_syntax_than_named_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.dcm", picture())
    data = path.read_bytes()
    path.write_bytes(data.replace(b"1.2.840.10008.1.2.1\x00", b"1.2.840.10008.1.2.5\x00"))
    with pytest.raises(ImageError, match="another syntax"):
        frames_of(path)


def test_a_palette_in_segments_is_refused(tmp_path: Path) -> None:
    dataset = picture(**{**GREY, "PhotometricInterpretation": "PALETTE COLOR"})
    dataset.SegmentedRedPaletteColorLookupTableData = bytes(8)
    with pytest.raises(ImageError, match="dicom_unsupported"):
        frames_of(write(tmp_path / "a.dcm", dataset, colours()[..., 0]))


def claims(width: int, height: int) -> bytes:
    """Return a short JPEG 2000 stream that claims a size."""
    data = bytearray(imagecodecs.jpeg2k_encode(colours(), codecformat="J2K"))
    data[8:16] = struct.pack(">II", width, height)
    return bytes(data)


def test_a_stream_that_claims_more_pixels_is_not_decoded(tmp_path: Path) -> None:
    path = write(tmp_path / "a.dcm", picture(), [claims(60000, 60000)], JPEG_2000)
    (found,) = read_frames(path)
    assert isinstance(found, ImageError)
    assert "60000x60000 px; expected 32x24" in str(found)


def test_a_jpeg_of_thousands_of_scans_is_not_decoded(tmp_path: Path) -> None:
    source = jpeg(colours(), progressive=True)
    at = source.index(b"\xff\xda")
    bomb = source[:at] + source[at:-2] * 100 + source[-2:]
    path = write(tmp_path / "a.dcm", picture(), [bomb], BASELINE)
    (found,) = read_frames(path)
    assert isinstance(found, ImageError)
    assert "scans" in str(found)


# Against another reader.


def plugin_for(syntax: str) -> str:
    return "pydicom" if syntax == RLE else "pillow"


def readable(path: Path) -> bool:
    try:
        header = read_header(path, LIMITS)
    except ImageError:
        return False
    return header.problem is None


def reference(dataset: Dataset) -> NDArray[Any] | None:
    """Return what pydicom decodes, with nothing but what it and Pillow bring."""
    syntax = dataset.file_meta.TransferSyntaxUID
    plugin = plugin_for(syntax) if syntax.is_encapsulated else ""
    try:
        return np.asarray(pixel_array(dataset, raw=True, index=0, decoding_plugin=plugin))
    except (NotImplementedError, RuntimeError, ValueError):
        return None


@pytest.mark.filterwarnings("ignore")
def test_stored_values_are_those_that_pydicom_reads() -> None:
    compared = 0
    for path in filter(readable, installed_files()):
        dataset = pydicom.dcmread(path, force=True)
        if "TransferSyntaxUID" not in dataset.file_meta or dataset.BitsAllocated == 1:
            continue
        syntax = str(dataset.file_meta.TransferSyntaxUID)
        lossy_colour = syntax == BASELINE and dataset.SamplesPerPixel == 3
        expected = None if lossy_colour else reference(dataset)
        if expected is None:
            continue
        with open_dicom(path) as opened:
            found = open_frames(opened, LIMITS).stored(0)
        assert np.array_equal(found, expected), path.name
        compared += 1
    assert compared >= 60


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "name",
    ["SC_rgb_dcmtk_+eb+cr.dcm", "SC_rgb_dcmtk_+eb+cy+np.dcm", "SC_rgb_small_odd_jpeg.dcm",
     "SC_rgb_jpeg_dcmtk.dcm", "SC_rgb_jpeg.dcm", "SC_jpeg_no_color_transform.dcm",
     "SC_jpeg_no_color_transform_2.dcm", "SC_rgb_jpeg_app14_dcmd.dcm"],
)  # fmt: skip
def test_lossy_colours_are_those_that_pydicom_shows(name: str) -> None:
    path = Path(str(get_testdata_file(name)))
    expected = pixel_array(pydicom.dcmread(path), decoding_plugin="pillow")
    (frame,) = frames_of(path)
    found = simplejpeg.decode_jpeg(frame) if isinstance(frame, bytes) else frame
    assert np.abs(found.astype(int) - expected).max() <= 3
