"""The auxiliary branch of pyramid self-distillation: pyramid pooling, attention and a head, on one level.

That the branch is made of these two blocks is reconstructed from the abstract; the published equation was not
available to us. The blocks themselves are those of PSPNet (Zhao et al., CVPR 2017) and CBAM (Woo et al., ECCV 2018).
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from standout.distill.linear_maps import averages, cells_spread
from standout.losses.numerics import working
from standout.networks.blocks import initialise

BINS = (1, 2, 3, 6)


class PyramidPooling(nn.Module):
    """Averages of a feature over grids of 1, 2, 3 and 6 cells a side, each squeezed to a quarter of the channels.

    The grid of one cell is normalised by groups, not by batch as in PSPNet: it leaves one number per picture and
    channel, of which a batch of one picture has no deviation.

    Attributes
    ----------
    parts : channels of the feature and of its four grids, 2 C together.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = max(1, channels // len(BINS))
        self.parts = [channels] + [inner] * len(BINS)
        self.bins = nn.ModuleList(
            nn.Sequential(
                nn.Identity(),  # the averages, which all grids share
                nn.Conv2d(channels, inner, 1, bias=False),
                nn.GroupNorm(1, inner) if cells == 1 else nn.BatchNorm2d(inner),
                nn.ReLU(inplace=True),
            )
            for cells in BINS
        )
        initialise(self)

    def forward(self, feature: Tensor) -> list[Tensor]:
        """Return a grid (N, C / 4, cells, cells) for each of `BINS`, of a feature (N, C, h, w)."""
        return [squeeze(grid) for squeeze, grid in zip(self.bins, averages(feature, BINS), strict=True)]


class Attention(nn.Module):
    """CBAM: a gate per channel, then a gate per place, each in (0, 1) and multiplied with its input."""

    def __init__(self, channels: int, reduction: int = 16) -> None:
        super().__init__()
        inner = max(1, channels // reduction)
        self.channel = nn.Sequential(nn.Linear(channels, inner), nn.ReLU(inplace=True), nn.Linear(inner, channels))
        self.place = nn.Sequential(nn.Conv2d(2, 1, 7, padding=3, bias=False), nn.BatchNorm2d(1))
        initialise(self)

    def forward(self, feature: Tensor) -> Tensor:
        """Return `feature` (N, C, h, w) times its two gates."""
        largest, mean = max_and_mean(feature, (2, 3))
        gate = torch.sigmoid(self.channel(mean.flatten(1)) + self.channel(largest.flatten(1)))
        feature = feature * gate[:, :, None, None]
        return feature * torch.sigmoid(self.place(torch.cat(max_and_mean(feature, (1,)), 1)))


def max_and_mean(feature: Tensor, over: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Return `feature.amax(over)` and `feature.mean(over)`, both with the axes kept at length 1.

    One pass back through the feature instead of the framework's four; equal maxima share their slope, as there.
    """
    found: tuple[Tensor, Tensor] = _MaxAndMean.apply(feature, over)  # type: ignore[no-untyped-call]
    return found


class _MaxAndMean(torch.autograd.Function):
    @staticmethod
    def forward(feature: Tensor, over: tuple[int, ...]) -> tuple[Tensor, Tensor]:
        return feature.amax(over, keepdim=True), feature.mean(over, keepdim=True)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
        feature, ctx.over = inputs
        ctx.save_for_backward(feature, output[0])

    @staticmethod
    def backward(ctx: Any, of_largest: Tensor, of_mean: Tensor) -> tuple[Tensor, None]:
        feature, largest = (saved.detach() for saved in ctx.saved_tensors)
        # Written as numbers: a boolean would be turned into them at five times the price.
        here = torch.eq(feature, largest, out=torch.empty_like(feature))
        ties = here.sum(ctx.over, keepdim=True, dtype=torch.float32)
        each = of_mean * (of_mean.numel() / feature.numel())
        return here * (of_largest / ties).to(feature.dtype) + each, None


class Branch(nn.Module):
    """Pyramid pooling, a 3x3 projection back to C channels, attention and a 3x3 head.

    Parameters
    ----------
    channels : of the level that the branch reads.
    width : of the branch itself; where it differs, a 1x1 squeeze comes first.
    """

    def __init__(self, channels: int, width: int | None = None) -> None:
        super().__init__()
        width = width or channels
        self.squeeze = nn.Identity() if width == channels else _unit(nn.Conv2d(channels, width, 1, bias=False))
        self.pooling = PyramidPooling(width)
        self.project = _unit(nn.Conv2d(sum(self.pooling.parts), width, 3, padding=1, bias=False))
        self.attention = Attention(width)
        self.score = head(width)

    def forward(self, feature: Tensor) -> Tensor:
        """Return the logits (N, 1, h, w) of a feature (N, C, h, w), at its own size."""
        feature = self.squeeze(feature)
        # A convolution of maps side by side is the sum of theirs, and that of a grid spread over the picture is
        # linear in its few cells: neither are the grids spread nor the wide feature made.
        own, *others = torch.split(self.project.get_parameter("0.weight"), self.pooling.parts, 1)
        with torch.autocast(feature.device.type, enabled=False):
            spread = cells_spread(self.pooling(working(feature)), others, feature.shape[-2:])
        projected = F.conv2d(feature, own, padding=1)
        projected = self.project[1:](projected + spread.to(projected.dtype))
        logits: Tensor = self.score(self.attention(projected))
        return logits


def head(channels: int) -> nn.Conv2d:
    """Return a new 3x3 convolution from a feature to one channel of logits."""
    score = nn.Conv2d(channels, 1, 3, padding=1)
    initialise(score)
    return score


def _unit(convolution: nn.Conv2d) -> nn.Sequential:
    unit = nn.Sequential(convolution, nn.BatchNorm2d(convolution.out_channels), nn.ReLU(inplace=True))
    initialise(unit)
    return unit
