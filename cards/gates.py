"""The gates of a release: each says passed, failed, overridden or warned, and why."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from curation.corpus import Corpus, verify_corpus
from curation.deidentify.leak_scan import scan_for_leaks
from curation.deidentify.vault import Vault
from curation.errors import CorpusError
from curation.manifest import Frozen
from synth.measure.measurement import Measurements

State = Literal["passed", "failed", "overridden", "warned"]


class Gate(Frozen):
    """One check of a release."""

    name: str
    state: State
    detail: str


@dataclass(frozen=True, slots=True)
class Candidate:
    """What wants to be released."""

    real: Corpus
    synthetic: Corpus
    measurements: Measurements
    vault: Vault | None
    license: str
    source: str | None


def whole(candidate: Candidate) -> Gate:
    """Every byte of both corpora is what their manifests say."""
    for corpus in (candidate.real, candidate.synthetic):
        try:
            verify_corpus(corpus)
        except CorpusError as error:
            return Gate(name="whole", state="failed", detail=f"{corpus.path.name}: {error}")
    return Gate(name="whole", state="passed", detail="every checksum fits")


def report_fits(candidate: Candidate) -> Gate:
    """The report measured these two corpora and no others."""
    found = candidate.measurements
    for role, expected, corpus in (
        ("real", found.real, candidate.real),
        ("synthetic", found.synthetic, candidate.synthetic),
    ):
        if expected != corpus.fingerprint:
            detail = (
                f"the report measured {role} corpus {expected}, this one is {corpus.fingerprint}; "
                "run `smearkit evaluate` on the corpora of this release"
            )
            return Gate(name="report_fits", state="failed", detail=detail)
    return Gate(name="report_fits", state="passed", detail="fingerprints fit")


def splits_disjoint(candidate: Candidate) -> Gate:
    """No subject, slide or image stands in two splits of the real corpus."""
    for column in ("subject", "slide", "image_id"):
        where: dict[str, set[str]] = defaultdict(set)
        for split in candidate.real.manifest.splits:
            values = candidate.real.rows([column], [split])[column].to_pylist()
            for value in values:
                if value is not None:
                    where[value].add(split)
        shared = [value for value, splits in where.items() if len(splits) > 1]
        if shared:
            detail = f"{len(shared)} {column}(s) stand in several splits, first {shared[0]}"
            return Gate(name="splits_disjoint", state="failed", detail=detail)
    unknown = candidate.real.manifest.grouped_by == "duplicate_group"
    note = "; subjects and slides are not known for this corpus" if unknown else ""
    return Gate(
        name="splits_disjoint",
        state="warned" if unknown else "passed",
        detail=f"no subject, slide or image in two splits{note}",
    )


def synthetic_in_train(candidate: Candidate) -> Gate:
    """Synthetic rows stand in train only, and nowhere in the real corpus."""
    splits = set(candidate.synthetic.manifest.splits)
    if splits != {"train"}:
        detail = f"the synthetic corpus has splits {sorted(splits)}"
        return Gate(name="synthetic_in_train", state="failed", detail=detail)
    for corpus, origin in ((candidate.real, "real"), (candidate.synthetic, "synthetic")):
        found = set(corpus.rows(["origin"])["origin"].to_pylist())
        if found != {origin}:
            detail = f"the {origin} corpus holds rows of origin {sorted(found)}"
            return Gate(name="synthetic_in_train", state="failed", detail=detail)
    return Gate(name="synthetic_in_train", state="passed", detail="synthetic rows in train only")


def no_copies(candidate: Candidate) -> Gate:
    """No synthetic cell is a copy of a training cell."""
    for found in candidate.measurements.measurements:
        if found.name == "copied_share":
            count = round(found.value * found.n_synthetic)
            state: State = "failed" if count else "passed"
            detail = f"{count} of {found.n_synthetic} synthetic cells copy a training cell"
            return Gate(name="no_copies", state=state, detail=detail)
    return Gate(name="no_copies", state="failed", detail="the report does not say (copied_share)")


def card_facts(candidate: Candidate) -> Gate:
    """The facts that a card must state are known."""
    missing = []
    if candidate.license == "unknown":
        missing.append("the licence (--license)")
    if candidate.source is None:
        missing.append("the source (curate --source-name)")
    if missing:
        detail = f"the card says 'not stated' for {' and '.join(missing)}"
        return Gate(name="card_facts", state="warned", detail=detail)
    return Gate(name="card_facts", state="passed", detail="licence and source are stated")


CHECKS: tuple[Callable[[Candidate], Gate], ...] = (
    whole, report_fits, splits_disjoint, synthetic_in_train, no_copies, card_facts,
)  # fmt: skip
LEAK_GATE = "no_identifier"
GATE_NAMES = (*(check.__name__ for check in CHECKS), LEAK_GATE)


def no_identifier(folders: Iterable[Path], vault: Vault | None) -> Gate:
    """No identifier that the vault saw stands in any file that would be published."""
    if vault is None:
        detail = (
            "the vault of the real corpus was not found, so nothing could be searched for; "
            "give it with --vault"
        )
        return Gate(name=LEAK_GATE, state="failed", detail=detail)
    searched, files = 0, 0
    for folder in folders:
        scan = scan_for_leaks(folder, vault)
        searched, files = scan.searched, files + scan.files
        if scan.hits:
            first = scan.hits[0]
            detail = (
                f"{len(scan.hits)} hit(s); first: a {first.kind} (short id {first.short_id}) "
                f"in {folder.name}/{first.file}"
            )
            return Gate(name=LEAK_GATE, state="failed", detail=detail)
    return Gate(
        name=LEAK_GATE, state="passed",
        detail=f"none of {searched} identifiers of the source in {files} files",
    )  # fmt: skip


def overridden(gate: Gate, overrides: Iterable[str]) -> Gate:
    """Return a failed gate as overridden where the maintainer said so by name."""
    if gate.state == "failed" and gate.name in set(overrides):
        return Gate(name=gate.name, state="overridden", detail=gate.detail)
    return gate
