"""The twin of `standout.counter_hash` on the device: the same bits, computed where the pixels are."""

from __future__ import annotations

import torch
from torch import Tensor

from standout.counter_hash import DRAW_BITS, LAST_SHIFT, MIX, STEP


def pixel_draws(seed: int, epoch: int, index: Tensor, pixels: int) -> Tensor:
    """Return one draw a pixel as int64 in 0..2**53-1, equal to `counter_hash.uniform` times 2**53 at view 0.

    Whole numbers, because some devices have no 64-bit floats.

    Parameters
    ----------
    index : (N,) int64, sample ids; the result (N, pixels) is on its device.
    """
    state = torch.zeros_like(index, dtype=torch.int64)
    for counter in (torch.tensor(_signed(seed)), torch.tensor(epoch), index, torch.tensor(0)):
        state = _mixed(state + _step(counter, index.device))
    steps = _step(torch.arange(pixels), index.device)
    return _shifted(_mixed(state[:, None] + steps[None, :]), 64 - DRAW_BITS)


def _step(counter: Tensor, device: torch.device) -> Tensor:
    return (counter.to(device, torch.int64) + 1) * _signed(STEP)


def _mixed(state: Tensor) -> Tensor:
    for shift, factor in MIX:
        state = (state ^ _shifted(state, shift)) * _signed(factor)
    return state ^ _shifted(state, LAST_SHIFT)


def _shifted(state: Tensor, bits: int) -> Tensor:
    # Signed integers shift their sign in from the left; the mask takes it out again.
    return torch.bitwise_and(state >> bits, 2 ** (64 - bits) - 1)


def _signed(word: int) -> int:
    word &= 2**64 - 1
    return word - 2**64 if word >= 2**63 else word
