"""Plain losses of logits and mask: per pixel (cross-entropy, focal) and per region (Dice, overlap)."""

from __future__ import annotations

import torch
from torch import Tensor

from standout.losses.numerics import (
    check_same_shape,
    cross_entropy_map,
    in_full_precision,
    only_valid,
    reduce,
    softplus,
)
from standout.shapes import Logits, Mask

# Below this union a map and its mask are both empty; well above the smallest float32, so that neither
# 1 / union nor a loss scale times it overflows.
_EMPTY = 1e-30


@in_full_precision
def binary_cross_entropy(logits: Logits, mask: Mask, *, valid: Mask | None = None, reduction: str = "valid") -> Tensor:
    """Cross-entropy of the map with the mask, in nats per pixel.

    Parameters
    ----------
    logits : (N, 1, H, W), any real.
    mask : (N, 1, H, W) in [0, 1], may be soft.
    valid : (N, 1, H, W), 1 where a pixel counts; all when None.
    reduction : "valid" (mean over the batch's valid pixels), "image" (mean per image, then over images
        that have a valid pixel) or "none" (the map).

    Raises
    ------
    ValueError : the shapes differ, or the reduction is unknown.
    """
    return reduce(cross_entropy_map(only_valid(logits, valid), mask), valid, reduction)


@in_full_precision
def focal(logits: Logits, mask: Mask, *, gamma: float = 2.0, alpha: float | None = 0.25) -> Tensor:
    """Focal loss: cross-entropy in which well-placed pixels fade; mean over pixels.

    Parameters
    ----------
    logits, mask : (N, 1, H, W); the mask is cut at 0.5, because the loss is defined for 0 and 1 only.
    gamma : how fast a pixel fades as its probability nears the truth; 0 gives cross-entropy.
    alpha : weight of the object, 1 - alpha that of the background; None weighs both 1.

    Raises
    ------
    ValueError : the shapes differ, `gamma` is negative, or `alpha` lies outside [0, 1].

    Source: Lin et al., Focal loss for dense object detection (ICCV 2017), which divides by the number of
    objects; here, as usual for dense maps, by the number of pixels.
    """
    check_same_shape(logits, mask)
    if gamma < 0:
        raise ValueError(f"gamma must not be negative, got {gamma}")
    if alpha is not None and not 0 <= alpha <= 1:
        raise ValueError(f"alpha must lie in [0, 1], got {alpha}")
    is_object = mask > 0.5
    margin = torch.where(is_object, logits, -logits)
    # The power is taken in logs: a probability of the wrong side that underflows still has a gradient.
    loss = torch.exp(-gamma * softplus(margin)) * softplus(-margin)
    if alpha is not None:
        weight = is_object.to(loss.dtype)
        loss = loss * (alpha * weight + (1 - alpha) * (1 - weight))
    return loss.mean()


@in_full_precision
def dice(logits: Logits, mask: Mask, *, smooth: float = 1.0, squared: bool = False) -> Tensor:
    """One minus the Dice overlap per image, then the mean over images.

    Parameters
    ----------
    logits, mask : (N, 1, H, W); the mask in [0, 1], may be soft.
    smooth : added above and below the line; at 0 an empty mask gives no gradient.
    squared : squares map and mask below the line (Milletari et al., V-Net, 2016); False sums them.

    Raises
    ------
    ValueError : the shapes differ, or `smooth` is negative.
    """
    check_same_shape(logits, mask)
    _require_smooth(smooth)
    found = logits.sigmoid()
    shared = (found * mask).sum((1, 2, 3))
    sizes = (found.square() + mask.square() if squared else found + mask).sum((1, 2, 3))
    return _one_minus_ratio(2 * shared + smooth, sizes + smooth).mean()


@in_full_precision
def intersection_over_union(logits: Logits, mask: Mask, *, smooth: float = 1.0) -> Tensor:
    """One minus the soft intersection over union per image, then the mean over images.

    Parameters
    ----------
    logits, mask : (N, 1, H, W); the mask in [0, 1], may be soft.
    smooth : added above and below the line; at 0 an empty mask gives 1 and no gradient.

    Raises
    ------
    ValueError : the shapes differ, or `smooth` is negative.
    """
    check_same_shape(logits, mask)
    _require_smooth(smooth)
    return overlap_loss(logits, mask, smooth=smooth).mean()


@in_full_precision
def bce_iou(logits: Logits, mask: Mask) -> Tensor:
    """Mean cross-entropy plus the intersection over union loss with smoothing 1.

    Raises
    ------
    ValueError : the shapes differ.
    """
    check_same_shape(logits, mask)
    return cross_entropy_map(logits, mask).mean() + overlap_loss(logits, mask).mean()


def overlap_loss(logits: Logits, mask: Mask, *, smooth: float = 1.0, weight: Tensor | None = None) -> Tensor:
    """One minus the (weighted) soft intersection over union of each image, (N,)."""
    found = logits.sigmoid()
    # What is of the mask alone is added up on its own: it has no gradient, and a pass over the pixels less each way.
    label = mask if weight is None else weight * mask
    intersection = (found * label).sum((1, 2, 3))
    area = found if weight is None else found * weight
    union = area.sum((1, 2, 3)) + label.sum((1, 2, 3)) - intersection
    return _one_minus_ratio(intersection + smooth, union + smooth)


def _one_minus_ratio(part: Tensor, whole: Tensor) -> Tensor:
    # Nothing found where nothing is: right, and 0 / 0 without this.
    empty = whole < _EMPTY
    return torch.where(empty, 0 * part, 1 - part / torch.where(empty, 1, whole))


def _require_smooth(smooth: float) -> None:
    if smooth < 0:
        raise ValueError(f"smooth must not be negative, got {smooth}")
