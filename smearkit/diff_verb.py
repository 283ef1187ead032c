"""The verb `diff`: what changed between two versions, row by row, and the version it asks for."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .console import show_result
from .verb import AsJson, fail, verb


def add_diff_verb(app: typer.Typer) -> None:
    """Add the verb to the command line."""
    app.command()(diff)


@verb
def diff(
    old: Annotated[Path, typer.Argument(help="A release, or a corpus.")],
    new: Annotated[Path, typer.Argument(help="The one after it.")],
    as_json: AsJson = False,
) -> None:
    """Compare two releases or corpora by row: added, removed, relabelled, moved between splits."""
    from cards.changelog import difference_lines
    from cards.diff import diff as run

    found = run(old, new)
    lines = [f"{old} -> {new}: {found.bump}"]
    for one in found.datasets:
        lines.append(f"  {one.kind}: {one.kept} rows kept")
        lines += [f"    {line}" for line in difference_lines(one)]
        for what, ids in one.examples.items():
            lines.append(f"    {what}, first: {', '.join(ids)}")
    result = {**found.model_dump(mode="json"), "bump": found.bump, "moved": found.moved}
    show_result(result, lines, as_json=as_json)
    if found.moved:
        fail(
            f"error: {found.moved} row(s) moved between splits: what was trained on one version "
            "would be tested on cells that it has seen"
        )
