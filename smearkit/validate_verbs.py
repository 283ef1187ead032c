"""The verb `validate`: doubtful labels and acquisition shortcuts of a corpus."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .console import progress_bars, show_result, table
from .options import resolve
from .verb import AsJson, ConfigFile, Out, verb

if TYPE_CHECKING:
    from .validation import ValidationReport


def add_validate_verbs(app: typer.Typer) -> None:
    """Add the verb to the command line."""
    app.command()(validate)


@verb
def validate(
    corpus: Annotated[Path, typer.Argument(help="A curated corpus.")],
    out: Out,
    vault: Annotated[
        Path | None, typer.Option(help="Vault of the corpus; default CORPUS-vault.")
    ] = None,
    config_file: ConfigFile = None,
    most_pictures: Annotated[
        int | None, typer.Option(min=1, help="Most doubtful labels to queue for a person.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of folds and samples.")] = None,
    as_json: AsJson = False,
) -> None:
    """Find doubtful labels, and classes that can be told by how their pictures were taken."""
    from .validation import PAGE_NAME, ValidateConfig
    from .validation import validate as run

    flags = {"most_pictures": most_pictures, "seed": seed}
    config = resolve(ValidateConfig, {}, config_file, flags)
    with progress_bars() as progress:
        report = run(corpus, out, config, vault=vault, progress=progress)
    result = {"validation": str(out), "report": str(out / PAGE_NAME),
              **report.model_dump(mode="json")}  # fmt: skip
    show_result(result, _lines(out, report), as_json=as_json)


def _lines(out: Path, report: ValidationReport) -> list[str]:
    labels, ways = report.labels, report.acquisitions
    lines = [f"{out}  {report.n} cells validated (private: never publish it)"]
    if labels is None:
        lines.append(f"  labels were not audited: {report.not_audited}")
    else:
        share = f"{100 * (labels.accuracy or 0):.1f} %"
        lines.append(
            f"  {labels.suspicious} doubtful labels, {report.queued} queued; "
            f"the model agrees with {share} of {labels.judged}"
        )
        rows = [[c.given, c.suggested, c.suspicious] for c in labels.confusions[:8]]
        lines += table(["labelled", "looks like", "cells"], rows, left=2) if rows else []
    lines.append(
        f"  {len(ways.acquisitions)} acquisitions: "
        + ", ".join(f"{way.cells} cells on rgb{way.background}" for way in ways.acquisitions)
    )
    for entry in ways.classes:
        if entry.confounded:
            lines.append(
                f"  {entry.label}: {100 * entry.share:.0f} % lie in acquisition "
                f"{entry.acquisition + 1}, {100 * entry.others:.1f} % of the other cells do"
            )
    if not ways.confounded:
        lines.append("  no class is bound to one acquisition")
    lines.append(f"  next: smearkit review {out}  (decide about the labels)")
    return lines
