"""The report of one evaluation: measurements and figures as one self-contained HTML page.

It renders measurements and computes none: what it adds is order, words, and which of two
intervals lies higher. The page holds its images, style and charts, and may load nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import jinja2

from curation.errors import SmearkitError
from synth.measure.measurement import FID_NEEDS, Measurements

from .report_figures import OTHER, Figure, largest, placed
from .report_metrics import readable_label
from .report_numbers import NONE
from .report_provenance import provenance
from .report_summary import copying_sentence, headline, summary
from .report_tables import arm_tables, class_matrix, class_tables
from .report_verdict import ANSWERS, FAMILY_WORDS, goal_groups, other_groups, tally, tiles
from .scorecard import SOURCE, scorecard

MAX_REPORT_BYTES = 5_000_000
DEFAULT_TITLE = "Synthetic blood cells, measured against real ones"
_NOTHING: Mapping[str, str] = MappingProxyType({})


def render_report(
    measurements: Measurements,
    figures: Sequence[Figure],
    *,
    title: str = DEFAULT_TITLE,
    facts: Mapping[str, str] = _NOTHING,
    settings: Mapping[str, str] = _NOTHING,
) -> str:
    """Return the report as one HTML document that loads nothing from anywhere.

    The same arguments give the same document. `facts` stand under the title, in their order;
    `settings` are what the evaluation was told and stand in its provenance.

    Raises: SmearkitError where the document is over 5 MB, where a figure is neither PNG nor JPEG,
    or where two figures share a name.
    """
    asked = tiles(measurements)
    document = page_templates().get_template("report.html.j2").render(
        title=title,
        facts=facts,
        headline=headline(measurements),
        summary=summary(measurements),
        tiles=asked,
        families=FAMILY_WORDS,
        tally=[(ANSWERS[answer], answer, n) for answer, n in tally(t.verdict for t in asked)],
        goals=goal_groups(measurements),
        others=other_groups(measurements),
        pictures=placed(figures),
        distance=class_tables(measurements, "distance"),
        coverage=class_tables(measurements, "coverage"),
        copying=copying_sentence(measurements),
        copying_classes=class_matrix(measurements, "copying"),
        ladder=arm_tables(measurements, "usefulness", rank=False),
        ladder_classes=class_matrix(measurements, "usefulness"),
        shortcuts=arm_tables(measurements, "shortcuts", rank=True),
        shortcut_classes=class_matrix(measurements, "shortcuts"),
        subjects=arm_tables(measurements, "subjects", rank=True),
        subject_classes=class_matrix(measurements, "subjects"),
        skipped=[(readable_label(k), why) for k, why in measurements.skipped.items()],
        scorecard=scorecard(measurements),
        scorecard_source=SOURCE,
        provenance=provenance(measurements, settings),
        fid_needs=f"{FID_NEEDS:,}",
        other=OTHER,
        dash=NONE,
    )  # fmt: skip
    _check_size(document, figures)
    return document


def page_templates() -> jinja2.Environment:
    """Return the templates of report pages, escaped and strict."""
    return jinja2.Environment(
        loader=jinja2.PackageLoader("cards", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def _check_size(document: str, figures: Sequence[Figure]) -> None:
    size = len(document.encode())
    if size <= MAX_REPORT_BYTES:
        return
    most = largest(figures)
    if most is not None:
        what = (
            f"its largest figure is {most.name!r} with {len(most.image) / 1e6:.1f} MB. "
            "Next: draw it with fewer cells, or as a JPEG"
        )
    else:
        what = "it has no figures, so the text alone is that long"
    raise SmearkitError(
        f"the report would be {size / 1e6:.1f} MB, over its limit of "
        f"{MAX_REPORT_BYTES / 1e6:.1f} MB; {what}"
    )
