"""The verb `publish`: a release to the Hub, to another place or into one file; or a generator."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from .console import progress_bars, say, show_result
from .verb import AsJson, verb

if TYPE_CHECKING:
    from cards.publication import Publication
    from cards.publication_plan import DryRun, RepositoryDryRun

_STANDING = {
    "absent": "would be made", "open": "gets a pull request", "tagged": "stands already",
    "merged": "is merged and only lacks its tag",
}  # fmt: skip


def add_publish_verb(app: typer.Typer) -> None:
    """Add the verb to the command line."""
    app.command()(publish)


@verb
def publish(
    release_folder: Annotated[
        Path | None, typer.Argument(metavar="RELEASE", help="What `release` made.")
    ] = None,
    repo: Annotated[str | None, typer.Option(help="ORG/NAME on the Hub.")] = None,
    to: Annotated[
        str | None, typer.Option("--to", metavar="URL", help="Another place: s3://…, file://….")
    ] = None,
    archive: Annotated[
        Path | None, typer.Option(metavar="FILE.tar", help="One file, as for Zenodo.")
    ] = None,
    generator: Annotated[
        Path | None, typer.Option(help="A generator, as a model repository, in place of RELEASE.")
    ] = None,
    report: Annotated[
        Path | None, typer.Option(help="With --generator: what `evaluate` measured of it.")
    ] = None,
    dataset: Annotated[
        str | None, typer.Option(help="With --generator: ORG/NAME of the real cells.")
    ] = None,
    private: Annotated[
        bool, typer.Option("--private", help="Make the real dataset, or the model, private.")
    ] = False,
    gated: Annotated[
        Literal["auto", "manual"] | None,
        typer.Option(help="Readers of the real dataset ask for access."),
    ] = None,
    read_back: Annotated[
        bool, typer.Option("--read-back", help="Load every byte again before merging.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Tell what would be done, change nothing.")
    ] = False,
    previous: Annotated[
        Path | None,
        typer.Option(help="With --dry-run: the release on the Hub now; tells what Xet saves."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Put both datasets of a release on the Hub under one version, or neither."""
    _check_words(release_folder, repo, to, archive, generator)
    if previous is not None and not dry_run:
        raise typer.BadParameter("--previous goes with --dry-run")
    if generator is not None:
        if dry_run:
            raise typer.BadParameter("--dry-run goes with a RELEASE")
        from cards.publication_generator import publish_generator

        with progress_bars() as progress:
            model = publish_generator(
                generator, str(repo), report=report, dataset=dataset, private=private,
                read_back=read_back, progress=progress,
            )  # fmt: skip
        _show(model, as_json)
        return
    assert release_folder is not None, "looked at above"
    if to is not None:
        _place(release_folder, to, dry_run, as_json)
    elif archive is not None:
        _archive(release_folder, archive, dry_run, as_json)
    elif dry_run:
        from cards.publication_plan import dry_run as run

        plan = run(release_folder, str(repo), private=private, gated=gated, previous=previous)
        show_result(plan.model_dump(mode="json"), _plan_lines(plan), as_json=as_json)
    else:
        from cards.publication import publish as send

        with progress_bars() as progress:
            made = send(
                release_folder, str(repo), private=private, gated=gated, read_back=read_back,
                progress=progress,
            )  # fmt: skip
        _show(made, as_json)


def _check_words(
    release: Path | None, repo: str | None, to: str | None, archive: Path | None,
    generator: Path | None,
) -> None:  # fmt: skip
    if (release is None) == (generator is None):
        raise typer.BadParameter("give a RELEASE, or --generator")
    if sum(place is not None for place in (repo, to, archive)) != 1:
        raise typer.BadParameter("give one place: --repo, --to or --archive")
    if generator is not None and repo is None:
        raise typer.BadParameter("--generator goes to the Hub: --repo")


def _place(release: Path, url: str, dry_run: bool, as_json: bool) -> None:
    if dry_run:
        raise typer.BadParameter("--dry-run goes with --repo")
    from cards.places import place_release

    with progress_bars() as progress:
        placed = place_release(release, url, progress=progress)
    line = (
        f"{placed.url}  version {placed.version}: {placed.files} files, "
        f"{placed.bytes / 1e6:.1f} MB, {placed.sent_bytes / 1e6:.1f} MB sent; all read back"
    )
    show_result(placed.model_dump(mode="json"), [line], as_json=as_json)


def _archive(release: Path, out: Path, dry_run: bool, as_json: bool) -> None:
    if dry_run:
        raise typer.BadParameter("--dry-run goes with --repo")
    from cards.archive import archive_release

    with progress_bars() as progress:
        made = archive_release(release, out, progress=progress)
    lines = [
        f"{made.path}  version {made.version}: {made.files} files, {made.bytes / 1e6:.1f} MB",
        f"  sha256 {made.sha256}",
        f"  md5    {made.md5}",
    ]
    show_result(made.model_dump(mode="json"), lines, as_json=as_json)


def _show(made: Publication, as_json: bool) -> None:
    state = "stood there already, and is as it was sent" if made.already else "published"
    lines = [
        f"{one.repository}@{made.version}  {state}: {one.files} files, {one.bytes / 1e6:.1f} MB, "
        f"commit {one.commit[:8]}"
        for one in made.repositories
    ]
    show_result(made.model_dump(mode="json"), lines, as_json=as_json)


def _plan_lines(plan: DryRun) -> list[str]:
    lines = []
    if plan.unasked is not None:
        say(f"the Hub was not asked, so every file counts as new: {plan.unasked}")
    for entry in plan.repositories:
        state = _STANDING[entry.standing] if plan.unasked is None else "was not asked for"
        words = [
            word for word, is_so in (("private", entry.private), ("gated", entry.gated)) if is_so
        ]
        sent = f"{len(entry.send)} of {len(entry.files)} files, {entry.send_bytes / 1e6:.1f} MB"
        lines.append(
            f"{entry.repository}  version {plan.version}: {', '.join([state, *words])}; send {sent}"
        )
        lines += _file_lines(entry)
    return lines


def _file_lines(entry: RepositoryDryRun) -> list[str]:
    new = set(entry.send)
    lines = [
        f"  {'send' if name in new else 'keep':<6} {size:>14,}  {entry.repository}/{name}"
        for name, size in entry.files.items()
    ]
    lines += [f"  {'remove':<6} {'':>14}  {entry.repository}/{name}" for name in entry.remove]
    if entry.xet is not None:
        lines.append(
            f"  Xet would send {entry.xet.sent_bytes:,} of {entry.xet.total_bytes:,} bytes; "
            f"{entry.xet.deduplicated_bytes:,} are in {entry.xet.against}"
        )
    return lines
