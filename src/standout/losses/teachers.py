"""The hand-made teacher: always right, with a confidence; one channel and K classes.

Reconstructed from the abstract; the published equation was not available to us (Chen et al., Non-negative feedback
self-distillation for salient object detection, PeerJ Computer Science 9:e1435, 2023). Exact is what the public code of
Tf-KD does (Yuan et al., CVPR 2020), which is `soften="prob"`; all else, the other forms and the constants
(confidence apart), is ours.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from standout.losses.divergence import IGNORE, check_temperature, log_probabilities
from standout.losses.numerics import (
    at_temperature,
    check_option,
    check_same_shape,
    in_full_precision,
    only_valid,
    reduce,
    scaled,
)
from standout.losses.sides import opposite, shared, two_sided
from standout.shapes import Logits, Map, Mask

FORMS = ("kl", "kl1")
SOFTENINGS = ("logit", "prob", "none")
SCALES = ("T2", "T", "none")


class Softened(NamedTuple):
    """A teacher at a temperature: its confidence in the true class, the student's temperature, the term's factor."""

    confidence: float
    temperature: float
    scale: float


def softened(
    confidence: float, temperature: float, *, soften: str = "logit", t_scale: str = "T2", classes: int = 2
) -> Softened:
    """Return the teacher softened by a temperature, computed once in Python floats.

    Parameters
    ----------
    confidence : in [1 / classes, 1], the teacher's probability of the true class; the others share the rest.
    temperature : at least 1.
    soften : "logit" divides the logits of teacher and student by the temperature; "prob" divides the teacher's
        *probabilities* and takes a softmax of them, and leaves the student as it is (what Tf-KD's public code does);
        "none" uses the confidence as it is, and the student as it is.
    t_scale : factor of the term with "logit": the temperature's square, the temperature, or 1.
    classes : 2 for one channel.

    Raises
    ------
    ValueError : a number out of its range, or an unknown option.
    """
    check_option("soften", soften, SOFTENINGS)
    check_option("t_scale", t_scale, SCALES)
    check_temperature(temperature, least=1.0)
    if not 1 / classes <= confidence <= 1:
        raise ValueError(f"confidence must lie in [{1 / classes:g}, 1], got {confidence}")
    if soften == "none":
        return Softened(confidence, 1.0, 1.0)
    others = classes - 1
    if soften == "prob":
        gap = (confidence - (1 - confidence) / others) / temperature
        return Softened(1 / (1 + others * math.exp(-gap)), 1.0, 1.0)
    scale = {"T2": temperature**2, "T": temperature, "none": 1.0}[t_scale]
    if confidence == 1:
        return Softened(1.0, temperature, scale)
    gap = math.log(confidence * others / (1 - confidence)) / temperature
    return Softened(1 / (1 + others * math.exp(-gap)), temperature, scale)


def teacher_map(mask: Mask, confidence: float) -> Map:
    """Return the teacher's foreground probability: `confidence` on the object, the rest of 1 off it, linear between.

    Parameters
    ----------
    mask : (N, 1, H, W) in [0, 1], may be soft; the result has its shape and no gradient.
    """
    return shared(mask, ("teacher", confidence), lambda: _between(mask.detach(), opposite(mask).detach(), confidence))


def teacher_sides(mask: Mask, confidence: float) -> tuple[Map, Map]:
    """Return the teacher's foreground and background probability."""
    rest = shared(mask, ("rest", confidence), lambda: _between(opposite(mask).detach(), mask.detach(), confidence))
    return teacher_map(mask, confidence), rest


@in_full_precision
def virtual_teacher(
    logits: Logits,
    mask: Tensor,
    *,
    confidence: float = 0.99,
    temperature: float = 1.0,
    form: str = "kl",
    soften: str = "logit",
    t_scale: str = "T2",
    multiplier: float = 1.0,
    ignore_index: int = IGNORE,
    valid: Tensor | None = None,
    reduction: str = "valid",
) -> Tensor:
    """Divergence of the student from a hand-made teacher, in nats per pixel times the temperature's factor.

    With `confidence=1` the teacher is the label and the term is cross-entropy at that temperature: the control that
    shows what the temperature alone does.

    Parameters
    ----------
    logits : (N, 1, H, W), or (N, K, H, W) or (N, K) for K classes.
    mask : float (N, 1, H, W) in [0, 1], may be soft; or whole-number classes (N, H, W) or (N,).
    confidence, temperature, soften, t_scale : the teacher, see `softened`.
    form : "kl", the divergence over both sides (all classes); "kl1", a baseline for one channel: the foreground's
        half alone, as an element-wise divergence fed with a sigmoid map gives it. It pulls every background pixel
        the wrong way.
    multiplier : a further factor; Tf-KD's published one divided by K, because that code averages over classes.
    ignore_index : class of the pixels that do not count.
    valid : the mask's shape, 1 where a pixel counts; all when None.
    reduction : "valid", "image" or "none", see `standout.losses.numerics.reduce`.

    Raises
    ------
    ValueError : the shapes differ, a number is out of its range, an option is unknown, or "kl1" with classes.
    """
    check_option("form", form, FORMS)
    if not mask.is_floating_point():
        if form != "kl":
            raise ValueError(f"form {form!r} is defined for one channel only; use 'kl' with classes")
        teacher = softened(confidence, temperature, soften=soften, t_scale=t_scale, classes=max(2, logits.shape[1]))
        every, own, counts = log_probabilities(
            logits, mask, temperature=teacher.temperature, ignore_index=ignore_index, valid=valid
        )
        per = _class_divergence(every, own, teacher.confidence)
        return reduce(multiplier * teacher.scale * per, counts, reduction)
    check_one_channel(logits, mask)
    teacher = softened(confidence, temperature, soften=soften, t_scale=t_scale)
    u = at_temperature(only_valid(logits, valid), teacher.temperature)
    q, rest = teacher_sides(mask, teacher.confidence)
    per = divergence_map(q, rest, u) if form == "kl" else two_sided(u, q, torch.zeros_like(q)).addcmul_(_log(q), q)
    return reduce(scaled(multiplier * teacher.scale, per), valid, reduction)


@in_full_precision
def mean_squared(
    logits: Logits,
    mask: Mask,
    *,
    confidence: float = 0.99,
    valid: Mask | None = None,
    reduction: str = "valid",
) -> Tensor:
    """Squared difference of the student's map from the hand-made teacher's.

    Reconstructed from the abstract; the published equation was not available to us.

    Parameters
    ----------
    logits, mask : (N, 1, H, W).
    confidence : of the teacher, in [0.5, 1].
    valid, reduction : as in `virtual_teacher`.

    Raises
    ------
    ValueError : the shapes differ, the confidence is out of its range, or the reduction is unknown.
    """
    check_one_channel(logits, mask)
    teacher = softened(confidence, 1.0, soften="none")
    difference = only_valid(logits, valid).sigmoid() - teacher_map(mask, teacher.confidence)
    return reduce(difference.square(), valid, reduction)


def divergence_map(q: Map, rest: Map, u: Logits) -> Tensor:
    """Return each pixel's divergence of sigmoid(u) from the teacher's foreground `q` and background `rest`."""
    return two_sided(u, q, rest).addcmul_(_log(q), q).addcmul_(_log(rest), rest)


def check_one_channel(logits: Logits, mask: Mask) -> None:
    """Refuse anything but logits (N, 1, H, W) and a mask of the same shape.

    Raises
    ------
    ValueError : names both shapes.
    """
    check_same_shape(logits, mask)
    if logits.dim() != 4 or logits.shape[1] != 1:
        raise ValueError(
            f"a float mask goes with logits (N, 1, H, W), not {tuple(logits.shape)}; K classes take whole-number labels"
        )


def _between(g: Mask, h: Mask, confidence: float) -> Map:
    # Both ends are exact in every precision, so that the background is the foreground's mirror to the bit.
    return (h * (1 - confidence)).add_(g, alpha=confidence)


def _log(q: Map) -> Map:
    """Return the logarithm of a map without gradient, finite at 0, to be multiplied by the map itself."""
    return q.clamp_min(torch.finfo(q.dtype).tiny).log_()


def _class_divergence(every: Tensor, own: Tensor, confidence: float) -> Tensor:
    others = every.shape[1] - 1
    share = (1 - confidence) / others
    certainty = _xlogx(confidence) + others * _xlogx(share)
    return certainty - confidence * own - share * (every.sum(1) - own)


def _xlogx(x: float) -> float:
    return x * math.log(x) if x > 0 else 0.0
