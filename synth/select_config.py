"""How drawn cells are selected: which rules, and how strict each is."""

from __future__ import annotations

from typing import Literal, get_args

from pydantic import Field

from curation.manifest import Frozen

from .measure.memorisation import COPY_CORRELATION

Rule = Literal["blank", "label", "unreal", "copy", "duplicate"]
RULES: tuple[Rule, ...] = get_args(Rule)
"""In the order in which a cell that breaks several is counted."""


class SelectConfig(Frozen):
    """Everything that decides which drawn cells are kept; `drop_RULE` turns a rule off."""

    drop_blank: bool = True
    drop_label: bool = True
    drop_unreal: bool = True
    drop_copy: bool = True
    drop_duplicate: bool = True
    blank_spread: float = Field(
        default=2.0, gt=0, description="standard deviation of pixel levels under which none is seen"
    )
    label_quantile: float = Field(
        default=0.05, gt=0, lt=0.5, description="share of real cells that may fail their own label"
    )
    label_enough: float = Field(
        default=0.5, gt=0, le=1, description="probability of the asked label that always passes"
    )
    realism_quantile: float = Field(
        default=0.05, gt=0, lt=0.5, description="share of real cells that may count as unreal"
    )
    neighbours: int = Field(default=5, ge=1, description="real cells that must lie near, and whose "
                            "distances say how near")  # fmt: skip
    correlation: float = Field(
        default=COPY_CORRELATION, gt=0, le=1, description="under which nothing is a copy"
    )
    fewest_held_out: int = Field(
        default=20, ge=2,
        description="validation cells under which a class is calibrated inside train",
    )  # fmt: skip
    max_train: int = Field(
        default=30_000, gt=0, description="training cells looked at; small classes whole"
    )
    max_held_out: int = Field(
        default=10_000, gt=0, description="cells looked at of validation, and of test"
    )
    flag_under: float = Field(
        default=0.3, ge=0, le=1, description="kept share under which a class is flagged"
    )
    seed: int = 0

    def is_on(self, rule: Rule) -> bool:
        """Return whether a rule may drop cells."""
        switches: dict[Rule, bool] = {
            "blank": self.drop_blank, "label": self.drop_label, "unreal": self.drop_unreal,
            "copy": self.drop_copy, "duplicate": self.drop_duplicate,
        }  # fmt: skip
        return switches[rule]
