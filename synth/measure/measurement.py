"""One measured number with everything a reader needs to judge it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Literal

from pydantic import Field

from curation.errors import MeasurementError
from curation.manifest import Frozen, View, parse_model

MEASUREMENTS_FORMAT = 2
MEASUREMENTS_NAME = "measurements.json"
REPORT_NAME = "report.html"
OPEN_REPORT_NAME = "report-open.html"
"""The report without pictures of real cells, for an open repository beside a gated real one."""
OPEN_FIGURE = "figures/synthetic.jpg"
ALL_CLASSES = "all"
FID_NEEDS = 2_048
"""Images a side under which a plain FID says little: it is greyed out and KID stands in front."""


Family = Literal["distance", "coverage", "copying", "shortcuts", "usefulness", "subjects"]
Verdict = Literal["met", "missed", "open", "no goal"]


class Measurement(Frozen):
    """A value with its interval, counts, floor, and how it was measured."""

    name: str = Field(
        description="kid, fid, coverage, copied_share, c2st_auc, balanced_accuracy, …"
    )
    family: Family = "distance"
    arm: str | None = Field(
        default=None, description="what is compared, where there are several: a rung of the ladder"
    )
    label: str = Field(description='a cell label, or "all" for the classes pooled')
    value: float
    low: float | None = Field(default=None, description="95 % interval")
    high: float | None = None
    n_real: int
    n_synthetic: int
    floor: float | None = Field(
        default=None, description="the same metric between two disjoint real sets at the same n"
    )
    floor_low: float | None = None
    floor_high: float | None = None
    direction: Literal["lower", "higher", "zero"]
    extractor: str = Field(description="features' name and the weights' hash")
    pipeline: str = Field(description="what happened to the pixels before the extractor")
    reference: str = Field(description="fingerprint of the real corpus and the splits used")
    goal_low: float | None = Field(default=None, description="the goal is a value from here on")
    goal_high: float | None = Field(default=None, description="the goal is a value up to here")
    reliable: bool = True
    note: str | None = None

    @property
    def verdict(self) -> Verdict:
        """Whether the goal is met; open where the interval reaches the goal but the value does not.

        A gain is met only where its whole interval lies in the goal: that something helps is a
        claim. A number that is not reliable meets and misses nothing.
        """
        if (self.goal_low is None and self.goal_high is None) or not self.reliable:
            return "no goal"
        least = -math.inf if self.goal_low is None else self.goal_low
        most = math.inf if self.goal_high is None else self.goal_high
        low = self.value if self.low is None else self.low
        high = self.value if self.high is None else self.high
        if least <= self.value <= most:
            sure = self.family != "usefulness" or (low >= least and high <= most)
            return "met" if sure else "open"
        return "open" if low <= most and high >= least else "missed"


class Measurements(Frozen):
    """`measurements.json`: all that one `evaluate` found."""

    format_version: int
    real: str = Field(description="fingerprint of the real corpus")
    synthetic: str = Field(description="fingerprint of the synthetic corpus")
    generator: str = Field(description="fingerprint of the generator")
    training_corpus: str = Field(description="fingerprint of the corpus the generator learned from")
    view: View
    held_out: tuple[str, ...] = Field(description="splits that quality was measured against")
    seconds: float
    measurements: tuple[Measurement, ...]
    skipped: dict[str, str] = Field(
        default_factory=dict, description="label -> why it could not be measured"
    )
    versions: dict[str, str]


def read_measurements(report: Path) -> Measurements:
    """Read the measurements of a report directory.

    Raises: MeasurementError where it is no complete report; CorpusError where it does not fit.
    """
    file = report / MEASUREMENTS_NAME
    if not file.is_file():
        raise MeasurementError(
            f"{report} is no complete report: it has no {MEASUREMENTS_NAME}. "
            "Next: run `smearkit evaluate`"
        )
    return parse_model(Measurements, file)
