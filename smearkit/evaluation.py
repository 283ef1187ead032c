"""The stage `evaluate` as a user calls it: measure, then render the report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cards.report import render_report
from cards.report_charts import chart_images
from cards.report_figures import encode_pictures, png_bytes
from curation.corpus import Corpus, load_corpus
from curation.output import refuse_existing, whole_directory, write_whole
from curation.progress import Progress, silent
from synth.contact_sheet import jpeg_bytes
from synth.evaluate import EvaluateConfig, measure
from synth.measure.measurement import (
    MEASUREMENTS_NAME,
    OPEN_REPORT_NAME,
    REPORT_NAME,
    Measurements,
    read_measurements,
)
from synth.measure.sides import Picture

_AS_JPEG = ("real_over_synthetic", "synthetic")
"""Sheets of many cells that a card shows, and that are several times smaller so."""


@dataclass(frozen=True, slots=True)
class Report:
    """A report directory: measurements, figures, and the page with and without real cells.

    `report.html` shows real cells; `report-open.html` does not.
    """

    path: Path
    measurements: Measurements


def evaluate(
    real: Corpus | Path,
    synthetic: Corpus | Path,
    out: Path,
    config: EvaluateConfig | None = None,
    *,
    inception: Path | None = None,
    download_inception: bool = False,
    progress: Progress = silent,
) -> Report:
    """Measure a synthetic corpus against the real one and write the report.

    Raises: MeasurementError, CorpusError, OutputExistsError.
    """
    refuse_existing(out)
    config = config or EvaluateConfig()
    real = real if isinstance(real, Corpus) else load_corpus(real)
    synthetic = synthetic if isinstance(synthetic, Corpus) else load_corpus(synthetic)
    job = {
        "stage": "evaluate",
        "real": real.fingerprint,
        "synthetic": synthetic.fingerprint,
        "config": config.model_dump(mode="json"),
    }
    with whole_directory(out, job) as partial:
        found = measure(
            real, synthetic, config, inception=inception, download_inception=download_inception,
            progress=progress,
        )  # fmt: skip
        facts, settings = _facts(real, synthetic), _settings(config)
        shows_no_real = [picture for picture in found.pictures if not picture.shows_real]
        for name, pictures in ((REPORT_NAME, found.pictures), (OPEN_REPORT_NAME, shows_no_real)):
            figures = encode_pictures(pictures)
            page = render_report(found.measurements, figures, facts=facts, settings=settings)
            write_whole(partial / name, page.encode())
        _write_figures(partial / "figures", found.pictures, found.measurements)
        text = found.measurements.model_dump_json(indent=2) + "\n"
        write_whole(partial / MEASUREMENTS_NAME, text.encode())
    return Report(out, read_measurements(out))


def _write_figures(folder: Path, pictures: Sequence[Picture], measurements: Measurements) -> None:
    """Write every figure of the report as PNG, and the sheets that a card shows as JPEG too."""
    folder.mkdir(exist_ok=True)
    images = [(picture.name, picture.image) for picture in pictures]
    for name, image in (*images, *chart_images(measurements)):
        write_whole(folder / f"{name}.png", png_bytes(image))
        if name in _AS_JPEG:
            write_whole(folder / f"{name}.jpg", jpeg_bytes(image))


def _facts(real: Corpus, synthetic: Corpus) -> dict[str, str]:
    made = synthetic.manifest
    return {
        "Real cells": f"{real.manifest.n_out:,} in {len(real.manifest.class_totals())} classes",
        "Splits are disjoint by": real.manifest.grouped_by.replace("_", " "),
        "Synthetic cells": f"{made.n_out:,} of {made.n_in:,} drawn",
        "Steps, guidance": f"{made.config.get('steps')}, {made.config.get('guidance')}",
    }


def _settings(config: EvaluateConfig) -> dict[str, str]:
    found = config.model_dump(mode="json")
    return {
        name.replace("_", " "): ", ".join(value) if isinstance(value, list) else str(value)
        for name, value in found.items()
    }
