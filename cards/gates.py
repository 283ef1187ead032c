"""The gates of a release: each says passed, failed, overridden or warned, and why."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import pyarrow as pa

from curation.corpus import Corpus, verify_corpus
from curation.deidentify.leaks import NotPublicError, Scan, scan_for_leaks
from curation.deidentify.released import made_releases
from curation.deidentify.vault import Vault
from curation.errors import CorpusError
from curation.vocabulary import LABELS
from synth.measure.measurement import ALL_CLASSES
from synth.provenance import Marker, fault_of_real, fault_of_synthetic
from synth.signing import split_signature

from .candidate import Candidate as Candidate
from .candidate import key_of as key_of
from .gate import Gate as Gate
from .gate import State
from .license_gate import licence
from .version_gate import version
from .vocabulary_gate import one_vocabulary
from .withdrawn import withdrawn


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
        if role == "real" and expected in candidate.measured_as:
            detail = f"measured on corpus {expected}, before cells of this one were withdrawn"
            return Gate(name="report_fits", state="warned", detail=detail)
        if expected != corpus.fingerprint:
            detail = (
                f"the report measured {role} corpus {expected}, this one is {corpus.fingerprint}; "
                "run `smearkit evaluate` on the corpora of this release"
            )
            return Gate(name="report_fits", state="failed", detail=detail)
    return Gate(name="report_fits", state="passed", detail="fingerprints fit")


def splits_disjoint(candidate: Candidate) -> Gate:
    """No subject, slide or image stands in two splits of the real corpus."""
    if fault := split_fault(candidate.real):
        return Gate(name="splits_disjoint", state="failed", detail=fault)
    unknown = candidate.real.manifest.grouped_by == "duplicate_group"
    note = "; subjects and slides are not known for this corpus" if unknown else ""
    return Gate(
        name="splits_disjoint",
        state="warned" if unknown else "passed",
        detail=f"no subject, slide or image in two splits{note}",
    )


def split_fault(corpus: Corpus) -> str | None:
    """Return what stands in several splits; None where nothing does."""
    for column in ("subject", "slide", "image_id"):
        where: dict[str, set[str]] = defaultdict(set)
        for split in corpus.manifest.splits:
            values = corpus.rows([column], [split])[column].to_pylist()
            for value in values:
                if value is not None:
                    where[value].add(split)
        shared = [value for value, splits in where.items() if len(splits) > 1]
        if shared:
            return f"{len(shared)} {column}(s) stand in several splits, first {shared[0]}"
    return None


def synthetic_in_train(candidate: Candidate) -> Gate:
    """Synthetic rows stand in train only, and nowhere in the real corpus."""
    for corpus in (candidate.synthetic, candidate.real):
        if fault := origin_fault(corpus):
            return Gate(name="synthetic_in_train", state="failed", detail=fault)
    return Gate(name="synthetic_in_train", state="passed", detail="synthetic rows in train only")


def origin_fault(corpus: Corpus) -> str | None:
    """Return why a corpus' rows are not of its kind and in its splits; None where they are."""
    kind, splits = corpus.manifest.kind, set(corpus.manifest.splits)
    if kind == "synthetic" and splits != {"train"}:
        return f"the synthetic corpus has splits {sorted(splits)}"
    found = set(corpus.rows(["origin"])["origin"].to_pylist())
    if found != {kind}:
        return f"the {kind} corpus holds rows of origin {sorted(found)}"
    return None


def marked(candidate: Candidate) -> Gate:
    """Every synthetic image says in its own metadata what it is; no real image holds any."""
    for corpus in (candidate.real, candidate.synthetic):
        if fault := mark_fault(corpus):
            return Gate(name="marked", state="failed", detail=fault)
    detail = "every synthetic image says that it is synthetic; no real image holds metadata"
    if candidate.synthetic.manifest.config.get("signer") is not None:
        detail += "; signatures are there, and were not verified"
    return Gate(name="marked", state="passed", detail=detail)


def mark_fault(corpus: Corpus) -> str | None:
    """Return what is wrong with the metadata of a corpus' images; None where nothing is."""
    try:
        faults = [found for found in _metadata_faults(corpus) if found]
    except (OSError, pa.ArrowException):
        # The gate `whole` says which file; what the library says may repeat a value.
        faults = ["a shard is damaged"]
    if not faults:
        return None
    return (
        f"{len(faults)} image(s) of {corpus.path.name}; first: {faults[0]}. "
        f"{_MARK_NEXT[corpus.manifest.kind]}"
    )


