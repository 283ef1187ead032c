"""What is carried of a training: its state between two calls, and the generator home.

    python -m scripts.gpu.carry out PARTIAL STATE    a paused run, an eighth of its size
    python -m scripts.gpu.carry in STATE PARTIAL     the run as the next call takes it up
    python -m scripts.gpu.carry home GENERATOR OUT   the generator in bfloat16

A checkpoint holds five numbers for each weight: itself, two averages, two moments of Adam. Carried
is the weight, rounded to bfloat16, and of the second moment one mean for each row and column
(Shazeer and Stern, Adafactor, arXiv 1804.04235, section 3). What is lost: the rounding, 2^-9 of
each weight; the first moment, which is built anew within ten steps; and both averages, which begin
anew at the weights. An average of relative width 0.05 to 0.2 looks back over the last tenth to
half of a run, so one paused before its middle loses little of them, one paused near its end much.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from curation.output import refuse_existing, write_whole
from synth.generator import INFO_NAME, read_info, weights_fingerprint

_CHECKPOINT = "checkpoint.safetensors"
_FILES = ("job", "log.jsonl")
_FIRST, _SECOND = ".exp_avg", ".exp_avg_sq"
_ROWS, _COLUMNS = ".rows", ".columns"


def carry_out(partial: Path, state: Path) -> None:
    """Write the small state of a paused run.

    Raises: OutputExistsError.
    """
    refuse_existing(state)
    tensors, told = _read(partial / _CHECKPOINT)
    state.mkdir(parents=True)
    small: dict[str, Tensor] = {}
    shapes: dict[str, list[int]] = {}
    for name, value in tensors.items():
        if name.startswith("net."):
            small[name] = value.to(torch.bfloat16)
        elif name.endswith((_FIRST, _SECOND)):
            shapes[name] = list(value.shape)
            small.update(_means(name, value) if name.endswith(_SECOND) else {})
        elif name.startswith("opt."):
            small[name] = value
    for file in _FILES:
        if (partial / file).is_file():
            shutil.copyfile(partial / file, state / file)
    if (partial / "looks").is_dir():
        shutil.copytree(partial / "looks", state / "looks")
    save_file(small, state / _CHECKPOINT, metadata={**told, "shapes": json.dumps(shapes)})


def carry_in(state: Path, partial: Path) -> None:
    """Write what a run goes on from; `smearkit train` with the same arguments takes it up.

    Raises: OutputExistsError.
    """
    refuse_existing(partial)
    small, told = _read(state / _CHECKPOINT)
    progress, shapes = json.loads(told["progress"]), json.loads(told["shapes"])
    shutil.copytree(state, partial)
    network = {name: value.float() for name, value in small.items() if name.startswith("net.")}
    tensors = dict(network)
    averages: dict[str, Tensor] = {}
    for name, value in network.items():
        for number in range(2):
            averages[f"{number}.{name.removeprefix('net.')}"] = value
    tensors.update({f"ema.{name}": value.clone() for name, value in averages.items()})
    tensors.update({k: v for k, v in small.items() if k.startswith("opt.") and k.count(".") == 2})
    tensors.update({name: _moment(name, shape, small) for name, shape in shapes.items()})
    # Should it come to learn by heart, its average may end here, but not before.
    progress["last_good_step"] = progress["step"]
    save_file(tensors, partial / _CHECKPOINT, metadata={"progress": json.dumps(progress)})
    (partial / "averages").mkdir()
    halves = {name: value.to(torch.float16).clone() for name, value in averages.items()}
    save_file(halves, partial / "averages" / f"{progress['step']:09d}.safetensors")


def carry_home(generator: Path, out: Path) -> None:
    """Write a generator in bfloat16, as accelerators compute it; it has its own fingerprint.

    Raises: GeneratorError, OutputExistsError.
    """
    refuse_existing(out)
    info = read_info(generator)
    shutil.copytree(generator, out)
    for file in sorted(out.rglob("*.safetensors")):
        rounded = {name: value.to(torch.bfloat16) for name, value in load_file(file).items()}
        save_file(rounded, file, metadata={"format": "pt"})
    told = info.model_copy(update={"fingerprint": weights_fingerprint(out)})
    write_whole(out / INFO_NAME, (told.model_dump_json(indent=2) + "\n").encode())


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    with safe_open(path, framework="pt") as file:
        return {key: file.get_tensor(key) for key in file.keys()}, file.metadata()  # noqa: SIM118


def _means(name: str, value: Tensor) -> dict[str, Tensor]:
    if value.ndim < 2:
        return {name + _ROWS: value}
    flat = value.flatten(1)
    return {name + _ROWS: flat.mean(dim=1), name + _COLUMNS: flat.mean(dim=0)}


def _moment(name: str, shape: list[int], small: dict[str, Tensor]) -> Tensor:
    if name.endswith(_FIRST):
        return torch.zeros(shape)
    rows = small[name + _ROWS]
    if name + _COLUMNS not in small:
        return rows
    # Of rank one, with the same means; a weight that never had a gradient has none in its row.
    columns = small[name + _COLUMNS]
    both = rows[:, None] * columns[None] / rows.mean().clamp(min=1e-30)
    return both.reshape(shape)


def main() -> None:
    """Carry out, in or home."""
    parser = argparse.ArgumentParser(description=__doc__)
    verbs = {"out": carry_out, "in": carry_in, "home": carry_home}
    parser.add_argument("verb", choices=tuple(verbs))
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    options = parser.parse_args()
    verbs[options.verb](options.source, options.target)


if __name__ == "__main__":
    main()
