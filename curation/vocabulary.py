"""The closed vocabulary of cell labels, with identifiers and the names that users bring.

The order is frozen: a label's position is its `ClassLabel` id in every published corpus, so new
labels go to the end. Cell Ontology ids: release v2026-03-26; LOINC: "/100 leukocytes in Blood".
Naming follows ICSH 2015 (10.1111/ijlh.12327).
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from functools import cache

from .errors import UnknownLabelError

VOCABULARY_VERSION = 2


@dataclass(frozen=True, slots=True)
class CellType:
    """One label: its name, reporting roll-up, ontology ids (None where none is right), aliases."""

    name: str
    rollup: str
    cl: str | None
    loinc: str | None
    aliases: tuple[str, ...] = ()


# Aliases are compared without case and with runs of space, "-", "_" and "." folded into one space.
CELL_TYPES: tuple[CellType, ...] = (
    CellType("neutrophil_segmented", "neutrophil", "CL:0000096", "26505-8",
             ("SNE", "NGS", "SEG", "segmented neutrophil", "segmented neutrophils",
              "neutrophil segment", "seg neutrophil")),
    CellType("neutrophil_band", "neutrophil", "CL:0000560", "26508-2",
             ("BNE", "NGB", "BAND", "band neutrophil", "band neutrophils", "stab neutrophil")),
    CellType("neutrophil_unspecified", "neutrophil", "CL:0000775", "26511-6",
             ("NEUTROPHIL", "neutrophils", "NEU", "NE")),
    CellType("eosinophil", "eosinophil", "CL:0000771", "26450-7", ("EO", "EOS", "eosinophils")),
    CellType("basophil", "basophil", "CL:0000767", "30180-4", ("BA", "BAS", "BASO", "basophils")),
    CellType("lymphocyte", "lymphocyte", "CL:0000542", "26478-8",
             ("LY", "LYT", "LYM", "lymphocytes", "typical lymphocyte", "lymphocyte typical")),
    CellType("monocyte", "monocyte", "CL:0000576", "26485-3", ("MO", "MON", "MONO", "monocytes")),
    CellType("metamyelocyte", "immature_granulocyte", "CL:0000582", "28541-1",
             ("MMY", "MMZ", "metamyelocytes")),
    CellType("myelocyte", "immature_granulocyte", "CL:0002193", "26498-6",
             ("MY", "MYB", "myelocytes")),
    CellType("promyelocyte", "immature_granulocyte", "CL:0000836", "26524-9",
             ("PMY", "PMO", "promyelocytes")),
    CellType("immature_granulocyte_unspecified", "immature_granulocyte", None, None,
             ("IG", "immature granulocyte", "immature granulocytes")),
    CellType("myeloblast", "blast", "CL:0000835", "30445-1", ("MYO", "myeloblasts")),
    CellType("monoblast", "blast", "CL:0000040", "34923-3", ("MOB", "monoblasts")),
    CellType("promonocyte", "monocyte", "CL:0000559", "30466-7", ("promonocytes",)),
    # CL:0017005 is the antigen-activated lymphocyte and CL:0000229 is obsolete: neither is this.
    CellType("lymphoblast", "blast", None, "34922-5", ("lymphoblasts",)),
    CellType("blast_unspecified", "blast", None, "26446-5",
             ("BLA", "blast", "blasts", "blast cell")),
    CellType("erythroblast", "erythroblast", "CL:0000765", None,
             ("ERB", "EBO", "NRBC", "erythroblasts", "nucleated red blood cell", "normoblast")),
    CellType("plasma_cell", "plasma_cell", "CL:0000786", "13047-6",
             ("PLM", "plasma cells", "plasmocyte")),
    CellType("platelet", "platelet", "CL:0000233", None,
             ("PLT", "platelets", "thrombocyte", "thrombocytes")),
    CellType("giant_platelet", "platelet", None, None, ("giant thrombocyte", "giant platelets")),
    CellType("erythrocyte", "erythrocyte", "CL:0000232", None,
             ("RBC", "RBCs", "red blood cell", "red blood cells", "erythrocytes")),
    CellType("reticulocyte", "erythrocyte", "CL:0000558", None, ("RET", "reticulocytes")),
    CellType("lymphocyte_reactive", "lymphocyte", None, "13046-8",
             ("LYA", "variant lymphocyte", "atypical lymphocyte", "reactive lymphocyte",
              "lymphocyte atypical", "lymphocyte variant")),
    CellType("lymphocyte_large_granular", "lymphocyte", None, "30420-4",
             ("LGL", "large granular lymphocyte")),
    CellType("prolymphocyte", "lymphocyte", None, "30465-9", ("prolymphocytes",)),
    CellType("hairy_cell", "lymphocyte", None, "35058-7", ("HAC", "hairy cells")),
    # CL:0000118 "basket cell" is a neuron, not the smudge cell that is also called so.
    CellType("smudge_cell", "smudge_cell", None, "34992-8", ("KSC", "smudge cells", "smudge")),
    CellType("sickle_cell", "erythrocyte", None, None, ("sickle cells", "drepanocyte")),
    CellType("target_cell", "erythrocyte", None, None, ("target cells", "codocyte")),
    CellType("schistocyte", "erythrocyte", None, None, ("schistocytes", "fragmentocyte")),
    CellType("spherocyte", "erythrocyte", None, None, ("spherocytes",)),
    CellType("artefact", "artefact", None, None, ("ART", "artifact", "artefacts", "artifacts")),
    # Since version 2: detection sets such as BCCD tell white cells only from red ones.
    CellType("leukocyte_unspecified", "leukocyte", "CL:0000738", None,
             ("WBC", "WBCs", "leukocyte", "leukocytes", "leucocyte", "leucocytes",
              "white blood cell", "white blood cells")),
)  # fmt: skip

LABELS: tuple[str, ...] = tuple(cell.name for cell in CELL_TYPES)
LABEL_IDS: dict[str, int] = {name: position for position, name in enumerate(LABELS)}


def fold(name: str) -> str:
    """Return a name as labels are compared: no case, one space between words."""
    return re.sub(r"[\s_.\-]+", " ", name).strip().casefold()


@cache
def _names() -> dict[str, str]:
    table: dict[str, str] = {}
    for cell in CELL_TYPES:
        for name in (cell.name, *cell.aliases):
            table[fold(name)] = cell.name
    return table


def known_names() -> frozenset[str]:
    """Return every folded name and alias that `canonical_label` understands."""
    return frozenset(_names())


def canonical_label(name: str) -> str | None:
    """Return the vocabulary's name for a user's label, or None where it has none."""
    return _names().get(fold(name))


def nearest_names(name: str, count: int = 3) -> list[str]:
    """Return the vocabulary's names that look most like an unknown label, best first."""
    close = difflib.get_close_matches(fold(name), sorted(_names()), n=3 * count, cutoff=0.5)
    return list(dict.fromkeys(_names()[match] for match in close))[:count]


