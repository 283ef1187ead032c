"""The gate `version`: the number says what happened to the rows since the version before."""

from __future__ import annotations

from curation.corpus import Corpus
from curation.deidentify.released import MadeRelease, made_releases

from .candidate import Candidate, key_of
from .dataset_folder import open_dataset
from .diff import Difference, ReleaseDifference, difference
from .gate import Gate
from .release_info import Release
from .versions import BUMPS, Version, parse_version

NAME = "version"


def version(candidate: Candidate) -> Gate:
    """The version is new, later than every other, and its bump tells users what happened."""
    new = parse_version(candidate.version)
    recorded = _recorded(candidate)
    for made in recorded:
        known = parse_version(made.version)
        if known == new and made.real != candidate.real.fingerprint:
            detail = f"version {new} exists already, with other rows ({made.real})"
            return Gate(name=NAME, state="failed", detail=f"{detail}. Next: give a later one")
        if known > new:
            detail = f"version {known} exists already, which is later than {new}"
            return Gate(name=NAME, state="failed", detail=detail)
    if candidate.previous is None:
        return _without_previous(candidate, new, recorded)
    return _compared(candidate.previous, compare(candidate), new)


def compare(candidate: Candidate) -> ReleaseDifference:
    """Return how a candidate's rows differ from those of the version before.

    Raises: ValueError where there is none.
    """
    if candidate.previous is None:
        raise ValueError("there is no version before to compare with")
    return release_difference(candidate.previous, candidate.real, candidate.synthetic)


def release_difference(previous: Release, real: Corpus, synthetic: Corpus) -> ReleaseDifference:
    """Return how two corpora differ from those of an earlier release."""
    pairs = ((previous.real, real), (previous.synthetic, synthetic))
    found: list[Difference] = [difference(open_dataset(folder), now) for folder, now in pairs]
    return ReleaseDifference(datasets=tuple(found))


def _recorded(candidate: Candidate) -> list[MadeRelease]:
    """Return the releases of this dataset that the vault knows, under any key."""
    keys = key_of(candidate)
    if keys is None:
        return []
    return [made for made in made_releases(keys) if made.name == candidate.name]


def _without_previous(candidate: Candidate, new: Version, recorded: list[MadeRelease]) -> Gate:
    earlier = [made for made in recorded if parse_version(made.version) < new]
    if not earlier:
        return Gate(name=NAME, state="passed", detail=f"{new} is the first version known here")
    last = max(earlier, key=lambda made: parse_version(made.version))
    bump = new.bump_from(parse_version(last.version))
    if bump == "patch" and last.real != candidate.real.fingerprint:
        detail = (
            f"{new} says that the rows are those of {last.version}, and they are not "
            f"({last.real} before, {candidate.real.fingerprint} now)"
        )
        return Gate(name=NAME, state="failed", detail=detail)
    detail = f"the rows were not compared with those of {last.version}; give it with --previous"
    return Gate(name=NAME, state="warned", detail=detail)


def _compared(previous: Release, found: ReleaseDifference, new: Version) -> Gate:
    old = parse_version(previous.info.version)
    given, said = new.bump_from(old), _said(found)
    if given is None:
        detail = f"{new} is no later than {old}, which it follows"
        return Gate(name=NAME, state="failed", detail=detail)
    if found.moved:
        where = {k: n for one in found.datasets for k, n in one.moved_between.items()}
        detail = (
            f"{found.moved} row(s) stand in another split than in {old} "
            f"({', '.join(f'{k}: {n}' for k, n in where.items())}): what was trained on one "
            "version would be tested on cells that it has seen. Curate with --add-to"
        )
        return Gate(name=NAME, state="failed", detail=detail)
    need = found.bump
    if BUMPS.index(given) < BUMPS.index(need):
        detail = (
            f"{new} is a {given} version after {old}, but {said}: that is a {need} one, "
            f"{old.next(need)}"
        )
        return Gate(name=NAME, state="failed", detail=detail)
    if new != old.next(need):
        detail = f"{said} since {old}; {old.next(need)} would have said so"
        return Gate(name=NAME, state="warned", detail=detail)
    return Gate(name=NAME, state="passed", detail=f"{said} since {old}")


def _said(found: ReleaseDifference) -> str:
    parts = []
    for one in found.datasets:
        counts = (
            ("added", one.added), ("removed", one.removed), ("relabelled", one.relabelled),
            ("changed", one.changed), ("column(s) added", len(one.columns_added)),
            ("column(s) removed", len(one.columns_removed)),
        )  # fmt: skip
        told = ", ".join(f"{count} {word}" for word, count in counts if count)
        parts.append(f"{one.kind} rows: {told or 'the same'}")
    return "; ".join(parts)
