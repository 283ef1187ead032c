"""Making the packaged generator of a trained one: bfloat16, its training cells, its card."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from curation.corpus import Corpus
from curation.errors import GeneratorError
from curation.manifest import Frozen, parse_model
from curation.output import refuse_existing, write_whole
from curation.vocabulary import LABELS

from ..config import SampleConfig
from ..generator import INFO_NAME, Generator, load_generator, weights_fingerprint
from ..measure.measurement import Measurements
from ..plan import PlannedCell, cell_seed
from ..sample import draw_cells
from .card import Card, card_text, license_text
from .folder import LIMIT_BYTES
from .seen import write_seen

MOST_LEVELS = 2.0
"""Grey levels (of 255) that 99 % of the values drawn may move by when weights are rounded."""
_NETWORKS = ("unet", "conditioner")
_CONFIGURATIONS = ("model_index.json", "scheduler/scheduler_config.json")


class Source(Frozen):
    """Whose cells a generator learned from."""

    citation: str
    license_id: str
    license_name: str
    license_url: str


@dataclass(frozen=True, slots=True)
class Rounding:
    """How far `values` drawn colour values move when weights are rounded, in grey levels."""

    cells: int
    values: int
    mean: float
    p99: float
    most: float


def pack_generator(
    generator: Generator,
    corpus: Corpus,
    out: Path,
    source: Source,
    *,
    measured: Path | None = None,
    cells_per_class: int = 4,
    limit_bytes: int = LIMIT_BYTES,
    most_levels: float = MOST_LEVELS,
) -> Rounding:
    """Write a trained generator as a package carries it; the folder is there whole or not at all.

    Raises: GeneratorError where it does not fit the corpus, the source, the size or the rounding
    that is allowed; OutputExistsError.
    """
    refuse_existing(out)
    _check(generator, corpus, source)
    partial = out.parent / f".{out.name}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    try:
        packed = _write_rounded(generator, partial)
        rounding = rounding_of(generator, packed, cells_per_class)
        if rounding.p99 > most_levels:
            raise GeneratorError(
                f"rounded to bfloat16, 1 % of the values it draws move by more than "
                f"{rounding.p99:.1f} grey levels; at most {most_levels:g} are allowed. "
                "Next: train it on, or keep it in float32 outside the package"
            )
        write_seen(partial, corpus)
        _write_texts(generator, packed, partial, source, rounding, measured)
        _check_size(partial, limit_bytes)
        partial.rename(out)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return rounding


def rounding_of(first: Generator, second: Generator, cells_per_class: int) -> Rounding:
    """Draw the same cells of every class with both, and return how far they are apart."""
    cells = [
        PlannedCell(label, cell_seed(0, label, number))
        for label in first.info.trained_on
        for number in range(cells_per_class)
    ]
    guided = first.pipeline.config.guided
    config = SampleConfig() if guided else SampleConfig(guidance=1.0)
    moved = np.abs(_drawn(first, cells, config) - _drawn(second, cells, config))
    return Rounding(
        len(cells),
        moved.size,
        float(moved.mean()),
        float(np.percentile(moved, 99)),
        float(moved.max()),
    )


def _drawn(
    generator: Generator, cells: Sequence[PlannedCell], config: SampleConfig
) -> NDArray[np.int16]:
    return np.stack([pixels for _, pixels in draw_cells(generator, cells, config)]).astype(np.int16)


def _check(generator: Generator, corpus: Corpus, source: Source) -> None:
    info = generator.info
    if corpus.fingerprint != info.training_corpus:
        raise GeneratorError(
            f"the generator learned from corpus {info.training_corpus}, and {corpus.path} is "
            f"{corpus.fingerprint}: its list of training cells would be of other cells. "
            "Next: give the corpus it was trained on"
        )
    if info.trained_on != {k: v for k, v in corpus.manifest.classes["train"].items() if v}:
        raise GeneratorError(
            "the generator was trained on other counts than the training split of its corpus: "
            f"{info.trained_on} against {corpus.manifest.classes['train']}"
        )
    if info.license != source.license_id:
        raise GeneratorError(
            f"the cells of the corpus are under {info.license!r}, and the source is said to be "
            f"under {source.license_id!r}. Next: curate it with --license {source.license_id}, "
            "or name the source that it is from"
        )
    known = {f"{name}/{path.name}" for name in _NETWORKS
             for path in (generator.path / name).glob("*.safetensors")}  # fmt: skip
    held = {str(path.relative_to(generator.path)) for path in
            generator.path.rglob("*.safetensors")}  # fmt: skip
    if held != known:
        raise GeneratorError(
            f"{generator.path} holds more than a network and its conditioner: "
            f"{', '.join(sorted(held - known))}. Next: package one that draws pixels itself"
        )


def _write_rounded(generator: Generator, folder: Path) -> Generator:
    """Write weights in bfloat16, the configurations, and what it was made from; load it again."""
    from safetensors.torch import load_file, save_file
    from torch import bfloat16

    for name in _NETWORKS:
        (folder / name).mkdir(parents=True)
        _copy_configuration(generator.path, folder, f"{name}/config.json")
        for file in sorted((generator.path / name).glob("*.safetensors")):
            weights = load_file(file)
            rounded = {
                key: value.to(bfloat16) if value.is_floating_point() else value
                for key, value in weights.items()
            }
            save_file(rounded, folder / name / file.name, metadata={"format": "pt"})
    (folder / "scheduler").mkdir()
    for path in _CONFIGURATIONS:
        _copy_configuration(generator.path, folder, path)
    info = generator.info.model_copy(update={"fingerprint": weights_fingerprint(folder)})
    write_whole(folder / INFO_NAME, (info.model_dump_json(indent=2) + "\n").encode())
    return load_generator(folder, device=generator.pipeline.device)


def _copy_configuration(source: Path, folder: Path, path: str) -> None:
    content = json.loads((source / path).read_bytes())
    # Where it was loaded from is a path of somebody's machine.
    content.pop("_name_or_path", None)
    write_whole(folder / path, json.dumps(content, indent=2).encode() + b"\n")


def _write_texts(
    generator: Generator,
    packed: Generator,
    folder: Path,
    source: Source,
    rounding: Rounding,
    measured: Path | None,
) -> None:
    found = None if measured is None else _measurements(measured, generator, packed)
    weights = sum(path.stat().st_size for path in folder.rglob("*.safetensors"))
    card = Card(
        info=packed.info,
        classes=tuple((label, packed.info.trained_on[label]) for label in LABELS
                      if packed.info.trained_on.get(label)),
        trained_as=generator.info.fingerprint,
        source=source,
        rounding=rounding,
        weight_bytes=weights,
        measured=found,
    )  # fmt: skip
    write_whole(folder / "README.md", card_text(card).encode())
    write_whole(folder / "LICENSE", license_text(card).encode())


def _measurements(path: Path, generator: Generator, packed: Generator) -> Measurements:
    found = parse_model(Measurements, path)
    ours = (packed.info.fingerprint, generator.info.fingerprint)
    if found.generator not in ours or found.real != packed.info.training_corpus:
        raise GeneratorError(
            f"{path} measured generator {found.generator} on corpus {found.real}; this is "
            f"{generator.info.fingerprint} ({packed.info.fingerprint} rounded), trained on "
            f"{packed.info.training_corpus}. Next: give what `smearkit evaluate` made of its cells "
            "and that corpus"
        )
    return found


def _check_size(folder: Path, limit_bytes: int) -> None:
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    if size > limit_bytes:
        raise GeneratorError(
            f"the packaged generator has {size / 1e6:.1f} MB; at most {limit_bytes / 1e6:.1f} MB "
            "go into the package. Next: train a smaller network"
        )
