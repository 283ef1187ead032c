"""What is done about groups of quasi-identifiers that too few subjects share."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ..cells import Attribute
from ..errors import VaultError
from ..staged_rows import StagedRows
from .k_anonymity import Choice, Column, Rules, SmallGroup, generalised, rules_for, small_groups
from .policy import Policy
from .vault import Vault, write_private

SMALL_GROUPS_NAME = "small_groups.jsonl"


@dataclass(frozen=True, slots=True)
class Suppression:
    """What was found, what was done, and what is left.

    `dropped` is (n,) bool over the kept rows; `values` is column -> the value of every staged row
    where some were emptied.
    """

    rules: Rules
    groups: tuple[SmallGroup, ...]
    found_rows: int
    dropped: NDArray[np.bool_]
    values: Mapping[str, Sequence[str | float | None]]
    left_groups: int
    left_rows: int


def suppress(
    staged: StagedRows,
    kept: NDArray[np.int64],
    attributes: Sequence[Attribute],
    policy: Policy,
    choice: Choice,
) -> Suppression:
    """Look for small groups among the kept rows, and empty or drop what the choice says."""
    names = [*(a.name for a in attributes if a.quasi_identifier or a.sensitive), "site", "label"]
    table = staged.columns([*names, "subject"]).take(pa.array(kept))
    columns: dict[str, Column] = {name: table[name].to_pylist() for name in names}
    subjects = table["subject"].to_pylist()
    rules = rules_for(attributes, columns["site"], policy.k, policy.l, policy.rare_labels)
    groups, small = small_groups(columns, subjects, rules)
    nothing = np.zeros(len(kept), dtype=bool)
    left, left_rows = len(groups), int(small.sum())
    values: dict[str, list[str | float | None]] = {}
    if choice == "generalise" and groups:
        made = generalised(columns, subjects, rules)
        rest, still = small_groups({**columns, **made}, subjects, rules)
        left, left_rows = len(rest), int(still.sum())
        values = {name: _over_all(staged, name, kept, column) for name, column in made.items()}
    dropped = small if choice == "drop" else nothing
    if choice == "drop":
        left, left_rows = 0, 0
    return Suppression(rules, groups, int(small.sum()), dropped, values, left, left_rows)


def _over_all(
    staged: StagedRows, name: str, kept: NDArray[np.int64], column: Column
) -> list[str | float | None]:
    whole: list[str | float | None] = staged.columns([name])[name].to_pylist()
    for row, value in zip(kept.tolist(), column, strict=True):
        whole[row] = value
    return whole


def write_small_groups(vault: Vault, groups: Sequence[SmallGroup]) -> None:
    """List the groups in the vault: what they are made of may single a patient out.

    Raises: VaultError where it cannot be written.
    """
    lines = [
        json.dumps({"rows": g.rows, "subjects": g.subjects, **dict(g.values)}, ensure_ascii=False)
        for g in groups
    ]
    try:
        write_private(vault.path / SMALL_GROUPS_NAME, "".join(f"{x}\n" for x in lines).encode())
    except OSError as error:
        raise VaultError(f"{vault.path} cannot be written: {error.strerror}") from error
