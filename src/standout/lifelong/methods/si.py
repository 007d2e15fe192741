"""Synaptic intelligence: weights are held by how much they brought while they moved."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from standout.lifelong.methods.anchor import Weights, anchored, drift, grown, moved, zeros
from standout.lifelong.methods.method import Meeting, Method
from standout.lifelong.network import Recognised, Recogniser
from standout.lifelong.pictures import Labelled


class SynapticIntelligence(Method):
    """Adds `weight` times the sum of Omega (theta - theta*)², Omega being what each weight's path brought.

    F. Zenke, B. Poole, S. Ganguli, "Continual Learning Through Synaptic Intelligence", ICML 2017. The path integral
    takes the gradient without this term's own part; a weight's importance never falls below 0.

    Parameters
    ----------
    weight : c in the paper, at least 0.
    damping : xi in the paper, above 0.

    Raises
    ------
    ValueError : a number out of range.
    """

    def __init__(self, weight: float = 0.1, damping: float = 0.1) -> None:
        if not weight >= 0 or not damping > 0:
            raise ValueError(f"weight {weight} or damping {damping} is out of range")
        self.weight, self.damping = weight, damping
        self.importance: Weights = {}
        self.anchor: Weights = {}
        self.path: Weights = {}
        self._before: Weights = {}

    def freeze(self, network: Recogniser, number: int) -> None:
        """Take notice of where the weights are; their path begins, or goes on, here."""
        self.path = self.path or zeros(network)
        self._before = anchored(network)
        self.anchor = self.anchor or anchored(network)
        for name, now in self._before.items():
            old = self.anchor[name]
            if len(old) < len(now):  # a row that has come since is held by nothing yet, but its way too begins here
                self.anchor[name] = torch.cat([old, now[len(old) :]])

    def terms(self, network: Recogniser, seen: Recognised, batch: Labelled) -> dict[str, Tensor]:
        """Return `consolidation`."""
        if not self.importance or not self.weight:
            return {}
        return {"consolidation": self.weight * drift(network, self.importance, self.anchor)}

    @torch.no_grad()
    def after_step(self, network: Recogniser) -> None:
        """Add what each weight's step brought, to first order."""
        for name, weight in network.named_parameters():
            before = self._before[name]
            if weight.grad is not None:
                gradient = weight.grad
                if name in self.importance:
                    held = self.importance[name]
                    way = before[: len(held)] - self.anchor[name][: len(held)]
                    gradient = gradient.clone()
                    gradient[: len(held)] -= 2 * self.weight * held * way
                self.path[name] -= gradient * (weight - before)
            before.copy_(weight)

    @torch.no_grad()
    def end(self, network: Recogniser, meeting: Meeting) -> None:
        """Turn paths into importance, and hold the weights where they are."""
        importance = grown(self.importance, network)
        weights = dict(network.named_parameters())
        for name, brought in self.path.items():
            way = weights[name].detach() - self.anchor[name]
            importance[name] += (brought / (way.square() + self.damping)).clamp_min(0)
        self.importance, self.anchor = importance, anchored(network)
        self.path, self._before = {}, {}

    def state(self) -> dict[str, Any]:
        """Return importance, anchor and the path so far."""
        return {"importance": dict(self.importance), "anchor": dict(self.anchor), "path": dict(self.path)}

    def load(self, state: Mapping[str, Any], network: Recogniser) -> None:
        """Take them back."""
        self.importance, self.anchor, self.path = (
            moved(state[name], network) for name in ("importance", "anchor", "path")
        )
