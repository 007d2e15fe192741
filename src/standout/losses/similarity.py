"""Structural similarity of two maps, and the hybrid loss built on it."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from standout.losses.numerics import check_same_shape, cross_entropy_map, in_full_precision
from standout.losses.region import overlap_loss
from standout.shapes import Logits, Map, Mask

_WINDOW = 11
_DEVIATION = 1.5
_LUMINANCE = 0.01**2
_CONTRAST = 0.03**2


@in_full_precision
def structural_similarity(logits: Logits, mask: Mask) -> Tensor:
    """One minus the mean structural similarity of map and mask.

    Parameters
    ----------
    logits, mask : (N, 1, H, W); the mask in [0, 1], may be soft.

    Raises
    ------
    ValueError : the shapes differ.

    Source: Wang et al., Image quality assessment (2004); Gaussian window of 11 pixels, deviation 1.5.
    """
    check_same_shape(logits, mask)
    return 1 - similarity_map(logits.sigmoid(), mask).mean()


@in_full_precision
def similarity_map(first: Map, second: Map) -> Tensor:
    """Structural similarity around every pixel, (N, 1, H, W) in [-1, 1]; zeros outside the picture count.

    Raises
    ------
    ValueError : the shapes differ, or there is more than one channel.
    """
    check_same_shape(first, second)
    if first.ndim != 4 or first.shape[1] != 1:
        raise ValueError(f"maps must be (N, 1, H, W), got {tuple(first.shape)}")
    moments = _blurred(torch.cat([first, second, first * first, second * second, first * second]))
    mean_first, mean_second, square_first, square_second, product = moments.chunk(5)
    both = mean_first * mean_second
    squares = mean_first.square() + mean_second.square()
    variances = square_first + square_second - squares
    shape = (2 * (product - both) + _CONTRAST) / (variances + _CONTRAST)
    return (2 * both + _LUMINANCE) / (squares + _LUMINANCE) * shape


@in_full_precision
def basnet_hybrid(logits: Logits, mask: Mask, *, smooth: float = 0.0) -> Tensor:
    """Cross-entropy plus structural similarity loss plus intersection over union loss, each with weight 1.

    Parameters
    ----------
    logits, mask : (N, 1, H, W); the mask in [0, 1], may be soft.
    smooth : of the intersection over union. BASNet uses 0, with which an empty mask gives that term the
        constant 1 and no gradient.

    Raises
    ------
    ValueError : the shapes differ, or `smooth` is negative.

    Source: Qin et al., BASNet (CVPR 2019). The cross-entropy here is taken from logits; the released code
    takes it from probabilities, where a confident mistake costs at most 100 and has no gradient.
    """
    check_same_shape(logits, mask)
    if smooth < 0:
        raise ValueError(f"smooth must not be negative, got {smooth}")
    similarity = similarity_map(logits.sigmoid(), mask).mean()
    return cross_entropy_map(logits, mask).mean() + 1 - similarity + overlap_loss(logits, mask, smooth=smooth).mean()


def _blurred(maps: Tensor) -> Tensor:
    # All maps as the groups of one picture: as a batch of single channels they take the framework's slow path,
    # thirty times this on a processor.
    count = len(maps)
    place = torch.arange(_WINDOW, dtype=maps.dtype, device=maps.device) - _WINDOW // 2
    bell = torch.exp(-place.square() / (2 * _DEVIATION**2))
    bell = (bell / bell.sum()).expand(count, 1, -1)
    rows = F.conv2d(maps.transpose(0, 1), bell.unsqueeze(2), padding=(0, _WINDOW // 2), groups=count)
    return F.conv2d(rows, bell.unsqueeze(3), padding=(_WINDOW // 2, 0), groups=count).transpose(0, 1)
