"""A corpus with some classes of its training split cut to a few cells: a rare class, made rare.

Which cells stay is drawn from a seed; validation and test stay whole. What was cut is counted in
the manifest as dropped (`cut`), and the whole corpus stands in it as the parent.

    python -m scripts.cut_corpus --real out/pbc --keep promyelocyte=40 basophil=40 --out out/cut
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from curation.cells import SPLITS, schema_with
from curation.corpus import Corpus, load_corpus
from curation.corpus_writer import shard_name, write_manifest, write_shard
from curation.errors import CorpusError
from curation.output import refuse_existing, whole_directory


def main() -> None:
    """Write the corpus."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--real", type=Path, required=True)
    parser.add_argument("--keep", nargs="+", required=True, metavar="CLASS=N")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    asked = parser.parse_args()
    keep = {name: int(count) for name, count in (text.split("=") for text in asked.keep)}
    made = cut_corpus(load_corpus(asked.real), keep, asked.seed, asked.out)
    print(f"{made.path}: {made.manifest.classes['train']}, fingerprint {made.fingerprint}")


def cut_corpus(corpus: Corpus, keep: Mapping[str, int], seed: int, out: Path) -> Corpus:
    """Write a corpus whose training split keeps so many cells of each class that is named.

    Raises: CorpusError where the split has fewer of a class; OutputExistsError.
    """
    refuse_existing(out)
    stays = _stays(corpus.labels(["train"]), keep, seed)
    manifest = corpus.manifest
    schema = schema_with(manifest.attributes)
    job = {"cut": dict(keep), "seed": seed, "real": corpus.fingerprint}
    with whole_directory(out, job) as partial:
        shards = []
        for split in SPLITS:
            table = pa.concat_tables(
                [pq.read_table(corpus.path / shard.path, partitioning=None)
                 for shard in corpus.shards([split])]
            )  # fmt: skip
            kept = table.filter(pa.array(stays)) if split == "train" else table
            shards.append(write_shard(partial, split, shard_name(split, 0, 1), kept, schema))
        write_manifest(
            partial, kind="real", shards=shards, n_in=manifest.n_out,
            dropped={"cut": int((~stays).sum())}, grouped_by=manifest.grouped_by,
            codec=manifest.codec, parents={"corpus": corpus.fingerprint}, config=job,
            attributes=manifest.attributes, deidentification=manifest.deidentification,
        )  # fmt: skip
    return load_corpus(out)


def _stays(labels: list[str], keep: Mapping[str, int], seed: int) -> NDArray[np.bool_]:
    names = np.array(labels, dtype=object)
    stays = np.ones(len(names), dtype=bool)
    for label, count in sorted(keep.items()):
        rows = np.flatnonzero(names == label)
        if len(rows) < count:
            raise CorpusError(f"the training split has {len(rows)} cells of {label}, not {count}")
        rng = np.random.default_rng([seed, count, *label.encode()])
        stays[rows] = False
        stays[rng.choice(rows, count, replace=False)] = True
    return stays


if __name__ == "__main__":
    main()
