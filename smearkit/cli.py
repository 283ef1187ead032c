"""The command line: one verb per stage. Heavy imports wait until a verb needs them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from .check_card_verb import add_check_card_verb
from .console import progress_bars, say, show_result, table
from .diff_verb import add_diff_verb
from .evaluate_verb import add_evaluate_verb
from .options import pairs, resolve
from .overlap_verb import add_overlap_verb
from .privacy_verbs import add_privacy_verbs
from .publish_verb import add_publish_verb
from .release_verb import add_release_verb
from .sample_verb import add_sample_verb
from .train_verb import add_train_verb
from .validate_verbs import add_validate_verbs
from .verb import AsJson, ConfigFile, Out, verb
from .verify_verb import add_verify_verb
from .withdraw_verb import add_withdraw_verb

app = typer.Typer(
    name="smearkit",
    help="Blood-smear exports in, two trustworthy dataset releases out.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

add_privacy_verbs(app)
add_validate_verbs(app)
add_overlap_verb(app)


@app.command()
@verb
def demo(
    out: Annotated[Path, typer.Option("--out", "-o", help="Directory to make.")] = Path("demo-out"),
    inception: Annotated[Path | None, typer.Option(help="Folder with the FID network.")] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Few cells and little training; a smoke test.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Run everything below on a built-in corpus of drawn cells; minutes on two CPU cores."""
    from .demo import run_demo

    result = run_demo(out, inception=inception, quick=quick, say=say)
    show_result(result.as_dict(), result.lines(), as_json=as_json)


