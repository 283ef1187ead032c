"""How well a generator draws, and at which settings: the tables of docs/generator.md.

    python scripts/measure_generator.py out/generator out/pbc --inception ../shared/weights \\
        -n 312 --final 1000 --out out/measured-generator

KID and FID are to held-out TEST cells: the validation split chose the average of the weights. The
classes come in turn, so rare ones count as much as there are cells of them. The floor is what as
many real training cells of the same classes score. One thing is changed at a time: the steps, the
guidance, and the noise levels between which it acts; the last row has the settings asked for at
the larger n, and its classes one by one. --guide measures guidance by a weaker generator as well.

Every drawn image and every feature is kept below --out, so an interrupted run goes on. What shows
real cells lies in its folder `private`, and --out must lie where git ignores it.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from curation.corpus import Corpus, load_corpus
from curation.output import write_whole
from curation.vocabulary import LABELS
from scripts.generator_tables import Score, markdown, score
from scripts.held_out import RealCells, cells_in_turn, check_corpus, like, of_labels
from scripts.kept_work import KeptWork
from synth.config import SampleConfig
from synth.contact_sheet import contact_sheet, jpeg_bytes, readable
from synth.generator import Generator, load_generator, load_guide
from synth.measure.features import extractor_text
from synth.measure.inception import find_inception
from synth.measure.memorisation import COPY_CORRELATION, copies, nearest_correlation, prepare
from synth.measure.proportion import median_interval, share_interval
from synth.plan import PlannedCell, cell_seed

STEPS = (6, 10, 18, 30, 50)
GUIDANCE = (1.0, 1.25, 1.5, 2.0)
INTERVALS = ((0.0, 1.0), (0.2, 1.0), (0.2, 5.0), (1.0, 80.0))
FEWEST_OF_CLASS = 8
_INCEPTION_S = 0.3
_SHEET_CELLS = 12


@dataclass(frozen=True)
class Setting:
    """One row of a table: how cells are drawn."""

    table: str
    name: str
    config: SampleConfig
    guided_by: bool = False


def main() -> None:
    """Measure, print the tables, and write them with the pictures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("generator", type=Path)
    parser.add_argument("real", type=Path, help="the corpus that it was trained on")
    parser.add_argument("--inception", type=Path, help="folder of the Inception network")
    parser.add_argument("-n", type=int, default=312, help="cells of each row of the curves")
    parser.add_argument("--final", type=int, default=1_000, help="cells of the last row")
    parser.add_argument("--steps", type=int, default=18, help="of the rows that change another")
    parser.add_argument("--guidance", type=float, default=1.5, help="of the rows of steps")
    parser.add_argument("--interval", type=float, nargs=2, metavar=("LOW", "HIGH"),
                        help="of the last row")  # fmt: skip
    parser.add_argument("--guide", type=Path, help="a weaker generator of the same corpus")
    parser.add_argument("--tables", nargs="+", choices=["steps", "guidance", "interval", "guide"],
                        help="not all curves")  # fmt: skip
    parser.add_argument("--sheet-seed", type=int, default=0, help="of the cells on the pictures")
    parser.add_argument("--max-train", type=int, default=20_000, help="cells searched for copies")
    parser.add_argument("--out", type=Path, default=Path("out/measured-generator"))
    asked = parser.parse_args()
    found = measure(asked)
    text = markdown(found)
    write_whole(asked.out / "generator.json", (json.dumps(found, indent=1) + "\n").encode())
    write_whole(asked.out / "generator.md", text.encode())
    print(text)


