from __future__ import annotations

import pytest
from pydantic import ValidationError

from curation.errors import GeneratorError
from synth.config import PRESETS, SampleConfig, TrainConfig, preset
from synth.denoiser import build_denoiser
from synth.plan import balance_plan, cell_seed, check_plan, class_plan, planned_cells

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
    network = build_denoiser(config)
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
