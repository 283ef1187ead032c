"""The verbs about privacy: policy, review, audit, vault."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .console import progress_bars, say, show_result, table
from .verb import AsJson, Out, fail, verb

policy_app = typer.Typer(help="What becomes of the columns of a source.", no_args_is_help=True)
vault_app = typer.Typer(help="The keys and names of a curation.", no_args_is_help=True)


def add_privacy_verbs(app: typer.Typer) -> None:
    """Add the verbs to the command line."""
    app.add_typer(policy_app, name="policy")
    app.add_typer(vault_app, name="vault")
    app.command()(audit)
    app.command()(review)
    app.command()(deidentify)


@policy_app.command("show")
@verb
def policy_show(
    policy: Annotated[
        Path | None, typer.Argument(help="A policy file; default: the one that is built in.")
    ] = None,
) -> None:
    """Print a policy, to copy and change; a file is checked first."""
    from curation.deidentify.policy import load_policy, policy_text

    load_policy(policy)
    print(policy_text(policy), end="")


@policy_app.command("check")
@verb
def policy_check(
    policy: Annotated[str, typer.Argument(help="A policy file, or 'default'.")],
    source: Annotated[str, typer.Argument(help="A folder, Parquet file, or hf://datasets/…")],
    as_json: AsJson = False,
) -> None:
    """List what would become of every column and element of a source; exit status 1 if refused."""
    from curation.deidentify.policy import load_policy
    from curation.deidentify.policy_check import check_policy, lines
    from curation.sources import Columns, open_source

    rules = load_policy(None if policy == "default" else policy)
    found = check_policy(rules, open_source(source, Columns()))
    refused = [entry.column for entry in found if entry.is_refused]
    result = {
        "policy": rules.name,
        "columns": [
            {"column": e.column, "action": e.action, "to": e.into, "values": e.values,
             "unexpected": e.unexpected, "refused": e.is_refused}
            for e in found
        ],
    }  # fmt: skip
    head = ["column", "becomes", "as", ""]
    rows = table(head, list(lines(found)), left=4) if found else ["  no columns beside the cells"]
    show_result(result, [f"policy {rules.name}, {len(found)} columns", *rows], as_json=as_json)
    if refused:
        fail(
            f"error: `smearkit curate` would refuse this source because of {', '.join(refused)}. "
            "Next: add rules (`smearkit policy show` prints a policy to copy), or --drop-column"
        )


@verb
def audit(
    path: Annotated[Path, typer.Argument(help="A corpus, report or release; or one file.")],
    against: Annotated[Path, typer.Option(help="The vault of what it was made from.")],
    public: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TEXT", help="Not searched for, being meant to be public. Repeatable."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Search every byte for every identifier that the vault saw; exit status 1 on a hit."""
    from curation.deidentify.leaks import scan_for_leaks
    from curation.deidentify.vault import read_vault
    from curation.errors import SmearkitError

    from .audit_lines import scan_lines, scan_result

    if not path.exists():
        raise SmearkitError(f"{path} does not exist; give a corpus, report, release or a file")
    with progress_bars() as progress:
        vault = read_vault(against)
        scan = scan_for_leaks(path, vault, progress, published=public or ())
    show_result(scan_result(scan), scan_lines(path, scan), as_json=as_json)
    if not scan.clean:
        raise SystemExit(1)


@verb
def review(
    quarantine: Annotated[Path, typer.Argument(help="What `curate` put aside.")],
    vault: Annotated[
        Path | None, typer.Option(help="Where decisions go; default: the vault beside it.")
    ] = None,
    by: Annotated[str | None, typer.Option(help="Who decides: a name or initials.")] = None,
    port: Annotated[int, typer.Option(min=0, help="0: any free one.")] = 0,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open it.")] = True,
) -> None:
    """Decide in a browser what becomes of quarantined images: accept, redact or drop."""
    from .review.serve import serve, vault_beside

    place = vault or vault_beside(quarantine)
    outcome = serve(quarantine, place, port, open_browser=browser, by=by)
    say(f"{outcome.decided} of {outcome.total} decided")
    say(f"next: smearkit curate SOURCE --out CORPUS --vault {place}  (applies the decisions)")


