"""Which generators and synthetic datasets learned from cells of some subjects."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc

from curation.corpus import Corpus
from curation.errors import ReleaseRefusedError
from curation.frozen import Frozen

from .dataset_folder import open_dataset
from .release_info import RELEASE_NAME, read_release
from .release_record import read_record

_GENERATOR_NAME = "generator.json"


class Trained(Frozen):
    """Whether one generator, or what it drew, learned from withdrawn cells.

    "unknown" where the corpus that it learned from is not at hand.
    """

    what: str
    training_corpus: str
    learned: Literal["yes", "no", "unknown"]
    cells: int


def trained_on(
    subjects: Collection[str], places: Sequence[Path], real: Corpus
) -> tuple[Trained, ...]:
    """Tell of each release, synthetic corpus or generator whether it learned from these subjects.

    It learned from the training split of the corpus whose fingerprint it names: looked for among
    `real` and the real datasets of the releases given.

    Raises: ReleaseRefusedError where a place is none of these.
    """
    corpora = {real.fingerprint: real}
    for place in places:
        if (place / RELEASE_NAME).is_file():
            folder = read_release(place).real
            other = open_dataset(folder)
            corpora[other.fingerprint] = other
            # What earlier withdrawals were taken from held these cells in the same split.
            for earlier in read_record(folder).withdrawals:
                corpora.setdefault(earlier.measured, other)
    found = []
    for place in places:
        what, fingerprint = _learned_from(place)
        corpus = corpora.get(fingerprint)
        cells = 0 if corpus is None else _cells(corpus, subjects)
        learned: Literal["yes", "no", "unknown"] = "yes" if cells else "no"
        found.append(
            Trained(
                what=what, training_corpus=fingerprint,
                learned="unknown" if corpus is None else learned, cells=cells,
            )
        )  # fmt: skip
    return tuple(found)


def _learned_from(place: Path) -> tuple[str, str]:
    """Return what a place is called, and the fingerprint of the corpus that it learned from."""
    if (place / RELEASE_NAME).is_file():
        release = read_release(place)
        parents = open_dataset(release.synthetic).manifest.parents
        return f"{release.info.name} (synthetic) {release.info.version}", parents["training_corpus"]
    if (place / _GENERATOR_NAME).is_file():
        told = json.loads((place / _GENERATOR_NAME).read_bytes())
        return f"generator {told['fingerprint']}", str(told["training_corpus"])
    manifest = open_dataset(place).manifest
    if manifest.kind != "synthetic":
        raise ReleaseRefusedError(
            f"{place} holds real cells; --also takes releases, synthetic corpora and generators"
        )
    return f"synthetic corpus {manifest.fingerprint}", manifest.parents["training_corpus"]


def _cells(corpus: Corpus, subjects: Collection[str]) -> int:
    """Return how many training cells of a corpus are of these subjects."""
    rows = corpus.rows(["subject"], ["train"])["subject"]
    gone = pa.array(sorted(subjects), pa.string())
    return int(pc.sum(pc.is_in(rows, value_set=gone)).as_py() or 0)
