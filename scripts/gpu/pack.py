"""A corpus small enough to carry: every cell whole, no larger than its view needs.

    python -m scripts.gpu.pack CORPUS --side 64 --out PACK

At `--side 64` and the presets' crop of 2/3 every cell comes to 96 px, so that the view that a
preset draws is cut out of it without another resampling, and its background, by which acquisitions
are told apart, is still there. A corpus of JPEG keeps its quantisation tables; any other becomes
WebP of the best quality that fits. Pseudonyms of subjects, slides and sites stay at home.
"""

from __future__ import annotations

import argparse
import io
import math
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from PIL import Image

from curation.cells import SCHEMA, SPLITS
from curation.codec import common_codec, encode
from curation.corpus import Corpus, load_corpus
from curation.corpus_writer import shard_name, write_manifest, write_shard
from curation.errors import CorpusError
from curation.manifest import Codec
from curation.output import refuse_existing
from curation.pixels import Pixels, decode_rgb, pixel_id

LIMIT_BYTES = 50_000_000
QUALITIES = (95, 90, 85, 80)
_CROP = 2 / 3

Encode = Callable[[Pixels], bytes]


def pack(
    corpus: Corpus, out: Path, *, side: int, crop: float = _CROP, limit_bytes: int = LIMIT_BYTES
) -> str:
    """Write the pack, a corpus whose parent is `corpus`; returns how its images are coded.

    Raises: CorpusError where it does not fit; OutputExistsError.
    """
    refuse_existing(out)
    partial = out.parent / f".{out.name}.partial"
    shorter = math.ceil(side / crop)
    codec = common_codec(corpus.path, corpus.shards())
    sizes = []
    for name, encode_pixels in _codings(codec):
        shutil.rmtree(partial, ignore_errors=True)
        _write(corpus, partial, shorter, encode_pixels, codec)
        size = sum(path.stat().st_size for path in partial.rglob("*") if path.is_file())
        if size <= limit_bytes:
            partial.rename(out)
            return name
        sizes.append(f"{size / 1e6:.1f} MB as {name}")
    shutil.rmtree(partial)
    raise CorpusError(
        f"the {corpus.manifest.n_out} cells at {shorter} px are {', '.join(sizes)}; at most "
        f"{limit_bytes / 1e6:.1f} MB may be carried. Next: give a smaller --side"
    )


def _codings(codec: Codec) -> Sequence[tuple[str, Encode]]:
    if codec.format == "jpeg":
        return [("JPEG with the corpus' tables", lambda pixels: encode(pixels, codec))]
    return [(f"WebP of quality {quality}", _webp(quality)) for quality in QUALITIES]


def _webp(quality: int) -> Encode:
    def encoded(pixels: Pixels) -> bytes:
        out = io.BytesIO()
        Image.fromarray(pixels).save(out, "WEBP", quality=quality, method=4, use_sharp_yuv=True)
        return out.getvalue()

    return encoded


def _write(corpus: Corpus, folder: Path, shorter: int, encode_pixels: Encode, codec: Codec) -> None:
    shards = []
    for split in SPLITS:
        rows = []
        for batch in corpus.batches(["image", "label", "origin", "source", "license"], [split]):
            rows += [_smaller(row, shorter, encode_pixels) for row in batch.to_pylist()]
        if rows:
            table = pa.Table.from_pylist(rows, schema=SCHEMA)
            shards.append(write_shard(folder, split, shard_name(split, 0, 1), table))
    write_manifest(
        folder, kind=corpus.manifest.kind, shards=shards, n_in=corpus.manifest.n_out, dropped={},
        grouped_by=corpus.manifest.grouped_by, codec=codec,
        parents={"corpus": corpus.fingerprint}, config={"shorter_side_px": shorter},
    )  # fmt: skip


def _smaller(row: dict[str, object], shorter: int, encode_pixels: Encode) -> dict[str, object]:
    image = row["image"]
    assert isinstance(image, dict), "an image is a struct of bytes and path"
    pixels = decode_rgb(image["bytes"])
    height, width = pixels.shape[:2]
    scale = shorter / min(height, width)
    if scale < 1:  # larger it would only weigh more
        size = (max(shorter, round(width * scale)), max(shorter, round(height * scale)))
        small = Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS)
        pixels = np.asarray(small, dtype=np.uint8)
    data = encode_pixels(pixels)
    return {
        **row, "image": {"bytes": data, "path": None}, "image_id": pixel_id(decode_rgb(data)),
    }  # fmt: skip


def main() -> None:
    """Write the pack and say what it came to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--side", type=int, required=True, help="px that the preset draws")
    parser.add_argument("--crop", type=float, default=_CROP, help="share that the preset draws")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--most-mb", type=float, default=LIMIT_BYTES / 1e6)
    options = parser.parse_args()
    name = pack(
        load_corpus(options.corpus), options.out, side=options.side, crop=options.crop,
        limit_bytes=int(options.most_mb * 1e6),
    )  # fmt: skip
    size = sum(path.stat().st_size for path in options.out.rglob("*") if path.is_file())
    print(f"{options.out}  {size / 1e6:.1f} MB, {name}")


if __name__ == "__main__":
    main()
