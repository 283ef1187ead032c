"""A tiny curated corpus, a generator trained on it and what it drew: made once a test run."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from curation.corpus import Corpus
from curation.curate import CurateConfig, curate
from curation.progress import Progress, silent
from smearkit.evaluation import evaluate
from synth import evaluate as measuring
from synth import kept_features
from synth.config import SampleConfig, preset
from synth.evaluate import EvaluateConfig
from synth.generator import Generator
from synth.measure.inception import InceptionWeights
from synth.sample import sample
from synth.train import train

LABELS = ("basophil", "lymphocyte", "monocyte")
_COLOURS = {"basophil": (70, 40, 120), "lymphocyte": (150, 60, 90), "monocyte": (90, 110, 170)}
SUBJECTS = ("Adalbert Quill", "Brunhild Quill", "Casimir Roth-Meyer", "Dorothea Zweig")
RECORD_NUMBERS = tuple(f"MRN-77{n}4051" for n in range(len(SUBJECTS)))
FAST = SampleConfig(steps=3)
TRAINING = preset("smoke").model_copy(update={"images": 160})
PLAN = {"basophil": 14, "monocyte": 12, "lymphocyte": 2}


def disc(label: str, seed: int, side: int = 24) -> Image.Image:
    """Draw a coloured disc on a pale ground, side x side px."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side] + 0.5
    centre = side / 2 + rng.uniform(-side / 8, side / 8, 2)
    inside = np.hypot(x - centre[0], y - centre[1]) < side * rng.uniform(0.25, 0.38)
    colour = np.array(_COLOURS[label]) + rng.normal(0, 8, 3)
    pixels = np.where(inside[..., None], colour, (232, 222, 226))
    noisy = pixels + rng.normal(0, 6, (side, side, 3))
    return Image.fromarray(noisy.clip(0, 255).astype(np.uint8))


def jpeg(image: Image.Image) -> bytes:
    out = io.BytesIO()
    image.save(out, "JPEG", quality=88, subsampling=0)
    return out.getvalue()


def write_export(folder: Path, per_class: int = 40) -> Path:
    """Write an export: discs of three classes and four subjects, with `metadata.csv`."""
    folder.mkdir(parents=True)
    with (folder / "metadata.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["file_name", "label", "subject", "slide", "mrn"])
        for number in range(per_class * len(LABELS)):
            label, who = LABELS[number % len(LABELS)], (number // len(LABELS)) % len(SUBJECTS)
            name = f"smear_{number:04d}.jpg"
            (folder / name).write_bytes(jpeg(disc(label, number)))
            table.writerow([name, label, SUBJECTS[who], f"slide-{who}A", RECORD_NUMBERS[who]])
    return folder


@dataclass(frozen=True)
class Made:
    """Where the tiny things lie, each with what its stage returned."""

    folder: Path
    real: Corpus
    generator: Generator
    synthetic: Corpus


@cache
def made_in(folder: Path) -> Made:
    """Make everything below a folder; within one test run, only the first call does."""
    config = CurateConfig(source_name="drawn discs", license="cc0-1.0", train=0.5,
                          validation=0.25, test=0.25)  # fmt: skip
    real = curate([write_export(folder / "export")], folder / "corpus", config)
    generator = train(real, folder / "generator", TRAINING)
    synthetic = sample(generator, PLAN, folder / "synthetic", FAST)
    return Made(folder, real, generator, synthetic)


def fake_features(
    images: Iterable[NDArray[np.uint8]],
    count: int,
    weights: InceptionWeights,
    *,
    progress: Progress = silent,
    device: torch.device | None = None,
) -> NDArray[np.float32]:
    """Stand in for Inception: mean colours and a fixed projection of the shrunk image."""
    small = [np.asarray(Image.fromarray(i).resize((4, 4)), np.float32).ravel() for i in images]
    assert len(small) == count
    project = np.random.default_rng(0).normal(size=(48, 13)) / 48
    rows = np.stack(small) / 255
    means = rows.reshape(count, 16, 3).mean(axis=1)
    return np.concatenate([means, rows @ project], axis=1).astype(np.float32)


def use_fake_inception(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measure without the Inception network."""
    weights = InceptionWeights(Path("none"), "f" * 64, "a test")
    monkeypatch.setattr(kept_features, "inception_features", fake_features)
    monkeypatch.setattr(measuring, "find_inception", lambda *args, **kwargs: weights)


MEASURED = EvaluateConfig(
    # The classifiers of the other two are for slower tests.
    families=("distance", "coverage", "copying", "subjects"), min_per_class=4, floor_splits=4,
)  # fmt: skip


def write_report(real: Corpus, synthetic: Corpus, out: Path) -> Path:
    """Evaluate two corpora with the features that stand in for Inception's."""
    with pytest.MonkeyPatch.context() as patch:
        use_fake_inception(patch)
        evaluate(real, synthetic, out, MEASURED)
    return out
