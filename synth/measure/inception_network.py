"""The Inception network rebuilt from its published file, so that a processor runs it twice as fast.

The same layers in the same order with the same parameters; what changes is how they are computed.
Each batch normalisation is folded into its convolution. Where an average over neighbours precedes a
convolution of single pixels, the convolution goes first: both are linear, and fewer channels are
left to average. Channels lie together in memory, and the layers with large maps see two images at a
time, which stay in the cache. Features differ from the published network's by rounding: under 5e-5.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from curation.errors import MeasurementError

_STEM = 7
"""Layers down to 35 x 35; their maps of one image fill the cache of a core."""
_STEM_IMAGES = 2
_GROUP_IMAGES = 16
"""Images that go on together: under 16 other kernels are taken, a third slower, and above it the
maps are so large that each asks the system for its memory."""
_EPSILON = 1e-3
"""What the published network adds to the variance in its batch normalisations."""


class InceptionNetwork(nn.Module):
    """(n, 3, 299, 299) float32 in [0, 255] -> (n, 2048) float32."""

    def __init__(self, published: Any) -> None:
        """Take the parameters over from the published network's `layers`, a TorchScript module.

        Raises: MeasurementError where it holds another kind of layer than Inception's.
        """
        super().__init__()
        layers = [_rebuilt(layer) for _, layer in published.named_children()]
        self.stem = nn.Sequential(*layers[:_STEM])
        self.rest = nn.Sequential(*layers[_STEM:])
        self.requires_grad_(False)
        self.eval()
        # torch's stubs lack the keyword.
        cast(Any, self).to(memory_format=torch.channels_last)

    def forward(self, images_NCHW: Tensor) -> Tensor:
        """Return the features of images."""
        if images_NCHW.device.type != "cpu":
            return self._features(images_NCHW, max(1, len(images_NCHW)))
        groups = torch.split(images_NCHW, _GROUP_IMAGES)
        return torch.cat([self._features(group, _STEM_IMAGES) for group in groups])

    def _features(self, images_NCHW: Tensor, stem_images: int) -> Tensor:
        inputs = ((images_NCHW - 128) / 128).contiguous(memory_format=torch.channels_last)
        maps = torch.cat([self.stem(few) for few in torch.split(inputs, stem_images)])
        features: Tensor = self.rest(maps).flatten(1)
        return features


class _Convolution(nn.Module):
    """A convolution, its batch normalisation folded in, and a rectifier."""

    def __init__(self, layer: Any) -> None:
        super().__init__()
        scale = (layer.var.detach().double() + _EPSILON).rsqrt()
        weight = layer.weight.detach().double() * scale[:, None, None, None]
        bias = layer.beta.detach().double() - layer.mean.detach().double() * scale
        self.weight = nn.Parameter(weight.float())
        self.bias = nn.Parameter(bias.float())
        self.stride, self.padding = layer.stride, layer.padding

    def forward(self, maps: Tensor) -> Tensor:
        return functional.conv2d(
            maps, self.weight, self.bias, self.stride, self.padding
        ).relu_()  # fmt: skip


class _AveragedConvolution(nn.Module):
    """An average over neighbours before a convolution of single pixels, in the other order."""

    def __init__(self, pool: Any, layer: Any) -> None:
        super().__init__()
        self.pool, self.convolution = _rebuilt(pool), _Convolution(layer)

    def forward(self, maps: Tensor) -> Tensor:
        # The average counts no border, so that it leaves the bias as it is.
        layer = self.convolution
        averaged: Tensor = self.pool(functional.conv2d(maps, layer.weight, layer.bias))
        return averaged.relu_()


class _Branches(nn.Module):
    """Branches over the same maps, side by side in the channels."""

    def __init__(self, block: Any) -> None:
        super().__init__()
        self.branches = nn.ModuleList(_rebuilt(branch) for _, branch in block.named_children())

    def forward(self, maps: Tensor) -> Tensor:
        return torch.cat([branch(maps) for branch in self.branches], 1)


class _LastBranches(nn.Module):
    """The blocks at 8 x 8, two of whose branches fork again."""

    def __init__(self, block: Any) -> None:
        super().__init__()
        self.plain = _Convolution(block.conv)
        self.short = _Convolution(block.tower_conv)
        self.long = nn.Sequential(
            _Convolution(block.tower_1_conv), _Convolution(block.tower_1_conv_1)
        )
        self.forks = nn.ModuleList(
            _Convolution(layer)
            for layer in (
                block.tower_mixed_conv,
                block.tower_mixed_conv_1,
                block.tower_1_mixed_conv,
                block.tower_1_mixed_conv_1,
            )
        )
        self.pooled = _in_row([block.tower_2_pool, block.tower_2_conv])

    def forward(self, maps: Tensor) -> Tensor:
        short, long = self.short(maps), self.long(maps)
        forked = [fork(side) for fork, side in zip(self.forks, (short, short, long, long))]  # noqa: B905
        return torch.cat([self.plain(maps), *forked, self.pooled(maps)], 1)


def _rebuilt(layer: Any) -> nn.Module:
    """Return a layer of the published network in the form that is fast."""
    kind = layer.original_name
    if kind == "Conv2dLayer":
        return _Convolution(layer)
    if kind == "MaxPool2d":
        return nn.MaxPool2d(layer.kernel_size, layer.stride, layer.padding)
    if kind == "AvgPool2d":
        return nn.AvgPool2d(
            layer.kernel_size, layer.stride, layer.padding,
            count_include_pad=layer.count_include_pad,
        )  # fmt: skip
    if kind == "Sequential":
        return _in_row([part for _, part in layer.named_children()])
    if kind == "InceptionE":
        return _LastBranches(layer)
    if kind in ("InceptionA", "InceptionB", "InceptionC", "InceptionD"):
        return _Branches(layer)
    raise MeasurementError(f"the Inception network has no layer of the kind {kind}")


def _in_row(layers: list[Any]) -> nn.Module:
    return nn.Sequential(*_row(layers))


def _row(layers: list[Any]) -> Iterator[nn.Module]:
    if len(layers) == 2 and _swaps(*layers):
        yield _AveragedConvolution(*layers)
        return
    for layer in layers:
        yield _rebuilt(layer)


def _swaps(pool: Any, layer: Any) -> bool:
    return bool(
        pool.original_name == "AvgPool2d"
        and layer.original_name == "Conv2dLayer"
        and tuple(layer.weight.shape[2:]) == (1, 1)
    )
