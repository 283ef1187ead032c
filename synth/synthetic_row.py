"""The row of one drawn cell: its image, marked as synthetic, and how it can be drawn again."""

from __future__ import annotations

from typing import Any

from curation.codec import encode
from curation.pixels import Pixels, decode_rgb, pixel_id
from curation.vocabulary import LABEL_IDS

from .config import SampleConfig
from .generator import Generator
from .plan import PlannedCell
from .provenance import Marker, marked


def synthetic_row(
    generator: Generator,
    cell: PlannedCell,
    pixels: Pixels,
    config: SampleConfig,
    guide: Generator | None = None,
) -> dict[str, Any]:
    """Return the row of a cell drawn as (side, side, 3) uint8 RGB, by the names of the schema."""
    info = generator.info
    data = encode(pixels, info.codec)
    low, high = config.guidance_interval or (None, None)
    return {
        "image": {
            "bytes": marked(data, Marker(info.fingerprint, cell.label, cell.seed)),
            "path": None,
        },
        # Of the pixels as released: a lossy codec changes them.
        "image_id": pixel_id(decode_rgb(data)),
        "label": LABEL_IDS[cell.label],
        "origin": "synthetic",
        "license": info.license,
        "generator": info.fingerprint,
        "seed": cell.seed,
        "guidance": config.guidance,
        "steps": config.steps,
        "training_corpus": info.training_corpus,
        "guidance_low": low,
        "guidance_high": high,
        "acquisition": acquisition_of(generator, cell, config),
        "autoguidance": None if guide is None else guide.info.fingerprint,
    }


def acquisition_of(generator: Generator, cell: PlannedCell, config: SampleConfig) -> int | None:
    """Return the acquisition that a cell is drawn in; None where the generator knows but one."""
    pipeline = generator.pipeline
    if pipeline.conditioner.no_acquisition < 2:
        return None
    asked = None if config.acquisition == "own" else config.acquisition
    return int(pipeline.acquisitions_of([cell.label], [cell.seed], asked)[0])
