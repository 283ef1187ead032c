"""The templates of cards: one environment, in which a missing fact fails the card."""

from __future__ import annotations

from jinja2 import Environment, PackageLoader, StrictUndefined

from synth.measure.measurement import Measurement

from .measure_names import family_name, goal_text, measure_name


def card_environment() -> Environment:
    """Return the environment that every card is rendered in."""
    # A name missing from the facts must fail the card, not leave a gap in it.
    environment = Environment(
        loader=PackageLoader("cards"), undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True, keep_trailing_newline=True,
    )  # fmt: skip
    environment.filters |= {
        "num": number, "family": family_name, "measure": measure_name, "goal": goal_text,
        "cell": table_cell, "interval": interval,
    }  # fmt: skip
    return environment


def number(value: float | None, digits: int = 3) -> str:
    """Return a number as a card shows it, in significant digits."""
    return "–" if value is None else f"{value:.{digits}g}"


def interval(found: Measurement) -> str:
    """Return the interval of a measurement as a card shows it."""
    if found.low is None and found.high is None:
        return "–"
    return f"{number(found.low)} to {number(found.high)}"


def table_cell(text: object) -> str:
    """Return a text that cannot break out of the cell of a table."""
    return " ".join(str(text).replace("|", "\\|").split())
