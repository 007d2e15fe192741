"""FusionNet: squeeze four backbone features to one width, fuse them from deep to shallow, read one map.

The backbone and the number of levels are PSPSD's; widths and fusion are reconstructed from the abstract; the published
equation was not available to us.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from standout.networks.backbone import Backbone
from standout.networks.blocks import initialise
from standout.networks.network import Network
from standout.shapes import Image, Logits, Maps

FUSIONS = ("topdown", "concat")


class FusionNet(Network):
    """A backbone, a top-down fusion of its features and one head.

    Parameters
    ----------
    backbone : gives features at strides 4, 8, 16 and 32; normalises the image first.
    width : channels of every squeezed and fused feature.
    separable : depthwise 3x3 and pointwise convolutions in the fusion, instead of full 3x3 ones.
    fusion : "topdown" adds each level to the deeper one's upsampled result; "concat" resizes all levels to
        stride 4, concatenates and fuses once, so that "decoder4" is the only decoder level.
    """

    def __init__(
        self, backbone: Backbone, *, width: int = 64, separable: bool = False, fusion: str = "topdown"
    ) -> None:
        super().__init__()
        if fusion not in FUSIONS:
            raise ValueError(f"fusion must be one of {', '.join(FUSIONS)}, not {fusion!r}")
        self.fusion = fusion
        decoders = (4,) if fusion == "concat" else (32, 16, 8, 4)
        self.channels = {
            **{f"encoder{s}": c for s, c in zip((4, 8, 16, 32), backbone.channels, strict=True)},
            **{f"decoder{s}": width for s in decoders},
        }
        self.backbone = backbone
        self.squeeze = nn.ModuleList(_unit(nn.Conv2d(c, width, 1, bias=False), width) for c in backbone.channels)
        if fusion == "concat":
            self.fuse = nn.ModuleList([_fuse(4 * width, width, separable)])
        else:
            self.fuse = nn.ModuleList(_fuse(width, width, separable) for _ in range(3))
        self.score = nn.Conv2d(width, 1, 3, padding=1)
        for part in (self.squeeze, self.fuse, self.score):  # the backbone has its own start
            initialise(part)

    def forward(self, image: Image, levels: Sequence[str] = ()) -> Maps:
        """Return logits (N, 1, H, W) at the image's size and the asked levels.

        Raises
        ------
        ValueError : a level that this network does not have.
        """
        self.check_levels(levels)
        encoder = self.backbone(image)
        squeezed = [squeeze(feature) for squeeze, feature in zip(self.squeeze, encoder, strict=True)]
        decoder = self._fused(squeezed)
        found = {f"encoder{4 * 2**i}": feature for i, feature in enumerate(encoder)} | decoder
        logits = self.head(decoder["decoder4"], (image.shape[-2], image.shape[-1]))
        return Maps(logits, {level: found[level] for level in levels})

    def head(self, feature: Tensor, size: tuple[int, int]) -> Logits:
        """Return the logits (N, 1, *size) of a feature (N, width, h, w)."""
        return _resize(self.score(feature), size)

    def _fused(self, squeezed: Sequence[Tensor]) -> dict[str, Tensor]:
        """Return the decoder levels, deepest first, of the squeezed features, shallowest first."""
        if self.fusion == "concat":
            size = (squeezed[0].shape[-2], squeezed[0].shape[-1])
            return {"decoder4": self.fuse[0](torch.cat([_resize(feature, size) for feature in squeezed], 1))}
        fused = squeezed[3]
        decoder = {"decoder32": fused}
        # fuse[0] makes decoder4, fuse[2] decoder16: the same order as squeeze
        for index in (2, 1, 0):
            feature = squeezed[index]
            fused = self.fuse[index](feature + _resize(fused, (feature.shape[-2], feature.shape[-1])))
            decoder[f"decoder{4 * 2**index}"] = fused
        return decoder


def _resize(feature: Tensor, size: tuple[int, int]) -> Tensor:
    return F.interpolate(feature, size=size, mode="bilinear", align_corners=False)


def _unit(convolution: nn.Module, width: int) -> nn.Sequential:
    return nn.Sequential(convolution, nn.BatchNorm2d(width), nn.ReLU(inplace=True))


def _fuse(inputs: int, width: int, separable: bool) -> nn.Sequential:
    if not separable:
        return _unit(nn.Conv2d(inputs, width, 3, padding=1, bias=False), width)
    depthwise = nn.Conv2d(inputs, inputs, 3, padding=1, groups=inputs, bias=False)
    return _unit(nn.Sequential(depthwise, nn.Conv2d(inputs, width, 1, bias=False)), width)
