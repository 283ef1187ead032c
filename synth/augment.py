"""Augmenting a `datasets` training split: real cells and drawn ones, marked and seen alike.

    train = load_dataset(…, split="train")
    both = augment(train, "pretrained", target="balanced")
    test = match_view(load_dataset(…, split="test"), "pretrained")

Synthetic cells belong into training only, so anything but a training split is refused.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from blake3 import blake3

from curation.errors import SmearkitError
from curation.manifest import canonical_json
from curation.versions import library_versions

from .augment_checks import check_columns, check_map_style, check_real, check_split
from .augment_drawn import drawn_rows
from .augment_labels import ClassNames, Target, check_known, target_plan
from .augment_real import ImageRows
from .config import SampleConfig
from .generator import Generator, load_generator
from .rounds import shortfall
from .sample_checks import check_sampling
from .selector import FEWEST_TRAIN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from datasets import Dataset, Features

_FORMAT = 1
"""Of the rows that are made: another number, and what is cached is made anew."""


def augment(
    dataset: Dataset,
    generator: Generator | str | Path,
    target: Target = "balanced",
    *,
    label_column: str = "label",
    image_column: str = "image",
    split: str | None = None,
    seed: int = 0,
    steps: int | None = None,
    guidance: float | None = None,
    batch: int = 32,
    select: bool = True,
    real_view: bool = True,
    cache_dir: str | Path | None = None,
) -> Dataset:
    """Return the rows of a training split and behind them synthetic cells, one dataset.

    `target` is "balanced" (every class as large as the largest), a number of cells for every class,
    or class -> cells; real cells count towards it and none is removed. Rows say in `origin` "real"
    or "synthetic", and synthetic ones their `generator` and `seed`; other columns are kept, null in
    synthetic rows. With `real_view` the real images become what the generator draws: same part,
    side and codec, so that none of these tells the origin. With `select` drawn cells are dropped
    that the real ones speak against, and others drawn in their place. A second call with the same
    arguments reads the cache of `datasets` (or `cache_dir`) and draws nothing.

    Raises: SourceError for anything but a training split of real cells; UnknownLabelError for a
    class outside the vocabulary; GeneratorError for a class that the generator never saw.
    """
    check_map_style(dataset)
    check_split(dataset, split)
    check_columns(dataset, image_column, label_column)
    check_real(dataset)
    loaded = generator if isinstance(generator, Generator) else load_generator(generator)
    names = ClassNames.of(dataset, label_column)
    plan = target_plan(names, target)
    check_known(plan, names, loaded.info.trained_on)
    config = _config(loaded, seed=seed, steps=steps, guidance=guidance, batch=batch)
    check_sampling(loaded, config)
    if select:
        _warn_if_unjudged(plan, names)
    images = ImageRows(dataset, image_column, loaded.info if real_view else None)

    def rows() -> Iterator[dict[str, Any]]:
        for row in images.rows():
            yield {**row, "origin": "real", "generator": None, "seed": None}
        if plan:
            yield from drawn_rows(loaded, plan, config, dataset, names, image_column, select=select)

    job = {
        "dataset": dataset._fingerprint, "generator": loaded.info.fingerprint, "plan": plan,
        "config": config.model_dump(mode="json"), "columns": [image_column, label_column],
        "select": select, "real_view": real_view,
    }  # fmt: skip
    made = _cached(rows, _marked(dataset.features), job, split="train", cache_dir=cache_dir)
    _warn_if_short(made, plan, names)
    return made


def match_view(
    dataset: Dataset,
    generator: Generator | str | Path,
    *,
    image_column: str = "image",
    cache_dir: str | Path | None = None,
) -> Dataset:
    """Return a dataset of any split with its images as the generator draws: part, side and codec.

    What was trained on `augment`ed rows is to be validated and tested on these.

    Raises: SourceError where there is no such column of images.
    """
    check_map_style(dataset)
    check_columns(dataset, image_column)
    loaded = generator if isinstance(generator, Generator) else load_generator(generator)
    images = ImageRows(dataset, image_column, loaded.info)
    job = {
        "dataset": dataset._fingerprint, "columns": [image_column],
        "view": loaded.info.view.model_dump(), "codec": loaded.info.codec.model_dump(mode="json"),
    }  # fmt: skip
    made = _cached(images.rows, dataset.features, job, split="cells", cache_dir=cache_dir)
    # As it was, none included: test cells must not come back as a training split.
    made._split = dataset.split
    return made


def _config(
    generator: Generator, *, seed: int, steps: int | None, guidance: float | None, batch: int
) -> SampleConfig:
    plain = SampleConfig()
    own = plain.guidance if generator.pipeline.config.guided else 1.0
    return SampleConfig(
        seed=seed,
        steps=plain.steps if steps is None else steps,
        guidance=own if guidance is None else guidance,
        batch=batch,
    )


def _marked(features: Features) -> Features:
    from datasets import Features, Value

    marks = {"origin": Value("string"), "generator": Value("string"), "seed": Value("int64")}
    return Features({**features, **marks})


def _cached(
    rows: Callable[[], Iterator[dict[str, Any]]],
    features: Features,
    job: dict[str, Any],
    *,
    split: str,
    cache_dir: str | Path | None,
) -> Dataset:
    from datasets import Dataset, NamedSplit
    from datasets.exceptions import DatasetGenerationError

    versions = library_versions("torch", "diffusers", "pillow")
    content = [_FORMAT, job, repr(features), split, versions]
    fingerprint = blake3(canonical_json(content)).hexdigest(length=16)
    try:
        return Dataset.from_generator(
            rows,
            features=features,
            split=NamedSplit(split),
            fingerprint=fingerprint,
            cache_dir=None if cache_dir is None else str(cache_dir),
        )
    except DatasetGenerationError as error:
        if isinstance(error.__cause__, SmearkitError):
            raise error.__cause__ from None
        raise


def _warn_if_unjudged(plan: dict[str, int], names: ClassNames) -> None:
    few = [label for label in plan if names.counts.get(label, 0) < FEWEST_TRAIN]
    if few:
        shown = ", ".join(f"{names.own[label]} {names.counts.get(label, 0)}" for label in few)
        warnings.warn(
            f"selection cannot judge what is drawn of classes with under {FEWEST_TRAIN} real cells "
            f"({shown}): all of it is kept but blank cells and copies. Next: look at them, and "
            "compare with repeating the real ones",
            stacklevel=3,
        )


def _warn_if_short(made: Dataset, plan: dict[str, int], names: ClassNames) -> None:
    origins = made.with_format(None)["origin"]
    kept = names.counts_where(made, [origin == "synthetic" for origin in origins])
    short = shortfall(plan, kept)
    if short:
        lacking = ", ".join(f"{names.own[label]} {count}" for label, count in short.items())
        warnings.warn(
            f"fewer synthetic cells than asked for, as too many were dropped: {lacking} lacking. "
            "Next: go on with what there is, or take select=False",
            stacklevel=3,
        )
