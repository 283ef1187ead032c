"""The stage `train`: a curated corpus in, a generator out."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from curation.codec import common_codec
from curation.corpus import Corpus, load_corpus
from curation.output import partial_path, whole_directory
from curation.progress import Progress, silent

from .choose_average import choose_average
from .chosen_average import ChosenAverage
from .config import TrainConfig
from .denoiser import Denoiser, best_device
from .generator import Generator, build_pipeline, load_generator, save_generator
from .look import Looker
from .training_pixels import TrainingPixels, held_out_pixels, prepare_pixels
from .training_run import TrainingRun

if TYPE_CHECKING:
    from accelerate import Accelerator

_HELD_OUT_CELLS = 1_024
_LEFT_BEHIND = (
    "pixels.npy", "acquisitions.npy", "checkpoint.safetensors", "log.jsonl", "averages"
)  # fmt: skip


def train(
    corpus: Corpus | Path,
    out: Path,
    config: TrainConfig,
    *,
    inception: Path | None = None,
    stop_after_minutes: float | None = None,
    trackers: Sequence[str] = (),
    progress: Progress = silent,
) -> Generator:
    """Train a generator on the training split of a corpus, and on nothing else of it.

    An interrupted run leaves a checkpoint beside `out`; the same call goes on from there. Under
    `accelerate launch` each process trains on its part of every batch. `trackers` are names that
    accelerate knows ("tensorboard", "trackio"); their logs go into `out`/logs.

    Raises: CorpusError, OutputExistsError, TrainingPaused (after `stop_after_minutes`),
    GeneratorError (no rows, the loss is not finite, or the memory does not suffice).
    """
    corpus = corpus if isinstance(corpus, Corpus) else load_corpus(corpus)
    accelerator = _accelerator(out, trackers)
    if not accelerator.is_main_process:
        _follow(corpus, out, config, accelerator, stop_after_minutes)
        return load_generator(out)
    job = {
        "stage": "train",
        "corpus": corpus.fingerprint,
        "config": config.model_dump(mode="json"),
    }
    with whole_directory(out, job) as partial:
        pixels = prepare_pixels(
            corpus, config.view(), partial, progress, acquisitions=config.acquisitions
        )
        held_out = held_out_pixels(corpus, config.view(), _HELD_OUT_CELLS)
        if trackers:
            accelerator.init_trackers("logs")
        accelerator.wait_for_everyone()
        run = _run(pixels, held_out, config, partial, accelerator)
        run.go(progress, stop_after_minutes)
        accelerator.end_training()
        network, chosen = choose_average(
            run.averages, pixels, held_out, config, last_step=_last_step(run), inception=inception,
            progress=progress,
        )  # fmt: skip
        _save(partial, corpus, config, run, pixels, network, chosen)
    accelerator.wait_for_everyone()
    return load_generator(out)


def _accelerator(out: Path, trackers: Sequence[str]) -> Accelerator:
    from accelerate import Accelerator

    # Its own mixed precision stays off: the loss says itself what is computed in bfloat16.
    return Accelerator(
        mixed_precision="no",
        cpu=best_device().type == "cpu",
        log_with=list(trackers) or None,
        project_dir=partial_path(out) / "logs" if trackers else None,
    )


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


def _follow(
    corpus: Corpus,
    out: Path,
    config: TrainConfig,
    accelerator: Accelerator,
    stop_after_minutes: float | None,
) -> None:
    """Train as one of the other processes, in the folder that the first one made ready."""
    accelerator.wait_for_everyone()
    partial = partial_path(out)
    pixels = prepare_pixels(corpus, config.view(), partial, silent)
    held_out = held_out_pixels(corpus, config.view(), _HELD_OUT_CELLS)
    run = _run(pixels, held_out, config, partial, accelerator)
    run.go(silent, stop_after_minutes)
    accelerator.wait_for_everyone()


def _last_step(run: TrainingRun) -> int | None:
    """Return where the averages end: before it learnt by heart, if it did."""
    return (run.done.last_good_step or None) if run.done.stopped == "learnt_by_heart" else None


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
        stopped=run.done.stopped or "at its end",
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
