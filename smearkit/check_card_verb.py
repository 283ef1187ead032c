"""The verb `check-card`: every number of a card anew."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .console import show_result
from .verb import AsJson, fail, verb


def add_check_card_verb(app: typer.Typer) -> None:
    """Add the verb to the command line."""
    app.command("check-card")(check_card)


@verb
def check_card(
    path: Annotated[Path, typer.Argument(help="A release, or one dataset folder of it.")],
    as_json: AsJson = False,
) -> None:
    """Recompute every number of a card from the rows and the reports; fail on any difference."""
    from cards.check_card import check_card as run

    faults = run(path)
    lines = [str(fault) for fault in faults]
    result = {"path": str(path), "faults": [fault.model_dump(mode="json") for fault in faults]}
    show_result(result, lines or [f"{path}  every number fits"], as_json=as_json)
    if faults:
        fail(f"error: {len(faults)} thing(s) in the card of {path} do not fit what is there")
