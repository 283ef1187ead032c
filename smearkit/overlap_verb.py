"""The verb `overlap`: cells that two corpora share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .console import progress_bars, show_result
from .verb import AsJson, verb


def add_overlap_verb(app: typer.Typer) -> None:
    """Add the verb to the command line."""
    app.command()(overlap)


@verb
def overlap(
    corpus: Annotated[Path, typer.Argument(help="A corpus.")],
    other: Annotated[Path, typer.Argument(help="Another, whose cells are looked for in it.")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Directory to make, for the pairs.")
    ] = None,
    engine: Annotated[
        str, typer.Option(help="auto, local, processes, ray or ray://HOST:PORT.")
    ] = "auto",
    as_json: AsJson = False,
) -> None:
    """Find cells of one corpus that another also shows, whichever way they were turned."""
    from curation.overlap_report import overlap as run
    from curation.overlap_report import overlap_lines

    with progress_bars() as progress:
        report = run(corpus, other, out, engine=engine, progress=progress)
    lines = [f"{corpus} against {other}", *(f"  {line}" for line in overlap_lines(report))]
    if out is not None:
        lines.append(f"  pairs: {out / 'overlap.parquet'}")
    show_result(report.model_dump(mode="json"), lines, as_json=as_json)
