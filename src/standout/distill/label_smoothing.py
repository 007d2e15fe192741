"""Label smoothing: the supervised term sees a label that is never quite sure (Szegedy et al., CVPR 2016)."""

from __future__ import annotations

from torch import Tensor

from standout.distill.strategy import Strategy
from standout.losses.numerics import working
from standout.networks.network import Network
from standout.shapes import Batch, Maps, Mask, Progress


class LabelSmoothing(Strategy):
    """Replaces the label g by (1 - epsilon) g + epsilon / 2; has no term of its own.

    The uniform convention, that of the frameworks: epsilon is spread over both sides. Code that gives the true side
    1 - epsilon instead calls our epsilon half as large.

    Parameters
    ----------
    epsilon : in [0, 1]; 0 leaves the label as it is.

    Raises
    ------
    ValueError : epsilon out of its range.
    """

    def __init__(self, epsilon: float = 0.1) -> None:
        super().__init__()
        if not 0 <= epsilon <= 1:
            raise ValueError(f"epsilon must lie in [0, 1], got {epsilon}")
        self.epsilon = epsilon

    def target(self, batch: Batch, progress: Progress) -> Mask:
        """Return the smoothed label, (N, 1, H, W)."""
        return (1 - self.epsilon) * working(batch.mask) + self.epsilon / 2

    def forward(self, maps: Maps, batch: Batch, network: Network, progress: Progress) -> dict[str, Tensor]:
        """Return no term: the supervised one does the work."""
        return {}
