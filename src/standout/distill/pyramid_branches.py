"""The auxiliary branch of pyramid self-distillation: pyramid pooling, attention and a head, on one level.

That the branch is made of these two blocks is reconstructed from the abstract; the published equation was not
available to us. The blocks themselves are those of PSPNet (Zhao et al., CVPR 2017) and CBAM (Woo et al., ECCV 2018).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from standout.networks.blocks import initialise

BINS = (1, 2, 3, 6)


class PyramidPooling(nn.Module):
    """The feature beside its averages over grids of 1, 2, 3 and 6 cells a side: C channels in, 2 C out.

    The grid of one cell is normalised by groups, not by batch as in PSPNet: it leaves one number per picture and
    channel, of which a batch of one picture has no deviation.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = max(1, channels // len(BINS))
        self.outputs = channels + inner * len(BINS)
        self.bins = nn.ModuleList(
            nn.Sequential(
                nn.AdaptiveAvgPool2d(cells),
                nn.Conv2d(channels, inner, 1, bias=False),
                nn.GroupNorm(1, inner) if cells == 1 else nn.BatchNorm2d(inner),
                nn.ReLU(inplace=True),
            )
            for cells in BINS
        )
        initialise(self)

    def forward(self, feature: Tensor) -> Tensor:
        """Return (N, 2 C, h, w) for a feature (N, C, h, w)."""
        size = feature.shape[-2:]
        pooled = [F.interpolate(b(feature), size=size, mode="bilinear", align_corners=True) for b in self.bins]
        return torch.cat([feature, *pooled], 1)


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
        gate = torch.sigmoid(self.channel(feature.mean((2, 3))) + self.channel(feature.amax((2, 3))))
        feature = feature * gate[:, :, None, None]
        seen = torch.cat([feature.amax(1, keepdim=True), feature.mean(1, keepdim=True)], 1)
        return feature * torch.sigmoid(self.place(seen))


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
        self.project = _unit(nn.Conv2d(self.pooling.outputs, width, 3, padding=1, bias=False))
        self.attention = Attention(width)
        self.score = head(width)

    def forward(self, feature: Tensor) -> Tensor:
        """Return the logits (N, 1, h, w) of a feature (N, C, h, w), at its own size."""
        logits: Tensor = self.score(self.attention(self.project(self.pooling(self.squeeze(feature)))))
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
