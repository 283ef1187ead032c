"""The verb `sample`: a plan from a corpus or from numbers, shown before any work, then drawn."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from curation.progress import silent

from .console import progress_bars, say, show_result, table
from .options import resolve
from .verb import AsJson, ConfigFile, Out, verb

if TYPE_CHECKING:
    from curation.corpus import Corpus
    from synth.estimate import Estimate
    from synth.generator import GeneratorInfo


def add_sample_verb(app: typer.Typer) -> None:
    """Add the verb to the command line."""
    app.command()(sample)


@verb
def sample(
    out: Out,
    generator: Annotated[
        Path | None, typer.Argument(help="A generator folder; none with --pretrained.")
    ] = None,
    pretrained: Annotated[
        bool, typer.Option("--pretrained", help="Draw with the generator of the package.")
    ] = False,
    balance: Annotated[
        Path | None, typer.Option(help="Corpus whose training split is filled up.")
    ] = None,
    target: Annotated[
        int | None,
        typer.Option(min=1, help="With --balance: cells per class; default the largest."),
    ] = None,
    match: Annotated[
        Path | None,
        typer.Option(help="With --balance: corpus whose class proportions it gets instead."),
    ] = None,
    classes: Annotated[
        list[str] | None, typer.Option("--class", help="Class to draw. Repeatable; default all.")
    ] = None,
    count: Annotated[
        int | None, typer.Option("-n", min=1, help="Cells to draw of each class.")
    ] = None,
    cap: Annotated[
        float | None,
        typer.Option(help="Most synthetic cells for each real one; default 10 with --balance."),
    ] = None,
    select: Annotated[
        Path | None,
        typer.Option(help="Corpus whose real cells say what is kept; default that of --balance."),
    ] = None,
    no_select: Annotated[
        bool, typer.Option("--no-select", help="Keep all but blank cells and equal ones.")
    ] = False,
    keep_drawing: Annotated[
        bool,
        typer.Option("--keep-drawing", help="Draw others for what is dropped, up to four times."),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the plan with its time and size; draw nothing.")
    ] = False,
    guide: Annotated[
        Path | None, typer.Option(help="Weaker generator that guidance goes away from.")
    ] = None,
    sign: Annotated[
        tuple[Path, Path] | None,
        typer.Option(
            metavar="CERT KEY", help="PEM files; each cell gets a C2PA signature. Extra: c2pa."
        ),
    ] = None,
    config_file: ConfigFile = None,
    steps: Annotated[int | None, typer.Option(help="Denoising steps.")] = None,
    guidance: Annotated[float | None, typer.Option(help="1: none; more: clearer classes.")] = None,
    guidance_interval: Annotated[
        tuple[float, float] | None,
        typer.Option(metavar="LOW HIGH", help="Noise levels between which guidance acts."),
    ] = None,
    acquisition: Annotated[
        int | None, typer.Option(min=0, help="Acquisition of all cells; default its class' own.")
    ] = None,
    batch: Annotated[int | None, typer.Option(help="Images drawn at once.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the run.")] = None,
    as_json: AsJson = False,
) -> None:
    """Draw synthetic cells: what a corpus lacks to be balanced, or so many of a class."""
    from curation.corpus import load_corpus
    from curation.output import refuse_existing
    from synth.config import SampleConfig
    from synth.estimate import estimate
    from synth.generator import load_generator, load_guide, read_info
    from synth.processes import device_of, ranks_of_run
    from synth.sample import sample as run
    from synth.sample_checks import check_sampling
    from synth.signing import load_signer

    _check_flags(balance, target, match, classes, count, select, no_select)
    folder = _folder(generator, pretrained)
    flags = {
        "steps": steps, "guidance": guidance, "guidance_interval": guidance_interval,
        "acquisition": acquisition, "batch": batch, "seed": seed,
    }  # fmt: skip
    config = resolve(SampleConfig, {}, config_file, flags)
    refuse_existing(out)
    signer = None if sign is None else load_signer(*sign)
    ranks = ranks_of_run()
    filled = None if balance is None else load_corpus(balance)
    selecting = filled if select is None else load_corpus(select)
    selecting = None if no_select else selecting
    planned = _planned(read_info(folder), filled, target, match, classes, count, cap)
    loaded = load_generator(folder, device=device_of(ranks))
    guiding = None if guide is None else load_guide(loaded, guide)
    check_sampling(loaded, config, guiding, selecting)
    expected = None
    if ranks.first:
        say("\n".join(planned.lines()))
        expected = estimate(loaded, planned.plan, config, guide=guiding, processes=ranks.count)
        say(_estimate_line(expected, selected=selecting is not None))
    if dry_run:
        if expected is not None:
            result = {"out": None, **planned.as_dict(), "seconds": round(expected.seconds, 1),
                      "bytes": expected.bytes}  # fmt: skip
            show_result(result, ["nothing was drawn"], as_json=as_json)
        return
    started = time.monotonic()
    with progress_bars() if ranks.first else nullcontext(silent) as progress:
        made = run(
            loaded, planned.plan, out, config, guide=guiding, select_by=selecting,
            keep_drawing=keep_drawing, signer=signer, parents=planned.parents, ranks=ranks,
            progress=progress,
        )  # fmt: skip
    if ranks.first:
        _show(made, planned.plan, time.monotonic() - started, as_json=as_json)


@dataclass(frozen=True, slots=True)
class _Planned:
    """A plan, what it was before the cap, and the counts that it fills up."""

    plan: dict[str, int]
    wanted: dict[str, int]
    counts: dict[str, int]
    cap: float | None
    parents: dict[str, str]
    unlike: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        """Return what a person reads before any work."""
        from synth.plan import plan_rows

        rows = plan_rows(self.counts, self.wanted, self.plan)
        cells = [[row.label, row.real, row.synthetic, row.total, _ratio(row.ratio)] for row in rows]
        real, drawn = sum(row.real for row in rows), sum(row.synthetic for row in rows)
        cells.append(["all", real, drawn, real + drawn, _ratio(drawn / real if real else None)])
        lines = ["the plan:", *table(["class", "real", "synthetic", "total", "ratio"], cells)]
        cut = [f"{row.label} {row.synthetic} of {row.wanted}" for row in rows
               if row.synthetic < row.wanted]  # fmt: skip
        if cut:
            lines.append(f"  cut by the cap of {self.cap:g} to one: {', '.join(cut)}")
        if self.unlike:
            lines.append(
                f"  not in the corpus to match, left as they are: {', '.join(self.unlike)}"
            )
        return lines

    def as_dict(self) -> dict[str, Any]:
        """Return what a machine reads."""
        cut = {label: self.wanted[label] - self.plan.get(label, 0) for label in self.wanted}
        return {
            "plan": self.plan, "real": self.counts, "cap": self.cap,
            "cut": {label: n for label, n in cut.items() if n},
        }  # fmt: skip


def _check_flags(
    balance: Path | None, target: int | None, match: Path | None, classes: list[str] | None,
    count: int | None, select: Path | None, no_select: bool,
) -> None:  # fmt: skip
    if (balance is None) == (count is None):
        raise typer.BadParameter("give either --balance CORPUS, or -n N (with --class, or for all)")
    if (balance is not None and classes) or (balance is None and (target or match)):
        raise typer.BadParameter("--target and --match go with --balance, --class with -n")
    if target is not None and match is not None:
        raise typer.BadParameter("give either --target or --match")
    if select is not None and no_select:
        raise typer.BadParameter("give either --select or --no-select")


def _folder(generator: Path | None, pretrained: bool) -> Path:
    from synth.packaged.folder import pretrained_folder

    if generator is None:
        if not pretrained:
            raise typer.BadParameter("give a GENERATOR folder, or --pretrained")
        return pretrained_folder()
    if pretrained:
        raise typer.BadParameter("give either a GENERATOR folder or --pretrained")
    return generator


def _planned(
    info: GeneratorInfo,
    filled: Corpus | None,
    target: int | None,
    match: Path | None,
    classes: list[str] | None,
    count: int | None,
    cap: float | None,
) -> _Planned:
    from curation.corpus import load_corpus
    from synth.plan import (
        BALANCE_CAP,
        balance_plan,
        capped_plan,
        check_plan,
        class_plan,
        match_plan,
    )

    if cap is not None and cap <= 0:
        raise typer.BadParameter("--cap is more than 0")
    parents: dict[str, str] = {}
    unlike: tuple[str, ...] = ()
    if filled is None:
        counts = dict(info.trained_on)
        wanted = class_plan(classes or list(counts), count or 0)
        counts = {label: n for label, n in counts.items() if label in wanted}
    else:
        counts = _training_counts(filled)
        cap = BALANCE_CAP if cap is None else cap
        parents = {"balanced": filled.fingerprint}
        if match is None:
            wanted = balance_plan(counts, target)
        else:
            other = load_corpus(match)
            wanted = match_plan(counts, _training_counts(other))
            unlike = tuple(label for label in counts if label not in _training_counts(other))
            parents["matched"] = other.fingerprint
    check_plan(wanted, info.trained_on)
    plan = wanted if cap is None else capped_plan(wanted, counts, cap)
    return _Planned(plan, wanted, counts, cap, parents, unlike)


def _training_counts(corpus: Corpus) -> dict[str, int]:
    return corpus.manifest.classes.get("train", {})


def _ratio(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _estimate_line(expected: Estimate, *, selected: bool) -> str:
    after = ", and then the selection" if selected else ""
    return (
        f"about {_duration(expected.seconds)} to draw{after}, {_size(expected.bytes)} (measured: "
        f"two steps of {expected.batch} cells, and {expected.cells} cells whole)"
    )


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _size(count: int) -> str:
    return f"{count / 1e3:.0f} KB" if count < 1e6 else f"{count / 1e6:.1f} MB"


def _show(made: Corpus, plan: Mapping[str, int], seconds: float, *, as_json: bool) -> None:
    from synth.rounds import shortfall
    from synth.selection_report import read_selection

    found, totals = made.manifest, made.manifest.class_totals()
    short = shortfall(plan, totals)
    report = read_selection(made)
    yields = {} if report is None else {entry.label: entry for entry in report.yields}
    result = {
        "corpus": str(made.path), "fingerprint": found.fingerprint, "n_out": found.n_out,
        "classes": totals, "rejected": found.dropped, "short": short,
        "yield": {label: round(entry.share, 4) for label, entry in yields.items()},
        "seconds": round(seconds, 1),
    }  # fmt: skip
    lines = [
        f"{made.path}  {found.n_out} synthetic cells in {seconds:.0f} s "
        f"({found.n_in / max(seconds, 1e-9):.1f}/s); rejected: {found.dropped or 'none'}",
        f"  fingerprint {found.fingerprint}",
    ]
    if yields:
        rows = [[e.label, e.drawn, e.kept, f"{100 * e.share:.0f} %",
                 "few were kept" if e.flagged else ""] for e in yields.values()]  # fmt: skip
        lines += table(["class", "drawn", "kept", "yield", ""], rows)
    if short:
        lacking = ", ".join(f"{label} {n}" for label, n in short.items())
        lines.append(f"  short of the plan: {lacking} (--keep-drawing draws others)")
    show_result(result, lines, as_json=as_json)
