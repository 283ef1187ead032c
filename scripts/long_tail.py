"""Does adding synthetic cells help a classifier with rare classes? The tables of docs/long-tail.md.

    python -m scripts.cut_corpus --real out/pbc \\
        --keep promyelocyte=40 metamyelocyte=40 basophil=40 --out out/pbc-cut
    smearkit train out/pbc-cut --preset cpu-64 --images 150000 --out out/generator-cut
    python -m scripts.long_tail out/generator-cut out/pbc-cut --whole out/pbc --out out/long-tail

The generator learned from the cut training split alone; selection learned from it too and set its
limits on validation cells. Classifiers are tested on the whole test split, which nothing else saw.
All that differs between the arms is the cells: the network, its steps and its seeds are the same.

Drawn cells and the answers of every classifier are kept below --out, so an interrupted run goes on.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from blake3 import blake3
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from curation.corpus import Corpus, load_corpus
from curation.errors import MeasurementError
from curation.manifest import Codec, View, canonical_json
from curation.output import write_arrays, write_whole
from scripts.held_out import check_corpus
from scripts.long_tail_tables import Comparison, Line, markdown
from synth.config import SampleConfig
from synth.generator import Generator, load_generator
from synth.measure import cell_classifier
from synth.measure.cell_classifier import ClassifierConfig, Probabilities
from synth.measure.corpus_cells import corpus_cells
from synth.measure.ladder import (
    AUGMENTED,
    OVERSAMPLED,
    REAL,
    Exam,
    Result,
    Rung,
    climb,
    half_real_rows,
    joined,
    taught,
)
from synth.measure.real_test_cells import corpus_test_cells
from synth.measure.sides import Cells
from synth.sample import sample
from synth.select import fit_selector, select

RARE = ("promyelocyte", "metamyelocyte", "basophil")
FEWEST_TESTED = 10
Bools = NDArray[np.bool_]
WHOLE = "real augmented, nothing cut"


def main() -> None:
    """Draw, train, test, and write the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("generator", type=Path)
    parser.add_argument("real", type=Path, help="the corpus that it was trained on")
    parser.add_argument("--whole", type=Path, help="the corpus before it was cut")
    parser.add_argument("--rare", nargs="+", default=RARE, help="classes to draw")
    parser.add_argument("--pool", type=int, default=1_000, help="cells drawn of each class")
    parser.add_argument("--others", type=int, default=200, help="drawn of each other class")
    parser.add_argument("--doses", type=int, nargs="+", default=[100, 700],
                        help="synthetic cells of each class that are added")  # fmt: skip
    parser.add_argument("--seeds", type=int, default=5, help="classifiers of each arm")
    parser.add_argument("--steps", type=int, default=10, help="of drawing")
    parser.add_argument("--guidance", type=float, default=1.5)
    parser.add_argument("--classifier-steps", type=int, default=ClassifierConfig().steps)
    parser.add_argument("--only", nargs="+", help="these arms, by name")
    parser.add_argument("--out", type=Path, default=Path("out/long-tail"))
    asked = parser.parse_args()
    found = experiment(asked)
    text = markdown(found)
    write_whole(asked.out / "long-tail.json", (json.dumps(found, indent=1) + "\n").encode())
    write_whole(asked.out / "long-tail.md", text.encode())
    print(text)


