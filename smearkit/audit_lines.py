"""What `audit` says of a leak scan: for a person, and as JSON."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from curation.deidentify.leaks import Scan

from .console import table

_MOST_SHOWN = 40


def scan_result(scan: Scan) -> dict[str, Any]:
    """Return a scan as JSON values."""
    return {**asdict(scan), "clean": scan.clean}


def scan_lines(path: Path, scan: Scan) -> list[str]:
    """Return a verdict, then what was found, what could not be read and what was left out."""
    searched = f"{scan.searched} identifiers searched for in {scan.files} files"
    verdict = "clean" if scan.clean else "NOT CLEAN"
    lines = [f"{path}  {verdict}: {searched}, {len(scan.hits)} hit(s)"]
    found = [[hit.file, hit.carrier, hit.kind, hit.short_id] for hit in scan.hits]
    lines += _section(["found in", "where", "kind", "id"], found)
    unread = [[entry.file, entry.carrier, entry.why] for entry in scan.not_searched]
    lines += _section(["could not be read", "where", "why"], unread)
    chance = [[hit.file, hit.carrier, hit.kind, hit.short_id] for hit in scan.possible]
    lines += _section(["perhaps by chance: look", "where", "kind", "id"], chance)
    left = [[entry.kind, entry.why, str(entry.count)] for entry in scan.left_out_why]
    lines += _section(["not searched for", "why", "number"], left)
    short = [[entry.kind, entry.why, str(entry.count)] for entry in scan.text_only]
    return lines + _section(["searched for in text only", "why", "number"], short)


def _section(head: list[str], rows: list[list[str]]) -> list[str]:
    if not rows:
        return []
    lines = ["", *table(head, rows[:_MOST_SHOWN], left=len(head))]
    if len(rows) > _MOST_SHOWN:
        lines.append(f"  … and {len(rows) - _MOST_SHOWN} more (--json lists all)")
    return lines
