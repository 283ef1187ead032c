"""The verb `release`: two dataset folders of one version, past every gate."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .console import progress_bars, show_result
from .verb import AsJson, Out, verb


def add_release_verb(app: typer.Typer) -> None:
    """Add the verb to the command line."""
    app.command()(release)


@verb
def release(
    real: Annotated[Path, typer.Option(help="The real corpus.")],
    synthetic: Annotated[Path, typer.Option(help="The synthetic corpus.")],
    report: Annotated[Path, typer.Option(help="What `smearkit evaluate` made of the two.")],
    version: Annotated[str, typer.Option(help="MAJOR.MINOR.PATCH.")],
    out: Out,
    name: Annotated[str, typer.Option(help="Title of the cards.")] = "Blood smear cells",
    license_id: Annotated[
        str | None, typer.Option("--license", help="Licence id; default: the rows' own.")
    ] = None,
    vault: Annotated[
        Path | None, typer.Option(help="Vault of the real corpus; default REAL-vault.")
    ] = None,
    previous: Annotated[
        Path | None, typer.Option(help="The release before: rows are compared, changes listed.")
    ] = None,
    about: Annotated[
        Path | None, typer.Option(help="YAML of what only you know: creators, collection, …")
    ] = None,
    repository: Annotated[
        str | None, typer.Option("--repo", help="ORG/NAME on the Hub, for the cards' links.")
    ] = None,
    gated: Annotated[
        bool, typer.Option("--gated", help="The real dataset is to be asked for on the Hub.")
    ] = False,
    validation: Annotated[
        Path | None, typer.Option(help="What `smearkit validate` made: confounders in the card.")
    ] = None,
    date: Annotated[
        str | None, typer.Option(help="Day of the release, YYYY-MM-DD; default today.")
    ] = None,
    override: Annotated[
        list[str] | None, typer.Option(help="Gate to override; the card says so. Repeatable.")
    ] = None,
    public: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TEXT",
            help="May be published though the source holds it, such as "
            "the hospital's name. Repeatable.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make the two dataset folders of one version; refused unless every gate passes."""
    from cards.release import release as run

    with progress_bars() as progress:
        made = run(
            real, synthetic, report, version, out, name=name, license_id=license_id, vault=vault,
            overrides=override or (), public=public or (), previous=previous, about=about,
            repository=repository, gated=gated, validation=validation, date=date,
            progress=progress,
        )  # fmt: skip
    gates = made.info.gates
    result = {
        "release": str(out), "version": version, "real": str(made.real),
        "synthetic": str(made.synthetic), "gates": {gate.name: gate.state for gate in gates},
    }  # fmt: skip
    lines = [
        f"{out}  version {version}",
        f"  {made.real}",
        f"  {made.synthetic}",
        *(f"  {gate.state:<10}  {gate.name}: {gate.detail}" for gate in gates),
    ]
    show_result(result, lines, as_json=as_json)
