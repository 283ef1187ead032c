from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from curation.codec import codec_of, common_codec, encode
from curation.curate import curate
from curation.manifest import Codec
from curation.pixels import Limits, decode_rgb, release_image

Cell = Callable[..., Image.Image]
Encoded = Callable[..., bytes]
Folder = Callable[..., Path]


def quantisation(data: bytes) -> bytes:
    tables = b""
    position = 0
    while (position := data.find(b"\xff\xdb", position)) >= 0:
        length = int.from_bytes(data[position + 2 : position + 4])
        tables += data[position + 4 : position + 2 + length]
        position += 2 + length
    return tables


@pytest.mark.parametrize("quality", [30, 75, 95])
@pytest.mark.parametrize("subsampling", [0, 1, 2])
def test_synthetic_cells_get_the_tables_of_real_ones(
    quality: int, subsampling: int, cell: Cell, encoded: Encoded
) -> None:
    real = release_image(encoded(cell(), quality=quality, subsampling=subsampling), Limits()).data
    codec = codec_of(real)
    assert codec.subsampling == subsampling
    made = encode(np.asarray(cell(5)), codec)
    assert quantisation(made) == quantisation(real)
    assert codec_of(made) == codec
    # The same segments in the same order: a file says nothing about which kind it is.
    assert made[: made.index(b"\xff\xda")] == real[: real.index(b"\xff\xda")]


def test_png_round_trip(cell: Cell, encoded: Encoded) -> None:
    codec = codec_of(release_image(encoded(cell(), "TIFF"), Limits()).data)
    assert codec == Codec(format="png")
    pixels = np.asarray(cell(3))
    np.testing.assert_array_equal(decode_rgb(encode(pixels, codec)), pixels)


def test_the_common_codec_is_the_most_frequent(
    class_folders: Folder, tmp_path: Path, cell: Cell, encoded: Encoded
) -> None:
    root = class_folders(basophil=6)
    for index in range(2):
        (root / "basophil" / f"x{index}.png").write_bytes(encoded(cell(50 + index), "PNG"))
    corpus = curate([root], tmp_path / "out")
    assert corpus.manifest.codec.format == "jpeg"
    assert common_codec(corpus.path, list(corpus.manifest.shards)) == corpus.manifest.codec
    with Image.open(io.BytesIO(next(corpus.images()))) as image:
        assert image.format in ("JPEG", "PNG")
