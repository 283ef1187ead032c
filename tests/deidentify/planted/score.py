"""The two-sided score: what share of what must go is gone, and of what must stay is kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from .fact import Fact
from .judge import Judge
from .outcome import Outcome


@dataclass(frozen=True, slots=True)
class Tally:
    """Facts of one carrier: how many must go and stay, and how many did."""

    must_go: int
    removed: int
    must_stay: int
    kept: int


@dataclass(frozen=True, slots=True)
class Failure:
    """A fact that did not go (seen in a file) or did not stay."""

    fact: Fact
    seen_in: str = ""

    def line(self) -> str:
        """Return it in words; what is planted is invented, so that it may be shown."""
        fact = self.fact
        if fact.must == "stay":
            return f"lost: {fact.carrier}, {fact.where}"
        said = f": {fact.text!r}" if fact.text else ""
        return f"not removed: {fact.carrier}, {fact.where}{said} in {self.seen_in}"


@dataclass(frozen=True, slots=True)
class Score:
    """Tallies by carrier, and the facts that failed."""

    carriers: dict[str, Tally]
    failures: tuple[Failure, ...]

    @property
    def total(self) -> Tally:
        """The tally of all carriers."""
        found = list(self.carriers.values())
        return Tally(
            sum(t.must_go for t in found), sum(t.removed for t in found),
            sum(t.must_stay for t in found), sum(t.kept for t in found),
        )  # fmt: skip

    def reaches(self, removed: float, kept: float) -> bool:
        """Return whether at least these shares of all facts went and stayed."""
        all_of = self.total
        return all_of.removed >= removed * all_of.must_go and all_of.kept >= kept * all_of.must_stay

    def as_dict(self) -> dict[str, Any]:
        """Return tallies and failures as JSON values."""
        return {
            "carriers": {name: asdict(tally) for name, tally in self.carriers.items()},
            "all": asdict(self.total),
            "failures": [failure.line() for failure in self.failures],
        }

    def lines(self) -> list[str]:
        """Return the table of the score."""
        width = max(len(name) for name in (*self.carriers, "all"))
        head = f"{'carrier':<{width}}  must go  removed  must stay     kept"
        rows = [_line(name, tally, width) for name, tally in self.carriers.items()]
        return [head, *rows, _line("all", self.total, width)]


def _line(name: str, tally: Tally, width: int) -> str:
    return (
        f"{name:<{width}}  {tally.must_go:7}  {_share(tally.removed, tally.must_go)}"
        f"  {tally.must_stay:9}  {_share(tally.kept, tally.must_stay)}"
    )


def _share(part: int, whole: int) -> str:
    # Rounded down: 100 % means all of them.
    return f"{int(1000 * part / whole) / 10:6.1f}%" if whole else "      -"


def score(facts: Iterable[Fact], judge: Judge, outcome: Outcome) -> Score:
    """Return the score of some facts: judge says what is to be seen, outcome what was kept."""
    known = list(facts)
    failures = tuple(f for fact in known if (f := _failure(fact, judge, outcome)) is not None)
    all_facts = Counter((fact.carrier, fact.must) for fact in known)
    failed = Counter((failure.fact.carrier, failure.fact.must) for failure in failures)
    carriers = {}
    for name in dict.fromkeys(fact.carrier for fact in known):
        go, stay = all_facts[name, "go"], all_facts[name, "stay"]
        carriers[name] = Tally(go, go - failed[name, "go"], stay, stay - failed[name, "stay"])
    return Score(carriers, failures)


def _failure(fact: Fact, judge: Judge, outcome: Outcome) -> Failure | None:
    if fact.check is not None:
        return None if fact.check(outcome) else Failure(fact, "what is released")
    place = judge.sees_part(fact.text)
    return None if place is None else Failure(fact, place)
