"""The model card and the licence note of the packaged generator, every number computed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..generator import GeneratorInfo
from ..measure.measurement import Measurement, Measurements

if TYPE_CHECKING:
    from .pack import Rounding, Source


@dataclass(frozen=True, slots=True)
class Card:
    """What a card is rendered from; `trained_as` is the fingerprint before rounding."""

    info: GeneratorInfo
    classes: tuple[tuple[str, int], ...]
    trained_as: str
    source: Source
    rounding: Rounding
    weight_bytes: int
    measured: Measurements | None

    def rows(self) -> list[tuple[Measurement, Measurement]]:
        """Return KID and FID of each label that was measured, all classes pooled first."""
        found = () if self.measured is None else self.measured.measurements
        fid = {entry.label: entry for entry in found if entry.name == "fid"}
        return [(entry, fid[entry.label]) for entry in found if entry.name == "kid"]

    def copies(self) -> Measurement | None:
        """Return the share of drawn cells that copy a training cell, if it was measured."""
        found = () if self.measured is None else self.measured.measurements
        return next((entry for entry in found if entry.name == "copied_share"), None)


def card_text(card: Card) -> str:
    """Return the card as Markdown."""
    return _render("card.md.j2", card)


def license_text(card: Card) -> str:
    """Return whose cells the weights were learned from, and on what terms."""
    return _render("license.j2", card)


def _render(name: str, card: Card) -> str:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("synth", "packaged"), undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True, keep_trailing_newline=True, autoescape=False,
    )  # fmt: skip
    environment.filters["num"] = lambda value: "–" if value is None else f"{value:.4g}"
    return environment.get_template(name).render(card=card, info=card.info)