def measure(asked: argparse.Namespace) -> dict[str, Any]:
    """Return everything that was found, as it is written."""
    generator, corpus = load_generator(asked.generator), load_corpus(asked.real)
    check_corpus(generator, corpus)
    guide = load_guide(generator, asked.guide) if asked.guide else None
    weights = find_inception(asked.inception)
    kept = KeptWork(asked.out, weights)
    held = cells_in_turn(corpus, "test", generator, None)
    curves, last = settings(asked), final_setting(asked)
    tell_budget(generator, curves, last, len(held.first(asked.n).labels),
                len(held.first(asked.final).labels))  # fmt: skip
    scores = [measured(kept, generator, guide, held.first(asked.n), setting) for setting in curves]
    many = held.first(asked.final)
    final = measured(kept, generator, guide, many, last)
    drawn = drawn_as(kept, generator, guide, many, last)
    pictures(asked, generator, guide, held, last)
    return {
        "generator": generator.info.fingerprint,
        "guide": guide.info.fingerprint if guide else None,
        "corpus": corpus.fingerprint,
        "extractor": extractor_text(weights),
        "view": generator.info.view.model_dump(mode="json"),
        "preset": generator.info.config.preset,
        "parameters": generator.info.parameters,
        "images_seen": generator.info.images_seen,
        "training_s": generator.info.seconds,
        "stopped": generator.info.stopped,
        "average": generator.info.average.model_dump(mode="json"),
        "floors": [one.row() for one in floors(kept, corpus, generator, held, asked)],
        "scores": [one.row() for one in scores],
        "final": final.row(),
        "classes": [one.row() for one in by_class(kept, corpus, generator, many, drawn)],
        "copies": copying(corpus, generator, held, drawn, asked.max_train),
        "cost": {
            "drawn": kept.drawn, "drawing_cpu_s": round(kept.drawing_s, 1),
            "measured": kept.measured, "measuring_cpu_s": round(kept.measuring_s, 1),
        },
    }  # fmt: skip


def settings(asked: argparse.Namespace) -> list[Setting]:
    """Return the rows of the curves."""
    basis = SampleConfig(steps=asked.steps, guidance=asked.guidance)

    def changed(table: str, name: str, guided_by: bool = False, **update: Any) -> Setting:
        return Setting(table, name, basis.model_copy(update=update), guided_by)

    rows = [changed("steps", f"{steps} steps", steps=steps) for steps in STEPS]
    rows += [changed("guidance", f"{scale:g}", guidance=scale) for scale in GUIDANCE]
    rows += [
        changed("interval", f"{scale:g} in {low:g} to {high:g}", guidance=scale,
                guidance_interval=(low, high))
        for scale in GUIDANCE[2:] for low, high in INTERVALS
    ]  # fmt: skip
    if asked.guide:
        rows += [changed("guide", f"{scale:g} by the weaker generator", True, guidance=scale)
                 for scale in GUIDANCE[1:]]  # fmt: skip
    return [one for one in rows if not asked.tables or one.table in asked.tables]


def final_setting(asked: argparse.Namespace) -> Setting:
    """Return the last row: the settings asked for."""
    interval = tuple(asked.interval) if asked.interval else None
    config = SampleConfig(steps=asked.steps, guidance=asked.guidance, guidance_interval=interval)
    text = "" if interval is None else f" in {interval[0]:g} to {interval[1]:g}"
    return Setting("final", f"{asked.steps} steps, guidance {asked.guidance:g}{text}", config)


def tell_budget(
    generator: Generator, curves: Sequence[Setting], last: Setting, few: int, many: int
) -> None:
    """Print about how many processor minutes everything takes, from one small chunk."""
    label = min(generator.info.trained_on)
    started = time.process_time()
    generator.pipeline.draw([label] * 8, list(range(8)), 4, 1.0)
    pass_s = (time.process_time() - started) / 32

    def drawing(one: Setting) -> float:
        return one.config.steps * (1 if one.config.guidance == 1 else 2) * pass_s

    drawing_s = sum(few * drawing(one) for one in curves) + many * drawing(last)
    inception_s = _INCEPTION_S * (few * len(curves) + 3 * many)
    print(
        f"{len(curves)} rows of {few} cells and one of {many}: about {drawing_s / 60:.0f} CPU "
        f"minutes of drawing and {inception_s / 60:.0f} of features, less what is kept in --out",
        file=sys.stderr,
    )


def drawn_as(
    kept: KeptWork, generator: Generator, guide: Generator | None, real: RealCells, one: Setting
) -> NDArray[np.uint8]:
    """Return as many drawn cells of the same classes, (n, s, s, 3) uint8."""
    return kept.images(generator, like(real, seed=0), one.config, guide if one.guided_by else None)


