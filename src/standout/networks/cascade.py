"""Where the object is: a cascade of two partial decoders on a mobile backbone.

Z. Wu, L. Su, Q. Huang, "Cascaded Partial Decoder for Fast and Accurate Salient Object Detection" (CPD), CVPR 2019, on
MobileNetV2 as SDKD wires it: two branches part after block 5, whose feature is attended. Trained with masks it is a
saliency network; inside SDKD's recogniser it learns from the classes.
"""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from standout.networks.blocks import initialise
from standout.networks.mobile import MobileBackbone, Table
from standout.networks.network import Network
from standout.shapes import Image, Logits, Maps

BLOCK5, BLOCK6, BLOCK7 = 4, 5, 6
"""Stages of a backbone of seven: the last at stride 16, and the two at stride 32."""
ATTENTION = "attention16"
"""The level of the first map."""


def conv_norm(
    inputs: int, outputs: int, kernel: int | tuple[int, int], *, padding: int | tuple[int, int], dilation: int = 1
) -> nn.Sequential:
    """Return a biasless convolution and a batch norm, without an activation."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, padding=padding, dilation=dilation, bias=False), nn.BatchNorm2d(outputs)
    )


def _like(feature: Tensor, other: Tensor) -> Tensor:
    """Return the feature, bilinear, at the size of another, corners on corners."""
    return F.interpolate(feature, size=other.shape[-2:], mode="bilinear", align_corners=True)


class ReceptiveField(nn.Module):
    """Four views of a feature with growing fields, joined to `width` channels (RFB, S. Liu et al., ECCV 2018)."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.point = conv_norm(inputs, width, 1, padding=0)
        self.views = nn.ModuleList(
            nn.Sequential(
                conv_norm(inputs, width, 1, padding=0),
                conv_norm(width, width, (1, kernel), padding=(0, kernel // 2)),
                conv_norm(width, width, (kernel, 1), padding=(kernel // 2, 0)),
                conv_norm(width, width, 3, padding=kernel, dilation=kernel),
            )
            for kernel in (3, 5, 7)
        )
        self.join = conv_norm(4 * width, width, 3, padding=1)
        self.short = conv_norm(inputs, width, 1, padding=0)

    def forward(self, feature: Tensor) -> Tensor:
        """Return (N, width, H, W) of a feature (N, inputs, H, W)."""
        views = [self.point(feature), *(view(feature) for view in self.views)]
        joined: Tensor = self.join(torch.cat(views, 1)) + self.short(feature)
        return joined.relu()


class PartialDecoder(nn.Module):
    """Three features, from blocks 5, 6 and 7, to one map by dense aggregation.

    Parameters
    ----------
    channels : of the three features.
    width : channels of each after its receptive-field block.
    """

    def __init__(self, channels: Sequence[int], width: int) -> None:
        super().__init__()
        self.field5, self.field6, self.field7 = (ReceptiveField(inputs, width) for inputs in channels)

        def same(factor: int) -> nn.Sequential:
            return conv_norm(factor * width, factor * width, 3, padding=1)

        self.gate6_by7, self.gate5_by7, self.gate5_by6, self.lift7 = same(1), same(1), same(1), same(1)
        self.merge6, self.lift6 = same(2), same(2)
        self.merge5, self.refine = same(3), same(3)
        self.head = nn.Conv2d(3 * width, 1, 1)

    def forward(self, at5: Tensor, at6: Tensor, at7: Tensor) -> tuple[Logits, Tensor]:
        """Return the map's logits (N, 1, H, W), and the feature (N, 3 width, H, W) that they are read from.

        H and W are those of `at5`.
        """
        x5, x6, x7 = self.field5(at5), self.field6(at6), self.field7(at7)
        up76 = _like(x7, x6)
        y6 = self.gate6_by7(up76) * x6
        y5 = self.gate5_by7(_like(x7, x5)) * self.gate5_by6(_like(x6, x5)) * x5
        m6 = self.merge6(torch.cat([y6, self.lift7(up76)], 1))
        m5 = self.merge5(torch.cat([y5, self.lift6(_like(m6, x5))], 1))
        feature = self.refine(m5)
        return self.head(feature), feature


def bell(size: int, reach: float = 4.0) -> Tensor:
    """Return the Gaussian-like kernel (size, size) of CPD's holistic attention: float64, symmetric, sums to 1.

    Parameters
    ----------
    size : odd.
    reach : how many standard deviations it spans either way.
    """
    interval = (2 * reach + 1) / size
    first = -reach - interval / 2
    edges = [first + (2 * reach + interval) * number / size for number in range(size + 1)]
    cumulative = [0.5 * math.erfc(-edge / math.sqrt(2)) for edge in edges]
    line = torch.tensor([b - a for a, b in itertools.pairwise(cumulative)], dtype=torch.float64)
    kernel = torch.outer(line, line).sqrt()
    return kernel / kernel.sum()


class HolisticAttention(nn.Module):
    """Spreads the first map over its surroundings, so that what it missed nearby is attended too.

    Parameters
    ----------
    size : of the kernel, odd. CPD's 31 was made for maps of 44 x 44; 9 is the same share of one of 14 x 14.
    trainable : whether the kernel learns, as in CPD's code.
    """

    kernel: Tensor

    def __init__(self, size: int = 31, *, trainable: bool = True) -> None:
        super().__init__()
        kernel = bell(size).float()[None, None]
        if trainable:
            self.kernel = nn.Parameter(kernel)
        else:
            self.register_buffer("kernel", kernel)

    def forward(self, logits: Logits, feature: Tensor) -> Tensor:
        """Return `feature` (N, C, H, W) times the attention of a map's logits (N, 1, H, W)."""
        return feature * self.attention(logits.sigmoid())

    def attention(self, map: Tensor) -> Tensor:  # noqa: A002 - the project's word
        """Return the larger of the map and its spread-out self, each (N, 1, H, W) in [0, 1]."""
        return torch.maximum(smallest_to_largest(self.spread(map)), map)

    def spread(self, map: Tensor) -> Tensor:  # noqa: A002
        """Return the map filtered by the kernel; beyond its edge is nothing."""
        return F.conv2d(map, self.kernel.to(map.dtype), padding=self.kernel.shape[-1] // 2)


def smallest_to_largest(map: Tensor) -> Tensor:  # noqa: A002
    """Return each sample's map (N, 1, H, W) stretched to 0..1; a constant one becomes 0."""
    low, high = map.amin((1, 2, 3), keepdim=True), map.amax((1, 2, 3), keepdim=True)
    return (map - low) / (high - low + 1e-8)


class Detected(NamedTuple):
    """What the cascade gives.

    block5 : (N, C, H/16, W/16), before any attention.
    first, second : logits of the two decoders' maps, (N, 1, H/16, W/16).
    feature : (N, 3 width, H/16, W/16), what `second` is read from.
    """

    block5: Tensor
    first: Logits
    second: Logits
    feature: Tensor


class CascadeNet(Network):
    """The detection part of SDKD: trunk, attention branch (6_1, 7_1), detection branch (6_2, 7_2), two decoders.

    Its level "attention16" is the first map's logits, one channel, which the strategy `attention_map` supervises.

    Parameters
    ----------
    table : a backbone of seven stages, the fifth the last at stride 16.
    width : channels of the decoders.
    ha_kernel, ha_trainable : of the holistic attention.
    padding, eps, mean, std : of the backbone.
    """

    def __init__(
        self,
        table: Table,
        *,
        width: int,
        ha_kernel: int,
        ha_trainable: bool,
        padding: str,
        eps: float,
        mean: Sequence[float],
        std: Sequence[float],
    ) -> None:
        super().__init__()
        # Its last two stages are 6_1 and 7_1.
        self.backbone = MobileBackbone(table, padding=padding, eps=eps, mean=mean, std=std)
        self.detection6 = copy.deepcopy(self.backbone.blocks[BLOCK6])
        self.detection7 = copy.deepcopy(self.backbone.blocks[BLOCK7])
        channels = [table.stages[block][-1].outputs for block in (BLOCK5, BLOCK6, BLOCK7)]
        encoder = {f"encoder{s}": c for s, c in zip((4, 8, 16), self.backbone.channels, strict=False)}
        self.channels = {**encoder, "decoder16": 3 * width, ATTENTION: 1}
        self.attention_decoder = PartialDecoder(channels, width)
        self.detection_decoder = PartialDecoder(channels, width)
        for decoder in (self.attention_decoder, self.detection_decoder):
            initialise(decoder)
        self.attention = HolisticAttention(ha_kernel, trainable=ha_trainable)

    def take_backbone(self) -> None:
        """Let the detection branch start from the attention branch's weights, which a backbone file has given."""
        for part, block in ((self.detection6, BLOCK6), (self.detection7, BLOCK7)):
            part.load_state_dict(self.backbone.blocks[block].state_dict())

    def forward(self, image: Image, levels: Sequence[str] = ()) -> Maps:
        """Return the second map's logits (N, 1, H, W) at the image's size and the asked levels.

        Raises
        ------
        ValueError : a level that this network does not have.
        """
        self.check_levels(levels)
        stages = trunk(self.backbone, image)
        detected = self.detect(stages[BLOCK5])
        encoder = zip((4, 8, 16), self.backbone.last_stages, strict=False)
        found = {f"encoder{stride}": stages[stage] for stride, stage in encoder}
        found |= {"decoder16": detected.feature, ATTENTION: detected.first}
        logits = _resized(detected.second, (image.shape[-2], image.shape[-1]))
        return Maps(logits, {level: found[level] for level in levels})

    def head(self, feature: Tensor, size: tuple[int, int]) -> Logits:
        """Return the logits (N, 1, *size) of a feature (N, 3 width, h, w) of the second decoder."""
        return _resized(self.detection_decoder.head(feature), size)

    def detect(self, block5: Tensor) -> Detected:
        """Return what is detected in a feature of block 5."""
        at6 = self.backbone.blocks[BLOCK6](block5)
        first, _ = self.attention_decoder(block5, at6, self.backbone.blocks[BLOCK7](at6))
        attended = self.attention(first, block5)
        at6 = self.detection6(attended)
        second, feature = self.detection_decoder(attended, at6, self.detection7(at6))
        return Detected(block5, first, second, feature)


def trunk(backbone: MobileBackbone, image: Image) -> list[Tensor]:
    """Return the features of blocks 1 to 5 of an image (N, 3, H, W), RGB in 0..1."""
    feature: Tensor = backbone.act(backbone.bn1(backbone.conv_stem((image - backbone.mean) / backbone.std)))
    features = []
    for block in backbone.blocks[:BLOCK6]:
        feature = block(feature)
        features.append(feature)
    return features


def _resized(logits: Logits, size: tuple[int, int]) -> Logits:
    return F.interpolate(logits, size=size, mode="bilinear", align_corners=False)
