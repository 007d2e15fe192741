"""Online EWC: weights that the past needs are held by their Fisher information."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from standout.lifelong.methods.anchor import Weights, anchored, drift, grown, moved, zeros
from standout.lifelong.methods.method import Meeting, Method
from standout.lifelong.network import Recognised, Recogniser
from standout.lifelong.pictures import Labelled


class OnlineConsolidation(Method):
    """Adds `weight` / 2 times the sum of F (theta - theta*)², F being the running diagonal Fisher information.

    J. Kirkpatrick et al., "Overcoming catastrophic forgetting in neural networks", PNAS 2017; online form: J. Schwarz
    et al., "Progress & Compress", ICML 2018. The Fisher information is the empirical one, of the true labels, picture
    by picture, with the batch norms as in use.

    Parameters
    ----------
    weight : at least 0.
    decay : share of the old information that stays, 0 to 1.
    samples : pictures of each experience that it is estimated from, at least 1.

    Raises
    ------
    ValueError : a number out of range.
    """

    def __init__(self, weight: float = 100.0, decay: float = 0.95, samples: int = 200) -> None:
        if not weight >= 0 or not 0 <= decay <= 1 or not samples >= 1:
            raise ValueError(f"weight {weight}, decay {decay} or samples {samples} is out of range")
        self.weight, self.decay, self.samples = weight, decay, samples
        self.importance: Weights = {}
        self.anchor: Weights = {}

    def terms(self, network: Recogniser, seen: Recognised, batch: Labelled) -> dict[str, Tensor]:
        """Return `consolidation`."""
        if not self.importance or not self.weight:
            return {}
        return {"consolidation": 0.5 * self.weight * drift(network, self.importance, self.anchor)}

    def end(self, network: Recogniser, meeting: Meeting) -> None:
        """Estimate the Fisher information, and hold the weights where they are."""
        found = zeros(network)
        weights = list(network.parameters())
        count = 0
        for batch in meeting.pictures():
            wanted = range(min(len(batch.image), self.samples - count))
            for place in wanted:
                scores = network(batch.image[place : place + 1]).scores.float()
                loss = F.cross_entropy(scores, batch.label[place : place + 1])
                for total, gradient in zip(
                    found.values(), torch.autograd.grad(loss, weights, allow_unused=True), strict=True
                ):
                    if gradient is not None:
                        total += gradient.square()
            count += len(wanted)
            if count == self.samples:
                break
        old = grown(self.importance, network)
        self.importance = {name: self.decay * old[name] + total / count for name, total in found.items()}
        self.anchor = anchored(network)

    def state(self) -> dict[str, Any]:
        """Return importance and anchor."""
        return {"importance": dict(self.importance), "anchor": dict(self.anchor)}

    def load(self, state: Mapping[str, Any], network: Recogniser) -> None:
        """Take both back."""
        self.importance, self.anchor = (moved(state[name], network) for name in ("importance", "anchor"))
