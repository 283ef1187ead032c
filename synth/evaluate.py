"""The stage `evaluate`: a real and a synthetic corpus in, measurements and pictures out.

Quality is measured against held-out real cells; copying against the training split, with the
held-out cells' own distances as the baseline. Every number comes with its floor: the same measure
between real cells and as many other real ones, which is what a perfect generator would get.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from curation.corpus import Corpus
from curation.errors import MeasurementError
from curation.manifest import Codec, View
from curation.progress import Progress, silent
from curation.versions import library_versions

from .evaluate_pictures import drawn_sheet, real_over_drawn
from .kept_features import KeptFeatures
from .load_sides import check_pair as check_pair  # other stages refuse the same pairs
from .load_sides import load_sides
from .measure.config import EvaluateConfig as EvaluateConfig
from .measure.copying import measure_copying
from .measure.coverage import measure_coverage
from .measure.distances import measure_distances
from .measure.feature_map import measure_feature_map
from .measure.inception import find_inception
from .measure.measurement import MEASUREMENTS_FORMAT, Family, Measurements
from .measure.sheets import measure_sheets
from .measure.shortcuts import measure_shortcuts
from .measure.sides import Context, Found, Picture, Sides
from .measure.subjects import measure_subjects
from .measure.usefulness import measure_usefulness
from .measure.worst import measure_worst

Measure = Callable[[Sides, Context], Found]
MEASURES: Mapping[Family, Measure] = {
    "distance": measure_distances,
    "coverage": measure_coverage,
    "copying": measure_copying,
    "shortcuts": measure_shortcuts,
    "usefulness": measure_usefulness,
    "subjects": measure_subjects,
}
PICTURES: tuple[Measure, ...] = (measure_sheets, measure_worst, measure_feature_map)
"""What only shows, and measures nothing."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What `evaluate` found."""

    measurements: Measurements
    pictures: tuple[Picture, ...]


def measure(
    real: Corpus,
    synthetic: Corpus,
    config: EvaluateConfig | None = None,
    *,
    inception: Path | None = None,
    download_inception: bool = False,
    progress: Progress = silent,
) -> Evaluation:
    """Measure a synthetic corpus against the real one.

    Raises: MeasurementError where the corpora do not fit each other, or the network is not found.
    """
    config = config or EvaluateConfig()
    started = time.monotonic()
    view = check_pair(real, synthetic)
    _check_families(config)
    weights = find_inception(inception, download=download_inception)
    sides, held_out, skipped = load_sides(real, synthetic, view, config, progress)
    codec = synthetic.manifest.codec
    features = KeptFeatures(weights, progress)
    context = Context(
        features=features,
        extractor=features.extractor,
        pipeline=f"{_pixels_text(view, codec)}; {features.pipeline}",
        reference=f"{real.fingerprint} {'+'.join(held_out)}",
        train_reference=f"{real.fingerprint} train",
        config=config,
        progress=progress,
    )
    found = [MEASURES[family](sides, context) for family in config.families]
    found += [picture(sides, context) for picture in PICTURES]
    for one in found:
        skipped |= dict(one.skipped)
    pictures = [real_over_drawn(sides, view), *(p for one in found for p in one.pictures)]
    parents = synthetic.manifest.parents
    measurements = Measurements(
        format_version=MEASUREMENTS_FORMAT,
        real=real.fingerprint,
        synthetic=synthetic.fingerprint,
        generator=parents["generator"],
        training_corpus=parents["training_corpus"],
        view=view,
        held_out=held_out,
        seconds=round(time.monotonic() - started, 1),
        measurements=tuple(m for one in found for m in one.measurements),
        skipped=skipped,
        versions=library_versions("torch", "clean-fid"),
    )
    pictures.append(drawn_sheet(sides.drawn, view))
    return Evaluation(measurements, tuple(pictures))


def _check_families(config: EvaluateConfig) -> None:
    if not config.families or len(set(config.families)) < len(config.families):
        raise MeasurementError(
            f"families must name each thing to measure once, not {list(config.families)}; "
            f"there are {', '.join(MEASURES)}"
        )


def _pixels_text(view: View, codec: Codec) -> str:
    return f"central {view.crop:.3g} of the shorter side at {view.side} px, {codec.format}"
