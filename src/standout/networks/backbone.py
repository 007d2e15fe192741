"""What a backbone is: an image in, four features out, with its own preprocessing first."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from standout.shapes import Image

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class Backbone(nn.Module):
    """Gives the features of an image at strides 4, 8, 16 and 32.

    Parameters
    ----------
    channels : of the four features.
    mean, std : three numbers each, for RGB in 0..1; buffers that no weight file holds.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, channels: Sequence[int], mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.channels = tuple(channels)
        self.register_buffer("mean", torch.tensor(tuple(mean), dtype=torch.float32).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(tuple(std), dtype=torch.float32).view(1, 3, 1, 1), persistent=False)

    def forward(self, image: Image) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return the features (N, channels[i], H / 2**(i + 2), W / 2**(i + 2)), sizes rounded up."""
        return self.features((image - self.mean) / self.std)

    def features(self, feature: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return the four features of an image that is already normalised."""
        raise NotImplementedError  # abstract
