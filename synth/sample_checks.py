"""What is refused before a cell is drawn."""

from __future__ import annotations

from curation.corpus import Corpus
from curation.errors import GeneratorError

from .config import SampleConfig
from .generator import Generator


def check_sampling(
    generator: Generator,
    config: SampleConfig,
    guide: Generator | None = None,
    select_by: Corpus | None = None,
) -> None:
    """Refuse what a generator cannot draw, and a selection that could not find copies.

    Raises: GeneratorError.
    """
    _check_guidance(generator, config, guide)
    _check_acquisition(generator, config)
    _check_selection(generator, select_by)


def _check_guidance(generator: Generator, config: SampleConfig, guide: Generator | None) -> None:
    if config.guidance != 1 and guide is None and not generator.pipeline.config.guided:
        raise GeneratorError(
            "the generator was trained without label dropout, so it cannot be guided. "
            "Next: use --guidance 1"
        )
    if config.guidance == 1 and guide is not None:
        raise GeneratorError(
            "a guidance of 1 is none, so the guide would change nothing. "
            "Next: raise --guidance, or leave --guide out"
        )
    interval = config.guidance_interval
    if interval is not None and not 0 <= interval[0] < interval[1]:
        raise GeneratorError(
            f"guidance cannot act between the noise levels {interval[0]:g} and {interval[1]:g}. "
            "Next: give the lower one first (--guidance-interval 0.3 3)"
        )


def _check_acquisition(generator: Generator, config: SampleConfig) -> None:
    known = generator.pipeline.conditioner.no_acquisition
    if config.acquisition != "own" and not 0 <= config.acquisition < known:
        raise GeneratorError(
            f"the generator knows no acquisition {config.acquisition}; it knows 0 to {known - 1}. "
            "Next: leave --acquisition out, and each cell comes in one that its class was seen in"
        )


def _check_selection(generator: Generator, corpus: Corpus | None) -> None:
    if corpus is not None and corpus.fingerprint != generator.info.training_corpus:
        raise GeneratorError(
            f"the generator learned from corpus {generator.info.training_corpus}, and "
            f"{corpus.path} is {corpus.fingerprint}: copies of its training cells could not be "
            "found. Next: select by the corpus it learned from (--select CORPUS), or --no-select"
        )
