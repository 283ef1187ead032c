"""How much each stage costs over the bare work inside it, as ratios within one run.

    curate   against a plain Pillow open-and-save loop over the same files
    privacy  `curate` against itself without de-identification: the files' own bytes, no text search
    train    against the bare network's forward and backward passes
    sample   against the bare network's forward passes

Stage and baseline alternate, and the best of the rounds counts: other load on the machine slows
both. `privacy`, and `train` on a CPU, are judged by processor time, which such load changes less.
Loading the models that read text, once per process and only where a crop needs them, is printed
beside `privacy`. Prints a table, or one JSON object with --json.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from PIL import Image

from curation import released_cell
from curation.corpus import load_corpus
from curation.curate import CurateConfig, curate
from curation.deidentify.text.engine import engine
from curation.errors import ImageError
from curation.pixels import Limits, ReleasedImage, decode_rgb, pixel_id
from curation.progress import silent
from curation.sources.image_files import image_files
from smearkit.demo_export import write_demo_export
from synth.config import SampleConfig, preset
from synth.denoiser import autocast_dtype, best_device, build_denoiser, placed
from synth.generator import load_generator
from synth.plan import planned_cells
from synth.sample import draw_cells
from synth.train import train
from synth.training_pixels import prepare_pixels
from synth.training_run import TrainingRun

ALLOWED_OVERHEAD = 0.15
PRIVACY_OVERHEAD = 0.25


def main() -> None:
    """Run the three comparisons."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--source", type=Path, help="folder of JPEG class folders; default: drawn")
    parser.add_argument("--preset", default="cpu-64", help="network of train and sample")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", choices=["privacy", "train"], help="nothing else")
    parser.add_argument("--json", action="store_true", dest="as_json")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = options.source or write_demo_export(folder / "export").folder
        if options.only == "privacy":
            results = [bench_privacy(source, folder, options.rounds)]
        elif options.only == "train":
            curate([source], folder / "corpus-0", vault=folder / "vault")
            results = [bench_train(folder, options.preset, options.rounds)]
        else:
            results = [
                bench_curate(source, folder, options.rounds),
                bench_privacy(source, folder, options.rounds),
                bench_train(folder, options.preset, options.rounds),
                bench_sample(folder, options.preset, options.rounds),
            ]
    report = {"load": os.getloadavg()[0], "threads": torch.get_num_threads(), "results": results}
    if options.as_json:
        print(json.dumps(report))
        return
    print(f"load {report['load']:.1f}, {report['threads']} threads, rounds {options.rounds}")
    for row in results:
        print(
            f"{row['stage']:<7} {row['rate']:8.1f}/s   {row['baseline']:<42} "
            f"{row['baseline_rate']:8.1f}/s   ratio {row['ratio']:.2f}"
            + (f"   text models {row['models_s']} s" if "models_s" in row else "")
        )


def compare(
    stage: str, baseline: str, count: int, run: Callable[[], Any], bare: Callable[[], Any],
    rounds: int, allowed: float = ALLOWED_OVERHEAD,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, Any]:  # fmt: skip
    """Return rates of a stage and its baseline over `count` items, and stage over baseline."""
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds):
        for spent, call in zip(times, (run, bare), strict=True):
            started = clock()
            call()
            spent.append(clock() - started)
    rate, baseline_rate = count / min(times[0]), count / min(times[1])
    return {
        "stage": stage, "baseline": baseline, "n": count, "rate": round(rate, 2),
        "baseline_rate": round(baseline_rate, 2), "ratio": round(rate / baseline_rate, 3),
        "allowed_overhead": allowed, "within": baseline_rate / rate <= 1 + allowed,
    }  # fmt: skip


def bench_curate(source: Path, folder: Path, rounds: int) -> dict[str, Any]:
    """Compare `curate` with opening and saving every file by Pillow."""
    files = image_files(source)
    number = iter(range(1000))

    def run() -> None:
        curate([source], folder / f"corpus-{next(number)}", vault=folder / "vault")

    def bare() -> None:
        target = folder / "saved.jpg"
        for path in files:
            try:
                with Image.open(path) as image:
                    image.save(target, quality=90)
            except OSError:
                continue  # the drawn export has one corrupt file, which curate quarantines

    return compare("curate", "Pillow open and save (q90)", len(files), run, bare, rounds)


