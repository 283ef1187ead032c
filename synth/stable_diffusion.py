"""What a generator begins with that is not trained from nothing: an autoencoder, a U-Net of
Stable Diffusion 1.x, an adapter (LoRA) on it.

Source: the recipe of CytoDiffusion (Nat Mach Intell 7:1791, 2025), with classes that are dropped
in training, so that there is something to guide against.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from curation.errors import GeneratorError
from curation.progress import Progress
from curation.vocabulary import LABELS

from .conditioner import CellConditioner
from .config import LatentConfig, TrainConfig
from .denoiser import Denoiser
from .latents import (
    HELD_OUT_NAME,
    LATENTS_NAME,
    LatentSpace,
    encode_split,
    load_autoencoder,
    measured_space,
    own_space,
    with_latents,
)  # fmt: skip
from .pretrained import find_weights, load_pretrained, origin_of, read_configuration
from .sigma_space import BETA_END, BETA_START, STEPS, SigmaSpaceUNet
from .training_pixels import TrainingPixels

_ADAPTED = ["to_q", "to_k", "to_v", "to_out.0"]


@dataclass(frozen=True, slots=True)
class Pretrained:
    """Folders of the weights that a training begins with."""

    autoencoder: Path
    base: Path | None


def find_pretrained(
    config: TrainConfig, autoencoder: str | None, base: str | None
) -> tuple[TrainConfig, Pretrained | None]:
    """Return the weights that a config asks for, and the config with what they are.

    The autoencoder may lie in the pipeline of `base`.

    Raises: GeneratorError where one is missing, not fit, or not asked for.
    """
    latent = config.latent
    given = {"--autoencoder": autoencoder, "--base": base}
    if latent is None:
        flags = [flag for flag, value in given.items() if value is not None]
        if flags:
            raise GeneratorError(
                f"preset {config.preset!r} draws pixels and begins with no weights, so {flags[0]} "
                "means nothing. Next: leave it out, or give --preset gpu-256 or sd15"
            )
        return config, None
    if base is not None and not latent.fine_tunes:
        raise GeneratorError(
            f"preset {config.preset!r} trains its own U-Net. Next: leave --base out, or give "
            "--preset sd15"
        )
    if base is None and latent.fine_tunes:
        raise GeneratorError(
            f"preset {config.preset!r} fine-tunes Stable Diffusion 1.x. Next: give --base "
            "NAME_OR_PATH, a diffusers folder of it or its name on the Hub"
        )
    source = autoencoder or base
    if source is None:
        raise GeneratorError(
            f"preset {config.preset!r} draws in the latents of an autoencoder. Next: give "
            "--autoencoder NAME_OR_PATH, diffusers weights of an AutoencoderKL"
        )
    _check_adapter(latent)
    folder = find_weights(source, "vae", "AutoencoderKL")
    noted: dict[str, Any] = {"autoencoder": origin_of(source, folder)}
    unet = None
    if base is not None:
        unet = find_weights(base, "unet", "UNet2DConditionModel")
        _check_base(unet, folder)
        noted["base"] = origin_of(base, unet)
    told: dict[str, Any] = {"latent": latent.model_copy(update=noted)}
    if unet is not None:
        told["channels"] = tuple(read_configuration(unet)["block_out_channels"])
    return config.model_copy(update=told), Pretrained(folder, unet)


def with_lora(config: TrainConfig, rank: int | None) -> TrainConfig:
    """Return a config that trains an adapter of a rank; None leaves it as it is.

    Raises: GeneratorError where nothing is fine-tuned.
    """
    if rank is None:
        return config
    if config.latent is None or not config.latent.fine_tunes:
        raise GeneratorError(
            f"preset {config.preset!r} fine-tunes nothing, so --lora means nothing. Next: leave "
            "it out, or give --preset sd15"
        )
    latent = LatentConfig.model_validate({**config.latent.model_dump(), "lora": rank})
    return config.model_copy(update={"latent": latent})


def _check_adapter(latent: LatentConfig) -> None:
    if latent.lora and find_spec("peft") is None:
        raise GeneratorError(
            "--lora needs the package peft, which is not installed. "
            "Next: pip install 'smearkit[lora]'"
        )


def _check_base(unet: Path, vae: Path) -> None:
    """Refuse a U-Net that is not used as that of Stable Diffusion 1.x is."""
    found, latents = read_configuration(unet), read_configuration(vae).get("latent_channels")
    wanted = {
        "in_channels": latents, "out_channels": latents, "class_embed_type": None,
        "addition_embed_type": None, "encoder_hid_dim_type": None, "time_cond_proj_dim": None,
    }  # fmt: skip
    _refuse_other(unet, found, wanted)
    if not isinstance(found.get("cross_attention_dim"), int):
        _refuse_other(unet, found, {"cross_attention_dim": 768})
    schedule = unet.parent / "scheduler" / "scheduler_config.json"
    if schedule.is_file():
        wanted = {
            "prediction_type": "epsilon", "num_train_timesteps": STEPS,
            "beta_schedule": "scaled_linear", "beta_start": BETA_START, "beta_end": BETA_END,
        }  # fmt: skip
        # Schedules of before there was another prediction do not name theirs.
        _refuse_other(
            schedule, {"prediction_type": "epsilon", **json.loads(schedule.read_bytes())}, wanted
        )


def _refuse_other(where: Path, found: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    for name, value in wanted.items():
        if found.get(name) != value:
            raise GeneratorError(
                f"{where} is of another architecture than Stable Diffusion 1.x: {name} is "
                f"{found.get(name)!r}; expected {value!r}. Next: give the weights of a 1.x that "
                "draws from noise"
            )


def into_latents(
    train: TrainingPixels, held_out: TrainingPixels, config: TrainConfig, pretrained: Pretrained,
    folder: Path, device: torch.device, progress: Progress,
) -> tuple[TrainingPixels, TrainingPixels]:  # fmt: skip
    """Encode both splits into files of a folder, the training split last.

    Raises: GeneratorError.
    """
    latent = config.latent
    assert latent is not None, "this config draws pixels"
    vae = load_autoencoder(pretrained.autoencoder, config.side, device)
    _check_depth(config, vae)
    if len(held_out.images):
        held = encode_split(held_out, vae, folder / HELD_OUT_NAME, 1, progress)
    moments = encode_split(train, vae, folder / LATENTS_NAME, 8, progress)
    measured = latent.scale == "measured"
    space = measured_space(moments, vae, config.sigma_data) if measured else own_space(vae)
    if pretrained.base is not None:
        space = replace(space, base=load_pretrained(SigmaSpaceUNet, pretrained.base))
    if len(held_out.images):
        held_out = with_latents(held_out, space, held)
    return with_latents(train, space, moments), held_out


def _check_depth(config: TrainConfig, vae: Any) -> None:
    factor = 2 ** (len(vae.config.block_out_channels) - 1)
    multiple = factor * config.patch * 2 ** (len(config.channels) - 1)
    if config.side % multiple:
        nearest = max(1, round(config.side / multiple)) * multiple
        raise GeneratorError(
            f"{config.side} px is no multiple of {multiple} px, which autoencoder and U-Net halve "
            f"down to one. Next: give `side: {nearest}` in --config"
        )


def build_fine_tuned(config: TrainConfig, acquisitions: int, space: LatentSpace) -> Denoiser:
    """Return a copy of the pretrained U-Net with untrained tokens for classes and acquisitions."""
    latent = config.latent
    assert latent is not None, "this config fine-tunes nothing"
    unet = copy.deepcopy(space.base)
    width = latent.tokens * int(unet.config.cross_attention_dim)
    conditioner = CellConditioner(labels=len(LABELS), acquisitions=acquisitions, width=width)
    for table in (conditioner.label, conditioner.acquisition):
        # As large as a text's tokens are: at the small steps of fine-tuning they hardly grow.
        nn.init.normal_(table.weight, std=0.5**0.5)
    if not latent.lora:
        return Denoiser(unet, conditioner, space)
    from peft import LoraConfig

    unet.requires_grad_(False)
    adapter = LoraConfig(r=latent.lora, lora_alpha=latent.lora, target_modules=_ADAPTED)
    unet.add_adapter(adapter)
    return AdaptedDenoiser(unet, conditioner, space)


class AdaptedDenoiser(Denoiser):
    """A denoiser of which an adapter is trained: only what is trained counts as its weights.

    So checkpoints and averages are as small as the adapter.
    """

    def state_dict(self, *args: Any, **kwargs: Any) -> Any:
        """Return the weights that are trained."""
        trained = {name for name, value in self.named_parameters() if value.requires_grad}
        whole = super().state_dict(*args, **kwargs)
        return {name: value for name, value in whole.items() if name in trained}

    def load_state_dict(self, state_dict: Mapping[str, Any], *args: Any, **kwargs: Any) -> Any:
        """Load the weights that are trained; the others stay."""
        whole: dict[str, Tensor] = super().state_dict()
        return super().load_state_dict({**whole, **state_dict}, *args, **kwargs)


def merge_adapter(unet: Any) -> None:
    """Add a trained adapter into the weights under it, so that nothing needs peft any more."""
    if getattr(unet, "peft_config", None):
        unet.fuse_lora()
        unet.unload_lora()
