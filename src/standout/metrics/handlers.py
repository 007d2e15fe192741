"""Measures of found and missed pixels for `standout.metrics.pysodmetrics.FmeasureV2`, under the original's names."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from standout.metrics.curves import BETA_SQUARED, THRESHOLDS, Found, f_measure
from standout.metrics.sums import ExactSum

Floats = NDArray[np.float64]


class Confusion(NamedTuple):
    """Pixels found rightly, found wrongly, left rightly and missed, at some thresholds; any shape."""

    right: NDArray[Any]
    wrong: NDArray[Any]
    left: NDArray[Any]
    missed: NDArray[Any]


class Handler(ABC):
    """One measure over many pictures.

    Parameters
    ----------
    with_dynamic : at the thresholds 255 down to 0.
    with_adaptive : at twice the map's mean.
    with_binary : of the pixels above a half.
    sample_based : False gives, of the pixels above a half, the measure of all pictures' pixels together instead of
        the mean of the pictures' measures; at thresholds it is always that mean, as in the original.
    """

    def __init__(
        self, with_dynamic: bool, with_adaptive: bool, *, with_binary: bool = False, sample_based: bool = True
    ) -> None:
        wanted = {"dynamic": with_dynamic, "adaptive": with_adaptive, "binary": with_binary}
        self.sample_based = sample_based
        self._count = 0
        shapes = {"dynamic": (THRESHOLDS,), "adaptive": (), "binary": () if sample_based else (4,)}
        self._sums = {name: ExactSum(shape) for name, shape in shapes.items() if wanted[name]}

    @abstractmethod
    def value(self, of: Confusion) -> Floats:
        """Return the measure; 0 where it would divide by 0."""

    def add(self, found: Mapping[str, Found], foreground: int, pixels: int) -> None:
        """Add one picture by what was found in it."""
        self._count += 1
        for name, total in self._sums.items():
            right, wrong = found[name]
            confusion = Confusion(right, wrong, pixels - foreground - wrong, foreground - right)
            total.add(np.stack(confusion) if self._together(name) else self.value(confusion))

    def get_results(self) -> dict[str, Any]:
        """Return the measure by kind of threshold.

        Raises
        ------
        ValueError : no picture was measured.
        """
        if self._count == 0:
            raise ValueError("no picture was measured; call step(pred, gt) first")
        results = {}
        for name, total in self._sums.items():
            mean = total.mean(self._count)
            # Any measure of the sums is the same measure of their means.
            value = self.value(Confusion(*mean)) if self._together(name) else mean
            results[name] = value if value.ndim else value[()]
        return results

    def _together(self, name: str) -> bool:
        return name == "binary" and not self.sample_based


def _share(part: NDArray[Any], whole: NDArray[Any]) -> Floats:
    return np.asarray(part / np.where(whole == 0, 1, whole), dtype=np.float64)


class IOUHandler(Handler):
    """Intersection over union."""

    def value(self, of: Confusion) -> Floats:  # noqa: D102
        return _share(of.right, of.right + of.wrong + of.missed)


class DICEHandler(Handler):
    """Dice's coefficient."""

    def value(self, of: Confusion) -> Floats:  # noqa: D102
        return _share(2 * of.right, 2 * of.right + of.wrong + of.missed)


class PrecisionHandler(Handler):
    """The share of the found pixels that lie in the mask."""

    def value(self, of: Confusion) -> Floats:  # noqa: D102
        return _share(of.right, of.right + of.wrong)


class RecallHandler(Handler):
    """The share of the mask that is found."""

    def value(self, of: Confusion) -> Floats:  # noqa: D102
        return _share(of.right, of.right + of.missed)


TPRHandler = RecallHandler
SensitivityHandler = RecallHandler


class SpecificityHandler(Handler):
    """The share of the background that is left alone."""

    def value(self, of: Confusion) -> Floats:  # noqa: D102
        return _share(of.left, of.left + of.wrong)


TNRHandler = SpecificityHandler


class FPRHandler(Handler):
    """The share of the background that is found wrongly."""

    def value(self, of: Confusion) -> Floats:  # noqa: D102
        return _share(of.wrong, of.left + of.wrong)


class OverallAccuracyHandler(Handler):
    """The share of all pixels that are judged rightly."""

    def value(self, of: Confusion) -> Floats:  # noqa: D102
        return _share(of.right + of.left, sum(of, np.zeros((), np.int64)))


class BERHandler(Handler):
    """The balanced error: 1 minus the mean of recall and specificity."""

    def value(self, of: Confusion) -> Floats:  # noqa: D102
        recall, specificity = _share(of.right, of.right + of.missed), _share(of.left, of.left + of.wrong)
        return np.asarray(1 - (recall + specificity) / 2)


class KappaHandler(Handler):
    """Cohen's kappa: how far beyond chance map and mask agree; the original computes another number under this name."""

    def value(self, of: Confusion) -> Floats:  # noqa: D102
        # In whole numbers, whose products stay exact in float64 for pictures of up to 90 million pixels.
        right, wrong, left, missed = (part.astype(np.float64) for part in of)
        apart = (right + wrong) * (wrong + left) + (right + missed) * (missed + left)
        return _share(2 * (right * left - missed * wrong), apart)


class FmeasureHandler(Handler):
    """F.

    Parameters
    ----------
    beta : the squared beta, as the original calls it.
    """

    def __init__(
        self,
        with_dynamic: bool,
        with_adaptive: bool,
        *,
        with_binary: bool = False,
        sample_based: bool = True,
        beta: float = BETA_SQUARED,
    ) -> None:
        super().__init__(with_dynamic, with_adaptive, with_binary=with_binary, sample_based=sample_based)
        self.beta = beta

    def value(self, of: Confusion) -> Floats:  # noqa: D102
        precision, recall = _share(of.right, of.right + of.wrong), _share(of.right, of.right + of.missed)
        return f_measure(precision, recall, self.beta)
