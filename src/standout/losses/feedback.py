"""Non-negative feedback: distillation from a hand-made teacher that never pulls against cross-entropy.

Reconstructed from the abstract; the published equation was not available to us (Chen et al., Non-negative feedback
self-distillation for salient object detection, PeerJ Computer Science 9:e1435, 2023). The abstract says that
the divergence from a teacher opposes cross-entropy in salient object detection, that foreground and background are
therefore distilled in different ways, and that only positive knowledge passes. The forms are our readings of it.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from standout.losses.divergence import IGNORE, log_probabilities
from standout.losses.numerics import (
    at_temperature,
    check_option,
    in_full_precision,
    only_valid,
    reduce,
    scaled,
)
from standout.losses.sides import opposite, sides, two_sided
from standout.losses.teachers import Softened, check_one_channel, divergence_map, softened, teacher_sides
from standout.shapes import Logits, Mask

FORMS = ("split", "hinge", "gate_grad")
SOFT = ("gate", "hard_only", "binarise")
CONSTANTS = ("kl", "drop")
BALANCES = ("joint", "region")


@in_full_precision
def non_negative_feedback(
    logits: Logits,
    mask: Tensor,
    *,
    confidence: float = 0.99,
    temperature: float = 2.0,
    form: str = "split",
    soft: str = "gate",
    const: str = "kl",
    balance: str = "joint",
    soften: str = "logit",
    t_scale: str = "T2",
    ignore_index: int = IGNORE,
    valid: Tensor | None = None,
    reduction: str = "valid",
) -> Tensor:
    """Feedback of a hand-made teacher, of which only what helps reaches the student.

    Reconstructed from the abstract; the published equation was not available to us.

    Parameters
    ----------
    logits : (N, 1, H, W), or (N, K, H, W) or (N, K) for K classes.
    mask : float (N, 1, H, W) in [0, 1], may be soft; or whole-number classes (N, H, W) or (N,).
    confidence, temperature, soften, t_scale : the teacher, see `standout.losses.teachers.softened`.
    form : "split", one-sided terms on the probability of the pixel's own side (of the true class); "hinge", the full
        divergence where the student is still behind the teacher and 0 elsewhere; "gate_grad", the value of the
        full divergence with the gradient of "hinge". With classes only "split".
    soft : what a soft mask pixel does, where cross-entropy and the term may disagree: "gate" switches the term off
        there and then; "hard_only" leaves all soft pixels out of the sum, not out of the count; "binarise" cuts the
        label at 0.5 for this term, and gates.
    const : "kl" keeps log(confidence) in "split", so that the value may be negative; "drop" leaves it out. The
        gradient is the same.
    balance : "joint" averages over all pixels; "region" adds the mean over the object (label at least 0.5) and the
        mean over the background. With reduction "none" each pixel carries the weight that makes the
        mean over valid pixels that sum. With classes only "joint".
    ignore_index : class of the pixels that do not count.
    valid : the mask's shape, 1 where a pixel counts; all when None.
    reduction : "valid", "image" or "none", see `standout.losses.numerics.reduce`.

    Raises
    ------
    ValueError : the shapes differ, a number is out of its range, or an option is unknown or not defined for classes.
    """
    check_options(form=form, soft=soft, const=const, balance=balance)
    if not mask.is_floating_point():
        if (form, balance) != ("split", "joint"):
            raise ValueError(f"with classes form is 'split' and balance 'joint', not {form!r} and {balance!r}")
        teacher = softened(confidence, temperature, soften=soften, t_scale=t_scale, classes=max(2, logits.shape[1]))
        _, own, counts = log_probabilities(
            logits, mask, temperature=teacher.temperature, ignore_index=ignore_index, valid=valid
        )
        per = teacher.scale * teacher.confidence * (_constant(teacher, const) - own)
        return reduce(per, counts, reduction)
    check_one_channel(logits, mask)
    teacher = softened(confidence, temperature, soften=soften, t_scale=t_scale)
    z, g = only_valid(logits, valid), mask.detach() if mask.requires_grad else mask
    label = (g >= 0.5).to(g.dtype) if soft == "binarise" else g
    if form == "split":
        u = at_temperature(z, teacher.temperature)
        weight = _agrees(u, label, z, g, soft).mul_(teacher.scale * teacher.confidence)
        per = two_sided(u, label * weight, opposite(label) * weight).add_(weight, alpha=_constant(teacher, const))
    else:
        per = _behind(z, g, label, teacher, form, soft)
    if balance == "region":
        per = per * _region_weights(g, valid, per_image=reduction == "image")
    return reduce(per, valid, reduction)


def check_options(*, form: str, soft: str, const: str, balance: str) -> None:
    """Refuse unknown options of non-negative feedback.

    Raises
    ------
    ValueError : names the option, the value and the nearest known one.
    """
    check_option("form", form, FORMS)
    check_option("soft", soft, SOFT)
    check_option("const", const, CONSTANTS)
    check_option("balance", balance, BALANCES)


def _constant(teacher: Softened, const: str) -> float:
    return math.log(teacher.confidence) if const == "kl" else 0.0


def _behind(z: Logits, g: Mask, label: Mask, teacher: Softened, form: str, soft: str) -> Tensor:
    u = at_temperature(z, teacher.temperature)
    q, rest = teacher_sides(label, teacher.confidence)
    full = scaled(teacher.scale, divergence_map(q, rest, u))
    p, _ = sides(u).shares
    keep = torch.where(label >= 0.5, p < q, p > q)
    passes = _agrees(u, label if soft == "binarise" else q, z, g, soft)
    if form == "hinge":
        return full * keep * passes
    if soft == "hard_only":
        full = full * passes
    shown = full.detach()
    # The value of the full divergence, the gradient of what is kept.
    return torch.where(keep & (passes != 0), full, shown)


def _agrees(u: Logits, aim: Mask, z: Logits, g: Mask, soft: str) -> Tensor:
    """Return 1 where a pull of sigmoid(u) to `aim` may count beside cross-entropy's pull of sigmoid(z) to `g`."""
    if soft == "hard_only":
        return (torch.minimum(g, 1 - g) <= 0).to(z.dtype)
    (p, _), (own, _) = sides(u).shares, sides(z).shares
    return (p - aim).mul_(own - g).ge_(0)


def _region_weights(g: Mask, valid: Mask | None, *, per_image: bool) -> Tensor:
    counts = torch.ones_like(g) if valid is None else (valid != 0).to(g.dtype)
    inside = (g >= 0.5).to(g.dtype)
    over = tuple(range(1 if per_image else 0, g.dim()))
    total, objects = counts.sum(over, keepdim=True), (counts * inside).sum(over, keepdim=True)
    ground = total - objects
    return inside * total / objects.clamp(min=1) + (1 - inside) * total / ground.clamp(min=1)
