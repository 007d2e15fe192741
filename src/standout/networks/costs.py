"""What a network costs: its parameters and the multiply-adds of one picture."""

from __future__ import annotations

import copy
from typing import NamedTuple

import torch
from torch import Tensor, nn


class Cost(NamedTuple):
    """Parameters that a trained network keeps, and multiply-adds of its convolutions and linear layers."""

    parameters: int
    multiply_adds: int


def cost(network: nn.Module, size: int | tuple[int, int]) -> Cost:
    """Return what one picture of `size` (a side, or height and width) costs.

    Counted on the shapes of a forward pass that computes no values; the network and the random streams stay as
    they are. Additions, activations, resizing and batch norms, which fold into convolutions, are not counted.

    Raises
    ------
    ValueError : a size below 1.
    """
    height, width = (size, size) if isinstance(size, int) else size
    if height < 1 or width < 1:
        raise ValueError(f"a picture's sides must be at least 1, not {height} x {width}")
    total = 0

    def count(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal total
        if isinstance(layer, nn.Linear):
            total += output.numel() * layer.in_features
        elif isinstance(layer, nn.ConvTranspose2d):
            total += inputs[0].numel() * layer.weight[0].numel()  # every input value meets one kernel per output
        elif isinstance(layer, nn.Conv2d):
            total += output.numel() * layer.weight[0].numel()

    shadow = copy.deepcopy(network).to("meta").eval()
    for layer in shadow.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear | nn.ConvTranspose2d):
            layer.register_forward_hook(count)
    with torch.no_grad():
        shadow(torch.empty(1, 3, height, width, device="meta"))
    return Cost(sum(parameter.numel() for parameter in network.parameters()), total)
