"""The stage `release`: two corpora and a report in, two dataset folders out, past every gate."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pyarrow.compute as pc

from curation.corpus import Corpus, file_sha256, load_corpus
from curation.deidentify.released import MadeRelease, record_release
from curation.deidentify.vault import Vault, default_vault, read_vault
from curation.errors import ReleaseRefusedError
from curation.output import refuse_existing, whole_directory, write_whole
from curation.progress import Progress, silent
from curation.validate.acquisition_report import AcquisitionReport
from synth.measure.measurement import MEASUREMENTS_NAME, read_measurements

from .about import About, read_about
from .candidate import Candidate, key_of
from .checksums import check_files, write_checksums
from .dataset_card import CARD_FORMAT
from .diff import ReleaseDifference
from .gate import Gate
from .gates import CHECKS, GATE_NAMES, no_identifier, overridden
from .release_files import write_derived
from .release_info import RELEASE_FORMAT, ReleaseInfo
from .release_info import RELEASE_NAME as RELEASE_NAME
from .release_info import Release as Release
from .release_info import read_release as read_release
from .release_parts import (
    copy_dataset,
    draw_class_sheet,
    validated_acquisitions,
    write_acquisitions,
)
from .release_record import (
    RECORD_FORMAT,
    ReleaseRecord,
    VersionEntry,
    Withdrawal,
    companion_of,
    read_record,
)
from .repository_name import check_repository
from .version_gate import compare
from .versions import parse_version
from .withdrawal_notice import NOTICE_NAME

KINDS = ("real", "synthetic")


@dataclass(frozen=True, slots=True)
class Words:
    """What a maintainer says of a release beside what its files tell."""

    about: About
    repository: str | None
    gated: bool
    date: str
    public: Sequence[str] = ()
    notes: tuple[str, ...] = ()
    withdrawals: tuple[Withdrawal, ...] = ()


def release(
    real: Corpus | Path,
    synthetic: Corpus | Path,
    report: Path,
    version: str,
    out: Path,
    *,
    name: str = "Blood smear cells",
    license_id: str | None = None,
    vault: Path | None = None,
    overrides: Sequence[str] = (),
    public: Sequence[str] = (),
    previous: Path | None = None,
    about: Path | None = None,
    repository: str | None = None,
    gated: bool = False,
    validation: Path | None = None,
    date: str | None = None,
    progress: Progress = silent,
) -> Release:
    """Make the two dataset folders of one version; refused unless every gate passes.

    `previous` is the release before, with whose rows these are compared; `about` a YAML file of
    what only the maintainer knows; `repository` the ORG/NAME that the cards name; `validation` what
    `smearkit validate` made; `date` the day, today unless given. `public` are texts that may be
    published although the source holds them, such as a hospital's name in the name of the source:
    each has to be given, and is not searched for.

    Raises: ReleaseRefusedError naming every gate that failed; CorpusError; OutputExistsError.
    """
    refuse_existing(out)
    check_words(version, overrides)
    before = None if previous is None else _open_previous(previous)
    words = Words(
        about=read_about(about),
        repository=_repository(repository),
        gated=gated,
        date=day(date),
        public=tuple(sorted(public)),
        withdrawals=() if before is None else read_record(before.real).withdrawals,
    )
    real = real if isinstance(real, Corpus) else load_corpus(real)
    synthetic = synthetic if isinstance(synthetic, Corpus) else load_corpus(synthetic)
    candidate = _candidate(
        real, synthetic, report, name, version, license_id, vault, before, words.about
    )
    acquisitions = None if validation is None else validated_acquisitions(validation, real)
    gates = check_gates(candidate, overrides, progress)
    job = {
        "stage": "release", "version": version, "name": name, "license": candidate.license,
        "real": real.fingerprint, "synthetic": synthetic.fingerprint,
        "measurements": file_sha256(report / MEASUREMENTS_NAME), "overrides": sorted(overrides),
        "public": sorted(public), "about": words.about.model_dump(mode="json"), "gated": gated,
        "repository": repository, "date": words.date,
    }  # fmt: skip
    with whole_directory(out, job) as partial:
        _copy(partial, candidate, report, acquisitions)
        info = finish(partial, candidate, words, gates, overrides, progress)
    return Release(out, info)


def check_gates(
    candidate: Candidate, overrides: Sequence[str], progress: Progress = silent
) -> list[Gate]:
    """Return what every gate says but the one that searches the finished folders.

    Raises: ReleaseRefusedError naming every gate that failed.
    """
    gates = []
    for number, check in enumerate(CHECKS):
        progress("check", number, len(CHECKS) + 1)
        gates.append(overridden(check(candidate), overrides))
    _refuse_failed(gates)
    return gates


def finish(
    partial: Path,
    candidate: Candidate,
    words: Words,
    gates: list[Gate],
    overrides: Sequence[str] = (),
    progress: Progress = silent,
) -> ReleaseInfo:
    """Write cards and checksums over copied datasets, and `release.json` last.

    Raises: ReleaseRefusedError where an identifier is found.
    """
    folders = [partial / kind for kind in KINDS]
    entries = _entries(candidate, words)
    first = [_record(candidate, words, kind, gates, entries[kind]) for kind in KINDS]
    for folder, record in zip(folders, first, strict=True):
        _keep_notice(folder, record, candidate.previous)
    facts = [write_derived(f, record) for f, record in zip(folders, first, strict=True)]
    leaks = no_identifier(folders, candidate.vault, words.public)
    gates = [*gates, overridden(leaks, overrides)]
    progress("check", len(CHECKS) + 1, len(CHECKS) + 1)
    if gates[-1].state == "failed":
        # What holds an identifier must not be left lying beside --out.
        for folder in folders:
            shutil.rmtree(folder)
    _refuse_failed(gates)
    for folder, known, kind in zip(folders, facts, KINDS, strict=True):
        write_derived(folder, _record(candidate, words, kind, gates, entries[kind]), known)
        write_checksums(folder)
    info = ReleaseInfo(
        format_version=RELEASE_FORMAT, name=candidate.name, version=candidate.version,
        license=candidate.license, real=candidate.real.fingerprint,
        synthetic=candidate.synthetic.fingerprint, gates=tuple(gates), date=words.date,
        repository=words.repository,
        previous=None if candidate.previous is None else candidate.previous.info.version,
    )  # fmt: skip
    write_whole(partial / RELEASE_NAME, (info.model_dump_json(indent=2) + "\n").encode())
    _remember(candidate)
    return info


def _copy(
    partial: Path, candidate: Candidate, report: Path, acquisitions: AcquisitionReport | None
) -> None:
    for kind, corpus in zip(KINDS, (candidate.real, candidate.synthetic), strict=True):
        copy_dataset(partial / kind, corpus, report)
    draw_class_sheet(partial / "real", candidate.real)
    if acquisitions is not None:
        write_acquisitions(partial / "real", acquisitions)


def _entries(candidate: Candidate, words: Words) -> dict[str, tuple[VersionEntry, ...]]:
    """Return the versions of each dataset, the new one first."""
    found: ReleaseDifference | None = None if candidate.previous is None else compare(candidate)
    entries = {}
    for number, kind in enumerate(KINDS):
        corpus = candidate.real if kind == "real" else candidate.synthetic
        entry = VersionEntry(
            version=candidate.version,
            date=words.date,
            rows=corpus.manifest.n_out,
            fingerprint=corpus.fingerprint,
            # Not which rows: what is published names no cell that was withdrawn.
            difference=None if found is None else found.datasets[number].without_examples(),
            notes=words.notes,
        )
        earlier: tuple[VersionEntry, ...] = ()
        if candidate.previous is not None:
            earlier = read_record(candidate.previous.path / kind).versions
        entries[kind] = (entry, *earlier)
    return entries


def _record(
    candidate: Candidate, words: Words, kind: str, gates: Sequence[Gate],
    entries: tuple[VersionEntry, ...],
) -> ReleaseRecord:  # fmt: skip
    other = candidate.synthetic if kind == "real" else candidate.real
    return ReleaseRecord(
        format_version=RECORD_FORMAT,
        card_format=CARD_FORMAT,
        kind="real" if kind == "real" else "synthetic",
        name=candidate.name,
        version=candidate.version,
        date=words.date,
        license=candidate.license,
        source=candidate.source,
        repository=words.repository,
        gated=words.gated,
        about=words.about,
        companion=companion_of(other),
        gates=tuple(gates),
        versions=entries,
        withdrawals=_withdrawals(candidate, words, kind),
    )


def _withdrawals(candidate: Candidate, words: Words, kind: str) -> tuple[Withdrawal, ...]:
    """Return the withdrawals that a card tells of; those of earlier versions are told on.

    Newly drawn cells may come from a generator that learned from none of those withdrawn.
    """
    before = candidate.previous
    drawn_anew = before is not None and before.info.synthetic != candidate.synthetic.fingerprint
    return () if kind == "synthetic" and drawn_anew else words.withdrawals


def _keep_notice(folder: Path, record: ReleaseRecord, previous: Release | None) -> None:
    notice = folder / NOTICE_NAME
    if record.withdrawals and previous is not None and not notice.is_file():
        shutil.copyfile(previous.path / folder.name / NOTICE_NAME, notice)


def _remember(candidate: Candidate) -> None:
    """Note in the vault which release the key served; before the release stands, not after."""
    keys = key_of(candidate)
    if keys is not None:
        made = MadeRelease(
            key_id=keys.key_id, name=candidate.name, version=candidate.version,
            real=candidate.real.fingerprint,
        )  # fmt: skip
        record_release(keys, made)


def check_words(version: str, overrides: Sequence[str]) -> None:
    """Refuse a version that is not MAJOR.MINOR.PATCH, or the override of an unknown gate.

    Raises: ReleaseRefusedError.
    """
    parse_version(version)
    unknown = sorted(set(overrides) - set(GATE_NAMES))
    if unknown:
        raise ReleaseRefusedError(
            f"there is no gate {', '.join(unknown)}; the gates are {', '.join(GATE_NAMES)}"
        )


def _repository(name: str | None) -> str | None:
    if name is not None:
        check_repository(name)
    return name


def day(date: str | None) -> str:
    """Return a day as YYYY-MM-DD, today's in UTC where none is given.

    Raises: ReleaseRefusedError.
    """
    if date is None:
        return datetime.now(UTC).date().isoformat()
    try:
        return datetime.strptime(date, "%Y-%m-%d").date().isoformat()
    except ValueError as error:
        raise ReleaseRefusedError(f"date {date!r} is no day such as 2027-01-31") from error


def _open_previous(path: Path) -> Release:
    found = read_release(path)
    for folder in (found.real, found.synthetic):
        check_files(folder)
        if not (folder / "reports" / "release.json").is_file():
            raise ReleaseRefusedError(
                f"{folder} was released by an earlier smearkit, whose releases cannot be compared. "
                "Next: release that version again with this one"
            )
    return found


def _candidate(
    real: Corpus,
    synthetic: Corpus,
    report: Path,
    name: str,
    version: str,
    license_id: str | None,
    vault: Path | None,
    previous: Release | None,
    about: About,
) -> Candidate:
    return Candidate(
        real=real,
        synthetic=synthetic,
        measurements=read_measurements(report),
        vault=_find_vault(real, vault),
        name=name,
        version=version,
        license=license_id or _values(real, "license") or "unknown",
        source=_values(real, "source"),
        previous=previous,
        about=about,
    )


def _find_vault(real: Corpus, vault: Path | None) -> Vault | None:
    if vault is not None:
        return read_vault(vault)
    usual = default_vault(real.path)
    return read_vault(usual) if (usual / "key").is_file() else None


def _values(corpus: Corpus, column: str) -> str | None:
    """Return the distinct values of a column as one text; None where all are null."""
    values = pc.unique(corpus.rows([column])[column].drop_null()).to_pylist()
    return "; ".join(sorted(values)) if values else None


def _refuse_failed(gates: Sequence[Gate]) -> None:
    failed = [gate for gate in gates if gate.state == "failed"]
    if failed:
        lines = [f"  {gate.name}: {gate.detail}" for gate in failed]
        raise ReleaseRefusedError(
            "the release is refused:\n" + "\n".join(lines) + "\n"
            "Next: mend the cause; or take the responsibility with --override NAME, "
            "which the card will state"
        )
