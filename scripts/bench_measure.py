"""How long FID and KID of two folders of cells take, against clean-fid and torch-fidelity.

    python scripts/bench_measure.py out/pbc --inception ../shared/weights -n 2000 --threads 1

Two disjoint sets of n real cells, in the view and codec that a generator of --side px is measured
in, are written as PNG files into a temporary folder that is removed at the end. Each tool then
reads the same two folders, in a process of its own, on the same weights: clean-fid by `compute_fid`
through its hook and `compute_kid`, torch-fidelity by `calculate_metrics`, smearkit with an empty
store of features (cold) and with a filled one (cached). What counts is processor time after the
imports, opening the network included: other load on the machine changes it less than seconds. The
distances of smearkit come with KID's interval; the others give none.

torch-fidelity resizes in its own way, so its values are other ones; the features on 299 px images
are the same. With --without, a tool is left out. --store DIR keeps what smearkit extracted.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from curation.corpus import Corpus, load_corpus
from curation.manifest import Codec, View
from curation.pixels import decode_rgb, encode_png, pixel_id

COLD_GOAL, CACHED_GOAL = 5.0, 50.0
PNG = Codec(format="png")


@dataclass(frozen=True)
class Cost:
    """What one tool took; `features_cpu_s` is the part before the distances, where it is known."""

    tool: str
    fid: float
    kid: float
    cpu_s: float
    features_cpu_s: float | None
    wall_s: float
    peak_mb: int


def main() -> None:
    """Write the folders, run each tool on them, and print a table or JSON."""
    options = _parser().parse_args()
    if options.tool:
        print(
            json.dumps(
                asdict(TOOLS[options.tool](options.corpus, options.inception, options.store))
            )
        )
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_sides(load_corpus(options.corpus), options.n, options.side, folder)
        store = options.store or folder / "store"
        costs = [
            _run(tool, folder, options.inception, store, options.threads)
            for tool in TOOLS
            if tool not in options.without
        ]
    found = {"n": options.n, "side": options.side, "threads": options.threads,
             "load": os.getloadavg()[0], "costs": [asdict(cost) for cost in costs],
             "ratios": ratios(costs)}  # fmt: skip
    print(json.dumps(found) if options.as_json else table(costs, options.n))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--inception", type=Path, required=True, help="folder of the network")
    parser.add_argument("-n", type=int, default=2_000, help="cells a side")
    parser.add_argument("--side", type=int, default=64, help="px of a cell")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--store", type=Path, help="folder of kept features; default: temporary")
    parser.add_argument("--without", nargs="+", choices=TOOLS, default=[])
    parser.add_argument("--json", action="store_true", dest="as_json")
    parser.add_argument("--tool", choices=TOOLS, help=argparse.SUPPRESS)
    return parser


def write_sides(corpus: Corpus, n: int, side: int, folder: Path) -> None:
    """Write two disjoint random sets of n cells as PNG files, into `a` and `b`."""
    from synth.view import view_through_codec

    view = View(side=side, crop=2 / 3)
    count = len(corpus.labels())
    if count < 2 * n:
        raise SystemExit(f"the corpus has {count} cells; {2 * n} are needed")
    order = np.random.default_rng(0).permutation(count)[: 2 * n]
    places = {int(row): place for place, row in enumerate(order)}
    for name in ("a", "b"):
        (folder / name).mkdir(parents=True)
    for row, data in enumerate(corpus.images()):
        place = places.get(row)
        if place is not None:
            pixels = view_through_codec(decode_rgb(data), view, PNG)
            (folder / "ab"[place % 2] / f"{place:06d}.png").write_bytes(encode_png(pixels))


def _run(tool: str, folder: Path, inception: Path, store: Path, threads: int) -> Cost:
    command = [
        sys.executable, __file__, str(folder), "--inception", str(inception.resolve()),
        "--store", str(store), "--tool", tool,
    ]  # fmt: skip
    environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment)
    cost = Cost(**json.loads(done.stdout.splitlines()[-1]))
    print(f"{tool}: {cost.cpu_s:.1f} CPU s", file=sys.stderr)
    return cost


def ratios(costs: Sequence[Cost]) -> dict[str, float]:
    """Return how many times the processor time of smearkit each other tool takes."""
    times = {cost.tool: cost.cpu_s for cost in costs}
    return {
        f"{tool} / {own}": round(times[tool] / times[own], 2)
        for tool in ("clean-fid", "torch-fidelity")
        for own in ("cold", "cached")
        if tool in times and own in times
    }


def table(costs: Sequence[Cost], n: int) -> str:
    """Return the costs as a table, and the goals, met or missed."""
    lines = [
        f"| {n:,} against {n:,} cells | CPU s | of it features | FID | KID | peak MB |",
        "|---|---|---|---|---|---|",
    ]
    for cost in costs:
        part = "" if cost.features_cpu_s is None else f"{cost.features_cpu_s:.1f}"
        lines.append(
            f"| {cost.tool} | {cost.cpu_s:.1f} | {part} | {cost.fid:.4f} | {cost.kid:.6f} "
            f"| {cost.peak_mb:,} |"
        )
    for name, ratio in ratios(costs).items():
        goal = COLD_GOAL if name.endswith("cold") else CACHED_GOAL
        lines.append(f"{name}: {ratio} (goal {goal:.0f}: {'met' if ratio >= goal else 'missed'})")
    return "\n".join(lines)


class _Clock:
    """Processor seconds of this process and the ones it ended, since the start."""

    def __init__(self) -> None:
        self.started, self.wall, self.features = self._now(), time.monotonic(), 0.0

    def cost(self, tool: str, fid: float, kid: float, *, known: bool = True) -> Cost:
        used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        features = round(self.features, 2) if known else None
        spent = round(self._now() - self.started, 2)
        wall = round(time.monotonic() - self.wall, 1)
        return Cost(tool, float(fid), float(kid), spent, features, wall, used)

    def timed(self, work: Callable[..., Any]) -> Callable[..., Any]:
        """Return the same work, its time counted to the features."""

        def run(*arguments: Any, **options: Any) -> Any:
            before = self._now()
            try:
                return work(*arguments, **options)
            finally:
                self.features += self._now() - before

        return run

    @staticmethod
    def _now() -> float:
        kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
        return sum(used.ru_utime + used.ru_stime for used in map(resource.getrusage, kinds))


def _clean_fid(folder: Path, inception: Path, store: Path) -> Cost:
    import torch
    from cleanfid import fid

    from synth.measure.inception import find_inception, open_inception

    clock = _Clock()
    hook = open_inception(find_inception(inception))
    plain: dict[str, Any] = {
        "mode": "clean", "num_workers": 0, "device": torch.device("cpu"), "verbose": False,
        "use_dataparallel": False,
    }  # fmt: skip
    sides = str(folder / "a"), str(folder / "b")
    np.random.seed(0)  # its KID draws from the global generator
    timed = clock.timed(fid.get_folder_features)
    # `compute_kid` takes no extractor of the caller's and would download one.
    with (
        mock.patch.object(fid, "build_feature_extractor", return_value=hook),
        mock.patch.object(fid, "get_folder_features", timed),
    ):
        found = fid.compute_fid(*sides, custom_feat_extractor=hook, **plain)
        kid = fid.compute_kid(*sides, **plain)
    return clock.cost("clean-fid", found, kid)


def _torch_fidelity(folder: Path, inception: Path, store: Path) -> Cost:
    from torch_fidelity import calculate_metrics

    from scripts.fidelity_weights import write_fidelity_weights
    from synth.measure.inception import find_inception, open_inception

    hook: Any = open_inception(find_inception(inception))
    weights = folder / "torch-fidelity.pth"
    write_fidelity_weights(hook.layers, weights)
    clock = _Clock()
    sides = folder / "a", folder / "b"
    fewest = min(sum(1 for _ in side.iterdir()) for side in sides)
    found = calculate_metrics(
        input1=str(sides[0]), input2=str(sides[1]), cuda=False, fid=True, kid=True,
        kid_subset_size=min(1_000, fewest), cache=False, verbose=False,
        feature_extractor_weights_path=str(weights),
    )  # fmt: skip
    kid = found["kernel_inception_distance_mean"]
    return clock.cost("torch-fidelity", found["frechet_inception_distance"], kid, known=False)


def _smearkit(tool: str, folder: Path, inception: Path, store: Path) -> Cost:
    from synth.measure.feature_store import FeatureStore, pipeline_key
    from synth.measure.features import inception_extractor
    from synth.measure.frechet import frechet_distance
    from synth.measure.inception import find_inception
    from synth.measure.kernel import kernel_distance

    clock = _Clock()
    extractor = inception_extractor(find_inception(inception))
    kept = FeatureStore(store, extractor, pipeline_key(None, PNG, "bench"))

    def features(side: Path) -> NDArray[np.float32]:
        images = [decode_rgb(file.read_bytes()) for file in sorted(side.iterdir())]
        return kept.features(images, [pixel_id(image) for image in images])

    a, b = (clock.timed(features)(folder / side) for side in "ab")
    return clock.cost(tool, frechet_distance(a, b), kernel_distance(a, b).value)


TOOLS: dict[str, Callable[[Path, Path, Path], Cost]] = {
    "clean-fid": _clean_fid,
    "torch-fidelity": _torch_fidelity,
    "cold": lambda *places: _smearkit("cold", *places),
    "cached": lambda *places: _smearkit("cached", *places),
}


if __name__ == "__main__":
    main()
