"""The stage `withdraw`: the next version of a release, without the cells of some patients.

The patients are given by the names or numbers that the source calls them, or by pseudonym. Neither
stands in what is written, printed or raised.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow.compute as pc

from curation.corpus import Corpus
from curation.deidentify.released import made_releases
from curation.deidentify.vault import Vault, all_keys, read_vault
from curation.errors import ReleaseRefusedError
from curation.output import refuse_existing, whole_directory, write_whole
from curation.progress import Progress, silent
from synth.measure.measurement import (
    OPEN_FIGURE,
    OPEN_REPORT_NAME,
    REPORT_NAME,
    read_measurements,
)

from .candidate import Candidate
from .checksums import check_files
from .dataset_folder import CORPUS_NAME, open_dataset
from .release import Words, check_gates, day, finish
from .release_info import Release, read_release
from .release_parts import copy_rows, draw_class_sheet
from .release_record import Withdrawal, read_record
from .trained_on import Trained, trained_on
from .versions import parse_version
from .withdrawal_notice import NOTICE_NAME, notice
from .withdrawn import record_withdrawn
from .without_subjects import Removed, clean_reports, without_subjects

_PSEUDONYM = re.compile(r"[0-9a-f]{16}")


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """What a withdrawal did, in numbers."""

    release: Release
    withdrawal: Withdrawal
    unknown: int
    earlier: tuple[str, ...]
    trained: tuple[Trained, ...]
    notice: Path


def withdraw(
    subjects: Sequence[str],
    release_folder: Path,
    out: Path,
    *,
    vault: Path,
    version: str | None = None,
    date: str | None = None,
    also: Sequence[Path] = (),
    corpus_out: Path | None = None,
    overrides: Sequence[str] = (),
    public: Sequence[str] = (),
    progress: Progress = silent,
) -> Withdrawn:
    """Make the next version of a release without the cells of some subjects.

    `version` is the next MAJOR one unless given. `also` are other releases, synthetic corpora and
    generators that are looked at: did they learn from these cells? `corpus_out` keeps the real
    corpus that is left, to train on anew.

    Raises: ReleaseRefusedError, also where no subject has a cell in the release; VaultError.
    """
    refuse_existing(out)
    if corpus_out is not None:
        refuse_existing(corpus_out)
    old = read_release(release_folder)
    for folder in (old.real, old.synthetic):
        check_files(folder)
    real, synthetic = open_dataset(old.real), open_dataset(old.synthetic)
    keys = _keys(real, vault)
    gone, unknown = _found(subjects, real, keys)
    number = version or str(parse_version(old.info.version).next("major"))
    job = {"stage": "withdraw", "release": real.fingerprint, "version": number, "cells": len(gone)}
    with whole_directory(out, job) as partial:
        _start_anew(partial)
        left, removed = without_subjects(real, gone, partial / "corpus")
        told = trained_on(gone, (release_folder, *also), real)
        words = _words(old, number, day(date), removed, told[0], public)
        candidate = _candidate(old, left, synthetic, keys, number, words)
        record_withdrawn(keys, gone)
        gates = check_gates(candidate, overrides, progress)
        _copy_real(partial / "real", old, left, removed)
        shutil.copytree(old.synthetic, partial / "synthetic")
        text = notice(old.info.name, words.withdrawals[-1], _earlier(old, keys), told)
        for kind in ("real", "synthetic"):
            write_whole(partial / kind / NOTICE_NAME, text.encode())
        info = finish(partial, candidate, words, gates, overrides, progress)
        _keep_corpus(left, removed, old, corpus_out)
    return Withdrawn(
        Release(out, info), words.withdrawals[-1], unknown, _earlier(old, keys), told,
        out / "real" / NOTICE_NAME,
    )  # fmt: skip


def _keys(real: Corpus, vault: Path) -> Vault:
    """Return the vault under the key of the release's pseudonyms."""
    record = real.manifest.deidentification
    keys = all_keys(read_vault(vault).path)
    found = next((key for key in keys if record and key.key_id == record.key_id), None)
    if found is None:
        raise ReleaseRefusedError(
            f"{vault} has no key under which this release's pseudonyms were made; give the vault "
            "of its corpus with --vault"
        )
    return found


