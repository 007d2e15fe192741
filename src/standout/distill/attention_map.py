"""The cascade's first map learns from the mask too, as both of CPD's maps do."""

from __future__ import annotations

import math

import torch.nn.functional as F
from torch import Tensor

from standout.distill.strategy import Strategy
from standout.errors import EXIT_USAGE, StandoutError
from standout.losses.numerics import working
from standout.losses.region import binary_cross_entropy
from standout.networks.cascade import ATTENTION
from standout.networks.network import Network
from standout.shapes import Batch, Maps, Progress


class AttentionMap(Strategy):
    """Adds `weight` times the binary cross-entropy of the first map, resized to the mask, against the mask.

    Z. Wu, L. Su, Q. Huang, CVPR 2019: the loss is the sum of both maps' cross-entropies; the second map's is the term
    `task`.

    Parameters
    ----------
    weight : at least 0; 1 in the paper.

    Raises
    ------
    ValueError : a number out of range.
    """

    levels = (ATTENTION,)

    def __init__(self, weight: float = 1.0) -> None:
        super().__init__()
        if not 0 <= weight < math.inf:
            raise ValueError(f"weight must not be negative, got {weight}")
        self.weight = weight

    def bind(self, network: Network, samples: int) -> None:
        """Refuse a network that has no such map.

        Raises
        ------
        StandoutError : exit code 2.
        """
        if ATTENTION not in network.channels:
            raise StandoutError(
                "levels-missing", "attention_map needs a cascade, which has two maps", type(network).__name__,
                "take the network cascade_mobilenetv2_100, or leave the strategy out", exit_code=EXIT_USAGE,
            )  # fmt: skip

    def forward(self, maps: Maps, batch: Batch, network: Network, progress: Progress) -> dict[str, Tensor]:
        """Return the term `attention_map`."""
        size = (batch.mask.shape[-2], batch.mask.shape[-1])
        logits = F.interpolate(working(maps.features[ATTENTION]), size=size, mode="bilinear", align_corners=False)
        return {"attention_map": self.weight * binary_cross_entropy(logits, batch.mask)}
