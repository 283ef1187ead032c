"""The rows of the long-tail experiment, and how they are written as Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from synth.measure.ladder import BALANCED_ACCURACY, CALIBRATION_ERROR, MACRO_F1, Result
from synth.measure.seed_interval import Score, mean_score

Three = tuple[float, float, float]
"""A value with the ends of its 95 % interval."""

RARE_RECALL = "rare recall"


@dataclass(frozen=True)
class Line:
    """One arm: what it learned from and its scores."""

    arm: str
    real: int
    synthetic: int
    scores: dict[str, Three]
    recalls: dict[str, Three]

    @classmethod
    def of(cls, result: Result, rare: Sequence[str]) -> Line:
        """Return the row of a result."""
        rung = result.rung
        return cls(
            # Some are repeated where half of the cells shown are to be real.
            rung.name, len(set(rung.cells.ids)) - rung.synthetic, rung.synthetic,
            {name: _three(score) for name, score in scores_of(result, rare).items()},
            {label: _three(score) for label, score in result.recalls.items()},
        )  # fmt: skip


@dataclass(frozen=True)
class Comparison:
    """What one arm scores more than another: the means of differences, paired by seed and cells."""

    arm: str
    over: str
    gains: dict[str, Three]

    @classmethod
    def of(cls, result: Result, other: Result, rare: Sequence[str]) -> Comparison:
        """Return the comparison of two results."""
        own, theirs = scores_of(result, rare), scores_of(other, rare)
        gains = {name: own[name] - theirs[name] for name in own}
        gains |= {label: result.recalls[label] - other.recalls[label] for label in rare}
        return cls(
            result.rung.name, other.rung.name,
            {name: _three(score) for name, score in gains.items()},
        )  # fmt: skip


def scores_of(result: Result, rare: Sequence[str]) -> dict[str, Score]:
    """Return an arm's scores, with the mean recall of the rare classes."""
    mean = mean_score([result.recalls[label] for label in rare])
    names = (BALANCED_ACCURACY, MACRO_F1, CALIBRATION_ERROR)
    return {**{name: result.scores[name] for name in names}, RARE_RECALL: mean}


def markdown(found: dict[str, Any]) -> str:
    """Return all tables."""
    rare = list(found["rare"])
    cost = found["cost"]
    lines = [
        f"Generator `{found['generator']}` ({found['images_seen']:,} images seen) of corpus "
        f"`{found['corpus']}`; {found['seeds']} seeds; {sum(found['tested'].values())} real test "
        f"cells of {len(found['tested'])} classes; classifier {found['classifier']['steps']} steps "
        f"of {found['classifier']['batch']}. {cost['taught']} classifiers taught in "
        f"{cost['teaching_cpu_s'] / 60:.1f} CPU minutes, drawing {cost['drawing_cpu_s'] / 60:.1f}.",
        "",
        *_table(
            ("rare class", "training cells", "test cells", "drawn", "kept by selection"),
            [(label, *(str(n) for n in counts.values()))
             for label, counts in found["rare"].items()],
        ),
        "",
        *_table(
            ("trained on", "real", "synthetic", "balanced accuracy", "macro-F1",
             "recall of the rare classes", "calibration error"),
            [(one["arm"], str(one["real"]), str(one["synthetic"]),
              *(_text(one["scores"][name]) for name in
                (BALANCED_ACCURACY, MACRO_F1, RARE_RECALL, CALIBRATION_ERROR)))
             for one in found["arms"]],
        ),
        "",
        *_table(
            ("recall", *rare),
            [(one["arm"], *(_text(one["recalls"][label]) for label in rare))
             for one in found["arms"]],
        ),
        "",
        *_table(
            ("gain of", "over", "balanced accuracy", "macro-F1", "recall of the rare classes",
             *rare),
            [(one["arm"], one["over"], *(_text(one["gains"][name], sign="+") for name in
              (BALANCED_ACCURACY, MACRO_F1, RARE_RECALL, *rare)))
             for one in found["comparisons"]],
        ),
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [" | ".join(head), " | ".join("---" for _ in head), *(" | ".join(row) for row in rows)]
    return [f"| {line} |" for line in lines]


def _three(score: Score) -> Three:
    interval = score.interval
    return interval.value, interval.low, interval.high


def _text(three: Three, sign: str = "") -> str:
    value, low, high = three
    return f"{value:{sign}.3f} ({low:{sign}.3f} to {high:{sign}.3f})"
