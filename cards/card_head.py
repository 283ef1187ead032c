"""The YAML head of a card: what the Hub and `datasets` read of a dataset."""

from __future__ import annotations

from typing import Any

import yaml

from .facts import CardFacts
from .hub_license import license_head

_TAGS = (
    "biology", "medical", "blood-smear", "haematology", "hematology", "microscopy",
    "white-blood-cells", "smearkit",
)  # fmt: skip
_GATE_PROMPT = (
    "These are pictures of patients' cells. By asking for them you agree not to try to find out "
    "whose they are, not to pass them on, and not to use them for diagnosis."
)
_GATE_FIELDS = {
    "Affiliation": "text",
    "Purpose of use": "text",
    "I agree to these terms": "checkbox",
}


def head(facts: CardFacts) -> str:
    """Return the YAML head, between its rules."""
    text = yaml.safe_dump(head_values(facts), sort_keys=False, allow_unicode=True, width=100)
    return f"---\n{text}---\n"


def head_values(facts: CardFacts) -> dict[str, Any]:
    """Return what the head says, as YAML values."""
    record, counts = facts.record, facts.counts
    files = [{"split": split, "path": f"data/{split}-*.parquet"} for split in counts.splits]
    return {
        "pretty_name": record.name if facts.is_real else f"{record.name} (synthetic)",
        **license_head(record.license),
        "task_categories": ["image-classification"],
        "size_categories": [facts.size_category()],
        "tags": [*_TAGS, "synthetic"] if not facts.is_real else list(_TAGS),
        **_gate(facts),
        "configs": [_config(facts, files)],
        "dataset_info": _dataset_info(facts),
    }


def _config(facts: CardFacts, files: list[dict[str, str]]) -> dict[str, Any]:
    # `datasets` keeps what it loaded from a local folder by the folder's last name and by this
    # entry, not by its path or its files: without the version and the fingerprint in it, a second
    # release called `real` would give the rows of the first.
    return {
        "config_name": "default",
        "version": facts.record.version,
        "description": f"corpus {facts.manifest.fingerprint}",
        "data_files": files,
    }


def _gate(facts: CardFacts) -> dict[str, Any]:
    record = facts.record
    if not (record.gated and facts.is_real):
        return {}
    return {
        "extra_gated_prompt": record.about.gate_prompt or _GATE_PROMPT,
        "extra_gated_fields": dict(record.about.gate_fields or _GATE_FIELDS),
    }


def _dataset_info(facts: CardFacts) -> dict[str, Any]:
    counts = facts.counts
    splits = [
        {"name": split, "num_bytes": counts.table_bytes[split], "num_examples": rows}
        for split, rows in counts.splits.items()
    ]
    return {
        "features": [
            {"name": name, "dtype": _dtype(kind)} for name, kind in facts.features.items()
        ],
        "splits": splits,
        "download_size": sum(counts.file_bytes.values()),
        "dataset_size": sum(counts.table_bytes.values()),
    }


def _dtype(feature: Any) -> Any:
    """Return a feature as `datasets` writes it into a card."""
    if feature["_type"] == "Image":
        return "image"
    if feature["_type"] == "ClassLabel":
        names = {str(number): name for number, name in enumerate(feature["names"])}
        return {"class_label": {"names": names}}
    return feature["dtype"]
