"""Which average of the weights draws best: by KID to held-out cells, or by their loss."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from curation.errors import MeasurementError
from curation.progress import Progress
from curation.vocabulary import LABELS

from .averages import Averages
from .chosen_average import ChosenAverage, TriedAverage
from .config import TrainConfig
from .denoiser import Denoiser, best_device, build_denoiser, placed
from .look import HELD_OUT_CELLS, drawn_by, held_out_loss
from .measure.features import inception_features
from .measure.inception import InceptionWeights, find_inception
from .measure.kernel import FEWEST, kernel_distance
from .training_pixels import TrainingPixels

_STEPS = 18


def choose_average(
    averages: Averages,
    train: TrainingPixels,
    held_out: TrainingPixels,
    config: TrainConfig,
    *,
    last_step: int | None = None,
    inception: Path | None = None,
    progress: Progress,
) -> tuple[Denoiser, ChosenAverage]:
    """Return the network with the best average as its weights, and how it was chosen.

    With held-out cells and the Inception network: the lowest KID between validation cells and as
    many drawn ones of the same classes. Without the network: the lowest loss on validation cells.
    """
    weights = _inception(inception) if len(config.ema_tried) > 1 else None
    networks = {
        width: _network(averages, width, config, train, last_step) for width in config.ema_tried
    }
    held_out = _known(held_out, train)
    if len(networks) == 1 or len(held_out.images) == 0:
        width = min(config.ema_tried, key=lambda one: abs(one - 0.1))
        by = "only one was tried" if len(networks) == 1 else "no validation cells: nearest 0.1"
        return networks[width], ChosenAverage(width=width, by=by, cells=0, tried=())
    cells = min(config.choose_cells, len(held_out.images))
    if weights is None or cells < FEWEST:
        found = [
            TriedAverage(width=width, value=held_out_loss(network, held_out, config))
            for width, network in networks.items()
        ]
        why = "the Inception network was not found" if weights is None else "too few for KID"
        by = f"loss on validation cells ({why})"
        cells = min(len(held_out.images), HELD_OUT_CELLS)
    else:
        found = _by_kid(networks, train, held_out, config, cells, weights, progress)
        by = "KID to validation cells"
    best = min(found, key=lambda one: one.value)
    return networks[best.width], ChosenAverage(
        width=best.width, by=by, cells=cells, tried=tuple(found)
    )


def _known(held_out: TrainingPixels, train: TrainingPixels) -> TrainingPixels:
    """Return the cells of classes that can be drawn."""
    known = np.isin(held_out.class_ids, np.unique(train.class_ids))
    latents = held_out.latents and held_out.latents.of(known)
    return TrainingPixels(
        held_out.images[known], held_out.class_ids[known], held_out.acquisition_ids[known],
        latents=latents,
    )  # fmt: skip


def _inception(folder: Path | None) -> InceptionWeights | None:
    try:
        return find_inception(folder, download=False)
    except MeasurementError:
        if folder is not None:
            raise
        return None


def _network(
    averages: Averages,
    width: float,
    config: TrainConfig,
    train: TrainingPixels,
    last_step: int | None,
) -> Denoiser:
    network = build_denoiser(config, train.acquisitions, train.space)
    network.load_state_dict(averages.synthesize(width, last_step))
    return placed(network.eval(), best_device())


def _by_kid(
    networks: dict[float, Denoiser],
    train: TrainingPixels,
    held_out: TrainingPixels,
    config: TrainConfig,
    cells: int,
    weights: InceptionWeights,
    progress: Progress,
) -> list[TriedAverage]:
    labels = [LABELS[i] for i in held_out.class_ids[:cells]]
    device = best_device()
    real = inception_features(iter(held_out.images[:cells]), cells, weights, device=device)
    tried = []
    for done, (width, network) in enumerate(networks.items()):
        progress("choose the average", done, len(networks))
        drawn = drawn_by(network, labels, train, config, _STEPS)
        features = inception_features(iter(drawn), len(drawn), weights, device=device)
        kid = kernel_distance(real, features)
        tried.append(TriedAverage(width=width, value=kid.value, low=kid.low, high=kid.high))
    progress("choose the average", len(networks), len(networks))
    return tried
