"""DER++: pictures from memory, with the scores that they had when they were remembered."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from standout.lifelong.methods.method import Method
from standout.lifelong.network import Recognised, Recogniser
from standout.lifelong.pictures import Labelled

SCORE_BYTES = 4


class DarkReplay(Method):
    """Adds `alpha` times the squared distance of scores and remembered scores, and `beta` times replay's own term.

    P. Buzzega et al., "Dark Experience for General Continual Learning", NeurIPS 2020. Here scores are taken when an
    experience ends, of the picture as it is, not along the way; and both terms are of the same draw.

    Parameters
    ----------
    alpha, beta : at least 0.

    Raises
    ------
    ValueError : a number below 0.
    """

    memory = "pictures"

    def __init__(self, alpha: float = 0.5, beta: float = 0.5) -> None:
        if not alpha >= 0 or not beta >= 0:
            raise ValueError(f"alpha and beta must be at least 0, not {alpha} and {beta}")
        self.alpha, self.beta = alpha, beta

    def task(self, seen: Recognised, batch: Labelled) -> Tensor:
        """Return the cross-entropy of the experience's own pictures."""
        new = len(batch.label) - batch.replayed
        return F.cross_entropy(seen.scores[:new].float(), batch.label[:new])

    def terms(self, network: Recogniser, seen: Recognised, batch: Labelled) -> dict[str, Tensor]:
        """Return `replay` and `scores`."""
        if not batch.replayed:
            return {}
        scores = seen.scores[-batch.replayed :].float()
        # Classes that came later had no score then.
        apart = [F.mse_loss(now[: len(then)], then) for now, then in zip(scores, batch.remembered, strict=True)]
        terms = {"replay": self.beta * F.cross_entropy(scores, batch.label[-batch.replayed :])}
        return {**terms, "scores": self.alpha * torch.stack(apart).mean()}

    def item_bytes(self, network: Recogniser, side: int) -> int:
        """Return the bytes of the picture and its scores."""
        return 3 * side * side + SCORE_BYTES * len(network.classes)

    def payload(self, network: Recogniser, batch: Labelled) -> Tensor:
        """Return the scores, float32."""
        found: Recognised = network(batch.image)
        return found.scores.float()
