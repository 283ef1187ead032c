"""The stage `train`: a curated corpus in, a generator out."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from curation.codec import common_codec
from curation.corpus import Corpus, load_corpus
from curation.progress import Progress, silent

from .choose_average import choose_average
from .chosen_average import ChosenAverage
from .config import TrainConfig
from .denoiser import Denoiser
from .generator import Generator, build_pipeline, load_generator, save_generator
from .latents import HELD_OUT_NAME, LATENTS_NAME
from .look import Looker
from .processes import Ranks, device_of, ranks_of_run, shared_directory, wait_for
from .stable_diffusion import find_pretrained, into_latents
from .training_pixels import PREPARED_LAST, TrainingPixels, held_out_pixels, prepare_pixels
from .training_processes import check_trackers, training_processes
from .training_run import TrainingRun, own_part

if TYPE_CHECKING:
    from accelerate import Accelerator
    from accelerate.tracking import GeneralTracker

_HELD_OUT_CELLS = 1_024
_LEFT_BEHIND = (
    "pixels.npy", "acquisitions.npy", "checkpoint.safetensors", "log.jsonl", "averages",
    LATENTS_NAME, HELD_OUT_NAME,
)  # fmt: skip


def train(
    corpus: Corpus | Path,
    out: Path,
    config: TrainConfig,
    *,
    inception: Path | None = None,
    stop_after_minutes: float | None = None,
    trackers: Sequence[str | GeneralTracker] = (),
    autoencoder: str | None = None,
    base: str | None = None,
    progress: Progress = silent,
) -> Generator:
    """Train a generator on the training split of a corpus, and on nothing else of it.

    An interrupted run leaves a checkpoint beside `out`; the same call goes on from there. Under
    `accelerate launch` or `torchrun` each process trains on its part of every batch. `trackers`
    are names out of `TRACKERS`, or trackers of accelerate; logs go into `out`/logs. The presets
    that begin with pretrained weights want `autoencoder` or `base`, a folder or a name of the Hub.

    Raises: CorpusError, OutputExistsError, TrainingPaused (after `stop_after_minutes`),
    GeneratorError (no rows, the loss is not finite, the memory does not suffice, a tracker's
    package is missing, another process of the run failed, or pretrained weights do not fit).
    """
    ranks = ranks_of_run()
    own_part(config.batch, ranks.rank, ranks.count)  # refuses a batch that cannot be shared
    check_trackers(trackers)
    corpus = corpus if isinstance(corpus, Corpus) else load_corpus(corpus)
    config, pretrained = find_pretrained(config, autoencoder, base)
    job = {
        "stage": "train",
        "corpus": corpus.fingerprint,
        "config": config.model_dump(mode="json"),
    }
    with shared_directory(out, job, ranks) as partial:
        pixels = _pixels(corpus, config, partial, ranks, out, progress)
        held_out = held_out_pixels(corpus, config.view(), _HELD_OUT_CELLS)
        if pretrained is not None:
            if not ranks.first:
                wait_for((partial / LATENTS_NAME).is_file, out, rank=0)
            pixels, held_out = into_latents(
                pixels, held_out, config, pretrained, partial, device_of(ranks), progress
            )
        with training_processes(partial, trackers, ranks) as accelerator:
            run = _run(pixels, held_out, config, partial, accelerator)
            run.go(progress if ranks.first else silent, stop_after_minutes)
        if ranks.first:
            network, chosen = choose_average(
                run.averages, pixels, held_out, config, last_step=_last_step(run),
                inception=inception, progress=progress,
            )  # fmt: skip
            _save(partial, corpus, config, run, pixels, network, chosen)
    return load_generator(out, device=device_of(ranks))


def _pixels(
    corpus: Corpus, config: TrainConfig, folder: Path, ranks: Ranks, out: Path, progress: Progress
) -> TrainingPixels:
    if not ranks.first:
        # The first process decodes for all of them, which may take longer than a barrier waits.
        wait_for((folder / PREPARED_LAST).is_file, out, rank=0)
    return prepare_pixels(corpus, config.view(), folder, progress, acquisitions=config.acquisitions)


def _run(
    pixels: TrainingPixels,
    held_out: TrainingPixels,
    config: TrainConfig,
    folder: Path,
    accelerator: Accelerator,
) -> TrainingRun:
    torch.manual_seed(config.seed)
    looker = None
    if config.look_cells and len(held_out.images):
        # Every process needs to know that there is one; only the first of them looks.
        looker = Looker(pixels, held_out, config, folder / "looks")
    run = TrainingRun(pixels, config, folder, accelerator, looker)
    run.resume()
    return run


def _last_step(run: TrainingRun) -> int | None:
    """Return where the averages end: before it learnt by heart, if it did."""
    return (run.done.last_good_step or None) if run.done.stopped == "learnt_by_heart" else None


def _stopped(run: TrainingRun, config: TrainConfig) -> str:
    if run.done.stopped:
        return run.done.stopped
    return "at its end" if run.done.images >= config.images else "after its minutes"


def _save(
    folder: Path,
    corpus: Corpus,
    config: TrainConfig,
    run: TrainingRun,
    pixels: TrainingPixels,
    network: Denoiser,
    chosen: ChosenAverage,
) -> None:
    shutil.copyfile(run.log, folder / "training.jsonl")
    save_generator(
        folder,
        build_pipeline(network, config, pixels.acquisition_shares()),
        config=config,
        trained_on=pixels.counts(),
        training_corpus=corpus.fingerprint,
        codec=common_codec(corpus.path, corpus.shards(["train"])),
        license_id=_one_license(corpus),
        images_seen=run.done.images,
        seconds=run.done.seconds,
        final_loss=run.done.loss,
        stopped=_stopped(run, config),
        average=chosen,
    )
    for name in _LEFT_BEHIND:
        _remove(folder / name)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _one_license(corpus: Corpus) -> str | None:
    found: set[Any] = set(corpus.rows(["license"], ["train"])["license"].to_pylist())
    return found.pop() if len(found) == 1 else None
