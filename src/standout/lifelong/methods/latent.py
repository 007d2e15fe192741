"""Latent replay: what is remembered of a picture is block 5's feature, below which nothing learns any more."""

from __future__ import annotations

import torch
from torch import Tensor

from standout.lifelong.methods.method import Method
from standout.lifelong.network import Recognised, Recogniser
from standout.lifelong.pictures import Labelled

LATENT_BYTES = 2


class LatentReplay(Method):
    """Mixes remembered features into each step; from the second experience on the lower half is frozen.

    L. Pellegrini et al., "Latent Replay for Real-Time Continual Learning", IROS 2020, with the lower half wholly
    frozen, its batch norms too, so that what is remembered stays true. Features are remembered in half precision, of
    the picture as it is.
    """

    memory = "latents"

    def __init__(self) -> None:
        self.frozen = False

    def freeze(self, network: Recogniser, number: int) -> None:
        """Freeze the stem and the first five blocks."""
        self.frozen = number > 0
        if self.frozen:
            for part in network.lower_parts():
                part.eval().requires_grad_(False)

    def look(self, network: Recogniser, batch: Labelled) -> Recognised:
        """Return what the network gives for the pictures, then for the remembered features."""
        with torch.set_grad_enabled(not self.frozen):
            feature = network.lower(batch.image)
        if batch.remembered:
            feature = torch.cat([feature, torch.stack(batch.remembered).to(feature.dtype)])
        return network.upper(feature)

    def item_bytes(self, network: Recogniser, side: int) -> int:
        """Return the bytes of a feature."""
        device = next(network.parameters()).device
        with torch.no_grad():
            return LATENT_BYTES * network.lower(torch.zeros(1, 3, side, side, device=device)).numel()

    def payload(self, network: Recogniser, batch: Labelled) -> Tensor:
        """Return the features, float16."""
        limits = torch.finfo(torch.float16)
        return network.lower(batch.image).clamp(limits.min, limits.max).half()