@app.command()
@verb
def curate(
    sources: Annotated[
        list[str], typer.Argument(help="Folders, Parquet files, or hf://datasets/…")
    ],
    out: Out,
    vault: Annotated[
        Path | None, typer.Option(help="Where keys stay; default OUT-vault. Never publish it.")
    ] = None,
    quarantine: Annotated[
        Path | None, typer.Option(help="Where unusable files go; default OUT-quarantine.")
    ] = None,
    add_to: Annotated[
        Path | None, typer.Option(help="Corpus to add to; its cells and splits stay. Its vault.")
    ] = None,
    against: Annotated[
        list[Path] | None,
        typer.Option("--against", help="Corpus whose cells are looked for here. Repeatable."),
    ] = None,
    drop_overlap: Annotated[
        bool | None,
        typer.Option("--drop-overlap", help="With --against: drop what it shows, too."),
    ] = None,
    config_file: ConfigFile = None,
    label_column: Annotated[str | None, typer.Option(help="Column of the label.")] = None,
    image_column: Annotated[str | None, typer.Option(help="Column of the image.")] = None,
    subject_column: Annotated[str | None, typer.Option(help="Column of the patient.")] = None,
    slide_column: Annotated[str | None, typer.Option(help="Column of the slide.")] = None,
    site_column: Annotated[str | None, typer.Option(help="Column of the laboratory.")] = None,
    drop_column: Annotated[
        list[str] | None,
        typer.Option("--drop-column", help="Column the policy does not know. Repeatable."),
    ] = None,
    policy: Annotated[
        Path | None, typer.Option(help="What becomes of columns: see `smearkit policy show`.")
    ] = None,
    boxes: Annotated[
        Path | None, typer.Option(help="Table of boxes: cells are cut from the source's fields.")
    ] = None,
    box_margin: Annotated[
        float | None, typer.Option(help="With --boxes: margin, as a share of the longer side.")
    ] = None,
    box_edge: Annotated[
        Literal["drop", "clip", "pad"],
        typer.Option(help="With --boxes: drop cells that the field's edge cuts, clip or pad."),
    ] = "drop",
    reencode: Annotated[
        bool | None, typer.Option("--reencode", help="Encode JPEG anew too, as PNG.")
    ] = None,
    redact: Annotated[
        bool, typer.Option("--redact", help="Blank burned-in text instead of quarantining.")
    ] = False,
    text_search: Annotated[
        bool, typer.Option("--text/--no-text", help="Search images for burned-in text.")
    ] = True,
    small_groups: Annotated[
        str | None,
        typer.Option(help="Cells like too few subjects': report, generalise or drop."),
    ] = None,
    near: Annotated[
        bool | None,
        typer.Option("--near/--no-near", help="Search for turned, cropped, recompressed copies."),
    ] = None,
    drop_flagged: Annotated[
        str | None,
        typer.Option(help="Checks whose flagged cells are dropped: focus,empty (default none)."),
    ] = None,
    engine: Annotated[
        str, typer.Option(help="auto, local, processes, ray or ray://HOST:PORT.")
    ] = "auto",
    verbose_private: Annotated[
        bool, typer.Option("--verbose-private", help="Show source file names in errors.")
    ] = False,
    map_label: Annotated[
        list[str] | None, typer.Option(help="OWN=KNOWN: what a label of yours means. Repeatable.")
    ] = None,
    drop_unknown_labels: Annotated[
        bool | None,
        typer.Option("--drop-unknown-labels", help="Drop (and count) unknown labels."),
    ] = None,
    source_name: Annotated[str | None, typer.Option(help="What the card calls the source.")] = None,
    license_id: Annotated[
        str | None, typer.Option("--license", help="Licence of the cells, as a Hub id: cc-by-4.0.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Turn raw smear images into a curated corpus: pixels only, no duplicates, fair splits."""
    from curation.curate import CurateConfig
    from curation.curate import curate as run
    from curation.curation_report import read_report
    from curation.dedupe.report import duplicate_lines
    from curation.deidentify.policy import load_policy
    from curation.deidentify.vault import default_vault
    from curation.overlap_report import overlap_lines, read_overlap
    from curation.sources.box_source import open_boxes
    from curation.sources.source import Source
    from curation.validate.checks import check_lines

    from .privacy_lines import privacy_lines, privacy_record

    text = "off" if not text_search else "redact" if redact else None
    flags = {
        "label_column": label_column, "image_column": image_column,
        "subject_column": subject_column, "slide_column": slide_column,
        "site_column": site_column, "label_map": pairs(map_label, "--map-label"),
        "drop_unknown_labels": drop_unknown_labels, "source_name": source_name,
        "license": license_id, "drop_columns": drop_column or None, "reencode": reencode,
        "text": text, "small_groups": small_groups, "near_duplicates": near,
        "drop_flagged": None if drop_flagged is None else drop_flagged.split(","),
        "drop_overlap": drop_overlap,
    }  # fmt: skip
    config = resolve(CurateConfig, {}, config_file, flags)
    if redact and not text_search:
        raise typer.BadParameter("--redact needs the search that --no-text turns off")
    if drop_overlap and not against:
        raise typer.BadParameter("--drop-overlap needs a corpus to compare with: --against")
    if boxes is not None and len(sources) != 1:
        raise typer.BadParameter("--boxes goes with one source: the folder of fields")
    given: list[str | Source] = list(sources)
    if boxes is not None:
        given = [open_boxes(Path(sources[0]), boxes, margin=box_margin or 0.0, edge=box_edge)]
    with progress_bars() as progress:
        corpus = run(
            given, out, config, policy=load_policy(policy), vault=vault, quarantine=quarantine,
            add_to=add_to, against=against or (), verbose_private=verbose_private, engine=engine,
            progress=progress,
        )  # fmt: skip
    place = vault or default_vault(add_to or out)
    shared = read_overlap(out / "reports") if against else None
    found, report = corpus.manifest, read_report(out)
    result = {
        "corpus": str(out), "fingerprint": found.fingerprint, "n_in": found.n_in,
        "n_out": found.n_out, "dropped": found.dropped, "classes": found.class_totals(),
        "splits": found.splits, "duplicate_groups": found.duplicate_groups,
        "conflicts": found.conflicts, "quarantined": found.quarantined,
        "vault": str(place), "parents": found.parents,
        "overlap": None if shared is None else shared.model_dump(mode="json"),
        "deidentification": privacy_record(found).model_dump(mode="json"),
    }  # fmt: skip
    dropped = ", ".join(f"{reason} {count}" for reason, count in found.dropped.items()) or "none"
    lines = [
        f"{out}  {found.n_in} images in, {found.n_out} cells out; dropped: {dropped}",
        f"  {found.quarantined} files quarantined",
        *(f"  {line}" for line in duplicate_lines(report.duplicates)),
        *(f"  {line}" for line in (overlap_lines(shared) if shared else [])),
        *(f"  {line}" for line in check_lines(report.checks)),
        f"  {acquisition_line(report.acquisitions)}",
        f"  splits by {found.grouped_by.replace('_', ' ')}; fingerprint {found.fingerprint}",
        *privacy_lines(found, out, place),
        *_class_table(found.classes),
    ]
    show_result(result, lines, as_json=as_json)


def acquisition_line(sizes: tuple[int, ...]) -> str:
    """Return what a person reads of the acquisitions that were told apart."""
    if len(sizes) < 2:
        return "one acquisition: backgrounds, sizes and encoders are all alike"
    counts = ", ".join(map(str, sizes[:5])) + (", …" if len(sizes) > 5 else "")
    return (
        f"{len(sizes)} acquisitions ({counts} cells): `smearkit validate` tells which classes are "
        "bound to one"
    )


def _class_table(classes: dict[str, dict[str, int]]) -> list[str]:
    labels = list(dict.fromkeys(label for counts in classes.values() for label in counts))
    rows = [[label, *(classes[split].get(label, 0) for split in classes)] for label in labels]
    return table(["class", *classes], rows)


add_train_verb(app)
add_sample_verb(app)
add_evaluate_verb(app)


add_release_verb(app)
add_check_card_verb(app)
add_verify_verb(app)
add_diff_verb(app)
add_withdraw_verb(app)
add_publish_verb(app)


@app.command()
@verb
def inspect(
    path: Annotated[Path, typer.Argument(help="A corpus, generator, report or release.")],
    verify: Annotated[
        bool, typer.Option("--verify", help="Read and compare every byte of a corpus.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Tell what a directory is, whether it is whole, and what it holds."""
    from .inspection import inspect as run

    found = run(path, verify=verify)
    whole = "complete" if found.complete else f"NOT complete: {found.problem}"
    lines = [f"{path}  {found.kind}, {whole}"]
    if found.fingerprint:
        lines.append(f"  fingerprint {found.fingerprint}")
    if found.splits:
        lines.append("  " + ", ".join(f"{split} {rows}" for split, rows in found.splits.items()))
    if found.classes:
        lines += table(["class", "cells"], list(found.classes.items()))
    show_result(found.model_dump(), lines, as_json=as_json)


@app.command()
@verb
def vocabulary(as_json: AsJson = False) -> None:
    """List every label with its ontology ids and the aliases that are understood."""
    from curation.vocabulary import CELL_TYPES, VOCABULARY_VERSION

    entries = [
        {"name": c.name, "rollup": c.rollup, "cl": c.cl, "loinc": c.loinc, "aliases": c.aliases}
        for c in CELL_TYPES
    ]
    lines = [f"{c.name:<34}{c.cl or '–':<12}{', '.join(c.aliases)}" for c in CELL_TYPES]
    show_result({"version": VOCABULARY_VERSION, "labels": entries}, lines, as_json=as_json)


def main() -> None:
    """Run the command line."""
    try:
        app()
    except BrokenPipeError:  # the reader of stdout has gone, as with `| head`
        sys.stderr.close()
        raise SystemExit(1) from None
