"""`reports/selection.json` of a synthetic corpus: what was drawn, kept and why the rest went."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from pydantic import Field

from curation.corpus import Corpus
from curation.manifest import Codec, Frozen, View, parse_model
from curation.output import write_whole
from curation.versions import library_versions
from curation.vocabulary import LABELS

from .select_config import SelectConfig
from .select_limits import SelectLimits
from .select_loss import RealLoss
from .selector import Selector

SELECTION_FORMAT = 1
SELECTION_NAME = "selection.json"


class ClassYield(Frozen):
    """One class: cells drawn, kept and dropped by reason; flagged where few were kept."""

    label: str
    drawn: int
    kept: int
    dropped: dict[str, int]
    share: float = Field(ge=0, le=1, description="kept of drawn")
    flagged: bool
    judged: bool = Field(description="whether real cells set a limit of label or realism")


class SelectionReport(Frozen):
    """How the cells of a synthetic corpus were selected."""

    format_version: int
    corpus: str = Field(description="fingerprint of the real corpus that set the limits")
    view: View
    codec: Codec
    config: SelectConfig
    limits: SelectLimits
    real_loss: RealLoss
    drawn: int
    kept: int
    dropped: dict[str, int]
    yields: tuple[ClassYield, ...]
    versions: dict[str, str]

    @property
    def flagged(self) -> tuple[str, ...]:
        """The labels of which too few cells were kept."""
        return tuple(entry.label for entry in self.yields if entry.flagged)


def selection_report(
    selector: Selector, labels: Sequence[str], reasons: Sequence[str]
) -> SelectionReport:
    """Return the report on drawn cells: the label asked of each, and why it is dropped or ""."""
    counts: dict[str, Counter[str]] = {}
    for label, reason in zip(labels, reasons, strict=True):
        counts.setdefault(label, Counter())[reason] += 1
    total = sum(counts.values(), Counter[str]())
    return SelectionReport(
        format_version=SELECTION_FORMAT,
        corpus=selector.corpus,
        view=selector.view,
        codec=selector.codec,
        config=selector.config,
        limits=selector.limits,
        real_loss=selector.real_loss,
        drawn=len(reasons),
        kept=total[""],
        dropped=_dropped(total),
        yields=tuple(_yield(label, counts[label], selector) for label in LABELS if label in counts),
        versions=library_versions("scikit-learn", "opencv-python-headless"),
    )


def write_selection(corpus_folder: Path, report: SelectionReport) -> None:
    """Write the report into the `reports` of a corpus that is being made."""
    folder = corpus_folder / "reports"
    folder.mkdir(parents=True, exist_ok=True)
    text = report.model_dump_json(indent=2) + "\n"
    write_whole(folder / SELECTION_NAME, text.encode())


def read_selection(corpus: Corpus) -> SelectionReport | None:
    """Return the report of a corpus; None where its cells were not selected.

    Raises: CorpusError where it is damaged.
    """
    file = corpus.path / "reports" / SELECTION_NAME
    return parse_model(SelectionReport, file) if file.is_file() else None


def _yield(label: str, counts: Counter[str], selector: Selector) -> ClassYield:
    drawn, kept = sum(counts.values()), counts[""]
    limits = selector.limits.of(label)
    return ClassYield(
        label=label,
        drawn=drawn,
        kept=kept,
        dropped=_dropped(counts),
        share=kept / drawn,
        flagged=kept / drawn < selector.config.flag_under,
        judged=limits is not None
        and not (limits.label_least is None and limits.realism_least is None),
    )


def _dropped(counts: Counter[str]) -> dict[str, int]:
    return {reason: counts[reason] for reason in sorted(counts) if reason}
