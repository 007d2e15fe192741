"""What a strategy is: an object that exists only while a network learns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from standout.networks.network import Network
from standout.shapes import Batch, Logits, Map, Maps, Mask, Progress


class Strategy(nn.Module):
    """Gives named, weighted terms to minimise; is dropped when training ends.

    The network is passed to every method and never stored. What must travel with the device is a buffer;
    further state goes through `get_extra_state` as a flat dict of tensors, numbers, strings and booleans.

    Attributes
    ----------
    levels : names of the features that the main forward pass must record, such as "decoder8".
    views : names of the further views that the loader must supply.
    task_weight : factor on the supervised term; a convex mixture sets 1 - alpha.
    """

    levels: Sequence[str] = ()
    views: Sequence[str] = ()
    task_weight: float = 1.0

    def bind(self, network: Network, samples: int) -> None:
        """Build the parts that exist only in training; called once, before any optimiser is made."""

    def target(self, batch: Batch, progress: Progress) -> Mask:
        """Return the label that the supervised term uses; overridden only where a strategy changes the label."""
        raise NotImplementedError  # abstract

    def forward(self, maps: Maps, batch: Batch, network: Network, progress: Progress) -> dict[str, Tensor]:
        """Return this strategy's weighted scalar terms under their own names."""
        raise NotImplementedError  # abstract

    def after_step(self, maps: Maps, batch: Batch, network: Network, progress: Progress) -> None:
        """Update averages and stores after the optimiser's step; runs without gradients."""

    def after_epoch(self, network: Network, progress: Progress, scores: Mapping[str, float]) -> None:
        """Take notice of the validation scores, by their measure names; runs without gradients."""

    def diagnostics(self) -> dict[str, float]:
        """Return what is worth logging of the epoch so far, by name; empty where there is nothing."""
        return {}


def changes_target(strategy: Strategy) -> bool:
    """Whether the strategy defines its own `target`."""
    return type(strategy).target is not Strategy.target


class PixelStrategy(Strategy):
    """A strategy whose term is one number per pixel, so that dynamic dropout can leave pixels out.

    Attributes
    ----------
    alpha : weight of the term; at 0 it is not evaluated.
    """

    alpha: float = 1.0

    def per_pixel(self, logits: Logits, batch: Batch) -> Tensor:
        """Return the unreduced and unweighted distillation term, (N, 1, H, W) float32 or float64."""
        raise NotImplementedError  # abstract

    def teacher(self, batch: Batch) -> Map:
        """Return the teacher's foreground probability at temperature 1, (N, 1, H, W), without gradient."""
        raise NotImplementedError  # abstract
