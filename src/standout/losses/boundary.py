"""The structure loss: pixels near the object's outline weigh more."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from standout.losses.numerics import check_same_shape, cross_entropy_map, in_full_precision
from standout.losses.region import overlap_loss
from standout.shapes import Logits, Mask


@in_full_precision
def structure(logits: Logits, mask: Mask, *, window: int = 31, gain: float = 5.0, weight_bce: bool = True) -> Tensor:
    """Weighted cross-entropy plus weighted intersection over union, per image, then the mean over images.

    The weight of a pixel is `1 + gain * |mean of the mask in its window - mask|`.

    Parameters
    ----------
    logits, mask : (N, 1, H, W); the mask in [0, 1], may be soft.
    window : odd side of the square window in pixels; 1 gives unweighted terms.
    gain : what a pixel whose surroundings all differ weighs more; 0 gives unweighted terms.
    weight_bce : False reproduces the authors' released code, which passes `reduce='none'` in place of
        `reduction='none'`: the cross-entropy is averaged before the weights meet it, and they cancel.

    Raises
    ------
    ValueError : the shapes differ, or `window` is not odd and positive.

    Source: Wei, Wang and Huang, F3Net (AAAI 2020). The window counts the zeros outside the picture, as
    there, so that an object at the border weighs up to 4.668 in the corner of a picture that it fills.
    """
    check_same_shape(logits, mask)
    mask = mask.to(logits.dtype)
    weight = 1 + gain * (window_mean(mask, window) - mask).abs()
    cross_entropy = cross_entropy_map(logits, mask)
    if weight_bce:
        cross_entropy = (weight * cross_entropy).sum((1, 2, 3)) / weight.sum((1, 2, 3))
    return cross_entropy.mean() + overlap_loss(logits, mask, weight=weight).mean()


def window_mean(mask: Tensor, window: int) -> Tensor:
    """Mean over the square window around every pixel, zeros outside counted, in the mask's dtype.

    Equals `avg_pool2d(mask, window, 1, window // 2)`; by running sums it costs a fifteenth at window 31.

    Raises
    ------
    ValueError : `window` is not odd and positive.
    """
    if window < 1 or window % 2 == 0:
        raise ValueError(f"window must be odd and positive, got {window}")
    # The difference of two running sums cancels: in float32 the error would reach the sixth digit.
    wide = mask.to(torch.float32 if mask.device.type == "mps" else torch.float64)
    reach = window // 2
    rows = F.pad(wide, (reach + 1, reach)).cumsum(-1)
    rows = rows[..., window:] - rows[..., :-window]
    columns = F.pad(rows, (0, 0, reach + 1, reach)).cumsum(-2)
    total = columns[..., window:, :] - columns[..., :-window, :]
    return (total / window**2).to(mask.dtype)
