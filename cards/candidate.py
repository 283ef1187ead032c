"""What wants to be released, as the gates see it."""

from __future__ import annotations

from dataclasses import dataclass, field

from curation.corpus import Corpus
from curation.deidentify.vault import Vault, all_keys
from synth.measure.measurement import Measurements

from .about import About
from .release_info import Release


@dataclass(frozen=True, slots=True)
class Candidate:
    """What wants to be released.

    `measured_as` are fingerprints of earlier real corpora of which this one lacks withdrawn cells
    and nothing else: a report on one of them tells of more cells than there are now.
    """

    real: Corpus
    synthetic: Corpus
    measurements: Measurements
    vault: Vault | None
    name: str
    version: str
    license: str
    source: str | None
    previous: Release | None = None
    measured_as: tuple[str, ...] = ()
    about: About = field(default_factory=About)


def key_of(candidate: Candidate) -> Vault | None:
    """Return the vault under the key that made the candidate's pseudonyms; None without it."""
    record = candidate.real.manifest.deidentification
    if candidate.vault is None or record is None:
        return None
    keys = all_keys(candidate.vault.path)
    return next((found for found in keys if found.key_id == record.key_id), None)
