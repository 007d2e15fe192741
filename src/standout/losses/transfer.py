"""What a recogniser is taught by the one it was before: soft targets on the scores, factors on the map.

Soft targets: G. Hinton, O. Vinyals, J. Dean, "Distilling the Knowledge in a Neural Network", 2015. Factors: J. Kim,
S. Park, N. Kwak, "Paraphrasing Complex Network: Network Compression via Factor Transfer", NeurIPS 2018. Both in the
form of SDKD (Yang 2019), equations 1 and 2, whose reductions the paper leaves open.
"""

from __future__ import annotations

import torch
from torch import Tensor

from standout.losses.numerics import check_option, check_same_shape, in_full_precision

ST_REDUCTIONS = ("batchmean", "mean")
ST_DIRECTIONS = ("teacher_student", "student_teacher")
FT_REDUCTIONS = ("sum", "mean")
LEAST_NORM = 1e-12


@in_full_precision
def soft_targets(
    student: Tensor,
    teacher: Tensor,
    *,
    temperature: float = 20.0,
    alpha: float = 0.7,
    reduction: str = "batchmean",
    direction: str = "teacher_student",
) -> Tensor:
    """Return the divergence of two softened sets of scores, times 2 alpha T².

    As T grows, the gradient of the "batchmean" form tends to `2 alpha Delta / (K N)`, with `Delta` the difference of
    the scores, centred over the classes: nearly plain matching of scores.

    Parameters
    ----------
    student, teacher : (N, K) scores; no gradient reaches `teacher`.
    temperature : T, above 0.
    alpha : weight, at least 0.
    reduction : "batchmean" sums over classes and averages over samples; "mean" averages over all elements, as the
        public code idiom of this factor does, and is 1/K of the other.
    direction : "teacher_student" is KL(teacher || student), what that idiom computes; "student_teacher" is the order
        in which the paper writes it.

    Raises
    ------
    ValueError : the shapes differ or are not (N, K), an unknown option, or a number out of range.
    """
    check_same_shape(student, teacher)
    check_option("st_reduction", reduction, ST_REDUCTIONS)
    check_option("st_direction", direction, ST_DIRECTIONS)
    if student.ndim != 2 or not student.numel():
        raise ValueError(f"scores must be (N, K), not {tuple(student.shape)}")
    if not temperature > 0 or not alpha >= 0:
        raise ValueError(f"temperature must be above 0 and alpha at least 0, not {temperature} and {alpha}")
    taught = torch.log_softmax(teacher.detach() / temperature, 1)
    learnt = torch.log_softmax(student / temperature, 1)
    if direction == "teacher_student":
        divergence = taught.exp() * (taught - learnt)
    else:
        divergence = learnt.exp() * (learnt - taught)
    count = len(student) if reduction == "batchmean" else student.numel()
    return divergence.sum() * (2 * alpha * temperature**2 / count)


@in_full_precision
def factor_transfer(student: Tensor, teacher: Tensor, *, reduction: str = "sum") -> Tensor:
    """Return the L1 distance of two factors, each sample's scaled to length 1.

    Parameters
    ----------
    student, teacher : (N, …) of one shape; no gradient reaches `teacher`.
    reduction : "sum" is the L1 norm of a sample, averaged over samples: 0 to 2 sqrt(length); "mean" averages over
        all elements, as the code of factor transfer does, and is 1/length of the other.

    Raises
    ------
    ValueError : the shapes differ, or an unknown reduction.
    """
    check_same_shape(student, teacher)
    check_option("ft_reduction", reduction, FT_REDUCTIONS)
    distance = (_unit(teacher.detach()) - _unit(student)).abs()
    return distance.sum(1).mean() if reduction == "sum" else distance.mean()


def _unit(factor: Tensor) -> Tensor:
    flat = factor.flatten(1)
    length: Tensor = torch.linalg.vector_norm(flat, dim=1, keepdim=True)
    return flat / length.clamp_min(LEAST_NORM)
