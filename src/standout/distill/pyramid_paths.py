"""The two transfer paths of pyramid self-distillation, as functions of lists of logits.

Reconstructed from the abstract; the published equation was not available to us (Zheng et al., Self-distillation
object segmentation via pyramid knowledge representation and transfer, Multimedia Systems 29, 2023).

All lists run from the shallowest level to the deepest. A teacher never gets a gradient.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import permutations

import torch
from torch import Tensor

from standout.distill.linear_maps import resized
from standout.losses.divergence import bernoulli_kl, soft_target_bce
from standout.losses.numerics import check_option, in_full_precision, only_valid, reduce
from standout.losses.sides import sides
from standout.losses.similarity import similarity_map
from standout.shapes import Logits, Mask

DISTANCES = ("kl", "mse", "ssim", "bce")
WEIGHTINGS = ("level", "uniform", "entropy")
TOPDOWN = ("to_student", "branch_chain", "deepest", "none")
CONSISTENCY = ("same_level", "to_main", "dense", "none")


def level_weight(level: int) -> float:
    """Return 1, 1/2, 1/4, ... for level 0, 1, 2, ...: F3Net's weights of its side losses, rescaled."""
    return 0.5**level


@in_full_precision
def transfer(
    student: Logits,
    teacher: Logits,
    *,
    distance: str = "kl",
    temperature: float = 1.0,
    weighting: str = "level",
    valid: Mask | None = None,
) -> Tensor:
    """Distance of one student map from one teacher map; the mean over valid pixels.

    Parameters
    ----------
    student, teacher : (N, 1, H, W), any real. A student of another size is resized to the teacher's, bilinearly.
    distance : "kl" (times the temperature's square), "bce" (the same plus the teacher's entropy, so of the same
        gradient), "mse" of the two maps, or "ssim", one minus their structural similarity.
    temperature : above 0; divides the logits of "kl" and "bce". The other two take 1 only.
    weighting : "entropy" multiplies each pixel by 1 minus the teacher's entropy in bits, so that an undecided
        teacher is silent; "level" and "uniform" say how levels weigh and change nothing here.
    valid : of the teacher's shape, 1 where a pixel counts; all when None.

    Raises
    ------
    ValueError : an unknown option, a temperature that the distance does not take, or shapes that do not fit.
    """
    check_transfer(distance, temperature, weighting)
    if student.shape[-2:] != teacher.shape[-2:]:
        student = resized(student, (teacher.shape[-2], teacher.shape[-1]))
    student, teacher = only_valid(student, valid), only_valid(teacher, valid)
    if distance == "kl":
        per_pixel = bernoulli_kl(student, teacher, temperature=temperature, reduction="none")
    elif distance == "bce":
        taught = torch.sigmoid(teacher.detach() / temperature)
        per_pixel = temperature**2 * soft_target_bce(student / temperature, taught, reduction="none")
    elif distance == "mse":
        per_pixel = (student.sigmoid() - teacher.detach().sigmoid()).square()
    else:
        per_pixel = 1 - similarity_map(student.sigmoid(), teacher.detach().sigmoid())
    if weighting == "entropy":
        per_pixel = per_pixel * _certainty(teacher)
    return reduce(per_pixel, valid)


def consistency(
    students: Sequence[Logits],
    teachers: Sequence[Logits],
    *,
    form: str = "same_level",
    distance: str = "kl",
    temperature: float = 1.0,
    weighting: str = "level",
) -> Tensor:
    """Sum what the branches teach within their own level.

    Parameters
    ----------
    students : score maps of the network, main map first.
    teachers : maps of the branches on the same levels.
    form : "same_level", each branch teaches the score map of its level; "to_main", each teaches the main map;
        "dense", every map teaches every other one (DKS), the plain mean over ordered pairs; "none", exactly 0.
    distance, temperature, weighting : see `transfer`; "level" gives the branch of level 0, 1, 2, ... the weight
        1, 1/2, 1/4, ..., the other two weigh all levels alike.

    Raises
    ------
    ValueError : an unknown option, or lists of different lengths.
    """
    check_option("consistency", form, CONSISTENCY)
    if form == "dense":
        maps = [*students, *teachers]
        pairs = list(permutations(range(len(maps)), 2))
        each = [
            transfer(maps[s], maps[t], distance=distance, temperature=temperature, weighting=weighting)
            for s, t in pairs
        ]
        return torch.stack(each).mean()
    _check_levels(students, teachers)
    pairs = [] if form == "none" else [(i if form == "same_level" else 0, i) for i in range(len(teachers))]
    return _sum(students, teachers, pairs, distance, temperature, weighting, of_teacher=True)


def topdown(
    students: Sequence[Logits],
    teachers: Sequence[Logits],
    *,
    form: str = "to_student",
    distance: str = "kl",
    temperature: float = 1.0,
    weighting: str = "level",
) -> Tensor:
    """Sum what deeper branches teach to shallower levels.

    Parameters
    ----------
    students, teachers : as in `consistency`.
    form : "to_student", each branch teaches the score map one level above; "branch_chain", it teaches the branch one
        level above, and the network only through the features that they share; "deepest", the deepest branch
        teaches every score map (BYOT); "none", exactly 0.
    distance, temperature, weighting : as in `consistency`, but "level" goes by the student's level.

    Raises
    ------
    ValueError : an unknown option, or lists of different lengths.
    """
    check_option("topdown", form, TOPDOWN)
    _check_levels(students, teachers)
    count = len(teachers)
    if form == "none":
        pairs = []
    elif form == "deepest":
        pairs = [(i, count - 1) for i in range(count)]
    else:
        pairs = [(i, i + 1) for i in range(count - 1)]
    learners = teachers if form == "branch_chain" else students
    return _sum(learners, teachers, pairs, distance, temperature, weighting, of_teacher=False)


def check_transfer(distance: str, temperature: float, weighting: str) -> None:
    """Refuse options that `transfer` does not know.

    Raises
    ------
    ValueError : names the option and its value.
    """
    check_option("distance", distance, DISTANCES)
    check_option("teacher_weighting", weighting, WEIGHTINGS)
    if not (0 < temperature < math.inf):
        raise ValueError(f"temperature must be above 0, got {temperature}")
    if temperature != 1 and distance in ("mse", "ssim"):
        raise ValueError(f"temperature {temperature} has no meaning for distance {distance!r}; leave it at 1")


def _sum(
    learners: Sequence[Logits],
    teachers: Sequence[Logits],
    pairs: Sequence[tuple[int, int]],
    distance: str,
    temperature: float,
    weighting: str,
    *,
    of_teacher: bool,
) -> Tensor:
    total = learners[0].new_zeros((), dtype=torch.promote_types(learners[0].dtype, torch.float32))
    for student, teacher in pairs:
        weight = level_weight(teacher if of_teacher else student) if weighting == "level" else 1.0
        total = total + weight * transfer(
            learners[student], teachers[teacher], distance=distance, temperature=temperature, weighting=weighting
        )
    return total


def _certainty(teacher: Logits) -> Tensor:
    return 1 - sides(teacher).entropy / math.log(2)


def _check_levels(students: Sequence[Logits], teachers: Sequence[Logits]) -> None:
    if len(students) != len(teachers) or not teachers:
        raise ValueError(f"{len(students)} score maps and {len(teachers)} branch maps; one of each per level is needed")
