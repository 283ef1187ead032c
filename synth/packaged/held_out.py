"""Held-out cells that the packaged generator learned from, where another corpus measures it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from curation.cells import Split
from curation.corpus import Corpus
from curation.errors import MeasurementError

from ..generator import read_info
from .folder import is_pretrained, pretrained_folder
from .seen import read_seen

COPIES_NOTE = (
    "the corpus that the packaged generator learned from is not here, so copies of its cells were "
    "not looked for; copied_share tells of this corpus' training cells only"
)


def may_measure(generator: str, training_corpus: str | None, real: Corpus) -> bool:
    """Return whether a corpus may measure what a generator drew, by their fingerprints.

    The corpus it learned from may, and one that this was added to, as cells keep their splits;
    another one only for the packaged generator, whose training cells are known wherever it goes.
    """
    known = training_corpus is not None and training_corpus in (
        real.fingerprint, real.manifest.parents.get("added_to"),
    )  # fmt: skip
    return known or is_pretrained(generator)


def unseen_rows(
    generator: str, training_corpus: str | None, real: Corpus, splits: Sequence[Split]
) -> NDArray[np.bool_] | None:
    """Return which rows of some splits the packaged generator did not learn from, (n,) bool.

    None where there is nothing to tell apart: the corpus is the one that it learned from, split by
    split. Training cells of that corpus are found in others by id and by what they look like.

    Raises: MeasurementError where it learned from all of them; GeneratorError.
    """
    if training_corpus == real.fingerprint or not is_pretrained(generator):
        return None
    folder = pretrained_folder()
    seen = read_seen(folder, sum(read_info(folder).trained_on.values()))
    found = seen.among_corpus(real, splits)
    if len(found) and found.all():
        raise MeasurementError(
            f"the packaged generator learned from all {len(found)} held-out cells of {real.path}. "
            "Next: measure it on cells that it has not seen"
        )
    return ~found


def left_out_note(unseen: NDArray[np.bool_]) -> str:
    """Return what a report says of the held-out cells that were left out."""
    count = int((~unseen).sum())
    return (
        f"{count} of {len(unseen)} held-out cells were left out, as the packaged generator learned "
        "from them (by id, or by their looks)"
    )
