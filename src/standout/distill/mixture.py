"""A pixel strategy that shares the loss with the supervised term by one number, alpha."""

from __future__ import annotations

from torch import Tensor

from standout.distill.strategy import PixelStrategy
from standout.losses.divergence import IGNORE
from standout.losses.numerics import check_option, reduce
from standout.networks.network import Network
from standout.shapes import Batch, Maps, Progress

MIXES = ("convex", "additive")


class Mixture(PixelStrategy):
    """Gives alpha times the mean of its map under the name `term`; "convex" leaves 1 - alpha to the supervised term.

    Parameters
    ----------
    alpha : weight of the term, in [0, 1], or at least 0 with "additive"; 0 does not evaluate the term at all.
    mix : "convex", (1 - alpha) task + alpha term; "additive", task + alpha term.

    Raises
    ------
    ValueError : alpha out of its range, or an unknown mix.
    """

    term: str

    def __init__(self, alpha: float = 0.5, mix: str = "convex") -> None:
        super().__init__()
        check_option("mix", mix, MIXES)
        most = 1.0 if mix == "convex" else float("inf")
        if not 0 <= alpha <= most:
            raise ValueError(f"alpha must lie in [0, {most:g}] with mix {mix!r}, got {alpha}")
        self.alpha = alpha
        self.mix = mix
        self.task_weight = 1.0 - alpha if mix == "convex" else 1.0

    def forward(self, maps: Maps, batch: Batch, network: Network, progress: Progress) -> dict[str, Tensor]:
        """Return the weighted mean over the pixels that count."""
        if self.alpha == 0:
            return {}
        return {self.term: self.alpha * reduce(self.per_pixel(maps.logits, batch), counting_pixels(batch))}


def counting_pixels(batch: Batch) -> Tensor | None:
    """Return which pixels count: all (None) with masks, those that have a class with whole-number labels."""
    return None if batch.mask.is_floating_point() else batch.mask != IGNORE
