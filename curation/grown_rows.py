"""Rows of an earlier version and new ones, as one run of staged rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from .corpus import Corpus
from .errors import CorpusError
from .staged_rows import Rows, StagedRows


class ReleasedImages:
    """The images of a corpus by row of its index, bit for bit; a row group is in memory at once."""

    def __init__(self, corpus: Corpus, image_ids: pa.Array) -> None:
        """`image_ids` are those of all rows; null where the corpus does not hold the image.

        Raises: CorpusError where the corpus lacks one.
        """
        held = corpus.rows(["image_id"])["image_id"].combine_chunks()
        position = pc.index_in(image_ids, value_set=held, skip_nulls=True)
        if position.null_count != image_ids.null_count:
            missing = position.null_count - image_ids.null_count
            raise CorpusError(
                f"{corpus.path} lacks {missing} of the images that its hash index names. "
                "Next: take the corpus as it was written, or curate all sources anew"
            )
        self._position = np.asarray(pc.fill_null(position, -1)).astype(np.int64)
        self._groups = list(_row_groups(corpus))
        self._starts = np.cumsum([0, *(rows for _, _, rows in self._groups)])

    def each(self, rows: Rows) -> Iterator[tuple[int, pa.Buffer]]:
        """Yield each place in `rows` with its image, a row group at a time."""
        positions = self._position[rows]
        groups = np.searchsorted(self._starts, positions, side="right") - 1
        for group in np.unique(groups).tolist():
            path, number, _ = self._groups[group]
            with pq.ParquetFile(path) as file:
                table = file.read_row_group(number, columns=["image"])
            data = table["image"].combine_chunks().field("bytes")
            for place in np.flatnonzero(groups == group).tolist():
                yield place, data[int(positions[place] - self._starts[group])].as_buffer()


def _row_groups(corpus: Corpus) -> Iterator[tuple[Path, int, int]]:
    """Yield (file, number, rows) of each row group, in the corpus' order."""
    for shard in corpus.shards():
        path = corpus.path / shard.path
        metadata = pq.read_metadata(path)
        for number in range(metadata.num_row_groups):
            yield path, number, metadata.row_group(number).num_rows


class GrownRows(StagedRows):
    """Rows of an earlier version, whose images lie in its corpus, and then new staged rows."""

    def __init__(self, earlier: Sequence[Path], images: ReleasedImages, new: StagedRows) -> None:
        super().__init__([*earlier, *new.files])
        self._images = images
        self._earlier = len(self) - len(new)

    def each_image(self, rows: Rows) -> Iterator[tuple[int, pa.Buffer]]:
        """Yield each place in `rows` with its image; a buffer is good until the next one."""
        for places, found in self._sides(rows):
            for place, image in found:
                yield int(places[place]), image

    def _sides(
        self, rows: Rows
    ) -> Iterator[tuple[NDArray[np.int64], Iterator[tuple[int, pa.Buffer]]]]:
        old, new = np.flatnonzero(rows < self._earlier), np.flatnonzero(rows >= self._earlier)
        yield old, self._images.each(rows[old])
        yield new, super().each_image(rows[new])
