"""`smearkit demo`: the whole way on a built-in corpus, drawn as a hospital would export it."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from cards.release import Release, read_release, release
from curation.corpus import Corpus, load_corpus
from curation.curate import CurateConfig, curate
from curation.output import partial_path, write_whole
from curation.pixels import Pixels
from curation.vocabulary import LABELS
from synth.config import SampleConfig, TrainConfig, preset
from synth.contact_sheet import contact_sheet, jpeg_bytes, readable
from synth.evaluate import EvaluateConfig
from synth.generator import load_generator
from synth.measure.measurement import MEASUREMENTS_NAME, REPORT_NAME
from synth.packaged.folder import PRETRAINED, has_pretrained
from synth.plan import balance_plan, planned_cells
from synth.sample import draw_cells, sample
from synth.train import train

from .console import progress_bars
from .demo_export import write_demo_export
from .evaluation import evaluate

_PICTURE = "figures/real_over_synthetic.jpg"
# Of the packaged generator, in seconds: a taste, not a sample.
_SHEET_CELLS, _SHEET_STEPS = 4, 10


@dataclass(frozen=True, slots=True)
class Scale:
    """How large a demo is: share of the cells drawn, training, synthetic cells, cells measured."""

    export: float
    training: TrainConfig
    extra: int
    steps: int
    measured: EvaluateConfig


FULL = Scale(
    export=1.0,
    training=preset("demo"),
    extra=40,
    steps=18,
    measured=EvaluateConfig(max_per_class=40, min_per_class=4, floor_splits=10, ladder_seeds=1),
)
QUICK = Scale(
    export=0.25,
    training=preset("smoke").model_copy(update={"images": 640}),
    extra=8,
    steps=6,
    measured=EvaluateConfig(
        families=("distance", "coverage", "copying"),
        max_per_class=6,
        min_per_class=4,
        floor_splits=2,
    ),
)


@dataclass(frozen=True, slots=True)
class DemoResult:
    """Where everything lies."""

    real: str
    synthetic: str
    report: str
    picture: str
    pretrained: str | None
    seconds: float

    def as_dict(self) -> dict[str, str | float | None]:
        """Return the result as JSON values."""
        return asdict(self)

    def lines(self) -> list[str]:
        """Return the result for a person."""
        drawn = (
            []
            if self.pretrained is None
            else [f"  cells of the packaged generator {self.pretrained}"]
        )
        return [
            f"done in {self.seconds:.0f} s",
            f"  real cells, as a dataset       {self.real}",
            f"  synthetic cells, as a dataset  {self.synthetic}",
            f"  report                         {self.report}",
            f"  real next to synthetic         {self.picture}",
            *drawn,
        ]


def run_demo(
    out: Path, *, inception: Path | None = None, quick: bool = False, say: Callable[[str], None]
) -> DemoResult:
    """Run every stage below `out`; stages that an earlier run finished are not done again.

    Raises: SmearkitError from any stage.
    """
    scale = QUICK if quick else FULL
    started = time.monotonic()
    out.mkdir(parents=True, exist_ok=True)
    export = _export(out / "export", scale, say)
    corpus = _curate(export, out / "corpus", say)
    made = _train_and_sample(corpus, out, scale, say)
    report = _evaluate(corpus, made, out / "report", scale, inception, say)
    done = _release(corpus, made, report, out / "release", say)
    sheet = _pretrained_sheet(out / "pretrained.jpg")
    return DemoResult(
        real=str(done.real),
        synthetic=str(done.synthetic),
        report=str(report / REPORT_NAME),
        picture=str(report / _PICTURE),
        pretrained=None if sheet is None else str(sheet),
        seconds=round(time.monotonic() - started, 1),
    )


def _export(folder: Path, scale: Scale, say: Callable[[str], None]) -> Path:
    if not folder.exists():
        partial = partial_path(folder)
        shutil.rmtree(partial, ignore_errors=True)
        made = write_demo_export(partial, scale=scale.export)
        partial.rename(folder)
        say(
            f"1/6  drew {made.n_files} files as a hospital would export them: "
            f"{len(made.subjects)} patients, {len(made.slides)} slides; names in EXIF, file names "
            f"and metadata.csv; {made.n_exact_duplicates} exact and {made.n_turned_copies} turned "
            f"copies, {made.n_corrupt} corrupt file, {made.n_conflicts} cell with two labels, "
            f"{made.n_mislabelled} with a wrong one"
        )
    return folder


def _curate(export: Path, folder: Path, say: Callable[[str], None]) -> Corpus:
    if folder.exists():
        return load_corpus(folder)
    config = CurateConfig(
        source_name="drawn by smearkit demo; no patient", license="cc0-1.0",
        small_groups="generalise",
    )  # fmt: skip
    with progress_bars() as progress:
        corpus = curate([export], folder, config, progress=progress)
    found = corpus.manifest
    say(
        f"2/6  curated: {found.n_in} in, {found.n_out} out, dropped {dict(found.dropped)}; "
        "names gone, dates to years, turned and recompressed copies found, splits by patient "
        "(lone wrong labels: smearkit validate)"
    )
    return corpus


def _train_and_sample(
    corpus: Corpus, out: Path, scale: Scale, say: Callable[[str], None]
) -> Corpus:
    generator, synthetic = out / "generator", out / "synthetic"
    if synthetic.exists():
        return load_corpus(synthetic)
    if not generator.exists():
        say("3/6  training a small diffusion model (the longest step)")
        with progress_bars() as progress:
            train(corpus, generator, scale.training, progress=progress)
    counts = corpus.manifest.classes["train"]
    plan = balance_plan(counts, max(counts.values()) + scale.extra)
    config = SampleConfig(steps=scale.steps)
    parents = {"balanced": corpus.fingerprint}
    with progress_bars() as progress:
        made = sample(generator, plan, synthetic, config, parents=parents, progress=progress)
    say(f"4/6  drew {made.manifest.n_out} synthetic cells: {made.manifest.class_totals()}")
    return made


def _evaluate(
    corpus: Corpus,
    made: Corpus,
    folder: Path,
    scale: Scale,
    inception: Path | None,
    say: Callable[[str], None],
) -> Path:
    if not (folder / MEASUREMENTS_NAME).exists():
        say("5/6  measuring against held-out real cells")
        with progress_bars() as progress:
            evaluate(corpus, made, folder, scale.measured, inception=inception, progress=progress)
    return folder


def _release(
    corpus: Corpus, made: Corpus, report: Path, folder: Path, say: Callable[[str], None]
) -> Release:
    if folder.exists():
        return read_release(folder)
    with progress_bars() as progress:
        done = release(
            corpus, made, report, "1.0.0", folder, name="Drawn blood cells", progress=progress
        )
    states = ", ".join(f"{gate.name} {gate.state}" for gate in done.info.gates)
    say(f"6/6  released 1.0.0: {states}")
    return done


def _pretrained_sheet(file: Path) -> Path | None:
    """Draw a few cells of each class with the packaged generator; None where there is none."""
    if not has_pretrained():
        return None
    if not file.exists():
        generator = load_generator(PRETRAINED)
        classes = [label for label in LABELS if generator.info.trained_on.get(label)]
        cells = planned_cells(dict.fromkeys(classes, _SHEET_CELLS), 0)
        rows: dict[str, list[Pixels]] = {label: [] for label in classes}
        for cell, pixels in draw_cells(generator, cells, SampleConfig(steps=_SHEET_STEPS)):
            rows[cell.label].append(pixels)
        sheet = contact_sheet([(readable(label), images) for label, images in rows.items()])
        write_whole(file, jpeg_bytes(sheet))
    return file
