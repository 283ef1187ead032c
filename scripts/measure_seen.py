"""How well codes find cells that a generator learned from: altered copies, and other cells."""

from __future__ import annotations

import argparse
import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from curation.corpus import load_corpus
from curation.pixels import Limits, Pixels, decode_any, decode_rgb
from synth.packaged.seen import SAME_BITS, image_codes, nearest_bits


def main() -> None:
    """Print, as JSON, the share that is found of each kind of copy, and of cells that are none."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--originals", type=Path, help="files of the same set at their own size")
    parser.add_argument("--other", type=Path, help="files of another laboratory")
    parser.add_argument("--copies", type=int, default=500)
    options = parser.parse_args()
    corpus = load_corpus(options.corpus)
    train = [decode_rgb(data) for data in corpus.images(["train"])]
    codes = np.stack([image_codes(pixels)[0] for pixels in train])
    held = nearest_bits((decode_rgb(d) for d in corpus.images(["validation", "test"])), codes)
    found = {"train": len(codes), "held-out, another cell": _summary(held)}
    chosen = np.random.default_rng(0).permutation(len(train))[: options.copies]
    for name, alter in ALTERED.items():
        found[name] = _summary(nearest_bits((alter(train[row]) for row in chosen), codes))
    for name, folder in (("originals", options.originals), ("another laboratory", options.other)):
        if folder is not None:
            files = sorted(folder.rglob("*.jpg"))
            images = (decode_any(path.read_bytes(), Limits()) for path in files)
            found[name] = _summary(nearest_bits(images, codes))
    print(json.dumps(found, indent=1))


def _summary(bits: NDArray[np.int64]) -> dict[str, float]:
    low, median, high = np.percentile(bits, [0, 50, 100])
    near = bits <= SAME_BITS
    return {
        "n": len(bits), "found": int(near.sum()), "share": round(float(near.mean()), 4),
        "least": int(low), "median": float(median), "most": int(high),
    }  # fmt: skip


def _jpeg(pixels: Pixels, quality: int) -> Pixels:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "JPEG", quality=quality)
    return decode_rgb(out.getvalue())


def _resized(pixels: Pixels, side: int) -> Pixels:
    return np.asarray(Image.fromarray(pixels).resize((side, side), Image.Resampling.BICUBIC))


def _cropped(pixels: Pixels, share: float) -> Pixels:
    edge = round(len(pixels) * share / 2)
    return pixels[edge : len(pixels) - edge, edge : len(pixels) - edge]


def _shifted(pixels: Pixels, share: float) -> Pixels:
    step = round(len(pixels) * share)
    return pixels[step:, step:]


ALTERED: dict[str, Callable[[Pixels], Pixels]] = {
    "the same": lambda pixels: pixels,
    "JPEG, quality 40": lambda pixels: _jpeg(pixels, 40),
    "at 64 px": lambda pixels: _resized(pixels, 64),
    "at 300 px": lambda pixels: _resized(pixels, 300),
    "turned and mirrored": lambda pixels: np.ascontiguousarray(np.rot90(pixels)[::-1]),
    "brighter by a fifth": lambda pixels: np.clip(pixels * 1.2, 0, 255).astype(np.uint8),
    "2 % cropped": lambda pixels: _cropped(pixels, 0.02),
    "5 % cropped": lambda pixels: _cropped(pixels, 0.05),
    "shifted by 5 %": lambda pixels: _shifted(pixels, 0.05),
}


if __name__ == "__main__":
    main()
