"""The verb `withdraw`: the next version without the cells of some patients."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from curation.errors import SmearkitError

from .console import progress_bars, show_result
from .verb import AsJson, Out, verb

_STDIN = "-"
_LEARNED = {
    "yes": "learned from {} of them",
    "no": "did not learn from them",
    "unknown": "unknown; give the release of its training corpus with --also",
}


def add_withdraw_verb(app: typer.Typer) -> None:
    """Add the verb to the command line."""
    app.command()(withdraw)


@verb
def withdraw(
    subjects: Annotated[
        str,
        typer.Argument(
            metavar="FILE",
            help="Patients as the source names them, one a line; - reads them from stdin.",
        ),
    ],
    release: Annotated[Path, typer.Option(help="The latest release that holds them.")],
    out: Out,
    vault: Annotated[Path, typer.Option(help="Vault of its corpus: it knows the key.")],
    version: Annotated[
        str | None, typer.Option(help="Version to make; default: the next MAJOR one.")
    ] = None,
    date: Annotated[str | None, typer.Option(help="Day, YYYY-MM-DD; default today.")] = None,
    also: Annotated[
        list[Path] | None,
        typer.Option(help="Other release, synthetic corpus or generator to look at. Repeatable."),
    ] = None,
    corpus_out: Annotated[
        Path | None, typer.Option(help="Directory to make: the corpus that is left, to train on.")
    ] = None,
    override: Annotated[
        list[str] | None, typer.Option(help="Gate to override; the card says so. Repeatable.")
    ] = None,
    public: Annotated[
        list[str] | None,
        typer.Option(metavar="TEXT", help="May be published, as for `release`. Repeatable."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make the next version without withdrawn patients; tell what learned from them."""
    from cards.withdraw import withdraw as run

    with progress_bars() as progress:
        made = run(
            _read(subjects), release, out, vault=vault, version=version, date=date,
            also=also or (), corpus_out=corpus_out, overrides=override or (), public=public or (),
            progress=progress,
        )  # fmt: skip
    found = made.withdrawal
    result: dict[str, Any] = {
        "release": str(out), "version": found.version, "subjects": found.subjects,
        "cells": found.cells, "training_cells": found.trained, "unknown": made.unknown,
        "earlier_versions": list(made.earlier), "notice": str(made.notice),
        "trained": [one.model_dump(mode="json") for one in made.trained],
        "corpus": None if corpus_out is None else str(corpus_out),
    }  # fmt: skip
    lines = [
        f"{out}  version {found.version}: {found.cells} cells of {found.subjects} subject(s) gone",
        *([f"  {made.unknown} of those given have no cell here"] if made.unknown else []),
        f"  they are still in {', '.join(made.earlier)}: delete or hide these",
        *(f"  {one.what}: {_LEARNED[one.learned].format(one.cells)}" for one in made.trained),
        f"  notice: {made.notice}",
    ]
    show_result(result, lines, as_json=as_json)


def _read(subjects: str) -> list[str]:
    """Return the lines of the file, or of stdin; what they hold is never said."""
    try:
        text = sys.stdin.read() if subjects == _STDIN else Path(subjects).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        # What was given may be a patient's name instead of a file's.
        raise SmearkitError(
            f"the file of subjects cannot be read: {why}. Next: give a file with one subject a "
            "line, or - and write them to stdin"
        ) from None
    return text.splitlines()
