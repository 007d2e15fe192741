"""A module that gives logits and nothing else, with the face of a `Network`; see `bridges` for those that give more."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from standout.networks.network import Network
from standout.shapes import Image, Logits, Maps


class AdaptedModule(Network):
    """A plain module behind the face of a network; it has no levels, so it takes label-only strategies.

    Parameters
    ----------
    module : takes (N, 3, H, W) and returns logits (N, 1, h, w), which are resized to (H, W) where they differ.
    mean, std : three numbers each, for RGB in 0..1; what the module itself was trained with.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, module: nn.Module, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        if len(mean) != 3 or len(std) != 3 or min(std) <= 0:
            raise ValueError(f"mean and std must be three numbers each, std above 0, not {mean} and {std}")
        self.channels = {}
        self.module = module
        self.register_buffer("mean", torch.tensor(tuple(mean), dtype=torch.float32).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(tuple(std), dtype=torch.float32).view(1, 3, 1, 1), persistent=False)

    def forward(self, image: Image, levels: Sequence[str] = ()) -> Maps:
        """Return logits (N, 1, H, W).

        Raises
        ------
        ValueError : a level is asked for, or the module's output is no (N, 1, h, w).
        TypeError : the module's output is no tensor.
        """
        if levels:
            raise ValueError(f"no level {', '.join(levels)}; {type(self.module).__name__} is adapted without levels")
        logits = self.module((image - self.mean) / self.std)
        if not isinstance(logits, Tensor):
            raise TypeError(f"{type(self.module).__name__} must return a tensor of logits, not {type(logits).__name__}")
        if logits.ndim != 4 or logits.shape[0] != image.shape[0] or logits.shape[1] != 1:
            raise ValueError(
                f"logits must be (N, 1, h, w) for an image {tuple(image.shape)}, not {tuple(logits.shape)}"
            )
        size = (image.shape[-2], image.shape[-1])
        if logits.shape[-2:] != image.shape[-2:]:
            logits = F.interpolate(logits, size=size, mode="bilinear", align_corners=False)
        return Maps(logits)

    def head(self, feature: Tensor, size: tuple[int, int]) -> Logits:  # noqa: ARG002 - the face of every network
        """Refuse: an adapted module has no decoder level that its head could be given.

        Raises
        ------
        ValueError : always.
        """
        raise ValueError(f"{type(self.module).__name__} is adapted without levels, so its head cannot be used alone")
