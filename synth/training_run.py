"""One training run: the steps, what is kept of them, and when it ends."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from curation.errors import GeneratorError, TrainingPaused
from curation.output import write_whole
from curation.progress import Progress

from .averages import Averages, as_tensors
from .checkpoint import Progressed, load_checkpoint, save_checkpoint
from .config import TrainConfig
from .denoiser import NULL_LABEL, autocast_dtype, build_denoiser, placed
from .diffusion import network_input, network_noise, network_target, sample_sigmas
from .latents import batch_source
from .look import Looker
from .training_pixels import Batch, TrainingPixels

if TYPE_CHECKING:
    from accelerate import Accelerator

_CHECKPOINT_SECONDS = 120.0
_LOG_STEPS = 20

Forward = Callable[..., Any]


class TrainingRun:
    """One training run: its network, its averages, and how far it is."""

    def __init__(
        self,
        pixels: TrainingPixels,
        config: TrainConfig,
        folder: Path,
        accelerator: Accelerator,
        looker: Looker | None = None,
    ) -> None:
        self.config, self.accelerator, self.looker = config, accelerator, looker
        self.checkpoint = folder / "checkpoint.safetensors"
        self.log = folder / "log.jsonl"
        self.device = accelerator.device
        self.source = batch_source(pixels, config, self.device)
        self.part = own_part(config.batch, accelerator.process_index, accelerator.num_processes)
        self.network = placed(
            build_denoiser(config, pixels.acquisitions, pixels.space), self.device
        )
        self.averages = Averages(self.network, config.ema_tracked, folder / "averages")
        self.optimizer = torch.optim.AdamW(
            self.network.parameters(), lr=config.learning_rate, betas=(0.9, 0.99), weight_decay=0.0,
            fused=self.device.type == "cuda",
        )  # fmt: skip
        self.done = Progressed()
        self.forward: Forward = self.network
        self._whole = True

    @property
    def is_main(self) -> bool:
        """Whether this process writes."""
        return bool(self.accelerator.is_main_process)

    def resume(self) -> None:
        """Go on from a checkpoint if there is one; what was logged after it is logged again."""
        if self.checkpoint.is_file():
            tensors = as_tensors(self.averages)
            self.done = load_checkpoint(self.checkpoint, self.network, tensors, self.optimizer)
        self.forward = self._wrapped()
        if not self.is_main:
            return
        self.averages.forget_after(self.done.step)
        if self.log.exists():
            lines = self.log.read_text().splitlines(keepends=True)
            kept = [line for line in lines if json.loads(line)["images"] <= self.done.images]
            write_whole(self.log, "".join(kept).encode())

    def _wrapped(self) -> Forward:
        network: Any = self.network
        if self.accelerator.num_processes > 1:
            network = self.accelerator.prepare_model(network)
        compiled = self.config.compile == "on" or (
            self.config.compile == "auto" and self.device.type == "cuda"
        )
        return torch.compile(network) if compiled else network

    def go(self, progress: Progress, stop_after_minutes: float | None = None) -> None:
        """Train to the end; a checkpoint every two minutes and when interrupted.

        Raises: TrainingPaused after `stop_after_minutes` of this call; GeneratorError where the
        loss is not finite or the memory does not suffice.
        """
        before, saved = self.done.seconds, time.monotonic()
        started = saved - before
        self.network.train()
        try:
            # What is due after a step is done before the next: a resumed run does it then.
            while self._go_on(progress):
                if stop_after_minutes and self.done.seconds - before > 60 * stop_after_minutes:
                    self._pause()
                self.step()
                self.done.seconds = self._seconds(started)
                if time.monotonic() - saved > _CHECKPOINT_SECONDS:
                    self._save()
                    saved = time.monotonic()
            self._note(progress)
            self._snapshot()
        except KeyboardInterrupt:
            # Half a step is not worth keeping: the run goes on from the checkpoint before it.
            if self._whole:
                self._save()
            raise
        self._save()

    def _go_on(self, progress: Progress) -> bool:
        """Note, keep and look at what is due after the last step; returns whether another comes."""
        if self.done.losses and self.done.step % _LOG_STEPS == 0 and self._share_done() < 1:
            self._note(progress)
        if self._share_done() * self.config.snapshots >= self.done.snapshots + 1:
            self._snapshot()
            self.done.snapshots += 1
        if self._look_due():
            self._look(progress)
        return self._share_done() < 1 and not self.done.stopped

    @contextmanager
    def _in_one_piece(self) -> Iterator[None]:
        """Mark what must not be checkpointed half done."""
        self._whole = False
        yield
        self._whole = True

    def _seconds(self, started: float) -> float:
        mine = time.monotonic() - started
        if self.accelerator.num_processes == 1:
            return mine
        # The clocks differ, and all processes have to stop at the same step.
        told = torch.tensor(mine, device=self.device, dtype=torch.float64)
        return float(self.accelerator.reduce(told, "mean"))

    def _pause(self) -> None:
        self._save()
        share = self._share_done()
        raise TrainingPaused(
            f"paused after {self.done.images} images, {share:.0%} of the training. "
            "Next: the same command goes on from here",
            images=self.done.images,
            share=share,
        )

    def _share_done(self) -> float:
        config = self.config
        shares = [self.done.images / config.images]
        if config.minutes is not None:
            shares.append(self.done.seconds / (60 * config.minutes))
        return max(shares)

    def _learning_rate(self) -> float:
        """Warm up, hold, and fall to zero over the last share, which removes most of the grain."""
        config = self.config
        warm = min(1.0, (self.done.images + 1) / max(config.warmup_images, 1))
        fall = 1.0
        if config.decay_share:
            fall = min(1.0, (1 - self._share_done()) / config.decay_share)
        return config.learning_rate * warm * max(fall, 0.01)

    def step(self) -> None:
        """Train on one batch.

        Raises: GeneratorError where a number is not finite or the memory does not suffice.
        """
        try:
            self._step()
        except torch.OutOfMemoryError as error:
            raise self._too_large() from error

    def _step(self) -> None:
        loss = self._loss(self.done.step)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), self.config.gradient_clip)
        # Before the weights change: what is checkpointed was never touched by a bad step.
        value = float(self.accelerator.reduce(loss.detach(), "mean"))
        self._refuse_infinite("loss", value)
        self._refuse_infinite("gradient", float(norm))
        for group in self.optimizer.param_groups:
            group["lr"] = self._learning_rate()
        with self._in_one_piece():
            self.optimizer.step()
            self.done.step += 1
            self.done.images += self.config.batch
            self.averages.update(self.network, self.done.step)
            self.done.losses.append(value)

    def _too_large(self) -> GeneratorError:
        config = self.config
        fewer = f"--batch {config.batch // 2}, or " if config.batch > 1 else ""
        return GeneratorError(
            f"the device's memory does not hold {config.batch} images of {config.side} px a "
            f"step with preset {config.preset!r}. Next: give {fewer}a smaller preset"
        )

    def _loss(self, step: int) -> Tensor:
        batch = self.source.draw(step, self.part)
        # Every step has its own generators, so a resumed run draws what an unbroken one would.
        seed = self.config.seed * 1_000_003 + step
        generator = torch.Generator(self.device).manual_seed(seed)
        torch.manual_seed(seed + self.part.start)  # the network's dropout
        dtype = autocast_dtype(self.device)
        context: Any = torch.autocast(self.device.type, dtype) if dtype else nullcontext()
        with context:
            return training_loss(
                self.forward, batch, self.config, generator, self.part,
                no_acquisition=self.network.conditioner.no_acquisition,
            )  # fmt: skip

    def _refuse_infinite(self, what: str, value: float) -> None:
        if math.isfinite(value):
            return
        kept = f"the checkpoint beside --out is kept ({self.checkpoint.parent.name})"
        if not self.checkpoint.is_file():
            kept = "there is no checkpoint yet"
        raise GeneratorError(
            f"the {what} is {value} after {self.done.images} images (step {self.done.step}); "
            f"no generator was written; {kept}. Next: lower the learning rate"
        )

    def _look_due(self) -> bool:
        images, every = self.done.images, self.config.look_images
        if self.looker is None or images == self.done.looked_at:
            return False
        return images // every > (images - self.config.batch) // every

    def _look(self, progress: Progress) -> None:
        """Look at what the average draws; all processes are told what was found."""
        if self.is_main and self.looker is not None:
            look, looked = self.looker.look(self.averages.tracked[0], self.done, progress)
            if looked.last_good_step == looked.step:
                self.averages.keep_good(looked.step)
            with self._in_one_piece():
                self._write({"images": self.done.images, "look": look})
                self.done = looked
            shown = {name: value for name, value in look.items() if name != "verdict"}
            self.accelerator.log(shown, step=self.done.images)
        if self.accelerator.num_processes > 1:
            from accelerate.utils import broadcast_object_list

            told = [self.done]
            broadcast_object_list(told)
            self.done = told[0]

    def _snapshot(self) -> None:
        if self.is_main:
            self.averages.snapshot(self.done.step)

    def _note(self, progress: Progress) -> None:
        if self.done.losses:
            with self._in_one_piece():
                self.done.loss = float(np.mean(self.done.losses))
                self.done.losses.clear()
                line: dict[str, object] = {
                    "images": self.done.images,
                    "seconds": round(self.done.seconds, 1),
                    "loss": round(self.done.loss, 5),
                }
                if self.is_main:
                    self._write(line)
            self.accelerator.log({"loss": self.done.loss}, step=self.done.images)
        share = min(self._share_done(), 1.0)
        total = round(self.done.images / share) if share else self.config.images
        progress(f"train, loss {self.done.loss:.4f}", self.done.images, total)

    def _write(self, line: dict[str, object]) -> None:
        with self.log.open("a") as file:
            file.write(json.dumps(line) + "\n")

    def _save(self) -> None:
        if self.is_main:
            tensors = as_tensors(self.averages)
            save_checkpoint(self.checkpoint, self.network, tensors, self.optimizer, self.done)


def own_part(batch: int, process: int, processes: int) -> slice:
    """Return which images of a batch one of several processes trains on.

    Raises: GeneratorError where the batch cannot be shared out evenly.
    """
    if batch % processes:
        raise GeneratorError(
            f"a batch of {batch} cannot be shared evenly by {processes} processes. "
            f"Next: give --batch {math.ceil(batch / processes) * processes}"
        )
    size = batch // processes
    return slice(process * size, (process + 1) * size)


def training_loss(
    network: Forward,
    batch: Batch,
    config: TrainConfig,
    generator: torch.Generator,
    part: slice = slice(None),
    *,
    no_acquisition: int = 1,
) -> Tensor:
    """Return EDM's loss on a part of a batch, a scalar.

    Labels and acquisitions are dropped as the config says, each by itself. Noise is drawn for
    the whole batch, so it does not depend on the number of processes.
    """
    whole, clean_BCHW = config.batch, batch.images_BCHW
    place = generator.device
    sigmas = sample_sigmas(whole, config, generator)[part]
    noise = torch.randn((whole, *clean_BCHW.shape[1:]), generator=generator, device=place)[part]
    untold = torch.rand((2, whole), generator=generator, device=place)[:, part]
    labels = torch.where(untold[0] < config.label_dropout, NULL_LABEL, batch.class_ids_B)
    acquisitions = torch.where(
        untold[1] < config.acquisition_dropout, no_acquisition, batch.acquisition_ids_B
    )
    noisy = clean_BCHW + noise * sigmas.view(-1, 1, 1, 1)
    scaled = network_input(noisy, sigmas, config.sigma_data)
    scaled = scaled.contiguous(memory_format=torch.channels_last)
    output: Tensor = network(scaled, network_noise(sigmas), labels, acquisitions, batch.jitter_BA)
    target = network_target(clean_BCHW, noisy, sigmas, config.sigma_data)
    return (output.float() - target).square().mean()
