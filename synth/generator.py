"""The generator folder: a diffusers pipeline in safetensors, and what it was made from.

generator/
  model_index.json  unet/  conditioner/  scheduler/   what diffusers reads
  vae/                                                the decoder, of one that draws latents
  pipeline.py  conditioner/conditioner.py             the code, for use without smearkit
  generator.json                                      written last, so its presence means complete
  training.jsonl                                      the loss against images seen, and the looks
  looks/*.jpg                                         what it drew while it trained
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from blake3 import blake3

from curation.corpus import file_sha256
from curation.errors import GeneratorError
from curation.manifest import Codec, Frozen, View, canonical_json, parse_model
from curation.output import write_whole
from curation.versions import library_versions
from curation.vocabulary import LABELS, VOCABULARY_VERSION

from . import conditioner as conditioner_module
from . import pipeline as pipeline_module
from . import sigma_space as sigma_space_module
from .chosen_average import ChosenAverage
from .config import TrainConfig
from .denoiser import Denoiser, best_device
from .named_index import index_sha256
from .packaged.folder import PRETRAINED, pretrained_folder
from .pretrained import LOADING
from .stable_diffusion import merge_adapter

GENERATOR_FORMAT = 2
INFO_NAME = "generator.json"
_CONFIGURATIONS = (
    "model_index.json", "unet/config.json", "conditioner/config.json",
    "scheduler/scheduler_config.json",
)  # fmt: skip
_VAE_CONFIGURATION = "vae/config.json"
_TRAINED = ("unet", "conditioner")
# EDM ends at 0.002. A small network removes no noise below 0.04 (5 grey levels) without leaving
# grain of its own; ending there takes a sixth off the KID: docs/generator.md.
_PIXEL_SIGMA_MIN = 0.04
# New noise at every step forgives what a small network did wrong before: a quarter less KID at the
# same steps (docs/generator.md). Of latents that was not measured.
_PIXEL_ALGORITHM = "sde-dpmsolver++"
_NETWORKS = (*_TRAINED, "vae")
_PIPELINE_KEYS = (
    "labels", "trained", "own_acquisitions", "side", "patch", "guided", "latent_shift",
    "latent_scale",
)  # fmt: skip
_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle")


class GeneratorInfo(Frozen):
    """Where a generator came from and what it can draw."""

    format_version: int
    fingerprint: str
    vocabulary_version: int
    labels: tuple[str, ...]
    trained_on: dict[str, int]
    training_corpus: str
    view: View
    codec: Codec
    license: str | None
    config: TrainConfig
    images_seen: int
    seconds: float
    final_loss: float
    stopped: str
    average: ChosenAverage
    parameters: int
    versions: dict[str, str]


@dataclass(frozen=True, slots=True)
class Generator:
    """A loaded generator: where it lies, what it is, and the pipeline that draws."""

    path: Path
    info: GeneratorInfo
    pipeline: pipeline_module.CellDiffusionPipeline


def build_pipeline(
    network: Denoiser, config: TrainConfig, own_acquisitions: dict[str, list[float]]
) -> pipeline_module.CellDiffusionPipeline:
    """Return a pipeline over a network, with EDM's DPM-Solver++ multistep sampler.

    `own_acquisitions` tells the share of each trained class' cells in each acquisition.
    """
    from diffusers import EDMDPMSolverMultistepScheduler

    space = network.space
    pipeline = pipeline_module.CellDiffusionPipeline(
        network.unet,
        network.conditioner,
        EDMDPMSolverMultistepScheduler(sigma_data=config.sigma_data, **_sampler(config)),
        labels=LABELS,
        trained=sorted(own_acquisitions),
        own_acquisitions=own_acquisitions,
        side=config.side,
        patch=config.patch,
        guided=config.label_dropout > 0,
        vae=space.vae if space else None,
        latent_shift=space.shift if space else (),
        latent_scale=space.scale if space else (),
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def _sampler(config: TrainConfig) -> dict[str, Any]:
    if config.latent is None:
        return {"sigma_min": _PIXEL_SIGMA_MIN, "algorithm_type": _PIXEL_ALGORITHM}
    if config.latent.sigma_range is None:
        return {}
    low, high = config.latent.sigma_range
    return {"sigma_min": low, "sigma_max": high}


def save_generator(
    folder: Path,
    pipeline: pipeline_module.CellDiffusionPipeline,
    *,
    config: TrainConfig,
    trained_on: dict[str, int],
    training_corpus: str,
    codec: Codec,
    license_id: str | None,
    images_seen: int,
    seconds: float,
    final_loss: float,
    stopped: str,
    average: ChosenAverage,
) -> GeneratorInfo:
    """Write a generator folder, `generator.json` last."""
    merge_adapter(pipeline.unet)
    pipeline.save_pretrained(folder, safe_serialization=True)
    _point_to_own_code(folder, pipeline.unet)
    info = GeneratorInfo(
        format_version=GENERATOR_FORMAT,
        fingerprint=weights_fingerprint(folder),
        vocabulary_version=VOCABULARY_VERSION,
        labels=LABELS,
        trained_on=trained_on,
        training_corpus=training_corpus,
        view=config.view(),
        codec=codec,
        license=license_id,
        config=config,
        images_seen=images_seen,
        seconds=round(seconds, 1),
        final_loss=final_loss,
        stopped=stopped,
        average=average,
        parameters=sum(
            p.numel() for name in _TRAINED for p in getattr(pipeline, name).parameters()
        ),
        versions=library_versions("torch", "diffusers", "safetensors"),
    )
    write_whole(folder / INFO_NAME, (info.model_dump_json(indent=2) + "\n").encode())
    return info


def _point_to_own_code(folder: Path, unet: Any) -> None:
    # diffusers loads a pipeline class that is not its own from a file of the folder.
    shutil.copyfile(pipeline_module.__file__, folder / "pipeline.py")
    shutil.copyfile(conditioner_module.__file__, folder / "conditioner" / "conditioner.py")
    index = folder / "model_index.json"
    content = json.loads(index.read_bytes())
    content["_class_name"] = ["pipeline", "CellDiffusionPipeline"]
    content["conditioner"] = ["conditioner", "CellConditioner"]
    if isinstance(unet, sigma_space_module.SigmaSpaceUNet):
        shutil.copyfile(sigma_space_module.__file__, folder / "unet" / "sigma_space.py")
        content["unet"] = ["sigma_space", "SigmaSpaceUNet"]
    write_whole(index, json.dumps(content, indent=2).encode() + b"\n")


def weights_fingerprint(folder: Path) -> str:
    """Return the identity of a generator: a hash over its weights and configurations."""
    weights = sorted(
        str(p.relative_to(folder))
        for name in _NETWORKS
        for p in (folder / name).glob("*.safetensors")
    )
    decoder = [_VAE_CONFIGURATION] if (folder / _VAE_CONFIGURATION).is_file() else []
    names = (*_CONFIGURATIONS, *decoder, *weights)
    content = [[name, _sha256(folder / name)] for name in names]
    return blake3(canonical_json(content)).hexdigest(length=16)


def _sha256(path: Path) -> str:
    return index_sha256(path) if path.name == "model_index.json" else file_sha256(path)


def read_info(folder: Path) -> GeneratorInfo:
    """Read `generator.json` without loading the network.

    Raises: GeneratorError where the folder is no whole generator, or of another format.
    """
    path = folder / INFO_NAME
    if not path.is_file():
        raise GeneratorError(
            f"{folder} is no complete generator: it has no {INFO_NAME}. "
            "Next: run `smearkit train` again (it resumes where it stopped)"
        )
    try:
        version = json.loads(path.read_bytes())["format_version"]
    except (ValueError, KeyError, TypeError) as error:
        raise GeneratorError(f"{path} cannot be read: {error}") from error
    if version != GENERATOR_FORMAT:
        older = isinstance(version, int) and version < GENERATOR_FORMAT
        # Format 1 was of a network without a conditioner: there is nothing to convert it into.
        step = "train it again with `smearkit train`" if older else "upgrade smearkit"
        raise GeneratorError(
            f"{path} has generator format {version}; this smearkit reads {GENERATOR_FORMAT}. "
            f"Next: {step}"
        )
    return parse_model(GeneratorInfo, path)


def check_vocabulary(info: GeneratorInfo, folder: Path) -> None:
    """Refuse a generator whose class ids mean other labels than this vocabulary's.

    Raises: GeneratorError with the first label that differs.
    """
    if info.labels == LABELS:
        return
    pairs = zip(info.labels, LABELS, strict=False)
    first = next(
        (i for i, (a, b) in enumerate(pairs) if a != b), min(len(info.labels), len(LABELS))
    )
    theirs = info.labels[first] if first < len(info.labels) else "nothing"
    ours = LABELS[first] if first < len(LABELS) else "nothing"
    raise GeneratorError(
        f"{folder} was trained on another vocabulary (version {info.vocabulary_version}, "
        f"{len(info.labels)} labels): class {first} is {theirs!r} there and {ours!r} here. "
        "Next: train it again with this version"
    )


def load_generator(path: str | Path, *, device: torch.device | str | None = None) -> Generator:
    """Load a generator in float32; no code of the folder is run, only safetensors are read.

    The string "pretrained" stands for the generator that comes with the package.

    Raises: GeneratorError where it is not whole, holds a pickle, was changed, or uses another
    vocabulary.
    """
    from diffusers import AutoencoderKL, EDMDPMSolverMultistepScheduler, UNet2DModel

    folder = pretrained_folder() if path == PRETRAINED else Path(path)
    info = read_info(folder)
    pickles = sorted(p.name for p in folder.rglob("*") if p.suffix.casefold() in _PICKLES)
    if pickles:
        raise GeneratorError(
            f"{folder} holds {pickles[0]}, a pickle, which could run code when loaded; "
            "a generator has safetensors only. Next: remove it, or get the generator anew"
        )
    check_vocabulary(info, folder)
    missing = [name for name in _CONFIGURATIONS if not (folder / name).is_file()]
    if missing:
        raise GeneratorError(f"{folder} is no complete generator: {missing[0]} is missing")
    if weights_fingerprint(folder) != info.fingerprint:
        raise GeneratorError(
            f"{folder} was changed after training: its weights or configuration do not have the "
            f"fingerprint {info.fingerprint}"
        )
    # Stored in bfloat16 or not, it computes from float32: what is drawn is rounded nowhere else.
    how = {"use_safetensors": True, "torch_dtype": torch.float32}
    latent = info.config.latent
    network = sigma_space_module.SigmaSpaceUNet if latent and latent.fine_tunes else UNet2DModel
    with LOADING:
        unet = network.from_pretrained(folder / "unet", **how).eval()
        vae = AutoencoderKL.from_pretrained(folder / "vae", **how).eval() if latent else None
        conditioner = conditioner_module.CellConditioner.from_pretrained(
            folder / "conditioner", **how
        ).eval()
    scheduler = EDMDPMSolverMultistepScheduler.from_pretrained(folder / "scheduler")
    index = json.loads((folder / "model_index.json").read_bytes())
    drawn = pipeline_module.CellDiffusionPipeline(
        unet,
        conditioner,
        scheduler,
        vae=vae,
        **{key: index[key] for key in _PIPELINE_KEYS if key in index},
    )
    drawn.set_progress_bar_config(disable=True)
    return Generator(folder, info, drawn.to(device or best_device()))


def load_guide(generator: Generator, path: str | Path) -> Generator:
    """Load a weaker generator that another is to be guided by (autoguidance), on its device.

    Good ones are smaller or were trained for less, on the same cells.
    Source: Karras et al., NeurIPS 2024 (arXiv 2406.02507), section 4.

    Raises: GeneratorError where it does not fit the generator; what `load_generator` raises.
    """
    guide = load_generator(path, device=generator.pipeline.device)
    refusal = _refusal_of_guide(generator, guide)
    if refusal:
        raise GeneratorError(
            f"{path} cannot guide {generator.path}: {refusal}. Next: give a generator that was "
            "trained on the same corpus at the same side and crop, for less or with a smaller "
            "preset"
        )
    return guide


def _refusal_of_guide(generator: Generator, guide: Generator) -> str | None:
    ours, theirs = generator.info, guide.info
    if theirs.view != ours.view:
        return (
            f"it draws the central {theirs.view.crop:.3g} at {theirs.view.side} px, and the "
            f"generator {ours.view.crop:.3g} at {ours.view.side} px"
        )
    if theirs.training_corpus != ours.training_corpus:
        # It may have learned from held-out cells, and the rows name one corpus.
        return (
            f"it was trained on corpus {theirs.training_corpus}, and the generator on "
            f"{ours.training_corpus}"
        )
    return generator.pipeline.refusal_of_guide(guide.pipeline)
