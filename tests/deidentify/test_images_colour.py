from __future__ import annotations

import io
import struct
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image, ImageCms

from curation.deidentify.colour import TOLERANCE, changes_colours
from curation.errors import ImageError
from curation.pixels import Limits, release_image

Cell = Callable[..., Image.Image]
Encoded = Callable[..., bytes]
LIMITS = Limits()
# Colorants adapted to D50, as profiles hold them.
SRGB = ((0.4361, 0.2225, 0.0139), (0.3851, 0.7169, 0.0971), (0.1431, 0.0606, 0.7141))
ADOBE_RGB = ((0.6097, 0.3111, 0.0195), (0.2053, 0.6257, 0.0609), (0.1492, 0.0632, 0.7446))


def curve(gamma: float | None) -> bytes:
    """The curve of sRGB (None), or a power."""
    if gamma is not None:
        return b"curv" + bytes(4) + struct.pack(">IH", 1, round(gamma * 256))
    x = np.linspace(0, 1, 1024)
    linear = np.where(x <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4)
    values = np.round(linear * 65535).astype(">u2").tobytes()
    return b"curv" + bytes(4) + struct.pack(">I", 1024) + values


def profile(
    name: bytes = b"sRGB IEC61966-2.1",
    colorants: tuple[tuple[float, ...], ...] = SRGB,
    gamma: float | None = None,
    space: bytes = b"RGB ",
) -> bytes:
    """A display profile of version 2: of colorants and curves, or of a grey curve."""

    def xyz(values: tuple[float, ...]) -> bytes:
        return b"XYZ " + bytes(4) + b"".join(struct.pack(">i", round(v * 65536)) for v in values)

    tags = {
        b"desc": b"desc" + bytes(4) + struct.pack(">I", len(name) + 1) + name + bytes(79),
        b"wtpt": xyz((0.9642, 1.0, 0.8249)),
    }
    if space == b"GRAY":
        tags[b"kTRC"] = curve(gamma)
    else:
        for colour, values in zip(b"rgb", colorants, strict=True):
            tags[bytes([colour]) + b"XYZ"] = xyz(values)
            tags[bytes([colour]) + b"TRC"] = curve(gamma)
    body, table = b"", struct.pack(">I", len(tags))
    start = 128 + 4 + 12 * len(tags)
    for tag, data in tags.items():
        table += struct.pack(">4sII", tag, start + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    head = struct.pack(
        ">I4sI4s4s4s", start + len(body), b"lcms", 0x02400000, b"mntr", space, b"XYZ "
    )
    head += bytes(12) + b"acsp" + bytes(28) + xyz((0.9642, 1.0, 0.8249))[8:]
    return head.ljust(128, b"\0") + table + body


def lcms_srgb() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def shown(data: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image)


def refusal(data: bytes) -> ImageError:
    with pytest.raises(ImageError) as caught:
        release_image(data, LIMITS)
    return caught.value


def srgb_of_adobe(values: np.ndarray) -> np.ndarray:
    """Adobe RGB (1998) as sRGB, by the formulas."""
    linear = (values / 255) ** (563 / 256)
    mixed = np.linalg.solve(np.array(SRGB).T, np.array(ADOBE_RGB).T) @ linear.reshape(-1, 3).T
    mixed = mixed.T.reshape(values.shape).clip(0, 1)
    coded = np.where(mixed <= 0.0031308, 12.92 * mixed, 1.055 * mixed ** (1 / 2.4) - 0.055)
    return np.round(255 * coded)


@pytest.mark.parametrize("name", [b"sRGB IEC61966-2.1", b"Display", b"c2", b"Jane Roe's monitor"])
def test_a_profile_that_is_srgb_by_any_name_is_only_dropped(
    name: bytes, cell: Cell, encoded: Encoded
) -> None:
    assert not changes_colours(profile(name), "RGB")
    released = release_image(encoded(cell(), icc_profile=profile(name)), LIMITS)
    assert released.codec == "jpeg"
    assert name not in released.data
    png = release_image(encoded(cell(), "PNG", icc_profile=profile(name)), LIMITS)
    np.testing.assert_array_equal(shown(png.data), np.asarray(cell()))


def test_the_srgb_of_the_colour_library_is_srgb() -> None:
    assert not changes_colours(lcms_srgb(), "RGB")
    assert not changes_colours(lcms_srgb(), "L")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_a_profile_called_srgb_that_is_not_is_applied(
    kind: str, cell: Cell, encoded: Encoded
) -> None:
    liar = profile(b"sRGB IEC61966-2.1", ADOBE_RGB, 563 / 256)
    options = {"lossless": True} if kind == "WEBP" else {}
    plain = shown(encoded(cell(), kind, **options)).astype(float)
    released = release_image(encoded(cell(), kind, icc_profile=liar, **options), LIMITS)
    assert released.codec == "png"
    np.testing.assert_allclose(shown(released.data), srgb_of_adobe(plain), atol=2)
    assert np.abs(shown(released.data) - plain).max() > 10


def test_another_curve_with_the_colorants_of_srgb_is_applied() -> None:
    assert changes_colours(profile(gamma=2.2), "RGB")
    assert changes_colours(profile(gamma=1.8), "RGB")
    assert TOLERANCE <= 2


def test_palettes_are_converted(cell: Cell, encoded: Encoded) -> None:
    palette = cell().convert("P", palette=Image.Palette.ADAPTIVE, colors=32)
    foreign = profile(b"Camera", ADOBE_RGB, 563 / 256)
    released = release_image(encoded(palette, "PNG", icc_profile=foreign), LIMITS)
    expected = srgb_of_adobe(np.asarray(palette.convert("RGB")).astype(float))
    np.testing.assert_allclose(shown(released.data), expected, atol=2)
    same = release_image(encoded(palette, "PNG", icc_profile=profile()), LIMITS)
    np.testing.assert_array_equal(shown(same.data), np.asarray(palette.convert("RGB")))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF"])
def test_grey_profiles_are_applied_where_they_change_anything(
    kind: str, cell: Cell, encoded: Encoded
) -> None:
    grey = cell(mode="L")
    plain = shown(encoded(grey, kind))
    linear = release_image(
        encoded(grey, kind, icc_profile=profile(gamma=1.0, space=b"GRAY")), LIMITS
    )
    result = shown(linear.data)
    assert linear.codec == "png"
    assert result.ndim == 2
    x = plain / 255
    coded = np.where(x <= 0.0031308, 12.92 * x, 1.055 * x ** (1 / 2.4) - 0.055)
    np.testing.assert_allclose(result, np.round(255 * coded), atol=2)
    same = release_image(encoded(grey, kind, icc_profile=profile(space=b"GRAY")), LIMITS)
    np.testing.assert_array_equal(shown(same.data), plain)
    assert same.codec == ("jpeg" if kind == "JPEG" else "png")


def test_a_colour_profile_on_a_grey_image(cell: Cell, encoded: Encoded) -> None:
    grey = cell(mode="L")
    same = release_image(encoded(grey, "PNG", icc_profile=profile()), LIMITS)
    np.testing.assert_array_equal(shown(same.data), np.asarray(grey))
    data = encoded(grey, "PNG", icc_profile=profile(b"Camera", ADOBE_RGB, 1.0))
    brighter = shown(release_image(data, LIMITS).data)
    assert brighter.ndim == 2
    assert (brighter.astype(int) >= np.asarray(grey)).all()
    assert brighter.mean() > np.asarray(grey).mean() + 10


def test_deep_grey_is_converted_after_scaling(encoded: Encoded) -> None:
    values = np.linspace(0, 65535, 400).astype(np.uint16).reshape(20, 20)
    data = encoded(Image.fromarray(values), "PNG", icc_profile=profile(gamma=1.0, space=b"GRAY"))
    eight = encoded(
        Image.fromarray(np.round(values / 257).astype(np.uint8)), "PNG",
        icc_profile=profile(gamma=1.0, space=b"GRAY"),
    )  # fmt: skip
    assert release_image(data, LIMITS).image_id == release_image(eight, LIMITS).image_id


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_what_is_hidden_stays_hidden_under_a_profile(
    mode: str, cell: Cell, encoded: Encoded
) -> None:
    hidden = cell(mode=mode)
    hidden.putalpha(0)
    foreign = profile(gamma=1.0, space=b"GRAY" if mode == "LA" else b"RGB ")
    data = encoded(hidden, "PNG", icc_profile=foreign)
    assert (shown(release_image(data, LIMITS).data) == 255).all()
    opaque = cell(mode=mode)
    opaque.putalpha(255)
    with_alpha = release_image(encoded(opaque, "PNG", icc_profile=foreign), LIMITS)
    without = release_image(encoded(cell(mode=mode[:-1]), "PNG", icc_profile=foreign), LIMITS)
    left, right = shown(with_alpha.data), shown(without.data)
    np.testing.assert_array_equal(left, right if mode == "RGBA" else right[..., None].repeat(3, 2))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF"])
@pytest.mark.parametrize(
    "damaged",
    [b"Jane Roe", profile()[:200], bytes(128), profile(space=b"GRAY"), profile(space=b"CMYK")],
    ids=["text", "cut off", "zeros", "for grey images", "for CMYK"],
)
def test_a_damaged_or_foreign_profile_quarantines(
    kind: str, damaged: bytes, cell: Cell, encoded: Encoded
) -> None:
    error = refusal(encoded(cell(), kind, icc_profile=damaged))
    assert error.reason == "unreadable"
    assert "profile" in error.detail
    assert "Jane" not in str(error)


def test_a_profile_with_a_part_missing_quarantines(cell: Cell, encoded: Encoded) -> None:
    data = encoded(cell(), icc_profile=profile() + bytes(70_000))
    second = data.index(b"ICC_PROFILE", data.index(b"ICC_PROFILE") + 1)
    lone = data[: second - 4] + data[second - 2 + int.from_bytes(data[second - 2 : second]) :]
    assert refusal(lone).detail == "parts of its colour profile are missing or repeated"


def test_cmyk(cell: Cell, encoded: Encoded) -> None:
    cmyk = cell(mode="CMYK")
    tiff = release_image(encoded(cmyk, "TIFF"), LIMITS)
    np.testing.assert_array_equal(shown(tiff.data), np.asarray(cmyk.convert("RGB")))
    error = refusal(encoded(cmyk, "TIFF", icc_profile=profile()))
    assert error.detail == "its colour profile is for another kind of colours"
