"""Three small tools of statistics in float64: the signed-rank test, the correction for many tests, the bootstrap."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

EXACT_UP_TO = 50
"""Differences up to which the exact distribution is summed; beyond, the normal one is closer than anyone needs."""
AT_ONCE = 128


def signed_rank_test(differences: ArrayLike) -> float:
    """Return the two-sided p of Wilcoxon's signed-rank test that paired differences (N,) lie about zero.

    Zeros are left out (Wilcoxon 1945), equal magnitudes share their mean rank. Up to 50 differences p is exact, given
    the ties; beyond, it is that of the normal distribution with the ties' variance, without continuity correction.
    Without any difference p is 1.
    """
    given: Floats = np.asarray(differences, dtype=np.float64)
    apart = given[given != 0]
    if apart.size == 0:
        return 1.0
    _, place, count = np.unique(np.abs(apart), return_inverse=True, return_counts=True)
    # Twice the mean rank is a whole number, also among ties.
    doubled = (2 * count.cumsum() - count + 1)[place]
    total, positive = int(doubled.sum()), int(doubled[apart > 0].sum())
    if apart.size > EXACT_UP_TO:
        spread = math.sqrt(float((doubled.astype(np.float64) ** 2).sum()))
        return math.erfc(abs(2 * positive - total) / spread / math.sqrt(2))
    chance = np.zeros(total + 1)
    chance[0] = 1
    for rank in doubled:  # each sign is as likely as the other
        shifted = np.zeros_like(chance)
        shifted[rank:] = chance[:-rank]
        chance = (chance + shifted) / 2
    return min(1.0, 2 * float(chance[: min(positive, total - positive) + 1].sum()))


def holm(values: Sequence[float]) -> list[float]:
    """Return the p of each of many tests, corrected so that the chance of even one false alarm stays bounded.

    Holm 1979: the smallest is multiplied by the number of tests, the next by one less, never falling again.
    """
    order = sorted(range(len(values)), key=values.__getitem__)
    corrected, largest = [0.0] * len(values), 0.0
    for at, index in enumerate(order):
        largest = max(largest, min(1.0, (len(values) - at) * values[index]))
        corrected[index] = largest
    return corrected


def resampled_weights(pictures: int, resamples: int, seed: int) -> Iterator[Floats]:
    """Yield how often each picture was drawn, (R, pictures), for all resamples in turn, some hundred at a time.

    The draws depend on the three numbers only, so that every method is resampled on the same pictures.
    """
    random = np.random.default_rng(seed)
    for start in range(0, resamples, AT_ONCE):
        rows = min(AT_ONCE, resamples - start)
        drawn = random.integers(0, pictures, (rows, pictures)) + np.arange(rows)[:, None] * pictures
        yield np.bincount(drawn.ravel(), minlength=rows * pictures).reshape(rows, pictures).astype(np.float64)


def interval(values: Floats, level: float = 0.95) -> tuple[float, float]:
    """Return the middle share `level` of resampled values (R,): the percentile interval."""
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
