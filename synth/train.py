"""The stage `train`: a curated corpus in, a generator out."""

from __future__ import annotations

import json
import math
import shutil
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from curation.codec import common_codec
from curation.corpus import Corpus, load_corpus
from curation.errors import GeneratorError
from curation.output import whole_directory, write_whole
from curation.progress import Progress, silent

from .checkpoint import Progressed, load_checkpoint, save_checkpoint
from .config import TrainConfig
from .denoiser import NULL_LABEL, autocast_dtype, best_device, build_denoiser
from .diffusion import network_input, network_noise, network_target, sample_sigmas
from .generator import Generator, build_pipeline, load_generator, save_generator
from .training_pixels import TrainingPixels, draw_batch, prepare_pixels

_CHECKPOINT_SECONDS = 120.0
_LOG_STEPS = 20


def train(
    corpus: Corpus | Path, out: Path, config: TrainConfig, *, progress: Progress = silent
) -> Generator:
    """Train a generator on the training split of a corpus, and on nothing else of it.

    An interrupted run leaves a checkpoint beside `out`; the same call goes on from there.

    Raises: CorpusError, OutputExistsError, GeneratorError (no rows, or the loss is not finite).
    """
    corpus = corpus if isinstance(corpus, Corpus) else load_corpus(corpus)
    job = {
        "stage": "train",
        "corpus": corpus.fingerprint,
        "config": config.model_dump(mode="json"),
    }
    with whole_directory(out, job) as partial:
        pixels = prepare_pixels(corpus, config.view(), partial, progress)
        torch.manual_seed(config.seed)
        run = TrainingRun(pixels, config, partial)
        run.resume()
        run.go(progress)
        shutil.copyfile(partial / "log.jsonl", partial / "training.jsonl")
        save_generator(
            partial,
            build_pipeline(run.averaged(), config, sorted(pixels.counts())),
            config=config,
            trained_on=pixels.counts(),
            training_corpus=corpus.fingerprint,
            codec=common_codec(corpus.path, corpus.shards(["train"])),
            license_id=_one_license(corpus),
            images_seen=run.done.images,
            seconds=run.done.seconds,
            final_loss=run.done.loss,
        )
        for name in ("pixels.npy", "checkpoint.safetensors", "log.jsonl"):
            (partial / name).unlink(missing_ok=True)
    return load_generator(out)


def training_loss(
    network: Callable[..., Any],
    clean_BCHW: Tensor,
    class_ids: Tensor,
    config: TrainConfig,
    generator: torch.Generator,
) -> Tensor:
    """Return EDM's loss on one batch, a scalar; labels are dropped as the config says."""
    sigmas = sample_sigmas(len(clean_BCHW), config, generator)
    noise = torch.randn(clean_BCHW.shape, generator=generator)
    dropped = torch.rand(len(class_ids), generator=generator) < config.label_dropout
    ids = torch.where(dropped, NULL_LABEL, class_ids)
    device = clean_BCHW.device
    sigmas, noise, ids = sigmas.to(device), noise.to(device), ids.to(device)
    noisy = clean_BCHW + noise * sigmas.view(-1, 1, 1, 1)
    scaled = network_input(noisy, sigmas, config.sigma_data)
    output: Tensor = network(scaled, network_noise(sigmas), ids, return_dict=False)[0]
    target = network_target(clean_BCHW, noisy, sigmas, config.sigma_data)
    return (output.float() - target).square().mean()


