"""Drawing on until a plan is met: each round draws what the last one left lacking."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from curation.output import write_whole

from .plan import Plan
from .processes import ROUNDS_NAME, wait_for

MOST_DRAWN = 4.0
"""Most cells drawn for each cell planned, class by class."""
MOST_ROUNDS = 16


def next_round(plan: Plan, drawn: Mapping[str, int], kept: Mapping[str, int]) -> dict[str, int]:
    """Return the cells to draw next: what each class lacks, as far as `MOST_DRAWN` allows."""
    lacking = {}
    for label, wanted in plan.items():
        left = int(MOST_DRAWN * wanted) - drawn.get(label, 0)
        count = min(wanted - kept.get(label, 0), left)
        if count > 0:
            lacking[label] = count
    return lacking


def shortfall(plan: Plan, kept: Mapping[str, int]) -> dict[str, int]:
    """Return label -> cells that are lacking of the plan, where any are."""
    lacking = Counter(plan) - Counter(kept)
    return {label: lacking[label] for label in plan if lacking[label]}


def announce_round(partial: Path, number: int, plan: Plan) -> None:
    """Tell the other processes what the next round draws; an empty plan ends their work."""
    folder = partial / ROUNDS_NAME
    folder.mkdir(exist_ok=True)
    write_whole(folder / f"{number:03d}.json", json.dumps(dict(plan)).encode())


def announced_round(partial: Path, out: Path, number: int) -> dict[str, int]:
    """Wait until the first process announces a round; empty where it has ended.

    Raises: GeneratorError where that process has died.
    """
    path = partial / ROUNDS_NAME / f"{number:03d}.json"
    wait_for(lambda: path.is_file() or out.exists(), out, rank=0)
    try:
        found: dict[str, int] = json.loads(path.read_bytes())
    except FileNotFoundError:  # the directory has become `out` meanwhile
        return {}
    return found
