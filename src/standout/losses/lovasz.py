"""The Lovász hinge: the surrogate of the Jaccard index that is convex in the logits."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from standout.losses.numerics import check_same_shape, in_full_precision
from standout.shapes import Logits, Mask


@in_full_precision
def lovasz_hinge(logits: Logits, mask: Mask) -> Tensor:
    """Lovász extension of the Jaccard loss over the hinge errors of each image, then the mean over images.

    Parameters
    ----------
    logits, mask : (N, 1, H, W); the mask is cut at 0.5, because the loss is defined for 0 and 1 only.

    Raises
    ------
    ValueError : the shapes differ.

    Source: Berman, Triki and Blaschko, The Lovász-Softmax loss (CVPR 2018).
    """
    check_same_shape(logits, mask)
    is_object = (mask > 0.5).flatten(1)
    margin = torch.where(is_object, logits.flatten(1), -logits.flatten(1))
    # Stable, so that equal errors keep their order and gradients repeat from run to run.
    errors, order = (1 - margin).sort(dim=1, descending=True, stable=True)
    return (F.relu(errors) * _steps(is_object.gather(1, order), errors.dtype)).sum(1).mean()


@torch.no_grad()
def _steps(is_object: Tensor, dtype: torch.dtype) -> Tensor:
    """Growth of the Jaccard loss as the pixels, worst first, become mistakes; (N, P), a constant."""
    # Counted in integers: a running sum in a half type ends far below the number of pixels. The differences are
    # written out, because subtracting neighbours near 1 would leave two digits of a step of one pixel.
    objects = is_object.sum(1, keepdim=True)
    both = (objects - is_object.cumsum(1)).to(dtype)
    either = (objects + (~is_object).cumsum(1)).to(dtype)
    steps = torch.where(is_object, 1 / either.clamp(min=1), both / (either * (either - 1).clamp(min=1)))
    steps[:, :1] += (objects == 0).to(dtype)  # without an object the worst pixel alone counts
    return steps
