"""The stage `release`: two corpora and a report in, two dataset folders out, past every gate."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from curation.corpus import Corpus, file_sha256, load_corpus
from curation.deidentify.released import MadeRelease, record_release
from curation.deidentify.vault import Vault, default_vault, read_vault
from curation.errors import ReleaseRefusedError
from curation.manifest import Frozen, parse_model
from curation.output import refuse_existing, whole_directory, write_whole
from curation.progress import Progress, silent
from synth.measure.measurement import (
    MEASUREMENTS_NAME,
    OPEN_FIGURE,
    OPEN_REPORT_NAME,
    REPORT_NAME,
    read_measurements,
)

from .dataset_card import Kind, render_card
from .facts import CardFacts
from .gates import CHECKS, GATE_NAMES, Candidate, Gate, key_of, no_identifier, overridden

RELEASE_NAME = "release.json"
_VERSION = re.compile(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)")


class ReleaseInfo(Frozen):
    """`release.json`: what a release directory holds. Written last."""

    format_version: int
    name: str
    version: str
    license: str
    real: str
    synthetic: str
    gates: tuple[Gate, ...]


@dataclass(frozen=True, slots=True)
class Release:
    """A release directory whose gates have passed, or were overridden by name."""

    path: Path
    info: ReleaseInfo

    @property
    def real(self) -> Path:
        """The folder of the real dataset."""
        return self.path / "real"

    @property
    def synthetic(self) -> Path:
        """The folder of the synthetic dataset."""
        return self.path / "synthetic"


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
    progress: Progress = silent,
) -> Release:
    """Make the two dataset folders of one version; refused unless every gate passes.

    `public` are texts that may be published although the source holds them, such as a hospital's
    name in the name of the source: each has to be given, and is not searched for.

    Raises: ReleaseRefusedError naming every gate that failed; CorpusError; OutputExistsError.
    """
    refuse_existing(out)
    check_words(version, overrides)
    real = real if isinstance(real, Corpus) else load_corpus(real)
    synthetic = synthetic if isinstance(synthetic, Corpus) else load_corpus(synthetic)
    candidate = _candidate(real, synthetic, report, name, version, license_id, vault)
    gates = []
    for number, check in enumerate(CHECKS):
        progress("check", number, len(CHECKS) + 1)
        gates.append(overridden(check(candidate), overrides))
    _refuse_failed(gates)
    job = {
        "stage": "release", "version": version, "name": name, "license": candidate.license,
        "real": real.fingerprint, "synthetic": synthetic.fingerprint,
        "measurements": file_sha256(report / MEASUREMENTS_NAME), "overrides": sorted(overrides),
        "public": sorted(public),
    }  # fmt: skip
    with whole_directory(out, job) as partial:
        folders = [partial / kind for kind in ("real", "synthetic")]
        for folder, corpus in zip(folders, (real, synthetic), strict=True):
            _copy_data(folder, corpus, report)
        _write_cards(folders, candidate, name, version, gates)
        leaks = no_identifier(folders, candidate.vault, public)
        gates.append(overridden(leaks, overrides))
        progress("check", len(CHECKS) + 1, len(CHECKS) + 1)
        if gates[-1].state == "failed":
            # What holds an identifier must not be left lying beside --out.
            for folder in folders:
                shutil.rmtree(folder)
        _refuse_failed(gates)
        _write_cards(folders, candidate, name, version, gates)
        for folder in folders:
            _write_checksums(folder)
        info = ReleaseInfo(
            format_version=1, name=name, version=version, license=candidate.license,
            real=real.fingerprint, synthetic=synthetic.fingerprint, gates=tuple(gates),
        )  # fmt: skip
        write_whole(partial / RELEASE_NAME, (info.model_dump_json(indent=2) + "\n").encode())
        _remember(candidate)
    return Release(out, info)


def _remember(candidate: Candidate) -> None:
    """Note in the vault which release the key served; before the release stands, not after."""
    keys = key_of(candidate)
    if keys is not None:
        made = MadeRelease(
            key_id=keys.key_id, name=candidate.name, version=candidate.version,
            real=candidate.real.fingerprint,
        )  # fmt: skip
        record_release(keys, made)


def read_release(path: Path) -> Release:
    """Open a release directory.

    Raises: ReleaseRefusedError where it is not complete.
    """
    file = path / RELEASE_NAME
    if not file.is_file():
        raise ReleaseRefusedError(f"{path} is no complete release: it has no {RELEASE_NAME}")
    return Release(path, parse_model(ReleaseInfo, file))


def check_words(version: str, overrides: Sequence[str]) -> None:
    """Refuse a version that is not MAJOR.MINOR.PATCH, or the override of an unknown gate.

    Raises: ReleaseRefusedError.
    """
    if not _VERSION.fullmatch(version):
        raise ReleaseRefusedError(f"version {version!r} is not MAJOR.MINOR.PATCH, such as 1.2.0")
    unknown = sorted(set(overrides) - set(GATE_NAMES))
    if unknown:
        raise ReleaseRefusedError(
            f"there is no gate {', '.join(unknown)}; the gates are {', '.join(GATE_NAMES)}"
        )


def _candidate(
    real: Corpus,
    synthetic: Corpus,
    report: Path,
    name: str,
    version: str,
    license_id: str | None,
    vault: Path | None,
) -> Candidate:
    return Candidate(
        real=real,
        synthetic=synthetic,
        measurements=read_measurements(report),
        vault=_find_vault(real, vault),
        name=name,
        version=version,
        license=license_id or _only_value(real, "license") or "unknown",
        source=_only_value(real, "source"),
    )


def _find_vault(real: Corpus, vault: Path | None) -> Vault | None:
    if vault is not None:
        return read_vault(vault)
    usual = default_vault(real.path)
    return read_vault(usual) if (usual / "key").is_file() else None


def _only_value(corpus: Corpus, column: str) -> str | None:
    values = sorted({v for v in corpus.rows([column])[column].to_pylist() if v is not None})
    return "; ".join(values) if values else None


def _refuse_failed(gates: Sequence[Gate]) -> None:
    failed = [gate for gate in gates if gate.state == "failed"]
    if failed:
        lines = [f"  {gate.name}: {gate.detail}" for gate in failed]
        raise ReleaseRefusedError(
            "the release is refused:\n" + "\n".join(lines) + "\n"
            "Next: mend the cause; or take the responsibility with --override NAME, "
            "which the card will state"
        )


def _copy_data(folder: Path, corpus: Corpus, report: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)
    for shard in corpus.manifest.shards:
        target = folder / shard.path
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(corpus.path / shard.path, target)
    reports = folder / "reports"
    if corpus.manifest.kind == "real":
        shutil.copytree(report, reports)
    else:
        _copy_open_report(report, reports)
    if (corpus.path / "reports").is_dir():
        shutil.copytree(corpus.path / "reports", reports, dirs_exist_ok=True)
    shutil.copyfile(corpus.path / "manifest.json", reports / "corpus.json")


def _copy_open_report(report: Path, reports: Path) -> None:
    """Copy what shows no real cell: the real companion may be gated, this dataset is open."""
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


def _write_cards(
    folders: Sequence[Path], candidate: Candidate, name: str, version: str, gates: Sequence[Gate]
) -> None:
    facts = CardFacts(
        name=name, version=version, license=candidate.license, source=candidate.source,
        real=candidate.real, synthetic=candidate.synthetic, measurements=candidate.measurements,
        gates=gates,
    )  # fmt: skip
    kinds: tuple[Kind, ...] = ("real", "synthetic")
    for folder, kind in zip(folders, kinds, strict=True):
        corpus = candidate.real if kind == "real" else candidate.synthetic
        write_whole(folder / "README.md", render_card(facts, kind).encode())
        changelog = (
            f"# Changelog\n\n## {version}\n\n- {corpus.manifest.n_out} {kind} cells, "
            f"fingerprint `{corpus.fingerprint}`.\n"
        )
        write_whole(folder / "CHANGELOG.md", changelog.encode())


def _write_checksums(folder: Path) -> None:
    files = sorted(p for p in folder.rglob("*") if p.is_file() and p.name != "checksums.txt")
    lines = [f"{file_sha256(path)}  {path.relative_to(folder).as_posix()}" for path in files]
    write_whole(folder / "checksums.txt", ("\n".join(lines) + "\n").encode())
