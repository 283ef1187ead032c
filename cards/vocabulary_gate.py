"""The gate `one_vocabulary`: a label id means one cell type in both datasets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from curation.vocabulary import LABELS

from .candidate import Candidate
from .gate import Gate

NAME = "one_vocabulary"


def one_vocabulary(candidate: Candidate) -> Gate:
    """Both corpora use one version of the vocabulary, and their shards name its labels."""
    versions = {
        kind: corpus.manifest.vocabulary_version
        for kind, corpus in (("real", candidate.real), ("synthetic", candidate.synthetic))
    }
    if len(set(versions.values())) > 1:
        said = ", ".join(f"{kind} {version}" for kind, version in versions.items())
        detail = (
            f"the vocabularies are mixed ({said}): loaded together, their labels do not fit. "
            "Make the older corpus again with this version"
        )
        return Gate(name=NAME, state="failed", detail=detail)
    for corpus in (candidate.real, candidate.synthetic):
        for shard in corpus.manifest.shards:
            fault = label_fault(corpus.path / shard.path)
            if fault:
                detail = f"{corpus.path.name}/{shard.path} {fault}"
                return Gate(name=NAME, state="failed", detail=detail)
    detail = f"vocabulary {versions['real']}, {len(LABELS)} labels"
    return Gate(name=NAME, state="passed", detail=detail)


def label_fault(shard: Path) -> str | None:
    """Return what is wrong with the label names that a shard carries for `datasets`."""
    names = shard_features(shard).get("label", {}).get("names")
    if not names:
        return "does not name its labels"
    known = list(LABELS[: len(names)])
    if names != known:
        first = next(
            (i for i, (a, b) in enumerate(zip(names, known, strict=True)) if a != b), len(known)
        )
        ours = LABELS[first] if first < len(LABELS) else "nothing"
        return f"calls label {first} {names[first]!r}, and the vocabulary {ours!r}"
    return None


def shard_features(shard: Path) -> dict[str, dict[str, Any]]:
    """Return column -> its feature, as the shard tells `datasets`; empty where it does not."""
    metadata = pq.read_schema(shard).metadata or {}
    text = metadata.get(b"huggingface")
    if text is None:
        return {}
    features = json.loads(text)["info"]["features"]
    assert isinstance(features, dict), "written by this project's own writer"
    return features
