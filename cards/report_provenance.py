"""Where the numbers come from: fingerprints, networks, pipelines, splits, seeds and versions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from synth.measure.measurement import Measurement, Measurements

from .report_metrics import metric_of
from .report_numbers import NBSP, NONE, duration


@dataclass(frozen=True, slots=True)
class Line:
    """What, its values with the metrics each holds for, and whether they are identifiers."""

    what: str
    values: tuple[tuple[str, str], ...]
    identifier: bool = False


def provenance(measurements: Measurements, settings: Mapping[str, str]) -> list[Line]:
    """Return the provenance of a report; `settings` are what the evaluation was told."""
    found = measurements.measurements
    view = measurements.view
    share = f"{view.crop * 100:.3g}".rstrip(".")
    held_out = " and ".join(measurements.held_out) or "none"
    part = f"the central {share}{NBSP}% at {view.side} × {view.side} pixels"
    versions = ", ".join(f"{k} {v}" for k, v in sorted(measurements.versions.items()))
    chosen = ", ".join(f"{name} {value}" for name, value in settings.items())
    lines = [
        Line("Compared part of each image", ((part, ""),)),
        Line("Held-out splits", ((held_out, ""),)),
        Line("Feature extractor", _ways(found, lambda m: m.extractor), True),
        Line("What happened to the pixels before it", _ways(found, lambda m: m.pipeline)),
        Line("Reference cells", _ways(found, lambda m: m.reference), True),
        Line("Real corpus", ((measurements.real, ""),), True),
        Line("Synthetic corpus", ((measurements.synthetic, ""),), True),
        Line("Generator", ((measurements.generator, ""),), True),
        Line("Corpus that the generator learned from", ((measurements.training_corpus, ""),), True),
        Line("Settings and seed", ((chosen, ""),)),
        Line("Time taken", ((duration(measurements.seconds), ""),)),
        Line("Format of the measurements file", ((str(measurements.format_version), ""),)),
        Line("Software", ((versions, ""),)),
    ]
    return [line for line in lines if line.values != (("", ""),)]


def _ways(
    found: Sequence[Measurement], pick: Callable[[Measurement], str]
) -> tuple[tuple[str, str], ...]:
    names: dict[str, dict[str, None]] = {}
    for m in found:
        metric = metric_of(m)
        names.setdefault(pick(m), {})[metric.short if metric else m.name] = None
    if len(names) <= 1:
        return tuple((value, "") for value in names) or ((NONE, ""),)
    return tuple((value, ", ".join(which)) for value, which in names.items())
