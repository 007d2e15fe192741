"""Which differences between methods would hold on other pictures of the kind, and which star is earned."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from standout.evaluate.comparison import COMPARED, LOWER_IS_BETTER, Comparison, Series, picture_measures
from standout.evaluate.statistics import holm, interval, resampled_weights, signed_rank_test
from standout.metrics.curves import f_measure

Floats = NDArray[np.float64]

LEVEL = 0.05
RESAMPLES = 2000
ROUNDING = 1e-12
_CURVES = {"f_max": ("f",), "e_max": ("e",), "f_max_pr": ("precision", "recall")}
"""The measures of a set that are no means over its pictures, and the mean curves that they are made from."""
_ROWS = ("precision", "recall", "f", "e")


class Pair(NamedTuple):
    """Two methods on one set by one measure.

    low, high : of the first minus the second, the middle 95 % over the resamples of the pictures.
    p : of the signed-rank test over the pictures' own differences (two-sided).
    p_holm : the same after Holm's correction over all tests of the comparison.
    """

    data: str
    measure: str
    first: str
    second: str
    low: float
    high: float
    p: float
    p_holm: float

    def better(self) -> str | None:
        """Return the method that is better beyond doubt: the interval has no 0, and p_holm is below 0.05."""
        if self.p_holm >= LEVEL or self.low <= 0 <= self.high:
            return None
        return self.first if (self.high < 0) == (self.measure in LOWER_IS_BETTER) else self.second


class Significance(NamedTuple):
    """Intervals of every figure, and the tests between every two methods of a set.

    intervals : (set, method, measure) -> the middle 95 % over the resamples.
    pairs : every two methods, on the sets whose rows were all scored on the same pictures.
    """

    resamples: int
    seed: int
    intervals: Mapping[tuple[str, str, str], tuple[float, float]]
    pairs: tuple[Pair, ...]

    def star(self, data: str, method: str, measure: str) -> bool:
        """Whether the method is better beyond doubt than every other on that set."""
        own = [pair for pair in self.pairs
               if (pair.data, pair.measure) == (data, measure) and method in (pair.first, pair.second)]  # fmt: skip
        return bool(own) and all(pair.better() == method for pair in own)

    def told(self) -> str:
        """Return what the star and the intervals mean, for below a table."""
        return (
            f"* better than every other method: 95 % paired bootstrap interval of the difference without 0 "
            f"({self.resamples} resamples of the pictures, seed {self.seed}), and Wilcoxon signed-rank p < {LEVEL} "
            f"after Holm's correction over {len(self.pairs)} tests"
        )


def find_significance(
    comparison: Comparison, keys: Sequence[str] = COMPARED, *, resamples: int = RESAMPLES, seed: int = 0
) -> Significance:
    """Return the intervals and tests of a comparison.

    A picture's values are its own measures, for `f_max`, `f_max_pr` and `e_max` the maxima of its own curves; those
    of several runs of a method are averaged picture by picture. The intervals are of the figure that the table shows.
    """
    intervals, pairs = {}, []
    for data in comparison.sets:
        resampled, own = {}, {}
        for method in comparison.methods:
            runs = comparison.of(method, data)
            each = [_resampled(run, keys, resamples, seed) for run in runs]
            resampled[method] = {key: np.mean([values[key] for values in each], axis=0) for key in keys}
            own[method] = _picture_values(runs, keys) if comparison.same_pictures(data) else {}
            intervals.update({(data, method, key): interval(values) for key, values in resampled[method].items()})
        if comparison.same_pictures(data):
            for (first, second), key in itertools.product(itertools.combinations(comparison.methods, 2), keys):
                low, high = interval(_apart(resampled[first][key], resampled[second][key]))
                p = signed_rank_test(_apart(own[first][key], own[second][key]))
                pairs.append(Pair(data, key, first, second, low, high, p, p))
    corrected = holm([pair.p for pair in pairs])
    tested = tuple(pair._replace(p_holm=p) for pair, p in zip(pairs, corrected, strict=True))
    return Significance(resamples, seed, intervals, tested)


def _apart(first: Floats, second: Floats) -> Floats:
    """Return the differences; those that are rounding alone are none, or the test would rank them."""
    apart = first - second
    return np.where(np.abs(apart) < ROUNDING, 0.0, apart)


def _picture_values(runs: Sequence[Series], keys: Sequence[str]) -> dict[str, Floats]:
    """Return (N,) values for each measure, the mean over the runs of one method."""
    found = [[picture_measures(picture.score) for picture in run.pictures] for run in runs]
    own = {key: "f_max" if key == "f_max_pr" else key for key in keys}
    return {
        key: np.mean([[values[own[key]] for values in of_run] for of_run in found], axis=0, dtype=np.float64)
        for key in keys
    }


def _resampled(series: Series, keys: Sequence[str], resamples: int, seed: int) -> dict[str, Floats]:
    """Return the measures (R,) of the set over resamples of its pictures."""
    scores = [picture.score for picture in series.pictures]
    plain = [key for key in keys if key not in _CURVES]
    each = [picture_measures(score) for score in scores]
    values = np.array([[own[key] for key in plain] for own in each]).reshape(len(scores), len(plain))
    needed = [name for name in _ROWS if any(name in _CURVES.get(key, ()) for key in keys)]
    rows = [_ROWS.index(name) for name in needed]
    curves = {name: np.stack([score.curves()[row] for score in scores]) for name, row in zip(needed, rows, strict=True)}
    made: dict[str, list[Floats]] = {key: [] for key in keys}
    for weights in resampled_weights(len(scores), resamples, seed):
        share = weights / len(scores)
        for key, column in zip(plain, (share @ values).T, strict=True):
            made[key].append(column)
        mean = {name: share @ curve for name, curve in curves.items()}
        for key, names in _CURVES.items():
            if key in keys:
                curve = f_measure(mean["precision"], mean["recall"]) if len(names) == 2 else mean[names[0]]
                made[key].append(curve.max(axis=1))
    return {key: np.concatenate(parts) for key, parts in made.items()}
