from __future__ import annotations

from typing import Any

import pytest
import torch
from diffusers import EDMDPMSolverMultistepScheduler
from torch import Tensor

from synth.config import TrainConfig, preset
from synth.denoiser import NULL_LABEL
from synth.diffusion import network_input, network_noise, network_target, sample_sigmas
from synth.training_pixels import Batch
from synth.training_run import training_loss

CONFIG = preset("smoke")
SIGMAS = torch.tensor([0.002, 0.05, 0.3, 0.5, 1.7, 20.0, 80.0])
SCHEDULER = EDMDPMSolverMultistepScheduler(sigma_data=CONFIG.sigma_data)


def noisy_images() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(3)
    clean = torch.rand(len(SIGMAS), 3, 8, 8, generator=generator) * 2 - 1
    noise = torch.randn(clean.shape, generator=generator)
    return clean, clean + noise * SIGMAS.view(-1, 1, 1, 1)


@pytest.mark.parametrize("row", range(len(SIGMAS)))
def test_input_and_noise_level_are_what_the_sampler_gives_the_network(row: int) -> None:
    _, noisy = noisy_images()
    sigma = SIGMAS[row : row + 1]
    ours = network_input(noisy[row : row + 1], sigma, CONFIG.sigma_data)
    theirs = SCHEDULER.precondition_inputs(noisy[row : row + 1], sigma)
    torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-6)
    # The sampler computes in float32 whatever it is given.
    told = torch.as_tensor(SCHEDULER.precondition_noise(sigma))
    torch.testing.assert_close(network_noise(sigma), told, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("row", range(len(SIGMAS)))
def test_the_sampler_turns_the_target_back_into_the_clean_image(row: int) -> None:
    clean, noisy = (images[row : row + 1].double() for images in noisy_images())
    sigma = SIGMAS[row : row + 1].double()
    target = network_target(clean, noisy, sigma, CONFIG.sigma_data)
    denoised = SCHEDULER.precondition_outputs(noisy, target, sigma)
    torch.testing.assert_close(denoised, clean, rtol=1e-6, atol=1e-6)


def test_the_timesteps_of_sampling_are_the_noise_levels_of_training() -> None:
    scheduler = EDMDPMSolverMultistepScheduler(sigma_data=CONFIG.sigma_data)
    scheduler.set_timesteps(7)
    expected = network_noise(scheduler.sigmas[:-1])
    torch.testing.assert_close(scheduler.timesteps, expected, rtol=1e-6, atol=1e-6)


def loss_of(
    network: Any, clean: Tensor, *, config: TrainConfig = CONFIG, part: slice = slice(None)
) -> Tensor:
    """The loss of one step, on a part of a batch of class 5 and acquisition 0."""
    count = len(clean)
    whole = config.model_copy(update={"batch": count})
    batch = Batch(
        clean[part],
        torch.full((count,), 5)[part],
        torch.zeros(count, dtype=torch.int64)[part],
        torch.arange(float(count)).view(count, 1)[part],
    )
    generator = torch.Generator().manual_seed(0)
    return training_loss(network, batch, whole, generator, part, no_acquisition=3)


def test_a_perfect_network_has_no_loss() -> None:
    clean, _ = noisy_images()

    def perfect(x: Tensor, noise: Tensor, *_: Tensor) -> Tensor:
        sigmas = (4 * noise).exp()
        noisy = x * (sigmas**2 + CONFIG.sigma_data**2).sqrt().view(-1, 1, 1, 1)
        return network_target(clean, noisy, sigmas, CONFIG.sigma_data)

    assert float(loss_of(perfect, clean)) < 1e-9


def test_every_noise_level_weighs_the_same() -> None:
    # For data of the spread the preconditioning assumes, the target's variance is 1 everywhere.
    generator = torch.Generator().manual_seed(0)
    clean = torch.randn(len(SIGMAS), 3, 64, 64, generator=generator) * CONFIG.sigma_data
    noise = torch.randn(clean.shape, generator=generator) * SIGMAS.view(-1, 1, 1, 1)
    target = network_target(clean, clean + noise, SIGMAS, CONFIG.sigma_data)
    scaled = network_input(clean + noise, SIGMAS, CONFIG.sigma_data)
    ones = torch.ones(len(SIGMAS))
    torch.testing.assert_close(target.std(dim=(1, 2, 3)), ones, atol=0.03, rtol=0)
    torch.testing.assert_close(scaled.std(dim=(1, 2, 3)), ones, atol=0.03, rtol=0)


class Seen:
    """A network that answers 0 and remembers what it was told."""

    def __init__(self) -> None:
        self.told: list[tuple[Tensor, ...]] = []

    def __call__(self, x: Tensor, *told: Tensor) -> Tensor:
        self.told.append((x, *told))
        return torch.zeros_like(x)


def test_labels_and_acquisitions_are_dropped_each_by_itself() -> None:
    seen = Seen()
    config = CONFIG.model_copy(update={"label_dropout": 0.2, "acquisition_dropout": 0.4})
    loss_of(seen, torch.zeros(8_000, 3, 1, 1), config=config)
    _, _, labels, acquisitions, _ = seen.told[0]
    assert set(labels.tolist()) == {5, NULL_LABEL}
    assert set(acquisitions.tolist()) == {0, 3}
    no_label, untold = labels == NULL_LABEL, acquisitions == 3
    assert float(no_label.float().mean()) == pytest.approx(0.2, abs=0.02)
    assert float(untold.float().mean()) == pytest.approx(0.4, abs=0.02)
    assert float((no_label & untold).float().mean()) == pytest.approx(0.08, abs=0.01)


def test_the_parts_of_a_batch_are_what_one_process_sees() -> None:
    clean, _ = noisy_images()
    whole, parts = Seen(), Seen()
    loss = loss_of(whole, clean)
    split = [loss_of(parts, clean, part=part) for part in (slice(0, 3), slice(3, 7))]
    for one, *others in zip(whole.told[0], *parts.told, strict=True):
        assert torch.equal(one, torch.cat(others))
    assert float(loss) == pytest.approx(float(3 * split[0] + 4 * split[1]) / 7)


def test_noise_levels_are_log_normal() -> None:
    drawn = sample_sigmas(20_000, CONFIG, torch.Generator().manual_seed(0)).log()
    assert float(drawn.mean()) == pytest.approx(CONFIG.p_mean, abs=0.03)
    assert float(drawn.std()) == pytest.approx(CONFIG.p_std, abs=0.03)
