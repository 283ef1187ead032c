"""What a source calls its classes may name a hospital or a person: where that is kept."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from curation.curate import CurateConfig, curate
from curation.deidentify.leaks import scan_for_leaks
from curation.deidentify.own_labels import OWN_LABELS_NAME, own_names, public_labels
from curation.deidentify.vault import read_vault

OWN = "Quibble ward monos"


def test_what_the_vocabulary_knows_is_public() -> None:
    pairs = [("MO", "monocyte"), (OWN, "monocyte"), ("Basophils", "basophil"), ("x", None)]
    assert public_labels(pairs) == {"MO": "monocyte", "Basophils": "basophil"}
    assert list(own_names(dict(pairs))) == [("label", OWN), ("label", "x")]


def test_an_own_name_is_in_the_vault_and_nowhere_else(
    class_folders: Callable[..., Path], tmp_path: Path
) -> None:
    root = class_folders(**{"MO": 4, OWN: 4, "Unknown of Quibble": 2})
    config = CurateConfig(label_map={OWN: "monocyte"}, drop_unknown_labels=True)
    corpus = curate([root], tmp_path / "c", config)
    assert corpus.manifest.class_totals() == {"monocyte": 8}
    assert corpus.manifest.config["label_map"] == {"MO": "monocyte"}
    for file in (path for path in corpus.path.rglob("*") if path.is_file()):
        assert b"quibble" not in file.read_bytes().lower(), file.name
    vault = read_vault(tmp_path / "c-vault")
    lines = (vault.path / OWN_LABELS_NAME).read_text(encoding="utf-8").splitlines()
    assert [tuple(json.loads(line).values()) for line in lines] == [
        (OWN, "monocyte"), ("Unknown of Quibble", None)
    ]  # fmt: skip
    assert scan_for_leaks(corpus.path, vault).clean
    (corpus.path / "reports" / "planted.json").write_text(f'["{OWN}"]')
    hits = scan_for_leaks(corpus.path, vault).hits
    assert {hit.kind for hit in hits} & {"label", "folder"}
