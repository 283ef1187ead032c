"""The cells of one split of a corpus, as a generator would draw them."""

from __future__ import annotations

import numpy as np

from curation.cells import Split
from curation.corpus import Corpus
from curation.errors import MeasurementError
from curation.manifest import Codec, View
from curation.pixels import decode_rgb

from ..view import view_through_codec
from .sides import Cells


def corpus_cells(corpus: Corpus, split: Split, view: View, codec: Codec) -> Cells:
    """Return the cells of a split in a view and codec; synthetic ones are in theirs already.

    Raises: MeasurementError where there are none.
    """
    known = corpus.manifest.view == view and corpus.manifest.codec == codec
    images = [
        decode_rgb(data) if known else view_through_codec(decode_rgb(data), view, codec)
        for data in corpus.images([split])
    ]
    if not images:
        raise MeasurementError(f"{corpus.path} has no {split} cells. Next: give another corpus")
    table = corpus.rows(["image_id", "subject"], [split])
    ids, subjects = table["image_id"].to_pylist(), table["subject"].to_pylist()
    return Cells(np.stack(images), tuple(corpus.labels([split])), tuple(ids), tuple(subjects))