def _found(subjects: Sequence[str], real: Corpus, keys: Vault) -> tuple[frozenset[str], int]:
    """Return the pseudonyms that have cells, and how many of those given have none."""
    known = set(pc.unique(real.rows(["subject"])["subject"].drop_null()).to_pylist())
    asked = {text.strip() for text in subjects if text.strip()}
    gone, unknown = set(), 0
    for text in asked:
        given = _PSEUDONYM.fullmatch(text) and text in known
        own = text if given else keys.pseudonym("subject", text)
        if own in known:
            gone.add(own)
        else:
            unknown += 1
    if not gone:
        raise ReleaseRefusedError(
            f"none of the {len(asked)} subject(s) given has a cell in this release. Next: spell "
            "them as the source does, one a line, or give pseudonyms"
        )
    return frozenset(gone), unknown


def _start_anew(partial: Path) -> None:
    """Empty what an interrupted run left, for it may be of other subjects; keep its lock."""
    for name in ("corpus", "real", "synthetic"):
        shutil.rmtree(partial / name, ignore_errors=True)


def _words(
    old: Release, version: str, when: str, removed: Removed, synthetic: Trained,
    public: Sequence[str],
) -> Words:  # fmt: skip
    record = read_record(old.real)
    cells, subjects = sum(removed.cells.values()), len(removed.subjects)
    measured = read_measurements(old.real / "reports").real
    withdrawal = Withdrawal(
        version=version, date=when, subjects=subjects, cells=cells,
        trained=removed.cells.get("train", 0), learned=synthetic.learned, measured=measured,
    )  # fmt: skip
    notes = [f"{cells} cells of {subjects} subject(s) were withdrawn: {NOTICE_NAME}"]
    if removed.generalised:
        notes.append(f"quasi-identifiers of {removed.generalised} cells were emptied for it")
    return Words(
        about=record.about, repository=record.repository, gated=record.gated, date=when,
        public=tuple(sorted(public)), notes=tuple(notes),
        withdrawals=(*record.withdrawals, withdrawal),
    )  # fmt: skip


def _candidate(
    old: Release, left: Corpus, synthetic: Corpus, keys: Vault, version: str, words: Words
) -> Candidate:
    record = read_record(old.real)
    measurements = read_measurements(old.real / "reports")
    return Candidate(
        real=left, synthetic=synthetic, measurements=measurements, vault=keys,
        name=old.info.name, version=version, license=old.info.license, source=record.source,
        previous=old, measured_as=(measurements.real,), about=words.about,
    )  # fmt: skip


def _copy_real(folder: Path, old: Release, left: Corpus, removed: Removed) -> None:
    """Copy what is left of the real dataset; no picture of real cells comes along."""
    copy_rows(folder, left)
    reports = folder / "reports"
    shutil.copytree(old.real / "reports", reports)
    for figure in (reports / "figures").iterdir():
        if figure.relative_to(reports).as_posix() != OPEN_FIGURE:
            figure.unlink()
    # The full report embeds pictures of real cells; the open one does not.
    if (reports / OPEN_REPORT_NAME).is_file():
        (reports / OPEN_REPORT_NAME).replace(reports / REPORT_NAME)
    clean_reports(reports, removed, left)
    shutil.copyfile(left.path / "manifest.json", folder / CORPUS_NAME)
    draw_class_sheet(folder, left)


def _keep_corpus(left: Corpus, removed: Removed, old: Release, corpus_out: Path | None) -> None:
    """Move the corpus that is left to where it was asked for, or remove it."""
    if corpus_out is None:
        shutil.rmtree(left.path)
        return
    reports = left.path / "reports"
    reports.mkdir(exist_ok=True)
    for name in ("curation.json", "conflicts.parquet", "overlap.json", "overlap.parquet"):
        if (old.real / "reports" / name).is_file():
            shutil.copyfile(old.real / "reports" / name, reports / name)
    clean_reports(reports, removed, left)
    shutil.copytree(left.path, corpus_out)
    shutil.rmtree(left.path)


def _earlier(old: Release, keys: Vault) -> tuple[str, ...]:
    """Return the versions that hold these cells still, as the vault knows them."""
    known = {old.info.version}
    known |= {made.version for made in made_releases(keys) if made.name == old.info.name}
    latest = parse_version(old.info.version)
    return tuple(str(one) for one in sorted(parse_version(text) for text in known) if one <= latest)
