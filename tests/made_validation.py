"""A small corpus of drawn cells with a few labels changed, its vault, and its validation."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

from curation.corpus import Corpus
from curation.curate import CurateConfig, curate
from smearkit.demo_cells import Stain, draw_cell
from smearkit.validation import ValidateConfig, ValidationReport, validate

LABELS = ("lymphocyte", "neutrophil_segmented", "platelet")
PER_CLASS, N_WRONG = 36, 4


@dataclass(frozen=True)
class MadeValidation:
    """Where it lies, and what `validate` said."""

    corpus: Corpus
    vault: Path
    folder: Path
    report: ValidationReport


def write_classes(folder: Path) -> Path:
    """Write class folders of drawn cells; the first few lymphocytes are called platelets."""
    rng = np.random.default_rng(0)
    for label in LABELS:
        (folder / label).mkdir(parents=True)
    for number in range(PER_CLASS * len(LABELS)):
        label = LABELS[number % len(LABELS)]
        wrong = label == "lymphocyte" and number < N_WRONG * len(LABELS)
        cell = Image.fromarray(draw_cell(label, rng, Stain(), 96))
        called = "platelet" if wrong else label
        cell.save(folder / called / f"cell_{number:03d}.jpg", quality=90, subsampling=0)
    return folder


@cache
def made_validation(root: Path) -> MadeValidation:
    """Curate and validate below a folder; within one test run, only the first call does."""
    config = CurateConfig(text="off", source_name="drawn cells", license="cc0-1.0")
    # A key that is always the same: it orders the rows, and so what is learned from which.
    vault = root / "corpus-vault"
    vault.mkdir(mode=0o700, parents=True)
    (vault / "key").write_text(bytes(range(32)).hex())
    corpus = curate([write_classes(root / "export")], root / "corpus", config)
    folder = root / "corpus-validation"
    report = validate(corpus.path, folder, ValidateConfig(), vault=vault)
    return MadeValidation(corpus, vault, folder, report)
