"""A dataset folder as a corpus: what a release holds of it, or the corpus itself."""

from __future__ import annotations

from pathlib import Path

from curation.corpus import Corpus, load_corpus
from curation.errors import CorpusError
from curation.manifest import MANIFEST_NAME, Manifest, parse_model
from curation.vocabulary import VOCABULARY_VERSION

CORPUS_NAME = "reports/corpus.json"
"""Where a dataset folder keeps the manifest of the corpus that it was made of."""


def is_dataset(path: Path) -> bool:
    """Return whether a folder is one dataset of a release, as published."""
    return (path / CORPUS_NAME).is_file()


def open_dataset(path: Path) -> Corpus:
    """Open a dataset folder of a release, or a corpus, as a corpus.

    Raises: CorpusError where it is neither, or uses a newer vocabulary.
    """
    if not is_dataset(path):
        if (path / MANIFEST_NAME).is_file():
            return load_corpus(path)
        raise CorpusError(
            f"{path} is neither a dataset of a release (it has no {CORPUS_NAME}) nor a corpus "
            f"(it has no {MANIFEST_NAME})"
        )
    manifest = parse_model(Manifest, path / CORPUS_NAME)
    if manifest.vocabulary_version > VOCABULARY_VERSION:
        raise CorpusError(
            f"{path} uses vocabulary {manifest.vocabulary_version}; this smearkit knows up to "
            f"{VOCABULARY_VERSION}. Next: upgrade smearkit"
        )
    missing = [s.path for s in manifest.shards if not (path / s.path).is_file()]
    if missing:
        raise CorpusError(f"{path} is not whole: {missing[0]} is missing")
    return Corpus(path, manifest)
