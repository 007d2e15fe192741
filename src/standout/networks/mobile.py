"""Mobile backbones from literal tables of blocks, under the parameter names of timm.

M. Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks", CVPR 2018. A. Howard et al., "Searching
for MobileNetV3", ICCV 2019. EfficientNet-Lite0: M. Tan, Q. Le, "EfficientNet", ICML 2019, without gates and with relu6.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor, nn

from standout.networks.backbone import Backbone
from standout.networks.blocks import (
    DepthwiseSeparable,
    InvertedResidual,
    Pointwise,
    activation,
    convolution,
    initialise,
)


class Row(NamedTuple):
    """One block: depthwise-separable where `inner` is 0, 1x1 where `kernel` is 1, else inverted residual."""

    inner: int
    outputs: int
    kernel: int
    stride: int
    gate: bool = False
    act: str = ""


def _repeat(
    count: int, inputs: int, ratio: int, outputs: int, kernel: int, stride: int, gate: bool = False
) -> list[Row]:
    """Return a stage of `count` inverted residuals that expand by `ratio`; the first one has the stride."""
    first = Row(inputs * ratio, outputs, kernel, stride, gate)
    return [first] + [Row(outputs * ratio, outputs, kernel, 1, gate)] * (count - 1)


class Table(NamedTuple):
    """A mobile backbone: channels of the stem (stride 2), default activation, stages of rows."""

    stem: int
    act: str
    stages: Sequence[Sequence[Row]]


MOBILENETV2_100 = Table(
    32,
    "relu6",
    [
        [Row(0, 16, 3, 1)],
        _repeat(2, 16, 6, 24, 3, 2),
        _repeat(3, 24, 6, 32, 3, 2),
        _repeat(4, 32, 6, 64, 3, 2),
        _repeat(3, 64, 6, 96, 3, 1),
        _repeat(3, 96, 6, 160, 3, 2),
        _repeat(1, 160, 6, 320, 3, 1),
    ],
)

EFFICIENTNET_LITE0 = Table(
    32,
    "relu6",
    [
        [Row(0, 16, 3, 1)],
        _repeat(2, 16, 6, 24, 3, 2),
        _repeat(2, 24, 6, 40, 5, 2),
        _repeat(3, 40, 6, 80, 3, 2),
        _repeat(3, 80, 6, 112, 5, 1),
        _repeat(4, 112, 6, 192, 5, 2),
        _repeat(1, 192, 6, 320, 3, 1),
    ],
)

MOBILENETV3_SMALL_100 = Table(
    16,
    "hardswish",
    [
        [Row(0, 16, 3, 2, gate=True, act="relu")],
        [Row(72, 24, 3, 2, act="relu"), Row(88, 24, 3, 1, act="relu")],
        [Row(96, 40, 5, 2, gate=True), Row(240, 40, 5, 1, gate=True), Row(240, 40, 5, 1, gate=True)],
        [Row(120, 48, 5, 1, gate=True), Row(144, 48, 5, 1, gate=True)],
        [Row(288, 96, 5, 2, gate=True), Row(576, 96, 5, 1, gate=True), Row(576, 96, 5, 1, gate=True)],
        [Row(0, 576, 1, 1)],
    ],
)


class MobileBackbone(Backbone):
    """A stem of stride 2 and the stages of `table`; its features are the last stages at strides 4, 8, 16, 32.

    Parameters
    ----------
    padding : "plain" or "same" for every strided convolution.
    eps : of every batch norm.
    """

    def __init__(self, table: Table, *, padding: str, eps: float, mean: Sequence[float], std: Sequence[float]) -> None:
        taken: dict[int, tuple[int, int]] = {}  # stride -> (index of its last stage, channels)
        stride = 2
        for index, stage in enumerate(table.stages):
            stride *= stage[0].stride
            taken[stride] = (index, stage[-1].outputs)
        super().__init__([taken[s][1] for s in (4, 8, 16, 32)], mean, std)
        self.last_stages = tuple(taken[s][0] for s in (4, 8, 16, 32))
        self.conv_stem = convolution(3, table.stem, 3, 2, padding=padding)
        self.bn1 = nn.BatchNorm2d(table.stem, eps)
        self.act = activation(table.act)
        self.blocks = nn.ModuleList()
        inputs = table.stem
        for stage in table.stages:
            blocks = []
            for row in stage:
                blocks.append(_block(inputs, row, row.act or table.act, padding, eps))
                inputs = row.outputs
            self.blocks.append(nn.Sequential(*blocks))
        initialise(self)

    def features(self, feature: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return the four features of an image that is already normalised."""
        feature = self.act(self.bn1(self.conv_stem(feature)))
        found = []
        for index, stage in enumerate(self.blocks):
            feature = stage(feature)
            if index in self.last_stages:
                found.append(feature)
        at4, at8, at16, at32 = found
        return at4, at8, at16, at32


def _block(inputs: int, row: Row, act: str, padding: str, eps: float) -> nn.Module:
    if row.kernel == 1:
        return Pointwise(inputs, row.outputs, act=act, eps=eps)
    if row.inner == 0:
        return DepthwiseSeparable(
            inputs, row.outputs, row.kernel, row.stride, act=act, gate=row.gate, padding=padding, eps=eps
        )
    return InvertedResidual(
        inputs, row.inner, row.outputs, row.kernel, row.stride, act=act, gate=row.gate, padding=padding, eps=eps
    )