class TrainingRun:
    """One training run: its network, its averages, and how far it is."""

    def __init__(self, pixels: TrainingPixels, config: TrainConfig, folder: Path) -> None:
        self.pixels, self.config = pixels, config
        self.checkpoint = folder / "checkpoint.safetensors"
        self.log = folder / "log.jsonl"
        self.device = best_device()
        # Channels last: a quarter faster on a CPU, and what an accelerator's kernels expect.
        self.network: nn.Module = build_denoiser(config).to(
            self.device, memory_format=torch.channels_last
        )
        self.ema = {k: v.detach().clone() for k, v in self.network.state_dict().items()}
        self.optimizer = torch.optim.AdamW(
            self.network.parameters(), lr=config.learning_rate, betas=(0.9, 0.99), weight_decay=0.0
        )
        self.cumulative = np.cumsum(pixels.weights(config.class_balance))
        self.done = Progressed()
        self._whole = True

    def resume(self) -> None:
        """Go on from a checkpoint if there is one; what was logged after it is logged again."""
        if self.checkpoint.is_file():
            self.done = load_checkpoint(self.checkpoint, self.network, self.ema, self.optimizer)
        if self.log.exists():
            lines = self.log.read_text().splitlines(keepends=True)
            kept = [line for line in lines if json.loads(line)["images"] <= self.done.images]
            write_whole(self.log, "".join(kept).encode())

    def go(self, progress: Progress) -> None:
        """Train to the end; a checkpoint every two minutes and when interrupted."""
        started = time.monotonic() - self.done.seconds
        saved = time.monotonic()
        self.network.train()
        try:
            while self._share_done() < 1:
                if self.done.losses and self.done.step % _LOG_STEPS == 0:
                    self._note(progress)
                self.step()
                self.done.seconds = time.monotonic() - started
                if time.monotonic() - saved > _CHECKPOINT_SECONDS:
                    self._save()
                    saved = time.monotonic()
        except KeyboardInterrupt:
            # Half a step is not worth keeping: the run goes on from the checkpoint before it.
            if self._whole:
                self._save()
            raise
        self._note(progress)

    def averaged(self) -> Any:
        """Return the network with its running average as weights."""
        network = build_denoiser(self.config)
        network.load_state_dict(self.ema)
        return network.eval()

    def _share_done(self) -> float:
        config = self.config
        shares = [self.done.images / config.images]
        if config.minutes is not None:
            shares.append(self.done.seconds / (60 * config.minutes))
        return max(shares)

    def _learning_rate(self) -> float:
        """Warm up, hold, and fall to zero over the last third (which removes most of the grain)."""
        warm = min(1.0, (self.done.images + 1) / max(self.config.warmup_images, 1))
        fall = min(1.0, (1 - self._share_done()) * 3)
        return self.config.learning_rate * warm * max(fall, 0.01)

    def step(self) -> None:
        """Train on one batch."""
        config = self.config
        # Every step has its own generators, so a resumed run draws what an unbroken one would.
        batch, ids = draw_batch(
            self.pixels,
            self.cumulative,
            config,
            np.random.default_rng((config.seed, self.done.step)),
        )
        generator = torch.Generator().manual_seed(config.seed * 1_000_003 + self.done.step)
        torch.manual_seed(config.seed * 1_000_003 + self.done.step)  # the network's dropout
        dtype = autocast_dtype(self.device)
        context: Any = torch.autocast(self.device.type, dtype) if dtype else nullcontext()
        with context:
            images = batch.to(self.device, memory_format=torch.channels_last)
            loss = training_loss(self.network, images, ids, config, generator)
        value = float(loss.detach())
        if not math.isfinite(value):
            raise GeneratorError(
                f"the loss is {value} after {self.done.images} images (step {self.done.step}); "
                "no generator was written. Next: lower the learning rate"
            )
        for group in self.optimizer.param_groups:
            group["lr"] = self._learning_rate()
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.network.parameters(), config.gradient_clip)
        self._whole = False
        self.optimizer.step()
        self.done.step += 1
        self.done.images += config.batch
        self._average()
        self.done.losses.append(value)
        self._whole = True

    def _average(self) -> None:
        # The average starts short, so that the first random weights are soon forgotten.
        decay = min(self.config.ema_decay, (1 + self.done.step) / (10 + self.done.step))
        with torch.no_grad():
            for key, value in self.network.state_dict().items():
                self.ema[key].lerp_(value, 1 - decay)

    def _note(self, progress: Progress) -> None:
        if self.done.losses:
            self.done.loss = float(np.mean(self.done.losses))
            self.done.losses.clear()
            line = {
                "images": self.done.images,
                "seconds": round(self.done.seconds, 1),
                "loss": round(self.done.loss, 5),
            }
            with self.log.open("a") as file:
                file.write(json.dumps(line) + "\n")
        share = min(self._share_done(), 1.0)
        total = round(self.done.images / share) if share else self.config.images
        progress(f"train, loss {self.done.loss:.4f}", self.done.images, total)

    def _save(self) -> None:
        save_checkpoint(self.checkpoint, self.network, self.ema, self.optimizer, self.done)


def _one_license(corpus: Corpus) -> str | None:
    found = set(corpus.rows(["license"], ["train"])["license"].to_pylist())
    return found.pop() if len(found) == 1 else None
