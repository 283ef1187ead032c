"""A small release made by `release` itself, of curated discs and of discs called synthetic.

Nothing is trained or measured: the synthetic cells are drawn by code and marked as a generator's,
and the report is written by hand.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from cards.release import Release, release
from curation.cells import SCHEMA
from curation.codec import encode
from curation.corpus import Corpus, load_corpus
from curation.corpus_writer import shard_name, write_manifest, write_shard
from curation.curate import CurateConfig, curate
from curation.manifest import Codec, View
from curation.pixels import decode_rgb, pixel_id
from curation.vocabulary import LABEL_IDS
from synth.contact_sheet import contact_sheet, jpeg_bytes
from synth.measure.measurement import (
    MEASUREMENTS_FORMAT,
    MEASUREMENTS_NAME,
    OPEN_FIGURE,
    OPEN_REPORT_NAME,
    REPORT_NAME,
    Measurement,
    Measurements,
)
from synth.provenance import Marker, marked
from tests.made import disc, write_export

GENERATOR = "0f" * 16
SYNTHETIC = {"basophil": 7, "monocyte": 5, "lymphocyte": 2}
DAY = "2027-01-31"
ABOUT = """\
creators:
- family_names: Quibble
  given_names: Ada
  orcid: https://orcid.org/0000-0002-1825-0097
- name: Laboratory of Made Cells
purpose: Made to test releases.
funding: Not asked for.
collection: Drawn by code on no day at all.
labelling: The code that drew a disc named it.
ethics: No person is concerned.
maintenance: The tests keep it.
contact: nobody@example.org
doi: 10.5281/zenodo.1234567
"""


@dataclass(frozen=True)
class MadeCards:
    """Two corpora, a report on them, and the release 1.0.0 of both."""

    folder: Path
    real: Corpus
    synthetic: Corpus
    report: Path
    release: Release

    @property
    def vault(self) -> Path:
        """The vault of the real corpus, after the release."""
        return self.folder / "corpus-vault"


@cache
def made_cards_in(folder: Path) -> MadeCards:
    """Make everything below a folder; within one test run, only the first call does."""
    config = CurateConfig(
        source_name="drawn discs", license="cc0-1.0", train=0.5, validation=0.25, test=0.25
    )
    real = curate([write_export(folder / "export", 8)], folder / "corpus", config)
    synthetic = write_synthetic(folder / "synthetic", real)
    report = write_report(folder / "report", real, synthetic)
    about = folder / "about.yaml"
    about.write_text(ABOUT)
    done = release(
        real, synthetic, report, "1.0.0", folder / "release", name="Drawn discs", date=DAY,
        about=about, repository="lab/discs", gated=True,
    )  # fmt: skip
    return MadeCards(folder, real, synthetic, report, done)


def release_again(made: MadeCards, out: Path, version: str, **changes: Any) -> Release:
    """Release changed corpora after 1.0.0, with a copy of the vault of its own."""
    vault = out.parent / f"{out.name}-vault"
    if not vault.exists():
        shutil.copytree(made.vault, vault)
    real = changes.pop("real", made.real)
    synthetic = changes.pop("synthetic", made.synthetic)
    report = changes.pop("report", None)
    if report is None:
        report = write_report(out.parent / f"{out.name}-report", real, synthetic)
    options = {"name": "Drawn discs", "date": "2027-02-28", "vault": vault,
               "previous": made.release.path, **changes}  # fmt: skip
    return release(real, synthetic, report, version, out, **options)


def write_synthetic(
    folder: Path, real: Corpus, plan: dict[str, int] | None = None, seed: int = 1_000
) -> Corpus:
    """Write discs as if a generator that learned from `real` had drawn them."""
    folder.mkdir(parents=True)
    codec = Codec(format="png")
    rows = []
    for label, count in (plan or SYNTHETIC).items():
        for _ in range(count):
            seed += 1
            data = encode(np.asarray(disc(label, seed, 16)), codec)
            rows.append(
                {
                    "image": {"bytes": marked(data, Marker(GENERATOR, label, seed)), "path": None},
                    "image_id": pixel_id(decode_rgb(data)), "label": LABEL_IDS[label],
                    "origin": "synthetic", "license": "cc0-1.0", "generator": GENERATOR,
                    "seed": seed, "guidance": 1.5, "steps": 3,
                    "training_corpus": real.fingerprint,
                }
            )  # fmt: skip
    table = pa.Table.from_pylist(rows, schema=SCHEMA)
    shard = write_shard(folder, "train", shard_name("train", 0, 1), table)
    write_manifest(
        folder, kind="synthetic", shards=[shard], n_in=len(rows), dropped={}, grouped_by="none",
        codec=codec, view=View(side=16, crop=1.0), config={},
        parents={"generator": GENERATOR, "training_corpus": real.fingerprint},
    )  # fmt: skip
    return load_corpus(folder)


def measured(name: str, label: str = "all", value: float = 0.1, **changes: Any) -> Measurement:
    """Return a measurement with everything that one needs."""
    found: dict[str, Any] = {
        "name": name, "label": label, "value": value, "low": value - 0.02, "high": value + 0.02,
        "n_real": 9, "n_synthetic": 14, "floor": 0.01, "direction": "lower",
        "extractor": "none", "pipeline": "none", "reference": "made", **changes,
    }  # fmt: skip
    return Measurement(**found)


def measurements_of(real: Corpus, synthetic: Corpus, **changes: Any) -> Measurements:
    """Return measurements of two corpora that nobody made."""
    parents, total = synthetic.manifest.parents, synthetic.manifest.n_out
    found: dict[str, Any] = {
        "format_version": MEASUREMENTS_FORMAT, "real": real.fingerprint,
        "synthetic": synthetic.fingerprint, "generator": parents["generator"],
        "training_corpus": parents["training_corpus"], "view": View(side=16, crop=1.0),
        "held_out": ("test",), "seconds": 1.0, "versions": {"made": "1"},
        "skipped": {"lymphocyte": "only 2 synthetic cells; 4 are needed"},
        "measurements": (
            measured("kid", goal_high=0.2),
            measured("fid", value=31.5, low=None, high=None, reliable=False),
            measured("copied_share", value=0.0, family="copying", direction="zero",
                     n_synthetic=total),
            measured("balanced_accuracy", value=0.7, family="usefulness", arm="real+synthetic",
                     direction="higher", goal_low=0.9),
            measured("odd_new_measure", value=3.25, family="shortcuts"),
            measured("kid", "basophil", 0.3), measured("kid", "monocyte", 0.2),
        ), **changes,
    }  # fmt: skip
    return Measurements(**found)


def write_report(folder: Path, real: Corpus, synthetic: Corpus, **changes: Any) -> Path:
    """Write a report directory, as far as a release needs one."""
    (folder / "figures").mkdir(parents=True)
    found = measurements_of(real, synthetic, **changes)
    (folder / MEASUREMENTS_NAME).write_text(found.model_dump_json())
    for name in (REPORT_NAME, OPEN_REPORT_NAME):
        (folder / name).write_text("<!DOCTYPE html><title>Report</title><p>Made.</p>")
    sheet = jpeg_bytes(contact_sheet([("cells", [np.asarray(disc("basophil", 1))])]))
    for figure in (OPEN_FIGURE, "figures/real_over_synthetic.jpg"):
        (folder / figure).write_bytes(sheet)
    return folder
