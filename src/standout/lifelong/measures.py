"""What a stream of experiences did to a recogniser: the accuracy matrix and the measures of both conventions.

`R[i, j]` is the accuracy on experience j's test pictures after learning experience i; rows are time. Two conventions
give the same words to different numbers, so their keys carry their names and their tables are never mixed:
OpenLORIS (Q. She et al., ICRA 2020) averages the matrix' triangles; GEM (D. Lopez-Paz, M. Ranzato, "Gradient Episodic
Memory for Continual Learning", NeurIPS 2017) subtracts accuracies.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

CONVENTIONS: Mapping[str, tuple[str, ...]] = {
    "openloris": ("accuracy_openloris", "backward_openloris", "forward_openloris", "overall"),
    "gem": ("accuracy_gem", "backward_gem", "forward_gem", "forgetting"),
}
"""The measures that stand in one table together, by the convention that they belong to."""


class AccuracyMatrix:
    """Accuracies after each experience on each experience, with the measures that summarise them.

    Parameters
    ----------
    values : (N, N), each in [0, 1]; None or NaN is a hole, something that was not measured.
    untrained : (N,), the accuracies before anything was learnt; only GEM's forward transfer needs them.
    names : of the N experiences; "1", "2", … where none are given.
    unlearnt : (N, N), how many of the pictures tested on were of classes not learnt yet, and so counted as wrong; zeros
        where none are given.

    Attributes
    ----------
    values : (N, N) float64, NaN for a hole; read-only.
    unlearnt : as given.
    untrained : (N,) float64 or None; read-only.

    Raises
    ------
    ValueError : the matrix is empty or not square, an accuracy lies outside [0, 1], or another length.
    """

    def __init__(
        self,
        values: ArrayLike,
        *,
        untrained: ArrayLike | None = None,
        names: Sequence[str] | None = None,
        unlearnt: Sequence[Sequence[int]] | None = None,
    ) -> None:
        self.values = _accuracies(values, "values")
        if self.values.ndim != 2 or self.values.shape[0] != self.values.shape[1] or not self.values.size:
            raise ValueError(f"values must be a square matrix with at least one row, not {self.values.shape}")
        count = len(self.values)
        self.untrained = None if untrained is None else _accuracies(untrained, "untrained")
        if self.untrained is not None and self.untrained.shape != (count,):
            raise ValueError(f"untrained must hold {count} accuracies, not {self.untrained.shape}")
        self.names = tuple(names) if names is not None else tuple(str(number + 1) for number in range(count))
        if len(self.names) != count:
            raise ValueError(f"there are {count} experiences and {len(self.names)} names")
        self.unlearnt = np.zeros((count, count), np.int64) if unlearnt is None else np.array(unlearnt, np.int64)
        if self.unlearnt.shape != (count, count):
            raise ValueError(f"unlearnt must be {count} x {count} counts, not {self.unlearnt.shape}")

    def __len__(self) -> int:
        """Return the number of experiences."""
        return len(self.values)

    def holes(self) -> list[str]:
        """Return every accuracy that was not measured, such as "photo after cartoon", by rows."""
        places = zip(*np.nonzero(np.isnan(self.values)), strict=True)
        return [f"{self.names[j]} after {self.names[i]}" for i, j in places]

    def counted_as_wrong(self) -> list[str]:
        """Return where classes that were not learnt yet lower an accuracy, such as "1 of street after home, office"."""
        found = []
        for j, name in enumerate(self.names):
            column = self.unlearnt[:, j]
            for count in dict.fromkeys(column[column > 0].tolist()):
                after = ", ".join(self.names[i] for i in np.nonzero(column == count)[0])
                found.append(f"{count} of {name} after {after}")
        return found

    def summary(self) -> dict[str, float | None]:
        """Return all measures by name; None where there is nothing to average, or a hole in what is averaged.

        OpenLORIS convention, triangles of the matrix: `accuracy_openloris` (i >= j), `backward_openloris` (i > j),
        `forward_openloris` (i < j), `overall` (all).

        GEM convention: `accuracy_gem`, the mean of the last row; `backward_gem`, the mean of R[N, j] - R[j, j] over
        j < N; `forward_gem`, the mean of R[j-1, j] - untrained[j] over j > 1; `forgetting`, the mean over j < N of the
        best accuracy on j before the last experience minus the last one (A. Chaudhry et al., ECCV 2018).

        Further: `backward_gem_code` and `forward_gem_code` as GEM's public code has them, which divides by N;
        `backward_diaz`, the mean of R[i, j] - R[j, j] over i > j (N. Diaz-Rodriguez et al., 2018); `learning`, the
        mean of the diagonal; `average_incremental`, the mean over k of the mean accuracy on experiences 1..k after k.
        """
        count, matrix = len(self), self.values
        everywhere = [(i, j) for i in range(count) for j in range(count)]
        last = count - 1

        def mean_where(keep: Callable[[int, int], bool]) -> float | None:
            return _mean(matrix[i, j] for i, j in everywhere if keep(i, j))

        backward = [matrix[last, j] - matrix[j, j] for j in range(last)]
        before = self.untrained if self.untrained is not None else np.full(count, np.nan)
        forward = [matrix[j - 1, j] - before[j] for j in range(1, count)]
        return {
            "accuracy_openloris": mean_where(lambda i, j: i >= j),
            "backward_openloris": mean_where(lambda i, j: i > j),
            "forward_openloris": mean_where(lambda i, j: i < j),
            "overall": mean_where(lambda _i, _j: True),
            "accuracy_gem": _mean(matrix[last]),
            "backward_gem": _mean(backward),
            "forward_gem": _mean(forward),
            "forgetting": _mean(self.forgetting()),
            "backward_gem_code": _mean([*backward, 0.0]) if backward else None,
            "forward_gem_code": _mean([*forward, 0.0]) if forward else None,
            "backward_diaz": _mean(matrix[i, j] - matrix[j, j] for i, j in everywhere if i > j),
            "learning": _mean(np.diagonal(matrix)),
            "average_incremental": _mean(self.average_so_far()),
        }

    def forgetting(self) -> list[float]:
        """Return for each experience but the last: its best accuracy before the end minus the one at the end."""
        last = len(self) - 1
        # max() of an array gives NaN where one is: an unmeasured accuracy may have been the best.
        return [float(self.values[:last, j].max() - self.values[last, j]) for j in range(last)]

    def average_so_far(self) -> list[float]:
        """Return for each experience k the mean accuracy on experiences 1..k after it."""
        return [float(self.values[k, : k + 1].mean()) for k in range(len(self))]


def _accuracies(values: ArrayLike, what: str) -> NDArray[np.float64]:
    try:
        array = np.array(values, np.float64)  # None becomes NaN
    except TypeError as error:
        raise ValueError(f"{what} must hold numbers or None") from error
    known = array[~np.isnan(array)]
    if known.size and not (known.min() >= 0 and known.max() <= 1):
        raise ValueError(f"{what} must hold accuracies from 0 to 1, not {known.min():g} to {known.max():g}")
    array.flags.writeable = False
    return array


def _mean(values: Iterable[float]) -> float | None:
    found = [float(value) for value in values]
    mean = math.fsum(found) / len(found) if found else math.nan
    return None if math.isnan(mean) else mean