def check_label_map(label_map: dict[str, str]) -> None:
    """Refuse a user's label map that points outside the vocabulary.

    Raises: UnknownLabelError.
    """
    for own, target in label_map.items():
        if target not in LABEL_IDS:
            near = ", ".join(nearest_names(target)) or ", ".join(LABELS)
            raise UnknownLabelError(
                f"the label map sends {own!r} to {target!r}, which is not in the vocabulary; "
                f"nearest: {near}"
            )


def unknown_label_message(names: list[str], *, show_all: bool = False) -> str:
    """Return the refusal for labels outside the vocabulary, with the nearest known names.

    A label that resembles no known one may be a patient's folder or a remark: it is counted, and
    shown only with `show_all`.
    """
    lines = [f"{len(names)} label(s) are not in the vocabulary:"]
    near = {name: nearest_names(name) for name in names}
    for name, known in near.items():
        if known:
            lines.append(f"  {name!r}: nearest known: {', '.join(known)}")
        elif show_all:
            lines.append(f"  {name!r}: nothing similar is known")
    hidden = 0 if show_all else sum(not known for known in near.values())
    if hidden:
        lines.append(
            f"  {hidden} that resemble no known label; they may name someone, so they are shown "
            "only with --verbose-private"
        )
    lines.append(
        "Next: map each with --map-label OWN=KNOWN, or leave those images out (counted) with "
        "--drop-unknown-labels. `smearkit vocabulary` lists every known label."
    )
    return "\n".join(lines)