_MARK_NEXT = {
    "real": "Curate again: curate keeps nothing beside the pixels",
    "synthetic": "Draw it again with `smearkit sample`, which marks what it draws",
}


def _metadata_faults(corpus: Corpus) -> Iterator[str | None]:
    """Yield what is wrong with the metadata of each image, None where nothing is."""
    columns = ["image", "image_id", "origin", "generator", "label", "seed"]
    signed = corpus.manifest.config.get("signer") is not None
    for batch in corpus.batches(columns):
        for row in batch.to_pylist():
            data = row["image"]["bytes"]
            if row["origin"] == "synthetic":
                marker = Marker(row["generator"], LABELS[row["label"]], row["seed"])
                bare, signature = split_signature(data)
                fault = fault_of_synthetic(bare, marker)
                if not fault and bool(signature) != signed:
                    fault = "is signed" if signature else "is not signed"
                    fault += ", which its corpus does not say"
            else:
                fault = fault_of_real(data)
            yield fault and f"{row['image_id']} {fault}"


def no_copies(candidate: Candidate) -> Gate:
    """No synthetic cell is a copy of a training cell."""
    name, found = "no_copies", candidate.measurements
    copied = [entry for entry in found.measurements if entry.name == "copied_share"]
    if not copied:
        return Gate(name=name, state="failed", detail="the report does not say (copied_share)")
    # Where copies were searched for in several ways, the one that found most counts.
    pooled = [entry for entry in copied if entry.label == ALL_CLASSES] or copied
    most = max(pooled, key=lambda entry: entry.value * entry.n_synthetic)
    count = round(most.value * most.n_synthetic)
    detail = f"{count} of {most.n_synthetic} synthetic cells copy a training cell"
    if count:
        return Gate(name=name, state="failed", detail=detail)
    # A corpus that was added to holds the training cells of the version before.
    searched = (found.real, candidate.real.manifest.parents.get("added_to"))
    if found.training_corpus not in searched:
        # The cells that it could have copied lie elsewhere: none found says nothing about them.
        detail += (
            f" of corpus {found.real}; the generator learned from corpus {found.training_corpus}, "
            "whose cells are not here, so copies of those were not searched for"
        )
        return Gate(name=name, state="warned", detail=detail)
    return Gate(name=name, state="passed", detail=detail)


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
    silent = candidate.about.not_stated
    detail = "licence and source are stated"
    if silent:
        detail += f"; not stated: {', '.join(silent)} (--about)"
    return Gate(name="card_facts", state="passed", detail=detail)


def deidentified(candidate: Candidate) -> Gate:
    """The real corpus was de-identified under a key of this vault, and searched for text."""
    name = "deidentified"
    record = candidate.real.manifest.deidentification
    if record is None:
        detail = "the real corpus does not say how it was de-identified; curate it again"
        return Gate(name=name, state="failed", detail=detail)
    if candidate.vault is not None and key_of(candidate) is None:
        detail = (
            f"the vault has no key {record.key_id}, under which the real corpus was made: it is "
            "another corpus' vault; give the right one with --vault"
        )
        return Gate(name=name, state="failed", detail=detail)
    if record.text.mode == "off":
        detail = "burned-in text was not searched for; curate without --no-text"
        return Gate(name=name, state="failed", detail=detail)
    text = record.text
    detail = (
        f"policy {record.policy}; {text.images} images searched for burned-in text, "
        f"{text.read} read, {text.hits} hit(s), {text.accepted} of them accepted by a person"
    )
    return Gate(name=name, state="passed", detail=detail)


def key_per_release(candidate: Candidate) -> Gate:
    """The key of the pseudonyms served no other dataset: two could be joined by patient."""
    name = "key_per_release"
    keys = key_of(candidate)
    if keys is None:
        # The other two gates about the vault say what is missing, and fail.
        detail = "without its vault nobody can tell whether the key served another release"
        return Gate(name=name, state="warned", detail=detail)
    under = [made for made in made_releases(keys) if made.key_id == keys.key_id]
    others = sorted({made.name for made in under if made.name != candidate.name})
    if others:
        detail = (
            f"key {keys.key_id} served {', '.join(others)} already; run `smearkit vault rotate` "
            "and curate again"
        )
        return Gate(name=name, state="failed", detail=detail)
    versions = sorted({made.version for made in under} - {candidate.version})
    if versions:
        detail = f"key {keys.key_id}: subjects can be joined with version {', '.join(versions)}"
        return Gate(name=name, state="warned", detail=detail)
    return Gate(name=name, state="passed", detail=f"key {keys.key_id} served no other release")