def experiment(asked: argparse.Namespace) -> dict[str, Any]:
    """Return everything that was found, as it is written."""
    asked.out.mkdir(parents=True, exist_ok=True)
    started, cpu = time.monotonic(), time.process_time()
    generator, corpus = load_generator(asked.generator), load_corpus(asked.real)
    check_corpus(generator, corpus)
    view, codec = generator.info.view, generator.info.codec
    drawing = time.process_time()
    drawn = drawn_cells(generator, dict.fromkeys(asked.rare, asked.pool), asked, "drawn")
    common = [label for label in generator.info.trained_on if label not in asked.rare]
    others = drawn_cells(generator, dict.fromkeys(common, asked.others), asked, "drawn-others")
    drawing = time.process_time() - drawing
    kept = kept_rows(corpus, drawn, view, codec, asked.out)
    train = corpus_cells(corpus, "train", view, codec)
    exam = exam_of(corpus, view, codec, sorted(set(train.labels)))
    rungs = arms(train, drawn, kept, others, asked)
    if asked.whole:
        whole = corpus_cells(load_corpus(asked.whole), "train", view, codec)
        rungs.append(Rung(WHOLE, whole, 0, balanced=True, augmented=True))
    if asked.only:
        rungs = [rung for rung in rungs if rung.name in asked.only]
    classifier = ClassifierConfig(steps=asked.classifier_steps)
    teacher = KeptAnswers(asked.out / "answers", classifier)
    results = climb(rungs, exam, range(asked.seeds), teacher, _tell)
    return {
        "generator": generator.info.fingerprint, "corpus": corpus.fingerprint,
        "images_seen": generator.info.images_seen, "view": view.model_dump(mode="json"),
        "sampling": sample_config(asked).model_dump(mode="json"),
        "classifier": classifier.model_dump(mode="json"), "seeds": asked.seeds,
        "rare": {label: pool_of(drawn, kept, train, exam, label) for label in asked.rare},
        "tested": {label: exam.tests.cells.labels.count(label) for label in exam.tested},
        "arms": [vars(Line.of(result, asked.rare)) for result in results.values()],
        "comparisons": [vars(one) for one in comparisons(results, asked.rare)],
        "cost": {
            "drawing_cpu_s": round(drawing, 1), "teaching_cpu_s": round(teacher.cpu_s, 1),
            "taught": teacher.taught, "cpu_s": round(time.process_time() - cpu, 1),
            "seconds": round(time.monotonic() - started, 1),
        },
    }  # fmt: skip


def sample_config(asked: argparse.Namespace) -> SampleConfig:
    """Return how cells are drawn."""
    return SampleConfig(steps=asked.steps, guidance=asked.guidance)


def drawn_cells(
    generator: Generator, plan: dict[str, int], asked: argparse.Namespace, name: str
) -> Cells:
    """Return the drawn cells in the order of their ids, drawing those not here yet.

    That order is of hashes of pixels: the first cells of a class are any of them.

    Raises: MeasurementError where --out holds cells drawn otherwise.
    """
    folder, config = asked.out / name, sample_config(asked)
    if not folder.exists():
        sample(generator, plan, folder, config, progress=_tell)
    corpus = load_corpus(folder)
    manifest = corpus.manifest
    wanted = {**config.model_dump(mode="json"), "plan": plan}
    same = manifest.parents["generator"] == generator.info.fingerprint
    if not same or not wanted.items() <= manifest.config.items():
        raise MeasurementError(
            f"{folder} holds cells of another generator or drawn otherwise. Next: another --out"
        )
    return corpus_cells(corpus, "train", generator.info.view, generator.info.codec)


def kept_rows(corpus: Corpus, drawn: Cells, view: View, codec: Codec, out: Path) -> Bools:
    """Return which drawn cells selection keeps, (n,) bool."""
    path = out / f"kept-{_hash([corpus.fingerprint, list(drawn.ids)])}.npz"
    if not path.is_file():
        selector = fit_selector(corpus, view, codec, cache=out / "selection", progress=_tell)
        reasons = select(selector.scores(drawn.images, drawn.labels), selector.limits)
        write_arrays(path, kept=np.array([reason == "" for reason in reasons]))
    with np.load(path, allow_pickle=False) as found:
        return np.asarray(found["kept"], bool)


def exam_of(corpus: Corpus, view: View, codec: Codec, classes: Sequence[str]) -> Exam:
    """Return the test: the whole test split, but for classes with hardly a cell."""
    tests = corpus_test_cells(corpus, "test", view, codec)
    labels = tests.cells.labels
    enough = [label for label in classes if labels.count(label) >= FEWEST_TESTED]
    return Exam.of(tests.of_classes(enough), classes, seed=0)