@verb
def deidentify(
    source: Annotated[Path, typer.Argument(help="A folder of DICOM files.")],
    out: Out,
    vault: Annotated[
        Path | None, typer.Option(help="Where keys stay; default OUT-vault. Never publish it.")
    ] = None,
    text_search: Annotated[
        bool, typer.Option("--text/--no-text", help="Search frames for burned-in text.")
    ] = True,
    as_json: AsJson = False,
) -> None:
    """Write DICOM files without what identifies: PS3.15 basic profile, dates moved, UIDs keyed."""
    from dataclasses import asdict

    from curation.deidentify.dicom.files import deidentify_files
    from curation.deidentify.text import TextFinder
    from curation.deidentify.vault import default_vault
    from curation.pixels import Pixels

    finder = TextFinder()

    def has_text(pixels: Pixels) -> bool:
        return bool(finder.look(pixels, whole_field=True).hits)

    place = vault or default_vault(out)
    found = deidentify_files(
        source, out, place,
        screen=has_text if text_search else None,
    )  # fmt: skip
    refused = [asdict(entry) for entry in found.refused]
    result = {
        "out": str(out), "vault": str(place), "files": found.files, "written": found.written,
        "frames": found.frames, "not_dicom": found.others, "refused": refused,
        "unknown": dict(found.unknown), "broken": dict(found.broken),
    }  # fmt: skip
    rows = [[f"file {r['position']} (id {r['short_id']})", str(r["reason"])] for r in refused]
    lines = [
        f"{out}  {found.written} of {found.files} DICOM files written, {found.frames} frames; "
        f"{found.others} other files left out",
        *(table(["refused", "because"], rows, left=2) if rows else []),
        *(f"  left out, in no dictionary: {name} ({n} files)" for name, n in found.unknown.items()),
        *(f"  left out, broken: {name} ({n} files)" for name, n in found.broken.items()),
        f"  keys and names: {place} (never publish it)",
    ]
    show_result(result, lines, as_json=as_json)


@vault_app.command("rotate")
@verb
def vault_rotate(
    vault: Annotated[Path, typer.Argument(help="A vault.")], as_json: AsJson = False
) -> None:
    """Give a vault a new key: what is curated next cannot be joined with earlier releases."""
    from curation.deidentify.vault import rotate_vault

    old, new = rotate_vault(vault)
    result = {"vault": str(vault), "retired": old.key_id, "key_id": new.key_id}
    lines = [
        f"{vault}  key {new.key_id} takes the place of {old.key_id}, which is kept in retired/",
        "  curate again: what is released next cannot be joined with what was released before",
        "  nor can cells be added (--add-to) to a corpus that was curated under the old key",
    ]
    show_result(result, lines, as_json=as_json)


@vault_app.command("show")
@verb
def vault_show(
    vault: Annotated[Path, typer.Argument(help="A vault.")], as_json: AsJson = False
) -> None:
    """Tell what a vault holds, in numbers; no key and no identifier is shown."""
    from collections import Counter

    from curation.dedupe.index import indexed_corpora
    from curation.deidentify.decisions import read_decisions
    from curation.deidentify.released import made_releases
    from curation.deidentify.vault import all_keys, read_identifiers

    keys = all_keys(vault)
    kinds = Counter(kind for kind, _ in read_identifiers(keys[0]))
    decisions = Counter(decision.action for decision in read_decisions(vault).values())
    releases = [made.model_dump() for made in made_releases(keys[0])]
    indexes = indexed_corpora(vault, keys[0].key_id)
    result = {
        "vault": str(vault), "key_id": keys[0].key_id, "retired": [k.key_id for k in keys[1:]],
        "identifiers": dict(kinds), "decisions": dict(decisions), "releases": releases,
        "indexes": indexes,
    }  # fmt: skip
    lines = [
        f"{vault}  key {keys[0].key_id}; retired: {len(keys) - 1}",
        *table(["identifiers", "number"], list(kinds.items())),
        *(table(["decisions", "number"], list(decisions.items())) if decisions else []),
        *(f"  cells can be added to corpus {name}" for name in indexes),
        *(f"  released: {r['name']} {r['version']} under key {r['key_id']}" for r in releases),
    ]
    show_result(result, lines, as_json=as_json)
