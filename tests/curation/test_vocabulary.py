from __future__ import annotations

from collections import defaultdict

import pytest

from curation.errors import UnknownLabelError
from curation.vocabulary import (
    CELL_TYPES,
    LABEL_IDS,
    LABELS,
    canonical_label,
    check_label_map,
    fold,
    known_names,
    nearest_names,
    unknown_label_message,
)


def test_the_order_is_frozen() -> None:
    """A label's position is its id in every published corpus: add at the end, move none."""
    assert LABELS == (
        "neutrophil_segmented", "neutrophil_band", "neutrophil_unspecified", "eosinophil",
        "basophil", "lymphocyte", "monocyte", "metamyelocyte", "myelocyte", "promyelocyte",
        "immature_granulocyte_unspecified", "myeloblast", "monoblast", "promonocyte",
        "lymphoblast", "blast_unspecified", "erythroblast", "plasma_cell", "platelet",
        "giant_platelet", "erythrocyte", "reticulocyte", "lymphocyte_reactive",
        "lymphocyte_large_granular", "prolymphocyte", "hairy_cell", "smudge_cell", "sickle_cell",
        "target_cell", "schistocyte", "spherocyte", "artefact", "leukocyte_unspecified",
    )  # fmt: skip
    assert LABEL_IDS["artefact"] == 31
    assert LABEL_IDS["leukocyte_unspecified"] == 32


def test_no_name_means_two_labels() -> None:
    meanings = defaultdict(set)
    for cell in CELL_TYPES:
        for name in (cell.name, *cell.aliases):
            meanings[fold(name)].add(cell.name)
    assert {name: labels for name, labels in meanings.items() if len(labels) > 1} == {}
    assert known_names() == set(meanings)


def test_ids_are_well_formed_and_traps_are_avoided() -> None:
    codes = [cell.cl for cell in CELL_TYPES if cell.cl]
    assert len(codes) == len(set(codes))
    assert all(code.startswith("CL:") and len(code) == 10 for code in codes)
    assert not {"CL:0011114", "CL:0017005", "CL:0000229", "CL:0000118"} & set(codes)
    loincs = [cell.loinc for cell in CELL_TYPES if cell.loinc]
    assert len(loincs) == len(set(loincs))


@pytest.mark.parametrize(
    ("name", "label"),
    [
        # PBC
        ("SNE", "neutrophil_segmented"), ("BNE", "neutrophil_band"),
        ("neutrophil", "neutrophil_unspecified"), ("ig", "immature_granulocyte_unspecified"),
        ("MMY", "metamyelocyte"), ("MY", "myelocyte"), ("PMY", "promyelocyte"),
        ("ERB", "erythroblast"), ("PLATELET", "platelet"), ("LY", "lymphocyte"),
        # Matek and MLL
        ("NGS", "neutrophil_segmented"), ("NGB", "neutrophil_band"), ("EBO", "erythroblast"),
        ("KSC", "smudge_cell"), ("LYA", "lymphocyte_reactive"), ("MOB", "monoblast"),
        ("MMZ", "metamyelocyte"), ("MYB", "myelocyte"), ("MYO", "myeloblast"),
        ("PMO", "promyelocyte"), ("PLM", "plasma_cell"), ("HAC", "hairy_cell"),
        ("ART", "artefact"), ("BLA", "blast_unspecified"), ("LYT", "lymphocyte"),
        # BCCD
        ("WBC", "leukocyte_unspecified"), ("RBC", "erythrocyte"), ("Platelets", "platelet"),
        # as people write them
        ("Segmented Neutrophils", "neutrophil_segmented"), ("  plasma-cell ", "plasma_cell"),
        ("Large.granular_lymphocyte", "lymphocyte_large_granular"), ("Basophils", "basophil"),
    ],
)  # fmt: skip
def test_names_that_users_bring(name: str, label: str) -> None:
    assert canonical_label(name) == label


@pytest.mark.parametrize("label", LABELS)
def test_each_label_means_itself(label: str) -> None:
    assert canonical_label(label) == label


def test_unknown_names_get_hints() -> None:
    assert canonical_label("WBC-unknown") is None
    assert canonical_label("") is None
    assert nearest_names("neutrofil segmented")[0] == "neutrophil_segmented"
    assert len(nearest_names("lymphocyt", 2)) <= 2
    message = unknown_label_message(["basofil", "zzzzzz"])
    assert "2 label(s)" in message
    assert "'basofil': nearest known: basophil" in message
    assert "1 that resemble no known label" in message
    assert "zzzzzz" not in message, "it may be a patient's folder"
    assert "'zzzzzz': nothing similar" in unknown_label_message(["zzzzzz"], show_all=True)
    assert "--map-label" in message
    assert "--drop-unknown-labels" in message


def test_a_label_map_stays_in_the_vocabulary() -> None:
    check_label_map({"own": "basophil"})
    with pytest.raises(UnknownLabelError, match="'own' to 'basofil'.*nearest: basophil"):
        check_label_map({"own": "basofil"})
