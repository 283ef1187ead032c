"""The verb `verify`: is a release still what was released?"""

from __future__ import annotations

from typing import Annotated

import typer

from .console import progress_bars, show_result
from .verb import AsJson, fail, verb


def add_verify_verb(app: typer.Typer) -> None:
    """Add the verb to the command line."""
    app.command()(verify)


@verb
def verify(
    target: Annotated[
        str, typer.Argument(help="A release, a dataset folder of it, or ORG/NAME@1.2.0.")
    ],
    as_json: AsJson = False,
) -> None:
    """Compare a release with its own checksums, schema, splits, gates and card; works offline."""
    from cards.verify import verify as run

    with progress_bars() as progress:
        found = run(target, progress=progress)
    lines = [f"{target}  version {found.version}"]
    lines += [f"  {c.state:<8}{c.dataset}  {c.name}: {c.detail}" for c in found.checks]
    result = {**found.model_dump(mode="json"), "whole": found.whole}
    show_result(result, lines, as_json=as_json)
    failed = [f"{c.dataset} {c.name}: {c.detail}" for c in found.checks if c.state == "failed"]
    if failed:
        fail("error: " + "; ".join(failed))