def measured(
    kept: KeptWork, generator: Generator, guide: Generator | None, real: RealCells, one: Setting
) -> Score:
    """Return KID and FID of cells drawn as a row says."""
    started = time.monotonic()
    images = drawn_as(kept, generator, guide, real, one)
    found = score(one.table, one.name, kept.features(real.images), kept.features(images))
    print(f"{one.table}: {one.name}: KID {found.kid:.4f}, {time.monotonic() - started:.0f} s",
          file=sys.stderr)  # fmt: skip
    return found


def floors(
    kept: KeptWork, corpus: Corpus, generator: Generator, held: RealCells, asked: argparse.Namespace
) -> list[Score]:
    """Return what real training cells score against the test cells, at both n."""
    found = []
    for count in sorted({asked.n, asked.final}):
        real = held.first(count)
        training = of_labels(corpus, "train", generator, real.labels)
        found.append(
            score("floor", "real training cells", kept.features(real.images),
                  kept.features(training.images))
        )  # fmt: skip
    return found


def by_class(
    kept: KeptWork, corpus: Corpus, generator: Generator, real: RealCells,
    drawn: NDArray[np.uint8],
) -> list[Score]:  # fmt: skip
    """Return the score and the floor of each class that has enough cells."""
    training = of_labels(corpus, "train", generator, real.labels)
    held_features, features = kept.features(real.images), kept.features(drawn)
    train_features = kept.features(training.images)
    found = []
    for label in LABELS:
        rows = _rows(real.labels, label)
        others = train_features[_rows(training.labels, label)]
        if min(len(rows), len(others)) < FEWEST_OF_CLASS:
            continue
        one, floor = held_features[rows], score("floor", label, held_features[rows], others)
        found += [score("class", label, one, features[rows]), floor]
    return found


def _rows(labels: Sequence[str], label: str) -> NDArray[np.int64]:
    return np.flatnonzero(np.array(labels, dtype=object) == label).astype(np.int64)


def copying(
    corpus: Corpus, generator: Generator, held: RealCells, drawn: NDArray[np.uint8], limit: int
) -> dict[str, Any]:
    """Return how many drawn cells are copies of training cells, with test cells as the baseline."""
    training = prepare(cells_in_turn(corpus, "train", generator, limit).images)
    held_best, _ = nearest_correlation(prepare(held.images), training)
    best, _ = nearest_correlation(prepare(drawn), training)
    count = int(copies(best, held_best).sum())
    return {
        "copies": count, "n": len(best), "interval": share_interval(count, len(best)),
        "threshold": COPY_CORRELATION, "training_cells": len(training),
        "held_out_cells": len(held_best), "most_held_out": float(held_best.max()),
        "median": float(np.median(best)), "median_interval": median_interval(best),
        "median_held_out": float(np.median(held_best)),
        "median_held_out_interval": median_interval(held_best),
    }  # fmt: skip


def pictures(
    asked: argparse.Namespace, generator: Generator, guide: Generator | None, held: RealCells,
    last: Setting,
) -> None:  # fmt: skip
    """Write two sheets at seeds that nobody chose: of drawn cells, and of real above drawn ones."""
    names = [label for label in LABELS if label in generator.info.trained_on]
    cells = [
        # Not those that were measured: another run seed.
        PlannedCell(label, cell_seed(1_000 + asked.sheet_seed, label, number))
        for label in names for number in range(_SHEET_CELLS)
    ]  # fmt: skip
    images = KeptWork(asked.out, find_inception(asked.inception)).images(
        generator, cells, last.config, guide if last.guided_by else None
    )
    rows = {label: list(images[i * _SHEET_CELLS : (i + 1) * _SHEET_CELLS])
            for i, label in enumerate(names)}  # fmt: skip
    open_sheet = contact_sheet([(readable(label), rows[label]) for label in names])
    write_whole(asked.out / "synthetic.jpg", jpeg_bytes(open_sheet, limit_bytes=300_000))
    pairs: list[tuple[str, list[NDArray[np.uint8]]]] = []
    for label in names:
        real = [held.images[row] for row in _rows(held.labels, label)[:_SHEET_CELLS]]
        pairs += [(f"{readable(label)}\nreal", real), ("synthetic", rows[label])]
    private = asked.out / "private"
    private.mkdir(exist_ok=True)
    write_whole(private / "real_over_synthetic.jpg", jpeg_bytes(contact_sheet(pairs)))


if __name__ == "__main__":
    main()
