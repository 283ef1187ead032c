"""The rows of a generator's measurements, and how they are written as Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synth.measure.frechet import frechet_distance
from synth.measure.kernel import kernel_distance

_TITLES = {
    "steps": "Steps", "guidance": "Guidance", "interval": "Guidance in an interval of noise levels",
    "guide": "Guidance by a weaker generator",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Score:
    """KID with its 95 % interval, and FID, of n_drawn cells to n_real test cells."""

    table: str
    name: str
    n_real: int
    n_drawn: int
    kid: float
    low: float
    high: float
    fid: float

    def row(self) -> dict[str, Any]:
        """Return it as it is written."""
        return asdict(self)


def score(table: str, name: str, real: NDArray[np.float32], drawn: NDArray[np.float32]) -> Score:
    """Return the distances of drawn features, (m, d), to real ones, (n, d)."""
    kid = kernel_distance(real, drawn)
    fid = frechet_distance(real, drawn)
    return Score(table, name, len(real), len(drawn), kid.value, kid.low, kid.high, fid)


def markdown(found: dict[str, Any]) -> str:
    """Return all tables."""
    lines = [
        f"Generator `{found['generator']}`, preset {found['preset']}, {found['view']['side']} px, "
        f"{found['parameters'] / 1e6:.1f} M parameters, {found['images_seen']:,} images seen in "
        f"{found['training_s'] / 60:.0f} minutes, stopped: {found['stopped']}. Features: "
        f"{found['extractor']}. KID with its 95 % interval; n is test cells, and as many drawn.",
        "",
        "| | n | KID | FID |", "|---|---:|---|---:|",
        _line({**found["final"], "name": f"**{found['final']['name']}**"}),
        *[_line({**one, "name": "floor: real training cells"}) for one in found["floors"]],
    ]  # fmt: skip
    for table, title in _TITLES.items():
        rows = [one for one in found["scores"] if one["table"] == table]
        if rows:
            lines += ["", f"### {title}", "", "| | n | KID | FID |", "|---|---:|---|---:|"]
            lines += [_line(one) for one in rows]
    lines += _average(found["average"]) + _classes(found["classes"]) + _copies(found["copies"])
    return "\n".join(lines) + "\n"


def _line(one: dict[str, Any]) -> str:
    return f"| {one['name']} | {one['n_real']} | {kid_text(one)} | {one['fid']:.1f} |"


def kid_text(one: dict[str, Any]) -> str:
    """Return a KID with its interval."""
    return f"{one['kid']:.4f} ({one['low']:.4f} to {one['high']:.4f})"


def _average(average: dict[str, Any]) -> list[str]:
    lines = ["", "### Average of the weights", "",
             f"Chosen by: {average['by']}, {average['cells']} cells; width {average['width']:g}.",
             ]  # fmt: skip
    if average["tried"]:
        lines += ["", "| width | value |", "|---:|---|"]
    for one in average["tried"]:
        spread = "" if one["low"] is None else f" ({one['low']:.4f} to {one['high']:.4f})"
        lines.append(f"| {one['width']:g} | {one['value']:.4f}{spread} |")
    return lines


def _classes(rows: Sequence[dict[str, Any]]) -> list[str]:
    if not rows:
        return []
    lines = ["", "### Classes", "", "| class | n | KID | floor | FID | floor |",
             "|---|---:|---|---|---:|---:|"]  # fmt: skip
    floors = {one["name"]: one for one in rows if one["table"] == "floor"}
    for one in (one for one in rows if one["table"] == "class"):
        floor = floors[one["name"]]
        lines.append(
            f"| {one['name']} | {one['n_real']} | {kid_text(one)} | {kid_text(floor)} | "
            f"{one['fid']:.0f} | {floor['fid']:.0f} |"
        )
    return lines


def _copies(found: dict[str, Any]) -> list[str]:
    low, high = found["interval"]
    return [
        "", "### Copies", "",
        f"{found['copies']} of {found['n']} drawn cells are copies of one of "
        f"{found['training_cells']:,} training cells (95 % interval {low:.2%} to {high:.2%}): they "
        f"correlate at least {found['threshold']} with it and more than any of "
        f"{found['held_out_cells']:,} test cells does (most: {found['most_held_out']:.3f}). Median "
        f"correlation with the nearest training cell: {found['median']:.3f} for drawn cells, "
        f"{found['median_held_out']:.3f} for test cells.",
    ]  # fmt: skip
