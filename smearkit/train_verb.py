"""The verb `train`: a generator from a corpus, and the presets to choose from."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from curation.errors import TrainingPaused
from curation.progress import silent

from .console import progress_bars, say, show_result, table
from .options import resolve
from .verb import AsJson, ConfigFile, Out, verb

_MACHINES = {
    "smoke": "trying that it runs",
    "demo": "2 CPU cores, minutes",
    "cpu-64": "2 CPU cores, hours",
}
_STOPPED = {
    "no_gain": "early: held-out cells were no longer drawn better",
    "learnt_by_heart": "early: it drew training cells; the average ends at the look before",
}

if TYPE_CHECKING:
    from synth.config import TrainConfig
    from synth.generator import GeneratorInfo


def add_train_verb(app: typer.Typer) -> None:
    """Add the verb to the command line."""
    app.command()(train)


def preset_table() -> list[str]:
    """Return the presets for a person to choose from."""
    from synth.config import PRESETS

    rows = [
        [name, _machine(name), config.side, _parameters(config), f"{config.images:,}",
         config.batch, "–" if config.minutes is None else f"{config.minutes:g}"]
        for name, config in PRESETS.items()
    ]  # fmt: skip
    head = ["preset", "for", "px", "parameters", "images", "batch", "minutes"]
    return table(head, rows, left=2)


def _machine(name: str) -> str:
    return _MACHINES.get(name, "a GPU")


def _parameters(config: TrainConfig) -> str:
    from synth.denoiser import parameters_of

    if config.latent is not None and config.latent.fine_tunes:
        return "those given"
    return f"{parameters_of(config) / 1e6:.1f} M"


def _list_presets(asked: bool) -> None:
    if asked:
        print("\n".join(preset_table()))
        raise typer.Exit


@verb
def train(
    corpus: Annotated[Path, typer.Argument(help="A curated corpus.")],
    out: Out,
    preset: Annotated[
        str,
        # Written out, as their table would pull heavy packages in; a test holds it complete.
        typer.Option(help="smoke, demo, cpu-64, gpu-64, gpu-128, gpu-256 or sd15."),
    ] = "cpu-64",
    list_presets: Annotated[
        bool,
        typer.Option(
            "--list-presets", is_eager=True, callback=_list_presets, help="Show them, and end."
        ),
    ] = False,
    config_file: ConfigFile = None,
    images: Annotated[int | None, typer.Option(help="Training images to see.")] = None,
    minutes: Annotated[float | None, typer.Option(help="End after so many minutes.")] = None,
    batch: Annotated[int | None, typer.Option(help="Images a step.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Peak of the learning rate.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of weights, noise and order.")] = None,
    stop_after: Annotated[
        float | None,
        typer.Option(
            min=0, metavar="MINUTES", help="Pause this call; the same command goes on later."
        ),
    ] = None,
    inception: Annotated[
        Path | None, typer.Option(help="Folder with the FID network: chooses the average by KID.")
    ] = None,
    autoencoder: Annotated[
        str | None,
        typer.Option(metavar="NAME_OR_PATH", help="AutoencoderKL whose latents are drawn."),
    ] = None,
    base: Annotated[
        str | None,
        typer.Option(metavar="NAME_OR_PATH", help="Stable Diffusion 1.x that is fine-tuned."),
    ] = None,
    lora: Annotated[
        int | None, typer.Option(min=1, help="Train an adapter of this rank on --base.")
    ] = None,
    log_to: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="tensorboard or trackio, into OUT/logs. Repeatable."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Train a generator on a corpus' training split."""
    from synth.config import TrainConfig
    from synth.config import preset as get_preset
    from synth.processes import ranks_of_run
    from synth.stable_diffusion import with_lora
    from synth.train import train as run

    flags = {
        "images": images, "minutes": minutes, "batch": batch, "learning_rate": learning_rate,
        "seed": seed,
    }  # fmt: skip
    config = resolve(TrainConfig, get_preset(preset).model_dump(), config_file, flags)
    config = with_lora(config, lora)
    # Of several processes, one speaks.
    first = ranks_of_run().first
    try:
        with progress_bars() as progress:
            made = run(
                corpus, out, config, inception=inception, stop_after_minutes=stop_after,
                trackers=log_to or (), autoencoder=autoencoder, base=base,
                progress=progress if first else silent,
            )  # fmt: skip
    except TrainingPaused as pause:
        if first:
            say(str(pause))
            if as_json:
                show_result(_paused(pause), [], as_json=True)
        return
    if first:
        show_result(_result(out, made.info), _lines(out, made.info), as_json=as_json)


def _paused(pause: TrainingPaused) -> dict[str, Any]:
    return {"paused": True, "images_seen": pause.images, "share": round(pause.share, 4)}


def _result(out: Path, info: GeneratorInfo) -> dict[str, Any]:
    return {
        "generator": str(out), "fingerprint": info.fingerprint, "images_seen": info.images_seen,
        "seconds": info.seconds, "final_loss": info.final_loss, "stopped": info.stopped,
        "average": info.average.model_dump(mode="json"), "paused": False,
    }  # fmt: skip


def _lines(out: Path, info: GeneratorInfo) -> list[str]:
    average = info.average
    over = f", {average.cells} cells" if average.cells else ""
    return [
        f"{out}  {info.images_seen} images in {info.seconds:.0f} s "
        f"({info.images_seen / max(info.seconds, 1e-9):.1f}/s), final loss {info.final_loss:.4f}",
        f"  stopped {_STOPPED.get(info.stopped, info.stopped)}",
        f"  average of relative width {average.width:g}, chosen by: {average.by}{over}",
        f"  {info.parameters / 1e6:.1f} M parameters, {info.view.side} px, "
        f"{len(info.trained_on)} classes; fingerprint {info.fingerprint}",
    ]
