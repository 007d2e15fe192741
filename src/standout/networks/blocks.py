"""The convolutions and blocks that backbones are made of, under the parameter names of timm."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

PADDINGS = ("plain", "same")


class SameConv2d(nn.Conv2d):
    """A strided convolution padded as TensorFlow does: the output is the input's size over the stride, rounded up.

    The padding depends on the input's size and its odd pixel goes to the right and the bottom, so weights that
    were trained this way lose accuracy under plain padding.
    """

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - the name of the overridden method's parameter
        """Return (N, C, ceil(H / stride), ceil(W / stride)) for an input (N, C, H, W)."""
        down = self._padding(input.shape[-2], 0)
        across = self._padding(input.shape[-1], 1)
        return super().forward(F.pad(input, (across // 2, across - across // 2, down // 2, down - down // 2)))

    def _padding(self, side: int, axis: int) -> int:
        kernel, stride = self.kernel_size[axis], self.stride[axis]
        # For a kernel not smaller than its stride the usual max(0, ...) is never needed: no branch to export. In this
        # order of terms an exporter sees that the padded side is a multiple of the stride plus a constant.
        return (side + stride - 1) // stride * stride + kernel - stride - side


def convolution(
    inputs: int, outputs: int, kernel: int, stride: int = 1, *, groups: int = 1, padding: str = "plain"
) -> nn.Conv2d:
    """Return a biasless convolution with an odd square kernel, padded "plain" (kernel // 2) or "same"."""
    if padding == "same" and stride > 1:
        return SameConv2d(inputs, outputs, kernel, stride, groups=groups, bias=False)
    # At stride 1 both kinds pad kernel // 2 on every side.
    return nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)


def activation(name: str) -> nn.Module:
    """Return the activation "relu", "relu6" or "hardswish"."""
    if name == "hardswish":
        return nn.Hardswish()  # its gradient needs its input, so not in place
    return nn.ReLU6(inplace=True) if name == "relu6" else nn.ReLU(inplace=True)


class SqueezeExcite(nn.Module):
    """A gate per channel from the channel's mean: reduce to a quarter, relu, expand, hard sigmoid."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = eighths(channels / 4)
        self.conv_reduce = nn.Conv2d(channels, inner, 1)
        self.conv_expand = nn.Conv2d(inner, channels, 1)

    def forward(self, feature: Tensor) -> Tensor:
        """Return `feature` (N, C, H, W) times its gates."""
        gate: Tensor = self.conv_reduce(feature.mean((2, 3), keepdim=True)).relu()
        gate = F.hardsigmoid(self.conv_expand(gate))
        return feature * gate


def eighths(channels: float) -> int:
    """Return the multiple of 8 nearest to `channels`, at least 8 and at most a tenth below it (MobileNet's rule)."""
    near = max(8, int(channels + 4) // 8 * 8)
    return near + 8 if near < 0.9 * channels else near


class DepthwiseSeparable(nn.Module):
    """Depthwise convolution, activation, optional gate, then a linear 1x1 convolution."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int, stride: int, *, act: str, gate: bool, padding: str, eps: float
    ) -> None:
        super().__init__()
        self.conv_dw = convolution(inputs, inputs, kernel, stride, groups=inputs, padding=padding)
        self.bn1 = nn.BatchNorm2d(inputs, eps)
        self.act = activation(act)
        self.se = SqueezeExcite(inputs) if gate else nn.Identity()
        self.conv_pw = convolution(inputs, outputs, 1)
        self.bn2 = nn.BatchNorm2d(outputs, eps)
        self.residual = stride == 1 and inputs == outputs

    def forward(self, feature: Tensor) -> Tensor:
        """Return (N, outputs, H / stride, W / stride)."""
        inner: Tensor = self.se(self.act(self.bn1(self.conv_dw(feature))))
        inner = self.bn2(self.conv_pw(inner))
        return feature + inner if self.residual else inner


class InvertedResidual(nn.Module):
    """1x1 expansion, depthwise convolution, optional gate, then a linear 1x1 projection (MobileNetV2)."""

    def __init__(
        self,
        inputs: int,
        inner: int,
        outputs: int,
        kernel: int,
        stride: int,
        *,
        act: str,
        gate: bool,
        padding: str,
        eps: float,
    ) -> None:
        super().__init__()
        self.conv_pw = convolution(inputs, inner, 1)
        self.bn1 = nn.BatchNorm2d(inner, eps)
        self.act = activation(act)
        self.conv_dw = convolution(inner, inner, kernel, stride, groups=inner, padding=padding)
        self.bn2 = nn.BatchNorm2d(inner, eps)
        self.se = SqueezeExcite(inner) if gate else nn.Identity()
        self.conv_pwl = convolution(inner, outputs, 1)
        self.bn3 = nn.BatchNorm2d(outputs, eps)
        self.residual = stride == 1 and inputs == outputs

    def forward(self, feature: Tensor) -> Tensor:
        """Return (N, outputs, H / stride, W / stride)."""
        inner: Tensor = self.act(self.bn1(self.conv_pw(feature)))
        inner = self.se(self.act(self.bn2(self.conv_dw(inner))))
        inner = self.bn3(self.conv_pwl(inner))
        return feature + inner if self.residual else inner


class Pointwise(nn.Module):
    """1x1 convolution, batch norm, activation: the last block of MobileNetV3."""

    def __init__(self, inputs: int, outputs: int, *, act: str, eps: float) -> None:
        super().__init__()
        self.conv = convolution(inputs, outputs, 1)
        self.bn1 = nn.BatchNorm2d(outputs, eps)
        self.act = activation(act)

    def forward(self, feature: Tensor) -> Tensor:
        """Return (N, outputs, H, W)."""
        outputs: Tensor = self.act(self.bn1(self.conv(feature)))
        return outputs


def initialise(module: nn.Module) -> None:
    """Set every convolution to Kaiming normal (fan-in, relu), every batch norm to 1 and 0, every bias to 0."""
    if any(parameter.is_meta for parameter in module.parameters()):
        return  # there is nothing to set; trying loads torch's compiler, a second of every start
    for part in module.modules():
        if isinstance(part, nn.Conv2d):
            nn.init.kaiming_normal_(part.weight, mode="fan_in", nonlinearity="relu")
            if part.bias is not None:
                nn.init.zeros_(part.bias)
        elif isinstance(part, nn.BatchNorm2d):
            nn.init.ones_(part.weight)
            nn.init.zeros_(part.bias)
