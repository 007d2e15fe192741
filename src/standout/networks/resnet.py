"""Residual networks under the parameter names that timm and torchvision share.

K. He et al., "Deep Residual Learning for Image Recognition", CVPR 2016; the stride of a bottleneck sits on its 3x3
convolution, as in every published weight file of today.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from standout.networks.backbone import Backbone
from standout.networks.blocks import convolution, initialise


class Basic(nn.Module):
    """Two 3x3 convolutions beside a shortcut."""

    expansion = 1

    def __init__(self, inputs: int, width: int, stride: int, eps: float) -> None:
        super().__init__()
        self.conv1 = convolution(inputs, width, 3, stride)
        self.bn1 = nn.BatchNorm2d(width, eps)
        self.conv2 = convolution(width, width, 3)
        self.bn2 = nn.BatchNorm2d(width, eps)
        self.downsample = _shortcut(inputs, width, stride, eps)

    def forward(self, feature: Tensor) -> Tensor:
        """Return (N, width, H / stride, W / stride)."""
        inner = F.relu(self.bn1(self.conv1(feature)))
        return F.relu(self.bn2(self.conv2(inner)) + self.downsample(feature))


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolution beside a shortcut; four times as wide at its end."""

    expansion = 4

    def __init__(self, inputs: int, width: int, stride: int, eps: float) -> None:
        super().__init__()
        self.conv1 = convolution(inputs, width, 1)
        self.bn1 = nn.BatchNorm2d(width, eps)
        self.conv2 = convolution(width, width, 3, stride)
        self.bn2 = nn.BatchNorm2d(width, eps)
        self.conv3 = convolution(width, 4 * width, 1)
        self.bn3 = nn.BatchNorm2d(4 * width, eps)
        self.downsample = _shortcut(inputs, 4 * width, stride, eps)

    def forward(self, feature: Tensor) -> Tensor:
        """Return (N, 4 width, H / stride, W / stride)."""
        inner = F.relu(self.bn1(self.conv1(feature)))
        inner = F.relu(self.bn2(self.conv2(inner)))
        return F.relu(self.bn3(self.conv3(inner)) + self.downsample(feature))


def _shortcut(inputs: int, outputs: int, stride: int, eps: float) -> nn.Module:
    if stride == 1 and inputs == outputs:
        return nn.Identity()
    return nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs, eps))


class ResNetBackbone(Backbone):
    """A residual network without its classifier; its features are the four stages' outputs.

    Parameters
    ----------
    block : `Basic` or `Bottleneck`.
    depths : blocks of the four stages.
    eps : of every batch norm.
    """

    def __init__(
        self,
        block: type[Basic] | type[Bottleneck],
        depths: Sequence[int],
        *,
        eps: float,
        mean: Sequence[float],
        std: Sequence[float],
    ) -> None:
        widths = (64, 128, 256, 512)
        super().__init__([width * block.expansion for width in widths], mean, std)
        self.conv1 = convolution(3, 64, 7, 2)
        self.bn1 = nn.BatchNorm2d(64, eps)
        inputs, stages = 64, []
        for width, depth in zip(widths, depths, strict=True):
            blocks = []
            for index in range(depth):
                stride = 2 if index == 0 and width > 64 else 1
                blocks.append(block(inputs, width, stride, eps))
                inputs = width * block.expansion
            stages.append(nn.Sequential(*blocks))
        self.layer1, self.layer2, self.layer3, self.layer4 = stages
        initialise(self)

    def features(self, feature: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return the four features of an image that is already normalised."""
        feature = F.max_pool2d(F.relu(self.bn1(self.conv1(feature))), 3, 2, 1)
        at4 = self.layer1(feature)
        at8 = self.layer2(at4)
        at16 = self.layer3(at8)
        return at4, at8, at16, self.layer4(at16)
