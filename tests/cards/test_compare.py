"""Reports side by side: which differences are noise, what is not ranked, and what is refused."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from cards.compare import Comparison, compare, difference, read_reports
from cards.compare_page import (
    comparison_rows,
    finding,
    headline,
    render_comparison,
    scores,
)
from curation.errors import MeasurementError
from curation.manifest import View
from synth.measure.measurement import Measurement, Measurements
from tests.cards.html_page import Page
from tests.cards.made_report import evaluation, full, measured


def report(name: str, *found: Measurement, **changes: object) -> Measurements:
    return evaluation(list(found), synthetic=f"synthetic {name}", generator=f"of {name}", **changes)


def kid(value: float, half: float = 0.002, **changes: object) -> Measurement:
    return measured("kid", "all", value, low=value - half, high=value + half, **changes)


def only(*found: Measurement) -> Comparison:
    (one,) = compare(
        {name: report(name, m) for name, m in zip("ABC", found, strict=False)}
    ).comparisons
    return one


def standings(one: Comparison) -> list[str]:
    return [entry.standing for entry in one.entries]


def test_two_halves_make_a_difference_where_their_intervals_touch() -> None:
    a, b = kid(0.010), kid(0.0135)
    apart = difference(a, b)
    assert apart is not None
    value, low, high = apart
    assert value == pytest.approx(-0.0035)
    half = math.hypot(0.002, 0.002)
    assert (low, high) == pytest.approx((-0.0035 - half, -0.0035 + half))
    assert high < 0, "the intervals overlap, and yet it is a difference"


def test_a_skewed_interval_counts_on_the_side_that_faces_the_other() -> None:
    a = measured("kid", "all", 0.02, low=0.019, high=0.05)
    b = measured("kid", "all", 0.01, low=0.0, high=0.011)
    apart = difference(a, b)
    assert apart is not None
    assert apart[1] == pytest.approx(0.01 - math.hypot(0.001, 0.001))
    assert apart[2] == pytest.approx(0.01 + math.hypot(0.03, 0.01))


def test_differences_of_equal_generators_hold_zero_in_95_of_100() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(0.02, [[0.001], [0.003]], (2, 2_000))
    held = 0
    for a, b in values.T:
        apart = difference(kid(a, 1.96 * 0.001), kid(b, 1.96 * 0.003))
        assert apart is not None
        held += apart[1] <= 0 <= apart[2]
    assert held / 2_000 == pytest.approx(0.95, abs=0.015)


def test_the_best_is_told_from_the_worse_and_not_from_noise() -> None:
    one = only(kid(0.0205), kid(0.020), kid(0.030))
    assert standings(one) == ["within noise of the best", "best", "worse"]
    assert finding(one) == "B is best, A within noise of it, C worse"
    assert [d.within_noise for d in one.differences] == [True, False, False]


def test_higher_is_better_where_the_direction_says_so() -> None:
    found = [
        measured("balanced_accuracy", "all", value, low=value - 0.01, high=value + 0.01,
                 family="usefulness", direction="higher")
        for value in (0.8, 0.9)
    ]  # fmt: skip
    assert standings(only(*found)) == ["worse", "best"]


@pytest.mark.parametrize(("values", "best"), [((0.9, 0.55), 1), ((0.45, 0.9), 0), ((0.1, 0.55), 1)])
def test_where_a_middle_is_right_the_nearer_one_is_better(
    values: tuple[float, float], best: int
) -> None:
    found = [
        measured("shortcut_auc", "all", v, low=v - 0.02, high=v + 0.02, family="shortcuts",
                 direction="lower", goal_low=0.45, goal_high=0.55)
        for v in values
    ]  # fmt: skip
    one = only(*found)
    assert one.entries[best].standing == "best"
    assert one.entries[1 - best].standing == "worse"


@pytest.mark.parametrize("name", ["fid", "coverage"])
def test_what_depends_on_the_number_of_cells_is_not_ranked_at_different_ones(name: str) -> None:
    common = {"low": 1.0, "high": 2.0, "family": "coverage" if name == "coverage" else "distance"}
    found = [measured(name, "all", 1.5, n_real=n, **common) for n in (3_000, 4_000)]
    one = only(*found)
    assert standings(one) == ["not ranked"] * 2
    assert one.note is not None
    assert "3000/13000 in A, 4000/13000 in B" in one.note
    same = only(*(m.model_copy(update={"n_real": 3_000}) for m in found))
    assert same.note is None


def test_kid_is_ranked_at_different_numbers_of_cells() -> None:
    assert only(kid(0.01, n_real=500), kid(0.03, n_real=900)).note is None


def test_copies_are_ranked_by_the_cells_searched_alone() -> None:
    found = [
        measured("copied_share", "all", v, low=v, high=v, n_synthetic=n)
        for v, n in ((0.0, 100), (0.5, 200))
    ]
    assert standings(only(*found)) == ["best", "worse"]
    other = found[1].model_copy(update={"n_real": 1})
    assert standings(only(found[0], other)) == ["not ranked"] * 2


@pytest.mark.parametrize(
    ("odd", "said"),
    [
        (kid(0.01, reliable=False), "not reliable in B"),
        (kid(math.nan), "not a number in B"),
        (measured("kid", "all", 0.01), "without intervals"),
    ],
    ids=["not reliable", "nan", "no interval"],
)
def test_what_cannot_be_judged_is_not_ranked(odd: Measurement, said: str) -> None:
    one = only(kid(0.02), odd)
    assert standings(one) == ["not ranked"] * 2
    assert one.note is not None
    assert said in one.note
    assert finding(one) == "not ranked"


CHANGED = {
    "real corpus": report("B", kid(0.02), real="another"),
    "held-out splits": report("B", kid(0.02), held_out=("test",)),
    "view": report("B", kid(0.02), view=View(side=32, crop=2 / 3)),
    "extractor of kid": report("B", kid(0.02, extractor="another network")),
    "image pipeline of kid": report("B", kid(0.02, pipeline="central view, png")),
    "reference cells of kid": report("B", kid(0.02, reference="another")),
}


@pytest.mark.parametrize("what", CHANGED)
def test_reports_that_measured_otherwise_are_refused(what: str) -> None:
    with pytest.raises(MeasurementError, match=f"A and B cannot be compared: the {what} is"):
        compare({"A": report("A", kid(0.02)), "B": CHANGED[what]})


def test_one_corpus_twice_and_one_report_are_refused() -> None:
    with pytest.raises(MeasurementError, match="A and B measured one synthetic corpus"):
        compare({"A": report("A", kid(0.02)), "B": report("A", kid(0.02))})
    with pytest.raises(MeasurementError, match="1 report; two or more"):
        compare({"A": report("A", kid(0.02))})


def test_what_only_some_measured_is_named() -> None:
    found = compare({
        "A": report("A", kid(0.02), measured("vendi_ratio", "all", 5.0, family="coverage")),
        "B": report("B", kid(0.02)),
        "C": report("C", kid(0.02), measured("vendi_ratio", "all", 6.0, family="coverage")),
    })  # fmt: skip
    assert found.only_in_some == ("coverage vendi_ratio all",)
    assert [len(one.entries) for one in found.comparisons] == [3, 2]


def test_reports_are_called_by_what_tells_them_apart(tmp_path: Path) -> None:
    paths = []
    for folder in ("one/report", "two/report"):
        (tmp_path / folder).mkdir(parents=True)
        file = tmp_path / folder / "measurements.json"
        file.write_text(report(folder, kid(0.02)).model_dump_json(), "utf-8")
        paths.append(file)
    found = read_reports([paths[0].parent, paths[1]])
    assert list(found) == ["one/report", "two/report"]
    assert found["one/report"].synthetic == "synthetic one/report"
    with pytest.raises(MeasurementError, match="given twice"):
        read_reports([paths[0], paths[0].parent])
    with pytest.raises(MeasurementError, match="no complete report"):
        read_reports([tmp_path / "one", paths[1]])


def three() -> dict[str, Measurements]:
    """Three full reports: the second slightly, the third clearly worse in everything."""
    found = {}
    for name, shift in (("plain", 0.0), ("other", 0.001), ("worst <b>", 0.05)):
        made = full().model_copy(update={"synthetic": name, "generator": f"of {name}"})
        moved = tuple(worse(m, shift) for m in made.measurements)
        found[name] = made.model_copy(update={"measurements": moved})
    return found


def worse(m: Measurement, shift: float) -> Measurement:
    step = -shift if m.direction == "higher" else shift
    ends = {key: getattr(m, key) for key in ("value", "low", "high")}
    moved = {key: end + step for key, end in ends.items() if end is not None}
    return m.model_copy(update=moved)


def test_the_page_holds_every_number_and_is_whole() -> None:
    found = compare(three())
    document = render_comparison(found)
    assert "<b>worst" not in document.replace("<b>within", "")
    page = Page(document)
    values = page.attributes("data", "value")
    for one in found.comparisons:
        for entry in one.entries:
            assert repr(entry.value) in values
    assert "By KID over all classes: plain is best, other within noise of it" in page.words()
    assert "http:" not in document
    assert "https:" not in document


def test_the_best_of_values_within_noise_is_no_winner() -> None:
    reports = {"A": report("A", kid(0.0200)), "B": report("B", kid(0.0201))}
    words = Page(render_comparison(compare(reports))).words()
    assert "By KID over all classes: all within noise." in words
    assert "best" not in words.replace("within noise of the best", "").split("Distance")[1]
    assert "Never worse" in words


def test_the_scores_count_measures_over_all_classes() -> None:
    found = compare(three())
    pooled = [one for one in found.comparisons if one.label == "all" and one.differences]
    rows = {name: (unbeaten, worse, ranked) for name, unbeaten, worse, ranked in scores(found)}
    assert {ranked for _, _, ranked in rows.values()} == {len(pooled)}
    assert rows["plain"][1] == 0
    assert rows["worst <b>"][1] > len(pooled) / 2
    assert headline(found).startswith("By KID over all classes: plain is best")


def test_the_table_of_the_terminal_has_a_column_a_report() -> None:
    head, rows = comparison_rows(compare(three()))
    assert head == ["measure", "plain", "other", "worst <b>", "difference"]
    assert rows[0][0] == "KID"
    assert rows[0][1] == "0.0213 (0.0186 to 0.0243)"
    assert all(len(row) == len(head) for row in rows)
