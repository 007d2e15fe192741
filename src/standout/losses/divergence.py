"""How far a student is from a teacher, and from labels that are distributions: one channel and K classes.

One logit z stands for the two classes (0, z). A softmax over the single channel would be 1 everywhere and every
divergence 0; so the one-channel functions work on the sigmoid, and those of K classes refuse a single channel.
No gradient ever reaches a teacher or a target.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from standout.losses.numerics import (
    at_temperature,
    check_same_shape,
    cross_entropy_map,
    in_full_precision,
    only_valid,
    reduce,
    scaled,
)
from standout.losses.sides import sides, two_sided
from standout.shapes import Logits, Mask

IGNORE = 255
"""The class of a pixel that does not count."""


@in_full_precision
def bernoulli_kl(
    student: Logits,
    teacher: Logits,
    *,
    temperature: float = 1.0,
    valid: Mask | None = None,
    reduction: str = "valid",
) -> Tensor:
    """Divergence KL(teacher || student) of two foreground maps, in nats per pixel, times the temperature's square.

    Parameters
    ----------
    student, teacher : (N, 1, H, W), any real; no gradient reaches `teacher`.
    temperature : above 0; both logits are divided by it. The square keeps the gradient's scale (Hinton et al.,
        2015, section 2).
    valid : (N, 1, H, W), 1 where a pixel counts; all when None.
    reduction : "valid", "image" or "none", see `standout.losses.numerics.reduce`.

    Raises
    ------
    ValueError : the shapes differ, `temperature` is not above 0, or the reduction is unknown.
    """
    check_same_shape(student, teacher)
    check_temperature(temperature)
    b = at_temperature(only_valid(student, valid), temperature)
    a = at_temperature(only_valid(teacher, valid), temperature)
    taught = sides(a)
    # Cross-entropy less the teacher's own, by the same sums: of equal maps the difference is exactly 0.
    per = two_sided(b, *taught.shares) - taught.entropy
    return reduce(scaled(temperature**2, per), valid, reduction)


@in_full_precision
def soft_target_bce(logits: Logits, target: Mask, *, valid: Mask | None = None, reduction: str = "valid") -> Tensor:
    """Cross-entropy of the map with a target map of probabilities, which gets no gradient.

    At temperature 1 the mixture (1 - alpha) BCE(z, g) + alpha KL(q || z) is this loss with target
    (1 - alpha) g + alpha q, less alpha times the entropy of q: label smoothing, and every teacher that is a fixed
    function of the label, differ in q alone.

    Parameters
    ----------
    logits : (N, 1, H, W), any real.
    target : (N, 1, H, W) in [0, 1].
    valid, reduction : as in `bernoulli_kl`.

    Raises
    ------
    ValueError : the shapes differ, or the reduction is unknown.
    """
    return reduce(cross_entropy_map(only_valid(logits, valid), target.detach()), valid, reduction)


@in_full_precision
def categorical_kl(
    student: Logits,
    teacher: Logits,
    *,
    temperature: float = 1.0,
    valid: Tensor | None = None,
    reduction: str = "valid",
) -> Tensor:
    """Divergence KL(teacher || student) over K classes: summed over classes, then reduced over pixels, times T*T.

    Parameters
    ----------
    student, teacher : (N, K, H, W) or (N, K), K at least 2; no gradient reaches `teacher`.
    temperature : above 0.
    valid : (N, H, W) or (N,), 1 where a pixel counts; all when None.
    reduction : as in `bernoulli_kl`.

    Raises
    ------
    ValueError : the shapes differ, there is one class, `temperature` is not above 0, or the reduction is unknown.
    """
    check_same_shape(student, teacher)
    check_classes(student)
    check_temperature(temperature)
    taught = torch.log_softmax(only_valid(teacher.detach(), valid) / temperature, 1)
    learnt = torch.log_softmax(only_valid(student, valid) / temperature, 1)
    per = (taught.exp() * (taught - learnt)).sum(1)
    return reduce(temperature**2 * per, valid, reduction)


@in_full_precision
def cross_entropy(
    logits: Logits,
    classes: Tensor,
    *,
    ignore_index: int = IGNORE,
    valid: Tensor | None = None,
    reduction: str = "valid",
) -> Tensor:
    """Cross-entropy over K classes, in nats per pixel.

    Parameters
    ----------
    logits : (N, K, H, W) or (N, K), K at least 2.
    classes : (N, H, W) or (N,), whole numbers in 0..K-1, or `ignore_index` where a pixel does not count.
    valid, reduction : as in `categorical_kl`.

    Raises
    ------
    ValueError : the shapes do not fit, a class is out of range, or the reduction is unknown.
    """
    _, own, counts = log_probabilities(logits, classes, ignore_index=ignore_index, valid=valid)
    return reduce(-own, counts, reduction)


def log_probabilities(
    logits: Logits,
    classes: Tensor,
    *,
    temperature: float = 1.0,
    ignore_index: int = IGNORE,
    valid: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return log softmax(z / T) of all classes, of the true class, and which pixels count.

    Shapes (N, K, H, W), (N, H, W) and boolean (N, H, W), or without H and W. Ignored pixels hold the values of
    equal logits and give no gradient.

    Raises
    ------
    ValueError : the shapes do not fit, or a class that counts is not in 0..K-1.
    """
    check_classes(logits)
    if classes.is_floating_point() or classes.shape != logits.shape[:1] + logits.shape[2:]:
        raise ValueError(
            f"logits {tuple(logits.shape)} need whole-number classes of shape "
            f"{tuple(logits.shape[:1] + logits.shape[2:])}, not {classes.dtype} {tuple(classes.shape)}"
        )
    counts = classes != ignore_index
    if valid is not None:
        if valid.shape != classes.shape:
            raise ValueError(f"valid {tuple(valid.shape)} and classes {tuple(classes.shape)} differ in shape")
        counts = counts & (valid != 0)
    index = torch.where(counts, classes, torch.zeros_like(classes)).long()
    if index.numel() and not 0 <= int(index.min()) <= int(index.max()) < logits.shape[1]:
        raise ValueError(
            f"classes go from {int(index.min())} to {int(index.max())}, logits have {logits.shape[1]} classes"
        )
    every = torch.log_softmax(only_valid(logits, counts) / temperature, 1)
    return every, every.gather(1, index.unsqueeze(1)).squeeze(1), counts


def check_classes(logits: Logits) -> None:
    """Refuse logits without a class axis of at least two.

    Raises
    ------
    ValueError : names the shape.
    """
    if logits.dim() < 2 or logits.shape[1] < 2:
        raise ValueError(
            f"logits {tuple(logits.shape)} have no class axis of at least 2; a softmax over one channel is constant"
        )


def check_temperature(temperature: float, least: float = 0.0) -> None:
    """Refuse a temperature that is not a number above 0, or lies below `least`.

    Raises
    ------
    ValueError : names the temperature.
    """
    if not (math.isfinite(temperature) and temperature > 0 and temperature >= least):
        raise ValueError(f"temperature must be a number {f'>= {least:g}' if least else 'above 0'}, got {temperature}")