def bench_privacy(source: Path, folder: Path, rounds: int) -> dict[str, Any]:
    """Compare `curate` with one that releases the source's bytes and searches for no text."""
    files = image_files(source)
    number = iter(range(1000))

    def run() -> None:
        curate([source], folder / f"private-{next(number)}", vault=folder / "vault")

    def bare() -> None:
        config = CurateConfig(text="off")
        with mock.patch.object(released_cell, "release_image", _as_it_is):
            curate([source], folder / f"bare-{next(number)}", config, vault=folder / "vault")

    started = time.process_time()
    engine(1)
    models_s = round(time.process_time() - started, 2)
    run()
    name = "the same without de-identification (CPU)"
    row = compare(
        "privacy", name, len(files), run, bare, rounds, PRIVACY_OVERHEAD, time.process_time
    )
    return {**row, "models_s": models_s}


def _as_it_is(data: bytes, limits: Limits, *, reencode: bool = False) -> ReleasedImage:
    try:
        pixels = decode_rgb(data)
    except (OSError, ValueError) as error:
        raise ImageError("unreadable", "") from error
    height, width = pixels.shape[:2]
    return ReleasedImage(data, pixel_id(pixels), width, height, "jpeg", pixels)


def bench_train(folder: Path, preset_name: str, rounds: int) -> dict[str, Any]:
    """Compare training steps with the bare network's forward and backward passes, by CPU time."""
    from accelerate import Accelerator

    config = preset(preset_name)
    work = folder / "train"
    work.mkdir()
    pixels = prepare_pixels(
        load_corpus(folder / "corpus-0"), config.view(), work, silent,
        acquisitions=config.acquisitions,
    )  # fmt: skip
    training = TrainingRun(pixels, config, work, Accelerator(cpu=best_device().type == "cpu"))
    training.network.train()
    network = placed(build_denoiser(config, pixels.acquisitions), best_device()).train()
    side, channels = config.side // config.patch, 3 * config.patch**2
    images = torch.randn(config.batch, channels, side, side, device=best_device())
    images = images.contiguous(memory_format=torch.channels_last)
    noise = torch.zeros(config.batch, device=best_device())
    ids = torch.zeros(config.batch, dtype=torch.long, device=best_device())
    steps = 4

    def bare() -> None:
        for _ in range(steps):
            network.zero_grad(set_to_none=True)
            with _autocast():
                loss = network(images, noise, ids, ids).square().mean()
            loss.backward()

    def run() -> None:
        for _ in range(steps):
            training.step()

    run()
    bare()
    count = steps * config.batch
    # On an accelerator, processor time says nothing.
    clock = time.process_time if best_device().type == "cpu" else time.perf_counter
    return compare(
        "train", "bare network, forward and backward", count, run, bare, rounds, clock=clock
    )


def bench_sample(folder: Path, preset_name: str, rounds: int) -> dict[str, Any]:
    """Compare drawing cells with the bare network's forward passes for as many steps."""
    out = folder / "generator"
    train(folder / "corpus-0", out, preset(preset_name).model_copy(update={"images": 32}))
    generator = load_generator(out)
    config = SampleConfig(steps=6, batch=16)
    label = next(iter(generator.info.trained_on))
    cells = planned_cells({label: config.batch}, 0)
    unet, conditioner = generator.pipeline.unet, generator.pipeline.conditioner
    info = generator.info.config
    side, channels = info.side // info.patch, 3 * info.patch**2
    # Guidance asks the network twice per image and step; the bare passes do as much.
    images = torch.randn(2 * config.batch, channels, side, side, device=best_device())
    images = images.contiguous(memory_format=torch.channels_last)
    ids = torch.zeros(2 * config.batch, dtype=torch.long, device=best_device())

    def run() -> None:
        total = sum(float(np.mean(pixels)) for _, pixels in draw_cells(generator, cells, config))
        if not total:
            raise RuntimeError("all cells are black")

    @torch.no_grad()
    def bare() -> None:
        for _ in range(config.steps):
            with _autocast():
                unet(images, torch.zeros((), device=best_device()), conditioner(ids, ids))

    run()
    bare()
    return compare("sample", "bare network, forward", config.batch, run, bare, rounds)


def _autocast() -> Any:
    dtype = autocast_dtype(best_device())
    return torch.autocast(best_device().type, dtype) if dtype else nullcontext()


if __name__ == "__main__":
    main()
