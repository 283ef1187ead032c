"""`CHANGELOG.md` of a dataset: every version, from the row differences that releases recorded."""

from __future__ import annotations

from collections.abc import Mapping

from .diff import Difference
from .release_record import ReleaseRecord, VersionEntry

CHANGELOG_NAME = "CHANGELOG.md"


def changelog(record: ReleaseRecord) -> str:
    """Return the text of `CHANGELOG.md`, the newest version first."""
    sections = [_section(entry, record.kind) for entry in record.versions]
    return "# Changelog\n\n" + "\n".join(sections)


def _section(entry: VersionEntry, kind: str) -> str:
    lines = [f"## {entry.version} ({entry.date})", ""]
    lines.append(f"- {entry.rows} {kind} cells, fingerprint `{entry.fingerprint}`.")
    if entry.difference is not None:
        lines += [f"- {line}" for line in difference_lines(entry.difference)]
    lines += [f"- {note}" for note in entry.notes]
    return "\n".join(lines) + "\n"


def difference_lines(found: Difference) -> list[str]:
    """Return what a person reads of the difference between two versions of a dataset."""
    lines = [
        f"{count} rows {word}{_counts(detail)}."
        for count, word, detail in (
            (found.added, "added", found.added_by_class),
            (found.removed, "removed", found.removed_by_class),
            (found.relabelled, "relabelled", found.relabelled_as),
            (found.moved, "MOVED to another split", found.moved_between),
            (found.changed, "changed in some column", found.changed_columns),
        )
        if count
    ]
    for columns, word in ((found.columns_added, "added"), (found.columns_removed, "removed")):
        if columns:
            lines.append(f"Columns {word}: {', '.join(columns)}.")
    return lines or ["The same rows."]


def _counts(detail: Mapping[str, int]) -> str:
    told = ", ".join(f"{name} {count}" for name, count in detail.items())
    return f" ({told})" if told else ""
