"""smearkit: blood-smear exports in, two trustworthy dataset releases out.

Every command is one function of the same name. Names are loaded when first used, so importing
smearkit is quick and pulls in no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cards.load import load
    from cards.release import Release, release
    from curation.corpus import Corpus, load_corpus
    from curation.curate import CurateConfig, curate
    from curation.errors import SmearkitError
    from synth.augment import augment, match_view
    from synth.config import PRESETS, SampleConfig, TrainConfig
    from synth.evaluate import EvaluateConfig
    from synth.generator import Generator, load_generator
    from synth.sample import sample
    from synth.train import train

    from .evaluation import evaluate
    from .inspection import inspect

_HOME = {
    "Corpus": "curation.corpus",
    "CurateConfig": "curation.curate",
    "EvaluateConfig": "synth.evaluate",
    "Generator": "synth.generator",
    "PRESETS": "synth.config",
    "Release": "cards.release",
    "SampleConfig": "synth.config",
    "SmearkitError": "curation.errors",
    "TrainConfig": "synth.config",
    "augment": "synth.augment",
    "curate": "curation.curate",
    "evaluate": "smearkit.evaluation",
    "inspect": "smearkit.inspection",
    "load": "cards.load",
    "load_corpus": "curation.corpus",
    "load_generator": "synth.generator",
    "match_view": "synth.augment",
    "release": "cards.release",
    "sample": "synth.sample",
    "train": "synth.train",
}

__all__ = [
    "PRESETS",
    "Corpus",
    "CurateConfig",
    "EvaluateConfig",
    "Generator",
    "Release",
    "SampleConfig",
    "SmearkitError",
    "TrainConfig",
    "augment",
    "curate",
    "evaluate",
    "inspect",
    "load",
    "load_corpus",
    "load_generator",
    "match_view",
    "release",
    "sample",
    "train",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'smearkit' has no attribute {name!r}")
    # No module of this package may have one of these names: it would stand in the function's place.
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
