"""The tensor words that every room speaks: image, mask, logits, map, batch, progress.

Letters in all docstrings: N pictures, C channels, H rows, W columns, K classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from torch import Tensor

Image = Tensor
"""(N, 3, H, W), RGB in 0..1, float; networks subtract their own mean and divide by their own deviation."""
Mask = Tensor
"""(N, 1, H, W) in [0, 1], float, may be soft."""
Logits = Tensor
"""(N, 1, H, W) or (N, K, H, W), any real number; never a probability."""
Map = Tensor
"""(N, 1, H, W) in [0, 1]: logits after the sigmoid."""


class Maps(NamedTuple):
    """What one forward pass of a network gives.

    `logits` is (N, 1, H, W) at the image's size; `features` holds only the levels that were asked for,
    at their native stride.
    """

    logits: Logits
    features: Mapping[str, Tensor] = MappingProxyType({})


class Batch(NamedTuple):
    """Pictures and labels of one step.

    image : (N, 3, H, W), RGB in 0..1.
    mask : (N, 1, H, W) in [0, 1], may be soft.
    index : (N,) int64, stable sample ids in 0..samples-1.
    affine : (N, 2, 3), this view to the sample's canonical frame, in normalised [-1, 1] coordinates with
        `align_corners=False`: `grid_sample(canonical, affine_grid(affine, size))` gives the view.
    views : further views of the same samples, where a strategy asked for them.
    known : (N, 1, H, W) bool, false where the label says nothing; None where it speaks everywhere.
    """

    image: Image
    mask: Mask
    # The field has this name everywhere; a batch is never searched as a tuple.
    index: Tensor | None = None  # type: ignore[assignment]
    affine: Tensor | None = None
    views: Mapping[str, Batch] = MappingProxyType({})
    known: Tensor | None = None


class Progress(NamedTuple):
    """Where training stands: optimiser steps and epochs done, and how many there will be."""

    step: int
    steps: int
    epoch: int
    epochs: int

    @property
    def fraction(self) -> float:
        """Progress in [0, 1]: 0 at the first step, 1 at the last."""
        return self.step / max(1, self.steps - 1)
