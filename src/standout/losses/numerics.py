"""What all losses share: the working precision, the shape check, stable pieces and reductions.

Every public loss takes logits of any float type, works in float32 (float64 stays float64) outside autocast and
never touches the logarithm of a rounded probability. Letters as in `standout.shapes`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any, ParamSpec

import torch
import torch.nn.functional as F
from torch import Tensor

from standout.losses.sides import opposite, two_sided
from standout.names import nearest
from standout.shapes import Logits, Mask

REDUCTIONS = ("valid", "image", "none")

_P = ParamSpec("_P")


def working(tensor: Tensor) -> Tensor:
    """Return the tensor in the precision that losses work in: float64 as it is, every other type as float32."""
    return tensor if tensor.dtype == torch.float64 else tensor.float()


def in_full_precision(loss: Callable[_P, Tensor]) -> Callable[_P, Tensor]:
    """Return the loss with autocast switched off inside and every float tensor in the first one's working precision."""

    @wraps(loss)
    def exact(*args: _P.args, **kwargs: _P.kwargs) -> Tensor:
        first = next((a for a in (*args, *kwargs.values()) if isinstance(a, Tensor)), None)
        if first is None:
            raise TypeError(f"{loss.__name__} takes tensors")
        dtype = torch.float64 if first.dtype == torch.float64 else torch.float32

        def cast(value: Any) -> Any:
            return value.to(dtype) if isinstance(value, Tensor) and value.is_floating_point() else value

        with torch.autocast(first.device.type, enabled=False):
            return loss(*map(cast, args), **{name: cast(value) for name, value in kwargs.items()})

    return exact


def check_same_shape(logits: Tensor, mask: Tensor) -> None:
    """Refuse two shapes that differ: nothing is ever broadcast.

    Raises
    ------
    ValueError : names both shapes.
    """
    if logits.shape != mask.shape:
        raise ValueError(
            f"logits {tuple(logits.shape)} and mask {tuple(mask.shape)} differ in shape; resize the logits first"
        )


def check_option(name: str, value: str, known: Iterable[str]) -> None:
    """Refuse an option's value that does not exist.

    Raises
    ------
    ValueError : names the option, the value and the nearest known one.
    """
    known = tuple(known)
    if value not in known:
        raise ValueError(f"unknown {name} {value!r}; {nearest(str(value), known)}")


def softplus(x: Tensor) -> Tensor:
    """Return log(1 + exp(x)), exact to the last digits for every x.

    The framework's own softplus turns linear above 20, an error of 2e-9 that shows in float64.
    """
    return -F.logsigmoid(-x)


def cross_entropy_map(logits: Logits, mask: Mask) -> Tensor:
    """Return each pixel's binary cross-entropy, g softplus(-z) + (1 - g) softplus(z), unreduced.

    The shorter softplus(z) - g z would cancel to 0 for large correct logits.

    Parameters
    ----------
    logits : any shape, any real.
    mask : the same shape, in [0, 1], may be soft.

    Raises
    ------
    ValueError : the shapes differ.
    """
    check_same_shape(logits, mask)
    z = working(logits)
    g = mask.to(z.dtype)
    return two_sided(z, g, opposite(g))


def at_temperature(logits: Logits, temperature: float) -> Logits:
    """Return the logits divided by the temperature, and themselves at 1."""
    return logits if temperature == 1 else logits / temperature


def scaled(factor: float, per_pixel: Tensor) -> Tensor:
    """Return the map times the factor, and itself at 1."""
    return per_pixel if factor == 1 else factor * per_pixel


def only_valid(logits: Logits, valid: Tensor | None) -> Logits:
    """Return the logits with 0 at ignored pixels, so that whatever stood there, undefined too, reaches no gradient.

    Parameters
    ----------
    logits : any shape.
    valid : 0/1 or boolean, the same shape, or without the class axis; None leaves the logits as they are.

    Raises
    ------
    ValueError : the shapes do not fit.
    """
    if valid is None:
        return logits
    keep = valid != 0
    if keep.dim() == logits.dim() - 1:
        keep = keep.unsqueeze(1)
        fits = keep.shape[:1] + keep.shape[2:] == logits.shape[:1] + logits.shape[2:]
    else:
        fits = keep.shape == logits.shape
    if not fits:
        raise ValueError(f"valid {tuple(valid.shape)} does not fit logits {tuple(logits.shape)}")
    return torch.where(keep, logits, torch.zeros_like(logits))


def reduce(per_pixel: Tensor, valid: Tensor | None = None, reduction: str = "valid") -> Tensor:
    """Reduce a map of losses over its valid pixels; ignored pixels have exactly zero value and gradient.

    Parameters
    ----------
    per_pixel : (N, ...), one number per pixel.
    valid : 0/1 or boolean, the same shape; None means that all pixels are valid.
    reduction : "valid", the mean over all valid pixels of the batch; "image", the mean of each picture's own mean,
        over the pictures with a valid pixel; "none", the map itself with 0 at ignored pixels.
        Without any valid pixel both means are 0, with a graph.

    Raises
    ------
    ValueError : unknown reduction, or the shapes differ.
    """
    check_option("reduction", reduction, REDUCTIONS)
    if valid is None:
        if reduction == "none":
            return per_pixel
        if reduction == "image" and per_pixel.numel():
            return per_pixel.flatten(1).mean(1).mean() if per_pixel.dim() > 1 else per_pixel.mean()
        return per_pixel.sum() / max(per_pixel.numel(), 1)
    if valid.shape != per_pixel.shape:
        raise ValueError(f"valid {tuple(valid.shape)} and losses {tuple(per_pixel.shape)} differ in shape")
    keep = valid != 0
    # where, not a product: 0 times an infinite or undefined loss under an ignored pixel would be undefined
    kept = torch.where(keep, per_pixel, torch.zeros_like(per_pixel))
    if reduction == "none":
        return kept
    if reduction == "valid":
        return kept.sum() / shared_count(keep.sum())
    counts = keep.reshape(keep.shape[0], -1).sum(1)
    means = kept.reshape(kept.shape[0], -1).sum(1) / counts.clamp(min=1)
    return means.sum() / shared_count((counts > 0).sum())


@torch.no_grad()
def shared_count(count: Tensor) -> Tensor:
    """Return what a sum over a batch is divided by: its count, at least 1.

    Where several processes learn together it is the mean of all their counts: they average their gradients, which
    are then those of the one large batch, although some parts of it may count for less than others.
    """
    distributed = torch.distributed
    if not (distributed.is_available() and distributed.is_initialized()):
        return count.clamp(min=1)
    # Whole numbers to 2**24 are exact in float32, which every device can send.
    total = count.to(torch.float64 if count.device.type == "cpu" else torch.float32)
    distributed.all_reduce(total)
    return total.clamp(min=1) / distributed.get_world_size()
