"""The record of a de-identification that stands in the manifest: what was done, and no value."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ..manifest import Deidentification, KAnonymity, TextSearch, canonical_json
from ..staged_rows import StagedRows
from .k_anonymity import Choice
from .policy import Policy, is_element
from .small_groups import Suppression
from .source_policy import SourcePolicy
from .vault import Vault


def deidentification(
    policy: Policy,
    sources: Sequence[SourcePolicy],
    vault: Vault,
    staged: StagedRows,
    kept: NDArray[np.int64],
    suppression: Suppression,
    text: Literal["quarantine", "redact", "off"],
    choice: Choice,
) -> Deidentification:
    """Return what was done to columns, images and burned-in text."""
    codecs = staged.columns(["codec"])["codec"].take(pa.array(kept))
    kept_scans = int(pc.sum(pc.equal(codecs, "jpeg")).as_py() or 0)
    rules = suppression.rules
    found = [treatment for entry in sources for treatment in entry.treatments]
    return Deidentification(
        policy=policy.name,
        # Keyed: a policy's codes may hold names, which a plain hash would let one guess at.
        policy_id=vault.pseudonym("policy", canonical_json(policy.model_dump()).decode()),
        key_id=vault.key_id,
        columns={t.column: t.rule.action for t in found if t.into or not is_element(t.column)},
        elements_dropped=len({t.column for t in found if not t.into and is_element(t.column)}),
        method_codes=_method_codes(sources, text),
        scans_kept=kept_scans,
        encoded_anew=len(kept) - kept_scans,
        text=_text_search(staged, text),
        k_anonymity=KAnonymity(
            k=rules.k, l=rules.l, quasi_identifiers=rules.quasi_identifiers,
            sensitive=rules.sensitive, choice=choice, found_groups=len(suppression.groups),
            found_rows=suppression.found_rows, groups=suppression.left_groups,
            rows=suppression.left_rows,
        ),
    )  # fmt: skip


def _method_codes(
    sources: Sequence[SourcePolicy], text: Literal["quarantine", "redact", "off"]
) -> tuple[str, ...]:
    """Return the codes of what was done to DICOM elements, none where there were none."""
    elements = [t for entry in sources for t in entry.treatments if is_element(t.column)]
    released = {t.rule.action for t in elements if t.into is not None}
    codes = {
        "113100": bool(elements),  # basic application confidentiality profile
        "113101": bool(elements) and text != "off",  # clean pixel data
        "113107": "shift_date" in released,  # longitudinal, with modified dates
        "113108": bool(released & {"keep", "age_band"}),  # patient characteristics
    }
    return tuple(code for code, applies in codes.items() if applies)


def _text_search(staged: StagedRows, mode: Literal["quarantine", "redact", "off"]) -> TextSearch:
    rows = staged.columns(["read", "hits", "outcome", "size"])
    outcomes = rows["outcome"]
    return TextSearch(
        mode=mode,
        images=_count(pc.greater(rows["size"], 0)) if mode != "off" else 0,
        read=_count(rows["read"]),
        hits=_count(pc.is_valid(rows["hits"])),
        redacted=_count(pc.equal(outcomes, "redacted")),
        accepted=_count(pc.equal(outcomes, "accepted")),
    )


def _count(mask: pa.ChunkedArray) -> int:
    return int(pc.sum(pc.fill_null(mask, False)).as_py() or 0)