def k_anonymity(candidate: Candidate) -> Gate:
    """Every combination of quasi-identifiers is shared by enough subjects."""
    name = "k_anonymity"
    record = candidate.real.manifest.deidentification
    if record is None:
        return Gate(name=name, state="failed", detail="not checked; curate the real corpus again")
    found = record.k_anonymity
    if not found.quasi_identifiers:
        return Gate(name=name, state="passed", detail="no quasi-identifier is released")
    over = ", ".join(found.quasi_identifiers)
    if found.groups:
        detail = (
            f"{found.groups} combination(s) of {over} ({found.rows} cells) are shared by fewer "
            f"than {found.k} subjects; the vault lists them (small_groups.jsonl). Curate again "
            "with --small-groups generalise or --small-groups drop"
        )
        return Gate(name=name, state="failed", detail=detail)
    done = f"; {found.found_rows} cells {_DONE[found.choice]}" if found.found_groups else ""
    detail = f"at least {found.k} subjects share each combination of {over}{done}"
    return Gate(name=name, state="passed", detail=detail)


_DONE = {"report": "reported", "generalise": "generalised", "drop": "dropped"}


CHECKS: tuple[Callable[[Candidate], Gate], ...] = (
    whole, report_fits, one_vocabulary, splits_disjoint, synthetic_in_train, marked, no_copies,
    deidentified, k_anonymity, key_per_release, withdrawn, licence, version, card_facts,
)  # fmt: skip
LEAK_GATE = "no_identifier"
GATE_NAMES = (*(check.__name__ for check in CHECKS), LEAK_GATE)


def no_identifier(
    folders: Iterable[Path], vault: Vault | None, published: Sequence[str] = ()
) -> Gate:
    """No identifier that the vault saw stands in any file that would be published.

    `published` are texts that the maintainer declared public; what they hold is not searched for.
    """
    if vault is None:
        detail = (
            "the vault of the real corpus was not found, so nothing could be searched for; "
            "give it with --vault"
        )
        return Gate(name=LEAK_GATE, state="failed", detail=detail)
    searched, files, possible = 0, 0, 0
    for folder in folders:
        try:
            scan = scan_for_leaks(folder, vault, published=published)
        except NotPublicError as error:
            return Gate(name=LEAK_GATE, state="failed", detail=str(error))
        searched, files = scan.searched, files + scan.files
        possible += len(scan.possible)
        if not scan.clean:
            return Gate(name=LEAK_GATE, state="failed", detail=_found(scan, folder))
    detail = f"none of {searched} identifiers of the source in {files} files"
    if published:
        detail += f"; {len(published)} text(s) were declared public"
    if possible:
        # Short or ordinary words stand in a card anyway: a person looks, nothing is blocked.
        detail += f"; {possible} find(s) that may be chance: `smearkit audit` lists them"
    state: State = "warned" if possible else "passed"
    return Gate(name=LEAK_GATE, state=state, detail=detail)


def _found(scan: Scan, folder: Path) -> str:
    if scan.hits:
        first = scan.hits[0]
        return (
            f"{len(scan.hits)} hit(s); first: a {first.kind} (short id {first.short_id}) in "
            f"{folder.name}/{first.file}, {first.carrier}. Where it is meant to be public, say so "
            "with --public TEXT"
        )
    unread = scan.not_searched[0]
    return (
        f"{len(scan.not_searched)} thing(s) could not be searched; first: {folder.name}/"
        f"{unread.file}, {unread.carrier}: {unread.why}"
    )


def overridden(gate: Gate, overrides: Iterable[str]) -> Gate:
    """Return a failed gate as overridden where the maintainer said so by name."""
    if gate.state == "failed" and gate.name in set(overrides):
        return Gate(name=gate.name, state="overridden", detail=gate.detail)
    return gate
