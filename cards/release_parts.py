"""The parts of a dataset folder: rows and reports that are copied, and pictures of its cells."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from curation.corpus import Corpus
from curation.errors import ReleaseRefusedError
from curation.output import write_whole
from curation.validate.acquisition_report import AcquisitionReport
from synth.measure.measurement import (
    MEASUREMENTS_NAME,
    OPEN_FIGURE,
    OPEN_REPORT_NAME,
    REPORT_NAME,
)

from .card_pictures import CLASS_SHEET, class_sheet
from .dataset_folder import CORPUS_NAME
from .facts import ACQUISITIONS_NAME

_VALIDATION_NAME = "report.json"


def copy_dataset(folder: Path, corpus: Corpus, report: Path) -> None:
    """Fill a dataset folder with a corpus' rows and reports, and what measured them."""
    if folder.exists():
        shutil.rmtree(folder)
    copy_rows(folder, corpus)
    reports = folder / "reports"
    if corpus.manifest.kind == "real":
        shutil.copytree(report, reports)
    else:
        copy_open_report(report, reports)
    if (corpus.path / "reports").is_dir():
        shutil.copytree(corpus.path / "reports", reports, dirs_exist_ok=True)
    text = corpus.manifest.model_dump_json(indent=2) + "\n"
    write_whole(folder / CORPUS_NAME, text.encode())


def copy_rows(folder: Path, corpus: Corpus) -> None:
    """Copy the shards of a corpus."""
    for shard in corpus.manifest.shards:
        target = folder / shard.path
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(corpus.path / shard.path, target)


def copy_open_report(report: Path, reports: Path) -> None:
    """Copy what shows no real cell: the real companion may be gated, this dataset is open.

    Raises: ReleaseRefusedError where the report lacks it.
    """
    missing = [name for name in (OPEN_REPORT_NAME, OPEN_FIGURE) if not (report / name).is_file()]
    if missing:
        raise ReleaseRefusedError(
            f"{report} is no complete report: it has no {missing[0]}. "
            "Next: run `smearkit evaluate` again"
        )
    (reports / OPEN_FIGURE).parent.mkdir(parents=True)
    shutil.copyfile(report / MEASUREMENTS_NAME, reports / MEASUREMENTS_NAME)
    shutil.copyfile(report / OPEN_REPORT_NAME, reports / REPORT_NAME)
    shutil.copyfile(report / OPEN_FIGURE, reports / OPEN_FIGURE)


def draw_class_sheet(folder: Path, corpus: Corpus) -> None:
    """Write the sheet of real cells into the folder of the real dataset."""
    target = folder / CLASS_SHEET
    target.parent.mkdir(parents=True, exist_ok=True)
    write_whole(target, class_sheet(corpus))


def validated_acquisitions(validation: Path, corpus: Corpus) -> AcquisitionReport:
    """Return what `smearkit validate` found of a corpus' acquisitions; the rest of it is private.

    Raises: ReleaseRefusedError where it is no validation, or one of another corpus.
    """
    file = validation / _VALIDATION_NAME
    try:
        found = json.loads(file.read_bytes())
        fingerprint, told = found["fingerprint"], json.dumps(found["acquisitions"])
        report = AcquisitionReport.model_validate_json(told)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ReleaseRefusedError(
            f"{validation} is no validation: its {_VALIDATION_NAME} cannot be read. "
            "Next: run `smearkit validate`"
        ) from error
    if fingerprint != corpus.fingerprint:
        raise ReleaseRefusedError(
            f"{validation} validated corpus {fingerprint}, this one is {corpus.fingerprint}. "
            "Next: run `smearkit validate` on the corpus of this release"
        )
    return report


def write_acquisitions(folder: Path, found: AcquisitionReport) -> None:
    """Write what is known of the acquisitions into a dataset folder."""
    text = found.model_dump_json(indent=2) + "\n"
    write_whole(folder / ACQUISITIONS_NAME, text.encode())
