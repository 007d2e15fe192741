"""Distillation from the hand-made teacher by squared differences of probabilities.

Reconstructed from the abstract; the published equation was not available to us (Chen et al., Dynamic dropout
self-distillation for object segmentation, Complex & Intelligent Systems, 2024): one of its possible distances.
"""

from __future__ import annotations

from torch import Tensor

from standout.distill.mixture import Mixture
from standout.losses.numerics import working
from standout.losses.teachers import mean_squared, softened, teacher_map
from standout.shapes import Batch, Logits, Map


class MeanSquared(Mixture):
    """Term `mean_squared`: the squared difference of the student's map from the teacher's.

    Parameters
    ----------
    alpha, mix : weight of the term, see `standout.distill.mixture.Mixture`.
    confidence : the teacher's probability of the right side, in [0.5, 1].

    Raises
    ------
    ValueError : a number out of its range, or an unknown option.
    """

    term = "mean_squared"

    def __init__(self, alpha: float = 0.5, mix: str = "convex", confidence: float = 0.99) -> None:
        super().__init__(alpha, mix)
        softened(confidence, 1.0)
        self.confidence = float(confidence)

    def per_pixel(self, logits: Logits, batch: Batch) -> Tensor:
        """Return the unreduced and unweighted term, (N, 1, H, W)."""
        return mean_squared(logits, batch.mask, confidence=self.confidence, reduction="none")

    def teacher(self, batch: Batch) -> Map:
        """Return the teacher's foreground probability, (N, 1, H, W)."""
        return teacher_map(working(batch.mask), self.confidence)
