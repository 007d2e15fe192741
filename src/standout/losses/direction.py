"""Which way a loss pulls: where it opposes cross-entropy, and how hard it pulls beside it.

With these two every claim about a distillation term can be controlled: a term that never opposes cross-entropy may
still do nothing but change the learning rate.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from standout.losses.numerics import cross_entropy_map
from standout.shapes import Logits, Mask

Loss = Callable[[Logits, Mask], Tensor]


def opposes_cross_entropy(loss: Loss, logits: Logits, mask: Mask) -> Tensor:
    """Return where the loss's gradient has the other sign than cross-entropy's, boolean (N, 1, H, W).

    Parameters
    ----------
    loss : of logits and mask; a scalar, or a map that is summed.
    logits, mask : (N, 1, H, W).
    """
    return _pull(loss, logits, mask) * _pull(cross_entropy_map, logits, mask) < 0


def gradient_ratio(loss: Loss, logits: Logits, mask: Mask) -> float:
    """Return the loss's mean absolute gradient over the logits, as a multiple of cross-entropy's own.

    Cross-entropy trained with its learning rate times this number is the control for a loss that only pulls harder.

    Parameters
    ----------
    loss : of logits and mask, a mean over pixels.
    logits, mask : (N, 1, H, W), of a batch in the middle of training.

    Raises
    ------
    ValueError : cross-entropy has no gradient here.
    """
    own = _pull(lambda z, g: cross_entropy_map(z, g).mean(), logits, mask).abs().mean()
    if own == 0:
        raise ValueError("cross-entropy has no gradient on these logits; take a batch from the middle of training")
    return float(_pull(loss, logits, mask).abs().mean() / own)


def _pull(loss: Loss, logits: Logits, mask: Mask) -> Tensor:
    with torch.enable_grad():
        leaf = logits.detach().clone().requires_grad_()
        (gradient,) = torch.autograd.grad(loss(leaf, mask).sum(), leaf)
    return gradient
