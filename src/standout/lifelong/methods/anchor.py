"""Weights held near where they were, each by its importance: what EWC and SI share."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from standout.lifelong.network import Recogniser

Weights = dict[str, Tensor]


def anchored(network: Recogniser) -> Weights:
    """Return a copy of every weight as it is now."""
    return {name: weight.detach().clone() for name, weight in network.named_parameters()}


def zeros(network: Recogniser) -> Weights:
    """Return a zero for every weight."""
    return {name: torch.zeros_like(weight) for name, weight in network.named_parameters()}


def drift(network: Recogniser, importance: Mapping[str, Tensor], anchor: Mapping[str, Tensor]) -> Tensor:
    """Return the sum over all weights of importance times the square of the distance from the anchor.

    Rows of the classifier that came after the anchor have no importance.
    """
    weights = dict(network.named_parameters())
    parts = [
        (held * (weights[name][: len(held)] - anchor[name][: len(held)]).square()).sum()
        for name, held in importance.items()
    ]
    return torch.stack(parts).sum()


def grown(old: Mapping[str, Tensor], network: Recogniser) -> Weights:
    """Return the numbers with a zero for every row that has come since."""
    whole = zeros(network)
    for name, values in old.items():
        whole[name][: len(values)] = values
    return whole


def moved(stored: Mapping[str, Tensor], network: Recogniser) -> Weights:
    """Return stored numbers where the network is, each in its weight's own memory order."""
    weights = dict(network.named_parameters())
    return {
        name: torch.empty_like(weights[name]).copy_(values)
        if values.shape == weights[name].shape
        else values.to(weights[name].device)
        for name, values in stored.items()
    }
