"""The signatures of a corpus, made of its images: by them its cells are looked for elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from .corpus import Corpus
from .dedupe.signature import SIGNATURE_SCHEMA, sign, signature_columns
from .dedupe.turned import turned_id
from .engine import run_chunks
from .errors import CorpusError, ImageError
from .glance import glance, side_by_side
from .pixels import Limits, ReleasedImage, release_image
from .progress import Progress
from .staged_rows import StagedRows, write_rows

_BATCH_ROWS = 512
_ANY_SIZE = Limits(min_side_px=1, max_pixels=2**31)
SIGNED: pa.Schema = pa.schema([
    ("image_id", pa.string()), ("turned_id", pa.string()), ("split", pa.string()),
    *SIGNATURE_SCHEMA,
])  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Part:
    """One row group of a shard."""

    shard: Path
    split: str
    group: int
    rows: int


def sign_corpus(
    corpus: Corpus,
    folder: Path,
    progress: Progress,
    *,
    engine: str = "local",
    workers: int | None = None,
) -> StagedRows:
    """Return the columns `SIGNED` of every cell of a corpus, as files below `folder`.

    Raises: CorpusError where an image cannot be read; EngineError.
    """
    folder.mkdir(parents=True, exist_ok=True)
    parts = tuple(_parts(corpus))
    done = 0

    def finished(number: int) -> None:
        nonlocal done
        done += parts[number].rows
        progress("sign", done, corpus.manifest.n_out)

    work = partial(_sign_part, parts, folder.resolve())
    missing = [number for number in range(len(parts)) if not _file(folder, number).exists()]
    run_chunks(work, missing, engine, workers=workers, finished=finished)
    return StagedRows([_file(folder, number) for number in range(len(parts))])


def _parts(corpus: Corpus) -> Iterator[_Part]:
    for shard in corpus.shards():
        path = (corpus.path / shard.path).resolve()
        metadata = pq.read_metadata(path)
        for group in range(metadata.num_row_groups):
            yield _Part(path, shard.split, group, metadata.row_group(group).num_rows)


def _file(folder: Path, number: int) -> Path:
    return folder / f"{number:06d}.arrow"


def _sign_part(parts: tuple[_Part, ...], folder: Path, number: int) -> None:
    part, tables = parts[number], []
    with pq.ParquetFile(part.shard) as file:
        for batch in file.iter_batches(
            _BATCH_ROWS, row_groups=[part.group], columns=["image_id", "image"]
        ):
            tables.append(_signed(batch, part))
    write_rows(_file(folder, number), pa.concat_tables(tables))


def _signed(batch: pa.RecordBatch, part: _Part) -> pa.Table:
    ids = batch.column("image_id").to_pylist()
    images = [_opened(image["bytes"].as_py(), part) for image in batch.column("image")]
    glances = side_by_side([glance(image) for image in images])
    turned = [turned_id(image.pixels) for image in images]
    columns = {
        "image_id": pa.array(ids, pa.string()),
        "turned_id": pa.array(turned, pa.string()),
        "split": pa.array(np.repeat(part.split, len(ids)), pa.string()),
        **signature_columns(sign(glances.tiles_NHWC, glances.sizes.min(axis=1))),
    }
    return pa.table({name: columns[name] for name in SIGNED.names}, schema=SIGNED)


def _opened(data: bytes, part: _Part) -> ReleasedImage:
    try:
        return release_image(data, _ANY_SIZE)
    except ImageError as error:
        raise CorpusError(
            f"{part.shard} holds an image that cannot be read ({error.reason}). "
            "Next: `smearkit inspect --verify` tells whether the corpus is as it was written"
        ) from error
