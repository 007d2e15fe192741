"""Tests of statistics from their definitions, slowly."""

import itertools
import math
from fractions import Fraction


def ranks(values):
    """The mean rank of each value among all, from 1."""
    return [
        Fraction(sum(other < value for other in values)) + Fraction(1 + sum(other == value for other in values), 2)
        for value in values
    ]


def signed_rank_exact(differences):
    """Two-sided p: the share of all assignments of signs whose rank sum lies as far out, doubled."""
    apart = [value for value in differences if value != 0]
    if not apart:
        return 1.0
    of = ranks([abs(value) for value in apart])
    positive = sum(rank for rank, value in zip(of, apart, strict=True) if value > 0)
    sums = [
        sum(rank for rank, sign in zip(of, signs, strict=True) if sign)
        for signs in itertools.product((0, 1), repeat=len(apart))
    ]
    below = sum(one <= positive for one in sums)
    above = sum(one >= positive for one in sums)
    return min(1.0, 2 * min(below, above) / len(sums))


def signed_rank_normal(differences):
    """Two-sided p of the normal distribution with the variance that ties leave, as textbooks write it."""
    apart = [value for value in differences if value != 0]
    of = ranks([abs(value) for value in apart])
    n = len(apart)
    positive = float(sum(rank for rank, value in zip(of, apart, strict=True) if value > 0))
    sizes = [sum(abs(value) == magnitude for value in apart) for magnitude in {abs(value) for value in apart}]
    variance = n * (n + 1) * (2 * n + 1) / 24 - sum(size**3 - size for size in sizes) / 48
    z = (positive - n * (n + 1) / 4) / math.sqrt(variance)
    return math.erfc(abs(z) / math.sqrt(2))


def holm_rejects(values, level):
    """Which hypotheses Holm's procedure rejects: step by step from the smallest, until one stays."""
    rejected = [False] * len(values)
    for at, index in enumerate(sorted(range(len(values)), key=values.__getitem__)):
        if values[index] > level / (len(values) - at):
            break
        rejected[index] = True
    return rejected
