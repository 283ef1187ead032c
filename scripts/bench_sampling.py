"""How fast cells are drawn, against diffusers' own samplers over the same network.

    python scripts/bench_sampling.py --generator out/generator --real out/pbc \\
        --inception ../shared/weights -n 192 --out out/bench-sampling

Every sampler draws the same classes without guidance, chunk by chunk in turn, so that other load
on the machine slows all of them. KID is to held-out test cells. For each of diffusers' samplers
(DDPM with 1,000 steps, DDIM with 50, DPM-Solver++ with 20) the fewest of our steps are found that
draw no worse by KID; their rates are compared. Rates are images a second of wall time, and of
processor time, which other load changes less; the ratio is of processor time on a CPU and of wall
time on an accelerator.

Two more things are looked at: that an image costs the same whether few or many are drawn, and that
a fresh process needs no more memory for many. Prints a Markdown table and writes it with a JSON
object below --out; what was drawn and measured is kept there, so the same command goes on.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from curation.chunks import chunks
from curation.corpus import load_corpus
from curation.output import write_arrays, write_whole
from scripts.generator_tables import kid_text
from scripts.held_out import cells_in_turn, check_corpus, like, of_labels
from scripts.kept_work import CHUNK, KeptWork, drawing_code
from scripts.variance_preserving import Sampler, diffusers_samplers
from synth.config import SampleConfig
from synth.generator import Generator, load_generator
from synth.measure.features import extractor_text
from synth.measure.inception import find_inception
from synth.measure.kernel import Estimate, kernel_distance
from synth.plan import PlannedCell, planned_cells
from synth.sample import draw_cells

OURS = (4, 6, 8, 10, 12, 18)
GOAL = ("DDIM-50", 3.0)
COUNTS = (64, 256)


@dataclass
class Drawn:
    """One sampler at its number of steps: what it drew, and the time that took."""

    name: str
    steps: int
    images: NDArray[np.uint8]
    wall_s: float = 0.0
    cpu_s: float = 0.0
    kid: Estimate | None = None

    def rate(self, device: str) -> float:
        """Return images a second of the time that counts on a device."""
        return len(self.images) / (self.cpu_s if device == "cpu" else self.wall_s)


def main() -> None:
    """Draw, measure, and print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--generator", type=Path, required=True)
    parser.add_argument("--real", type=Path, required=True, help="the corpus it was trained on")
    parser.add_argument("--inception", type=Path, help="folder of the Inception network")
    parser.add_argument("-n", type=int, default=192, help="cells a sampler")
    parser.add_argument("--ddpm", type=int, default=64, help="cells of DDPM; 0: leave it out")
    parser.add_argument("--steps", type=int, nargs="+", default=OURS, help="our numbers of steps")
    parser.add_argument("--counts", type=int, nargs=2, default=COUNTS, metavar=("FEW", "MANY"))
    parser.add_argument("--out", type=Path, default=Path("out/bench-sampling"))
    parser.add_argument("--memory-of", type=int, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    generator = load_generator(asked.generator)
    if asked.memory_of:
        print(json.dumps(memory_here(generator, asked.memory_of)))
        return
    found = bench(generator, asked)
    text = markdown(found)
    write_whole(asked.out / "bench.json", (json.dumps(found, indent=1) + "\n").encode())
    write_whole(asked.out / "bench.md", text.encode())
    print(text)


def bench(generator: Generator, asked: argparse.Namespace) -> dict[str, Any]:
    """Return everything that is measured, as it is written."""
    corpus = load_corpus(asked.real)
    check_corpus(generator, corpus)
    weights = find_inception(asked.inception)
    kept = KeptWork(asked.out, weights)
    held = cells_in_turn(corpus, "test", generator, asked.n)
    cells = like(held, seed=0)
    minutes = budget_s(generator, len(cells), asked) / 60
    print(f"{len(cells)} cells a sampler; about {minutes:.0f} CPU minutes", file=sys.stderr)
    samplers = all_samplers(generator, asked)
    folder = kept.folder / f"{generator.info.fingerprint}-{drawing_code()[:8]}"
    drawn = draw_in_turn(samplers, cells, asked.ddpm, folder)
    real = kept.features(held.images)
    for one in drawn:
        one.kid = kernel_distance(real, kept.features(one.images))
    training = of_labels(corpus, "train", generator, held.labels)
    floor = kernel_distance(real, kept.features(training.images))
    return {
        "generator": generator.info.fingerprint,
        "corpus": corpus.fingerprint,
        "device": generator.pipeline.device.type,
        "threads": torch.get_num_threads(),
        "load": round(os.getloadavg()[0], 1),
        "side": generator.info.view.side,
        "parameters": generator.info.parameters,
        "extractor": extractor_text(weights),
        "n_real": len(held.labels),
        "classes": len(set(held.labels)),
        "floor": {"n": len(training.labels), **interval(floor)},
        "samplers": [row(one) for one in drawn],
        "equal_kid": equal_kid(drawn, generator.pipeline.device.type),
        "by_count": by_count(generator, asked.counts),
        "memory": memory(asked.generator, asked.counts),
    }


def all_samplers(generator: Generator, asked: argparse.Namespace) -> dict[str, tuple[int, Sampler]]:
    """Return name -> (steps, sampler): ours at each number of steps, and diffusers'."""
    found: dict[str, tuple[int, Sampler]] = {}
    for steps in sorted(asked.steps):
        found[f"ours-{steps}"] = (steps, own_sampler(generator, steps))
    for name, (steps, sampler) in diffusers_samplers(generator.pipeline).items():
        if name != "DDPM" or asked.ddpm:
            found[f"{name}-{steps}"] = (steps, sampler)
    return found


def own_sampler(generator: Generator, steps: int) -> Sampler:
    """Return our sampler without guidance."""
    return lambda labels, seeds: generator.pipeline.draw(labels, seeds, steps, 1.0)


def budget_s(generator: Generator, count: int, asked: argparse.Namespace) -> float:
    """Return the processor seconds that drawing and measuring will take, from one small chunk."""
    label = min(generator.info.trained_on)
    started = time.process_time()
    generator.pipeline.draw([label] * 8, list(range(8)), 4, 1.0)
    pass_s = (time.process_time() - started) / 32
    passes = count * (sum(asked.steps) + 50 + 20) + 1_000 * asked.ddpm
    inception_s = 0.3 * (count * (len(asked.steps) + 4) + asked.ddpm)
    return float(passes * pass_s + inception_s)


def draw_in_turn(
    samplers: dict[str, tuple[int, Sampler]],
    cells: Sequence[PlannedCell],
    ddpm: int,
    folder: Path,
) -> list[Drawn]:
    """Let every sampler draw the same cells, a chunk each in turn; chunks that lie there stay."""
    folder.mkdir(parents=True, exist_ok=True)
    parts: dict[str, list[dict[str, Any]]] = {name: [] for name in samplers}
    for number, group in enumerate(chunks(cells, CHUNK)):
        for name, (_, sampler) in samplers.items():
            some = group[: max(0, ddpm - number * CHUNK)] if name.startswith("DDPM") else group
            if some:
                path = folder / f"{name}-{len(cells)}-{number:04d}-{len(some)}.npz"
                parts[name].append(_chunk(path, sampler, some))
    return [
        Drawn(
            name=name,
            steps=samplers[name][0],
            images=np.concatenate([part["images"] for part in found]),
            wall_s=sum(float(part["wall_s"]) for part in found),
            cpu_s=sum(float(part["cpu_s"]) for part in found),
        )
        for name, found in parts.items()
    ]


def _chunk(path: Path, sampler: Sampler, cells: Sequence[PlannedCell]) -> dict[str, Any]:
    if not path.is_file():
        wall, cpu = time.perf_counter(), time.process_time()
        images = sampler([cell.label for cell in cells], [cell.seed for cell in cells])
        spent = np.array(time.perf_counter() - wall), np.array(time.process_time() - cpu)
        write_arrays(path, images=images, wall_s=spent[0], cpu_s=spent[1])
    with np.load(path, allow_pickle=False) as found:
        return {key: found[key] for key in ("images", "wall_s", "cpu_s")}


def interval(estimate: Estimate) -> dict[str, float]:
    """Return a KID as it is written."""
    return {"kid": estimate.value, "low": estimate.low, "high": estimate.high}


def row(one: Drawn) -> dict[str, Any]:
    """Return one sampler as it is written."""
    assert one.kid is not None, "measured before it is written"
    return {
        "name": one.name, "steps": one.steps, "n": len(one.images), **interval(one.kid),
        "images_per_s": one.rate("wall"), "images_per_cpu_s": one.rate("cpu"),
    }  # fmt: skip


def equal_kid(drawn: Sequence[Drawn], device: str) -> list[dict[str, Any]]:
    """Return, for each of diffusers' samplers, our cheapest that has no higher KID."""
    ours = [one for one in drawn if one.name.startswith("ours")]
    found = []
    for other in (one for one in drawn if not one.name.startswith("ours")):
        kid = other.kid.value if other.kid else np.nan
        enough = [one for one in ours if one.kid is not None and one.kid.value <= kid]
        best = min(enough, key=lambda one: one.steps, default=None)
        found.append({
            "baseline": other.name,
            "ours": best.name if best else None,
            "times_faster": best.rate(device) / other.rate(device) if best else None,
        })  # fmt: skip
    return found


def by_count(generator: Generator, counts: Sequence[int]) -> list[dict[str, float]]:
    """Return the time an image where few and where many are drawn; the better of two rounds."""
    best = dict.fromkeys(counts, (np.inf, np.inf))
    for _ in range(2):
        for count in counts:
            wall, cpu = time.perf_counter(), time.process_time()
            draw_and_forget(generator, count)
            spent = (time.perf_counter() - wall, time.process_time() - cpu)
            best[count] = min(best[count][0], spent[0]), min(best[count][1], spent[1])
    return [
        {"n": count, "wall_ms": 1000 * wall / count, "cpu_ms": 1000 * cpu / count}
        for count, (wall, cpu) in best.items()
    ]


def draw_and_forget(generator: Generator, count: int) -> None:
    """Draw cells of one class, keeping none."""
    cells = planned_cells({min(generator.info.trained_on): count}, seed=0)
    drawn = sum(1 for _ in draw_cells(generator, cells, SampleConfig(steps=4, guidance=1.0)))
    if drawn != count:
        raise RuntimeError(f"{drawn} cells were drawn, not {count}")


def memory_here(generator: Generator, count: int) -> dict[str, float]:
    """Return the peak of this process' memory before and after drawing, in MB."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    draw_and_forget(generator, count)
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"n": count, "loaded_mb": round(before, 1), "peak_mb": round(after, 1)}


def memory(generator: Path, counts: Sequence[int]) -> list[dict[str, float]]:
    """Return the peak memory of a fresh process for each number of cells."""
    found = []
    for count in counts:
        command = [sys.executable, __file__, "--generator", str(generator), "--real", "-",
                   "--memory-of", str(count)]  # fmt: skip
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        found.append(json.loads(done.stdout.splitlines()[-1]))
    return found


def markdown(found: dict[str, Any]) -> str:
    """Return the tables."""
    lines = [
        f"{found['side']} px, {found['parameters'] / 1e6:.1f} M parameters, {found['device']}, "
        f"{found['threads']} threads, load {found['load']}. KID to {found['n_real']} test cells of "
        f"{found['classes']} classes, without guidance; floor {kid_text(found['floor'])} at "
        f"n={found['floor']['n']}.",
        "",
        "| sampler | passes an image | n | KID (95 %) | images/s | images/CPU-s |",
        "|---|---:|---:|---|---:|---:|",
    ]
    for one in found["samplers"]:
        lines.append(
            f"| {one['name']} | {one['steps']} | {one['n']} | {kid_text(one)} | "
            f"{one['images_per_s']:.2f} | {one['images_per_cpu_s']:.2f} |"
        )
    lines += ["", "| at the KID of | enough is | times faster |", "|---|---|---:|"]
    for one in found["equal_kid"]:
        times = "not reached" if one["ours"] is None else f"{one['times_faster']:.1f}"
        goal = f" (goal: {GOAL[1]:g})" if one["baseline"] == GOAL[0] else ""
        lines.append(f"| {one['baseline']} | {one['ours'] or 'none'} | {times}{goal} |")
    lines += ["", "| cells drawn | ms an image | CPU-ms an image | peak memory, fresh process |",
              "|---:|---:|---:|---:|"]  # fmt: skip
    for time_of, memory_of in zip(found["by_count"], found["memory"], strict=True):
        lines.append(
            f"| {time_of['n']} | {time_of['wall_ms']:.1f} | {time_of['cpu_ms']:.1f} | "
            f"{memory_of['peak_mb']:.0f} MB |"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
