"""Which pixels are too hard for a student: their difficulty, and the rules by which the hard ones are left out.

Reconstructed from the abstract; the published equation was not available to us (Chen et al., Dynamic dropout
self-distillation for object segmentation, Complex & Intelligent Systems, 2024). The abstract says that
pixels on which teacher and student differ much in probability are found and discarded. The three rules are our
readings: a threshold on the difference, a share of the hardest, and dropout taken literally.
Nothing here carries a gradient.
"""

from __future__ import annotations

import torch
from torch import Tensor

from standout.counter_hash import DRAW_BITS
from standout.losses.numerics import check_option, working
from standout.losses.sides import sides
from standout.shapes import Logits, Map

SCOPES = ("batch", "image")


@torch.no_grad()
def difficulty(logits: Logits, teacher: Map, classes: Tensor | None = None) -> Tensor:
    """Return how far the student's probability is from the teacher's, in [0, 1], at temperature 1.

    Parameters
    ----------
    logits : (N, 1, H, W); or (N, K, H, W) or (N, K) for K classes.
    teacher : probabilities of the same shape.
    classes : (N, H, W) or (N,); with K classes, take the difference in the true class instead of half the sum over
        all classes (which for two classes is the same).

    Returns
    -------
    (N, 1, H, W) for one channel, else (N, H, W) or (N,).

    Raises
    ------
    ValueError : the shapes differ.
    """
    if logits.shape != teacher.shape:
        raise ValueError(f"logits {tuple(logits.shape)} and teacher {tuple(teacher.shape)} differ in shape")
    z = working(logits)
    if z.shape[1] == 1:
        found, _ = sides(z).shares
        return (teacher - found).abs_()
    gaps = (teacher - z.softmax(1)).abs()
    if classes is None:
        return gaps.sum(1) / 2
    return gaps.gather(1, classes.unsqueeze(1)).squeeze(1)


@torch.no_grad()
def not_above(d: Tensor, threshold: Tensor | float) -> Tensor:
    """Return 1 for each pixel to keep, whose difficulty `d` is at most the threshold, else 0; d's shape and type."""
    # Written as numbers: a processor takes several times as long to write a boolean, and to turn it into a number.
    return torch.le(d, threshold, out=torch.empty_like(d))


@torch.no_grad()
def not_hardest(
    d: Tensor, share: Tensor | float, delta: float, *, scope: str = "batch", valid: Tensor | None = None
) -> Tensor:
    """Return which pixels to keep: all but the hardest `share`, rounded down, of the valid ones.

    Parameters
    ----------
    d : (N, ...), difficulties. Among equal ones the lower flat index counts as harder.
    share : in [0, 1].
    delta : pixels with a difficulty of at most this are always kept.
    scope : "batch" ranks all pixels together, "image" those of each picture.
    valid : d's shape, 0/1 or boolean; ignored pixels are not counted and count as kept.

    Raises
    ------
    ValueError : unknown scope.
    """
    check_option("scope", scope, SCOPES)
    rows = d.reshape(1 if scope == "batch" else d.shape[0], -1)
    counts = torch.ones_like(rows, dtype=torch.bool) if valid is None else (valid != 0).reshape(rows.shape)
    order = torch.where(counts, rows, -1.0).sort(dim=1, descending=True, stable=True).indices
    place = torch.arange(rows.shape[1], device=d.device).expand_as(order)
    rank = torch.empty_like(order).scatter_(1, order, place)
    dropped = torch.floor(share * counts.sum(1, keepdim=True))
    keep = (rank >= dropped) | (rows <= delta) | ~counts
    return keep.reshape(d.shape)


@torch.no_grad()
def not_drawn(d: Tensor, draws: Tensor, share: Tensor | float, delta: float) -> Tensor:
    """Return which pixels to keep: those of a difficulty of at most `delta`, and all but `share` of the others.

    Parameters
    ----------
    d : (N, ...), difficulties.
    draws : as many, from `standout.distill.device_hash.pixel_draws`.
    share : in [0, 1], the probability that a hard pixel is dropped.
    delta : in [0, 1].
    """
    # Compared as whole numbers, so that every device decides alike.
    bound = torch.ceil(torch.as_tensor(share, device=d.device) * 2.0**DRAW_BITS).to(torch.int64)
    return (d <= delta) | (draws.reshape(d.shape) >= bound)
