"""A contact sheet of a synthetic corpus, a row of cells per class: no real cell is on it."""

from __future__ import annotations

import argparse
from pathlib import Path

from curation.corpus import load_corpus
from curation.errors import SmearkitError
from curation.pixels import decode_rgb
from curation.vocabulary import LABELS
from synth.contact_sheet import contact_sheet, jpeg_bytes, readable


def main() -> None:
    """Write the sheet as a JPEG under 300 kB."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--cells", type=int, default=12, help="cells of each class, the first ones")
    options = parser.parse_args()
    corpus = load_corpus(options.corpus)
    if corpus.manifest.kind != "synthetic":
        raise SmearkitError(f"{options.corpus} is no synthetic corpus: its cells may not be shown")
    labels = corpus.labels()
    cells = [decode_rgb(data) for data in corpus.images()]
    rows = []
    for label in LABELS:
        own = [cell for cell, name in zip(cells, labels, strict=True) if name == label]
        if own:
            rows.append((readable(label), own[: options.cells]))
    options.out.write_bytes(jpeg_bytes(contact_sheet(rows), limit_bytes=300_000))


if __name__ == "__main__":
    main()
