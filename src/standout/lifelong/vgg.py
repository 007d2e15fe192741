"""VGG-16, SDKD's baseline: thirteen convolutions and two wide layers, under torchvision's names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from standout.lifelong.network import Recognised, Recogniser
from standout.shapes import Image

SIXTEEN: Sequence[Sequence[int]] = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))
"""Channels of the convolutions between poolings (K. Simonyan, A. Zisserman, ICLR 2015, column D)."""
GRID = 7
DROPPED = 0.5


class VGGRecogniser(Recogniser):
    """VGG as published, with a pooling to 7 x 7 before the wide layers, so that it takes pictures of any size.

    Parameters
    ----------
    stages : channels of the convolutions between poolings.
    hidden : width of the two layers before the classifier.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self, classes: Sequence[str], *, stages: Sequence[Sequence[int]], hidden: int, mean: Any, std: Any
    ) -> None:
        super().__init__(classes)
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1), persistent=False)
        layers: list[nn.Module] = []
        inputs = 3
        for stage in stages:
            for outputs in stage:
                layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU(inplace=True)]
                inputs = outputs
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        self.hidden = nn.Sequential(
            nn.Linear(inputs * GRID * GRID, hidden), nn.ReLU(inplace=True), nn.Dropout(DROPPED),
            nn.Linear(hidden, hidden), nn.ReLU(inplace=True), nn.Dropout(DROPPED),
        )  # fmt: skip
        self.classifier = nn.Linear(hidden, len(self.classes))
        poolings = [place for place, layer in enumerate(layers) if isinstance(layer, nn.MaxPool2d)]
        self._half = poolings[-2] + 1
        for layer in layers:
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
                nn.init.zeros_(layer.get_parameter("bias"))

    def lower(self, image: Image) -> Tensor:
        """Return the feature after the last but one pooling, (N, C, H/16, W/16), of an image (N, 3, H, W)."""
        feature: Tensor = self.features[: self._half]((image - self.mean) / self.std)
        return feature

    def upper(self, block5: Tensor) -> Recognised:
        """Return the scores of that feature."""
        feature = F.adaptive_avg_pool2d(self.features[self._half :](block5), GRID)
        return Recognised(self.classifier(self.hidden(feature.flatten(1))))

    def lower_parts(self) -> list[nn.Module]:
        """Return the layers up to the last but one pooling."""
        return list(self.features.children())[: self._half]


def our_name(name: str) -> str:
    """Return our name of a tensor of torchvision's: the layers before its classifier's last are the hidden ones."""
    return name.replace("classifier.", "hidden.", 1) if name.startswith(("classifier.0.", "classifier.3.")) else name
