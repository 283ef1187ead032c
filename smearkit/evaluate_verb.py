"""The verb `evaluate`: measure a synthetic corpus, or put several reports side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .console import progress_bars, show_result, table
from .options import resolve
from .verb import AsJson, ConfigFile, verb

if TYPE_CHECKING:
    from synth.measure.measurement import Measurement

_SHOWN = {
    "name", "family", "arm", "label", "value", "low", "high", "n_real", "n_synthetic", "floor",
    "goal_low", "goal_high", "extractor", "reliable",
}  # fmt: skip


def add_evaluate_verb(app: typer.Typer) -> None:
    """Add the verb to the command line."""
    app.command()(evaluate)


@verb
def evaluate(
    reports: Annotated[
        list[Path] | None,
        typer.Argument(help="With --compare: report folders or measurements.json files."),
    ] = None,
    real: Annotated[
        Path | None, typer.Option(help="The real corpus that the generator learned from.")
    ] = None,
    synthetic: Annotated[Path | None, typer.Option(help="A synthetic corpus.")] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Directory to make; must not exist."),
    ] = None,
    compare: Annotated[
        bool, typer.Option("--compare", help="Put REPORTS side by side instead of measuring.")
    ] = False,
    inception: Annotated[
        Path | None, typer.Option(help="Folder with inception-2015-12-05.pt.")
    ] = None,
    download_inception: Annotated[
        bool, typer.Option("--download-inception", help="Let clean-fid download its network.")
    ] = False,
    family: Annotated[
        list[str] | None,
        typer.Option(help="Measure this family only, such as distance. Repeatable."),
    ] = None,
    config_file: ConfigFile = None,
    max_per_class: Annotated[
        int | None, typer.Option(help="Cells a class and side for distances.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Measure synthetic cells against held-out real ones, and write the report."""
    if compare:
        if real or synthetic:
            raise typer.BadParameter("--compare reads reports; leave out --real and --synthetic")
        _compare(reports or [], out, as_json=as_json)
        return
    if reports:
        raise typer.BadParameter(f"what is {reports[0]}? Reports are compared with --compare")
    if real is None or synthetic is None or out is None:
        missing = [
            flag
            for flag, value in (("--real", real), ("--synthetic", synthetic), ("--out", out))
            if value is None
        ]
        raise typer.BadParameter(f"{', '.join(missing)} is missing; or give --compare REPORTS")
    from synth.measure.config import EvaluateConfig
    from synth.measure.measurement import REPORT_NAME

    from .evaluation import evaluate as run

    flags = {"max_per_class": max_per_class, "families": family or None}
    config = resolve(EvaluateConfig, {}, config_file, flags)
    with progress_bars() as progress:
        report = run(
            real, synthetic, out, config, inception=inception,
            download_inception=download_inception, progress=progress,
        )  # fmt: skip
    found = report.measurements.measurements
    result: dict[str, Any] = {
        "report": str(out / REPORT_NAME),
        "measurements": [m.model_dump(include=_SHOWN) | {"verdict": m.verdict} for m in found],
        "skipped": report.measurements.skipped,
    }
    show_result(result, _lines(out / REPORT_NAME, found), as_json=as_json)


def _lines(page: Path, found: Sequence[Measurement]) -> list[str]:
    head = ["measure", "value", "95 %", "floor", "n", "", "goal"]
    rows = [
        [" ".join(filter(None, (m.name, m.arm, m.label))), _short(m.value),
         _interval(m.low, m.high), _short(m.floor), m.n_synthetic,
         "" if m.reliable else "small n", "" if m.verdict == "no goal" else m.verdict]
        for m in found
    ]  # fmt: skip
    return [str(page), *table(head, rows)]


def _compare(reports: Sequence[Path], out: Path | None, *, as_json: bool) -> None:
    from cards.compare import COMPARISON_NAME, compare, read_reports
    from cards.compare_page import (
        COMPARISON_PAGE_NAME,
        comparison_rows,
        headline,
        render_comparison,
    )
    from curation.output import refuse_existing, whole_directory, write_whole

    if out is not None:
        refuse_existing(out)
    found = compare(read_reports(reports))
    text = found.model_dump_json(indent=2) + "\n"
    if out is not None:
        job = {"stage": "compare", "synthetic": [report.synthetic for report in found.reports]}
        with whole_directory(out, job) as partial:
            write_whole(partial / COMPARISON_PAGE_NAME, render_comparison(found).encode())
            write_whole(partial / COMPARISON_NAME, text.encode())
    head, rows = comparison_rows(found)
    lines = [headline(found), *table(head, rows, left=len(head))]
    if out is not None:
        lines.insert(0, str(out / COMPARISON_PAGE_NAME))
    page = None if out is None else str(out / COMPARISON_PAGE_NAME)
    show_result({"page": page, **found.model_dump(mode="json")}, lines, as_json=as_json)


def _short(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}"


def _interval(low: float | None, high: float | None) -> str:
    return "–" if low is None or high is None else f"{low:.3g} to {high:.3g}"
