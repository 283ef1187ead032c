from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from curation.errors import GeneratorError
from synth.config import PRESETS, SampleConfig, TrainConfig, preset
from synth.denoiser import build_denoiser
from synth.plan import (
    balance_plan,
    capped_plan,
    cell_seed,
    check_plan,
    class_plan,
    match_plan,
    plan_rows,
    planned_cells,
)

COUNTS = {"monocyte": 30, "basophil": 4, "lymphocyte": 12}


def test_balance_fills_up_to_the_largest_class() -> None:
    plan = balance_plan(COUNTS)
    assert plan == {"basophil": 26, "lymphocyte": 18}
    assert list(plan) == ["basophil", "lymphocyte"], "in the order of the vocabulary"


def test_balance_with_a_target() -> None:
    assert balance_plan(COUNTS, 12) == {"basophil": 8}
    assert balance_plan(COUNTS, 31) == {"basophil": 27, "lymphocyte": 19, "monocyte": 1}


def test_nothing_to_draw() -> None:
    with pytest.raises(GeneratorError, match="every class has 5 cells or more.*raise --target"):
        balance_plan({"basophil": 5, "monocyte": 5})
    with pytest.raises(GeneratorError, match="training split to balance is empty"):
        balance_plan({})


def test_class_plan_understands_aliases() -> None:
    assert class_plan(["MO", "BA"], 3) == {"basophil": 3, "monocyte": 3}
    assert class_plan(["Baso", "basophil"], 3) == {"basophil": 3}


def test_class_plan_refuses_unknown_names() -> None:
    with pytest.raises(GeneratorError, match="there is no class 'basofil'; nearest known: basoph"):
        class_plan(["basofil"], 3)
    with pytest.raises(GeneratorError, match="nothing similar is known"):
        class_plan(["zzzzqq"], 3)


def test_a_class_that_was_never_seen_is_refused() -> None:
    with pytest.raises(GeneratorError) as refused:
        check_plan({"basophil": 1, "eosinophil": 2}, COUNTS)
    text = str(refused.value)
    assert "never saw eosinophil;" in text
    assert "monocyte (30), basophil (4), lymphocyte (12)" in text
    with pytest.raises(GeneratorError, match="never saw basophil"):
        check_plan({"basophil": 1}, {"basophil": 0})
    check_plan({"basophil": 1}, COUNTS)


@pytest.mark.parametrize("plan", [{}, {"basophil": 0}, {"basophil": 3, "monocyte": -1}])
def test_an_empty_plan_is_refused(plan: dict[str, int]) -> None:
    with pytest.raises(GeneratorError, match="nothing to draw"):
        check_plan(plan, COUNTS)


def test_seeds_do_not_depend_on_the_other_classes() -> None:
    few = planned_cells({"basophil": 3, "monocyte": 2}, seed=7)
    many = planned_cells({"basophil": 5, "lymphocyte": 4, "monocyte": 2}, seed=7)
    assert set(few) <= set(many)
    assert len({cell.seed for cell in many}) == 11
    assert not {cell.seed for cell in few} & {
        cell.seed for cell in planned_cells({"basophil": 3, "monocyte": 2}, seed=8)
    }


def test_seeds_are_pinned() -> None:
    # Published rows name their seed: what it is made of must never change.
    assert cell_seed(0, "basophil", 0) == 7462046091651373167
    assert all(0 <= cell_seed(0, "basophil", n) < 2**63 for n in range(100))


def test_presets() -> None:
    assert all(name == config.preset for name, config in PRESETS.items())
    assert preset("smoke").side == 16
    with pytest.raises(GeneratorError, match="no preset 'tiny'; choose one of smoke, demo, cpu-64"):
        preset("tiny")


@pytest.mark.parametrize("name", PRESETS)
def test_the_sizes_of_a_preset_fit_together(name: str) -> None:
    config = PRESETS[name]
    assert config.side % (config.patch * 2 ** (len(config.channels) - 1)) == 0
    network: Any = build_denoiser(config).unet
    assert network.config.in_channels == 3 * config.patch**2


