"""The stage `evaluate` as a user calls it: measure, then render the report."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cards.report import Figure, render_report
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
        figures = [_figure(picture) for picture in found.pictures if picture.shows_real]
        drawn = [_figure(picture) for picture in found.pictures if not picture.shows_real]
        (partial / "figures").mkdir(exist_ok=True)
        for figure in (*figures, *drawn):
            write_whole(partial / "figures" / f"{figure.name}.jpg", figure.image)
        facts = _facts(real, synthetic)
        for name, shown in ((REPORT_NAME, figures), (OPEN_REPORT_NAME, drawn)):
            page = render_report(found.measurements, shown, facts=facts)
            write_whole(partial / name, page.encode())
        text = found.measurements.model_dump_json(indent=2) + "\n"
        write_whole(partial / MEASUREMENTS_NAME, text.encode())
    return Report(out, read_measurements(out))


def _figure(picture: Picture) -> Figure:
    image = jpeg_bytes(picture.image)
    return Figure(picture.name, picture.title, picture.caption, picture.alt, image)


def _facts(real: Corpus, synthetic: Corpus) -> dict[str, str]:
    made = synthetic.manifest
    return {
        "Real cells": f"{real.manifest.n_out} in {len(real.manifest.class_totals())} classes",
        "Splits are disjoint by": real.manifest.grouped_by.replace("_", " "),
        "Synthetic cells": f"{made.n_out} of {made.n_in} drawn",
        "Steps, guidance": f"{made.config.get('steps')}, {made.config.get('guidance')}",
    }
