"""The codec of a corpus, and encoding in it: synthetic cells are coded as the real ones are.

If real cells were JPEG and synthetic ones PNG, any model would tell them apart by the codec.
"""

from __future__ import annotations

import io
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from PIL import Image, JpegImagePlugin

from .deidentify.jpeg import clean_jpeg
from .manifest import Codec, Shard
from .pixels import Pixels, encode_png

_SAMPLE = 200


def common_codec(folder: Path, shards: list[Shard]) -> Codec:
    """Return the codec that most of the first rows of a corpus have."""
    counts: Counter[Codec] = Counter()
    for shard in shards:
        if sum(counts.values()) >= _SAMPLE:
            break
        with pq.ParquetFile(folder / shard.path) as file:
            batch = next(file.iter_batches(_SAMPLE, columns=["image"]))
        counts.update(codec_of(image["bytes"].as_py()) for image in batch.column("image"))
    return counts.most_common(1)[0][0]


def codec_of(data: bytes) -> Codec:
    """Return the codec of one released image."""
    if data[:2] != b"\xff\xd8":
        return Codec(format="png")
    with Image.open(io.BytesIO(data)) as image:
        assert isinstance(image, JpegImagePlugin.JpegImageFile)
        tables = tuple(tuple(image.quantization[key]) for key in sorted(image.quantization))
        sampling = JpegImagePlugin.get_sampling(image)
    # -1 is a sampling that cannot be written back; 4:2:0 is what most encoders use.
    return Codec(format="jpeg", tables=tables, subsampling=sampling if sampling >= 0 else 2)


def encode(pixels: Pixels, codec: Codec) -> bytes:
    """Encode (h, w, 3) uint8 RGB pixels in a codec; the file holds pixels and nothing else."""
    if codec.format == "png":
        return encode_png(pixels)
    out = io.BytesIO()
    tables = [list(table) for table in codec.tables]
    Image.fromarray(np.asarray(pixels, dtype=np.uint8)).save(
        out, "JPEG", qtables=tables, subsampling=codec.subsampling
    )
    return clean_jpeg(out.getvalue()).data
