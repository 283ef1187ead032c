"""The command line: one verb per stage. Heavy imports wait until a verb needs them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from curation.errors import SmearkitError

from .console import progress_bars, say, show_result, table
from .options import pairs, resolve
from .overlap_verb import add_overlap_verb
from .privacy_verbs import add_privacy_verbs
from .sample_verb import add_sample_verb
from .train_verb import add_train_verb
from .validate_verbs import add_validate_verbs
from .verb import AsJson, ConfigFile, Out, verb

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


@app.command()
@verb
def evaluate(
    real: Annotated[Path, typer.Option(help="The real corpus that the generator learned from.")],
    synthetic: Annotated[Path, typer.Option(help="A synthetic corpus.")],
    out: Out,
    inception: Annotated[
        Path | None, typer.Option(help="Folder with inception-2015-12-05.pt.")
    ] = None,
    download_inception: Annotated[
        bool, typer.Option("--download-inception", help="Let clean-fid download its network.")
    ] = False,
    config_file: ConfigFile = None,
    max_per_class: Annotated[
        int | None, typer.Option(help="Cells a class and side for KID and FID.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Measure synthetic cells against held-out real ones, and write the report."""
    from synth.evaluate import EvaluateConfig
    from synth.measure.measurement import REPORT_NAME

    from .evaluation import evaluate as run

    config = resolve(EvaluateConfig, {}, config_file, {"max_per_class": max_per_class})
    with progress_bars() as progress:
        report = run(
            real, synthetic, out, config, inception=inception,
            download_inception=download_inception, progress=progress,
        )  # fmt: skip
    keys = {
        "name", "label", "value", "low", "high", "n_real", "n_synthetic", "floor", "extractor",
        "reliable",
    }  # fmt: skip
    found = report.measurements.measurements
    page = out / REPORT_NAME
    result = {
        "report": str(page),
        "measurements": [entry.model_dump(include=keys) for entry in found],
        "skipped": report.measurements.skipped,
    }
    rows = [
        [f"{m.name} {m.label}", _short(m.value), _interval(m.low, m.high), _short(m.floor),
         m.n_synthetic, "" if m.reliable else "small n"]
        for m in found
    ]  # fmt: skip
    lines = [str(page), *table(["measure", "value", "95 %", "floor", "n", ""], rows)]
    show_result(result, lines, as_json=as_json)


def _short(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}"


def _interval(low: float | None, high: float | None) -> str:
    return "–" if low is None or high is None else f"{low:.3g} to {high:.3g}"


@app.command()
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
            overrides=override or (), public=public or (), progress=progress,
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


@app.command()
@verb
def publish(
    release_folder: Annotated[Path, typer.Argument(metavar="RELEASE", help="What `release` made.")],
    repo: Annotated[str, typer.Option(help="ORG/NAME on the Hub.")],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="List what would be sent, send nothing.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """List what would be sent to the Hub (sending itself is not in this version)."""
    from cards.hub import publication_plan

    plan = publication_plan(release_folder, repo)
    if not dry_run:
        raise SmearkitError(
            "this version cannot send anything yet. Next: --dry-run lists what would be sent; "
            "`hf upload` can send the two folders by hand"
        )
    lines = [
        f"{entry.repository}  version {plan.version}: {len(entry.files)} files, "
        f"{sum(entry.files.values()) / 1e6:.1f} MB"
        for entry in plan.repositories
    ]
    for entry in plan.repositories:
        lines += [f"  {size:>12,}  {entry.repository}/{file}" for file, size in entry.files.items()]
    show_result(plan.model_dump(mode="json"), lines, as_json=as_json)


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
