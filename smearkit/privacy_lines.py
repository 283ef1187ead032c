"""What `curate` says about privacy on the terminal, and the next step where there is one."""

from __future__ import annotations

from pathlib import Path

from curation.errors import CorpusError
from curation.manifest import Deidentification, KAnonymity, Manifest, TextSearch
from curation.quarantine import default_quarantine


def privacy_record(manifest: Manifest) -> Deidentification:
    """Return how a corpus was de-identified.

    Raises: CorpusError where its manifest does not say.
    """
    if manifest.deidentification is None:
        raise CorpusError("the manifest does not say how the corpus was de-identified")
    return manifest.deidentification


def privacy_lines(manifest: Manifest, out: Path, vault: Path) -> list[str]:
    """Return lines on columns, burned-in text and small groups; the vault's place last."""
    record = privacy_record(manifest)
    dropped = sum(action == "drop" for action in record.columns.values())
    elements = f", {record.elements_dropped} DICOM elements dropped" * bool(record.elements_dropped)
    return [
        f"  policy {record.policy}: {len(record.columns)} columns, {dropped} dropped{elements}; "
        f"{record.scans_kept} JPEG scans kept, {record.encoded_anew} images encoded anew",
        *_text_lines(record.text, manifest.dropped.get("burned_in_text", 0), out),
        *_group_lines(record.k_anonymity),
        f"  keys and names: {vault} (never publish it)",
    ]


def _text_lines(text: TextSearch, waiting: int, out: Path) -> list[str]:
    if text.mode == "off":
        return [
            "  burned-in text was NOT searched for (--no-text); `release` refuses such a corpus"
        ]
    lines = [
        f"  burned-in text: {text.images} images searched, {text.read} of them read, "
        f"{text.hits} with a hit"
    ]
    if text.redacted or text.accepted:
        lines[0] += f" ({text.redacted} blanked, {text.accepted} accepted in review)"
    if waiting:
        lines.append(f"  {waiting} wait for a person: smearkit review {default_quarantine(out)}")
    return lines


def _group_lines(found: KAnonymity) -> list[str]:
    if not found.found_groups:
        return []
    what = f"{found.found_groups} combinations of {', '.join(found.quasi_identifiers)}"
    done = {"generalise": "generalised", "drop": "dropped"}.get(found.choice)
    if done:
        return [f"  {what} had too few subjects: {found.found_rows} cells {done}"]
    return [
        f"  {what} ({found.found_rows} cells) have fewer than {found.k} subjects: `release` "
        "refuses that; --small-groups generalise or drop"
    ]