def arms(
    train: Cells, drawn: Cells, kept: Bools, others: Cells, asked: argparse.Namespace
) -> list[Rung]:
    """Return the controls, and the arms with synthetic cells of the rare classes.

    As many cells that were not selected are added as there are selected ones. Where the classes
    come equally often and 40 real cells of one lie among 700 synthetic ones, a batch hardly ever
    shows a real one, and that a cell is synthetic tells its class. So two arms more: half of the
    cells shown of a rare class are real; and half of those of every class.
    """
    most = max(asked.doses)
    selected = {dose: first_of(drawn, kept, asked.rare, dose) for dose in asked.doses}
    counts = {label: len(selected[most].rows(label)) for label in asked.rare}
    plain = drawn.take(np.concatenate([drawn.rows(label, n) for label, n in counts.items()]))

    def with_cells(name: str, extra: Cells, *, augmented: bool = True, half: bool = False) -> Rung:
        cells = joined(train, extra)
        if half:
            cells = cells.take(half_real_rows(train, extra, exactly=True))
        return Rung(name, cells, len(extra), balanced=True, augmented=augmented)

    return [
        Rung(REAL, train, 0, balanced=False, augmented=False),
        Rung(OVERSAMPLED, train, 0, balanced=True, augmented=False),
        Rung(AUGMENTED, train, 0, balanced=True, augmented=True),
        with_cells(f"{OVERSAMPLED} + {most} selected", selected[most], augmented=False),
        *(with_cells(f"{AUGMENTED} + {dose} selected", selected[dose]) for dose in asked.doses),
        with_cells(f"{AUGMENTED} + {most} unselected", plain),
        with_cells(f"{AUGMENTED} + {most} selected, half real", selected[most], half=True),
        with_cells(f"{AUGMENTED} + every class, half real", joined(selected[most], others),
                   half=True),
    ]  # fmt: skip


def first_of(drawn: Cells, kept: Bools, labels: Sequence[str], count: int) -> Cells:
    """Return the first so many kept cells of each class, or all there are."""
    rows = [row[kept[row]][:count] for row in (drawn.rows(label) for label in labels)]
    return drawn.take(np.concatenate(rows))


class KeptAnswers:
    """Teaches, and keeps each classifier's answers in a folder, by what it learned from."""

    def __init__(self, folder: Path, config: ClassifierConfig) -> None:
        self.folder, self.config = folder, config
        self.taught, self.cpu_s = 0, 0.0
        self._plain = taught(config)
        self._code = blake3(Path(cell_classifier.__file__).read_bytes()).hexdigest(length=8)
        folder.mkdir(parents=True, exist_ok=True)

    def __call__(self, rung: Rung, exam: Exam, seed: int) -> Probabilities:
        """Return a rung's answers, (n, classes) float32."""
        content = [
            list(rung.cells.ids), list(rung.cells.labels), rung.balanced, rung.augmented,
            list(exam.tests.cells.ids), list(exam.classes), self.config.model_dump(mode="json"),
            seed, self._code,
        ]  # fmt: skip
        path = self.folder / f"{_hash(content)}.npz"
        if not path.is_file():
            started = time.process_time()
            answers = self._plain(rung, exam, seed)
            self.cpu_s += time.process_time() - started
            self.taught += 1
            write_arrays(path, answers=answers)
        with np.load(path, allow_pickle=False) as found:
            return np.asarray(found["answers"], np.float32)


def comparisons(results: dict[str, Result], rare: Sequence[str]) -> list[Comparison]:
    """Return every arm against the augmented control, and against the one it adds cells to."""
    found = []
    for name, result in results.items():
        for control in (OVERSAMPLED, AUGMENTED):
            added_to = name.startswith(f"{control} + ")
            if control in results and (added_to or control == AUGMENTED != name):
                found.append(Comparison.of(result, results[control], rare))
    return found


def pool_of(drawn: Cells, kept: Bools, train: Cells, exam: Exam, label: str) -> dict[str, int]:
    """Return how many cells of a class there are on each side."""
    rows = drawn.rows(label)
    return {
        "train": train.labels.count(label), "test": exam.tests.cells.labels.count(label),
        "drawn": len(rows), "kept": int(kept[rows].sum()),
    }  # fmt: skip


def _hash(content: object) -> str:
    return blake3(canonical_json(content)).hexdigest(length=16)


def _tell(what: str, done: int, total: int) -> None:
    if what == "ladder" or done % 200 == 0:
        print(f"{what}: {done} of {total}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