@pytest.mark.parametrize("field", ["images", "batch", "minutes"])
def test_nothing_is_trained_on_no_images(field: str) -> None:
    with pytest.raises(ValidationError, match=field):
        TrainConfig.model_validate({**preset("smoke").model_dump(), field: 0})


@pytest.mark.parametrize("field", ["steps", "batch"])
def test_nothing_is_drawn_in_no_steps(field: str) -> None:
    with pytest.raises(ValidationError, match=field):
        SampleConfig.model_validate({field: 0})


def test_configs_refuse_unknown_fields_and_changes() -> None:
    with pytest.raises(ValidationError, match="stepps"):
        SampleConfig.model_validate({"stepps": 3})
    with pytest.raises(ValidationError, match="frozen"):
        setattr(SampleConfig(), "steps", 3)  # noqa: B010


def test_match_gives_the_proportions_of_another_corpus() -> None:
    plan = match_plan(COUNTS, {"monocyte": 10, "basophil": 10, "lymphocyte": 20})
    assert plan == {"basophil": 26, "lymphocyte": 48}, "30 : 30 : 60, and no cell is removed"
    assert match_plan({"basophil": 3, "monocyte": 1}, {"basophil": 2, "monocyte": 3}) == {
        "monocyte": 4  # of 4.5, rounded up to 5
    }


def test_match_draws_what_only_the_other_corpus_has() -> None:
    plan = match_plan({"basophil": 4}, {"basophil": 2, "eosinophil": 3})
    assert plan == {"eosinophil": 6}


def test_match_leaves_alone_what_the_other_corpus_lacks() -> None:
    assert match_plan(COUNTS, {"basophil": 1, "lymphocyte": 1}) == {"basophil": 8}


@pytest.mark.parametrize("factor", [1, 3, 7])
def test_a_corpus_that_matches_lacks_nothing(factor: int) -> None:
    with pytest.raises(GeneratorError, match="has the class proportions of the other corpus"):
        match_plan({label: n * factor for label, n in COUNTS.items()}, COUNTS)


def test_match_without_a_common_class() -> None:
    with pytest.raises(GeneratorError, match="no class in common.*--match"):
        match_plan(COUNTS, {"eosinophil": 3, "basophil": 0})


def test_the_cap_is_a_ratio_to_the_real_cells() -> None:
    plan = {"basophil": 26, "lymphocyte": 18}
    assert capped_plan(plan, COUNTS, 2) == {"basophil": 8, "lymphocyte": 18}
    assert capped_plan(plan, COUNTS, 0.3) == {"basophil": 1, "lymphocyte": 3}
    assert capped_plan(plan, COUNTS, 100) == plan
    assert capped_plan({"eosinophil": 3, "basophil": 1}, COUNTS, 2) == {"basophil": 1}
    with pytest.raises(GeneratorError, match="a cap of 0.1 synthetic cells .* raise --cap"):
        capped_plan({"basophil": 3}, COUNTS, 0.1)


def test_the_rows_of_a_plan() -> None:
    rows = plan_rows(COUNTS, {"basophil": 26, "eosinophil": 5}, {"basophil": 8})
    assert [row.label for row in rows] == ["eosinophil", "basophil", "lymphocyte", "monocyte"]
    basophil = rows[1]
    assert (basophil.real, basophil.synthetic, basophil.wanted, basophil.total) == (4, 8, 26, 12)
    assert [row.ratio for row in rows] == [None, 2.0, 0.0, 0.0]


def test_more_cells_go_on_after_those_before() -> None:
    whole = planned_cells({"basophil": 5, "monocyte": 2}, seed=7)
    first = planned_cells({"basophil": 3, "monocyte": 2}, seed=7)
    more = planned_cells({"basophil": 2}, seed=7, after={"basophil": 3, "monocyte": 2})
    assert sorted(first + more, key=str) == sorted(whole, key=str)
