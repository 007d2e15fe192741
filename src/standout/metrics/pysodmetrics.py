"""The classes of pysodmetrics 1.6.2 under their own names: `step` each picture, then `get_results`.

Programs that say `import py_sod_metrics` say `from standout.metrics import pysodmetrics as py_sod_metrics` instead and
get the same numbers faster, without opencv and scipy. Different on purpose: the three cases in docs/measures.md, so
that no value is NaN; a bool mask is a mask; kappa is Cohen's; and asking for results before the first picture raises.
`SaliencyMeasures` gives all measures from one pass; these classes each make their own.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from standout.metrics.counts import PictureCounts, check_map, check_mask, count_picture
from standout.metrics.curves import BETA_SQUARED, THRESHOLDS, Found, f_measure, found_adaptive, precision_recall
from standout.metrics.handlers import (
    BERHandler,
    DICEHandler,
    FmeasureHandler,
    FPRHandler,
    Handler,
    IOUHandler,
    KappaHandler,
    OverallAccuracyHandler,
    PrecisionHandler,
    RecallHandler,
    SensitivityHandler,
    SpecificityHandler,
    TNRHandler,
    TPRHandler,
)
from standout.metrics.protocols import DEFAULT_PROTOCOL, PROTOCOLS, Protocol
from standout.metrics.saliency import score_picture
from standout.metrics.structure import ALPHA, s_measure
from standout.metrics.sums import ExactSum
from standout.metrics.weighted import weighted_f_of_levels

__all__ = [
    "MAE",
    "BERHandler",
    "DICEHandler",
    "Emeasure",
    "FPRHandler",
    "Fmeasure",
    "FmeasureHandler",
    "FmeasureV2",
    "IOUHandler",
    "KappaHandler",
    "OverallAccuracyHandler",
    "PrecisionHandler",
    "RecallHandler",
    "SensitivityHandler",
    "Smeasure",
    "SpecificityHandler",
    "TNRHandler",
    "TPRHandler",
    "WeightedFmeasure",
]

Floats = NDArray[np.float64]
_BYTE = 255


class _Pair:
    """One map and its mask, checked, and the rules that they are measured under."""

    def __init__(self, pred: NDArray[Any], gt: NDArray[Any], normalize: bool) -> None:
        self.protocol: Protocol = PROTOCOLS[DEFAULT_PROTOCOL if normalize else "raw"]
        self.map = check_map(_in_range(pred) if normalize and isinstance(pred, np.ndarray) else pred)
        self.mask = check_mask(gt, self.protocol.mask_above)
        if self.map.shape != self.mask.shape:
            raise ValueError(f"map and mask must have one size; they are {self.map.shape} and {self.mask.shape}")

    def counts(self) -> PictureCounts:
        return count_picture(self.map, self.mask, self.protocol)


def _in_range(pred: NDArray[Any]) -> NDArray[Any]:
    """Return whole numbers and floats of 0 to 255 as 0 to 1, which the original takes too; others as they are."""
    if pred.dtype == np.uint8 or pred.size == 0:
        return pred
    whole = np.issubdtype(pred.dtype, np.integer)
    return pred / _BYTE if whole or (np.issubdtype(pred.dtype, np.floating) and pred.max() > 1) else pred


class _Measure(ABC):
    """A running mean of what one picture gives."""

    _length = 1

    def __init__(self) -> None:
        self._sum = ExactSum((self._length,))
        self._count = 0

    # The names of the arguments are the original's, since programs pass them by name.
    def step(self, pred: NDArray[Any], gt: NDArray[Any], normalize: bool = True) -> None:
        """Measure one picture and add it.

        Parameters
        ----------
        pred : (H, W) map, numbers of 0 to 255 or of 0 to 1; stretched to its own minimum and maximum.
        gt : (H, W) mask, bool, or uint8 with foreground above 128.
        normalize : False takes a float map of 0 to 1 as it is, without stretching.

        Raises
        ------
        TypeError, ValueError : other types, shapes or values, by name.
        """
        self._sum.add(self._of(_Pair(pred, gt, normalize)))
        self._count += 1

    @abstractmethod
    def _of(self, pair: _Pair) -> Floats:
        """Return what is summed for one picture."""

    def _mean(self) -> Floats:
        if self._count == 0:
            raise ValueError("no picture was measured; call step(pred, gt) first")
        return self._sum.mean(self._count)


class MAE(_Measure):
    """The mean absolute error."""

    def _of(self, pair: _Pair) -> Floats:
        return np.array([score_picture(pair.map, pair.mask, protocol=pair.protocol, weighted=False).mae])

    def get_results(self) -> dict[str, Any]:
        """Return `{"mae": mean}`."""
        return {"mae": self._mean()[0]}


class Smeasure(_Measure):
    """The S-measure.

    Parameters
    ----------
    alpha : the objects' share; the regions have the rest.
    """

    def __init__(self, alpha: float = ALPHA) -> None:
        super().__init__()
        self.alpha = alpha

    def _of(self, pair: _Pair) -> Floats:
        if self.alpha == ALPHA:
            return np.array([score_picture(pair.map, pair.mask, protocol=pair.protocol, weighted=False).s])
        return np.array([s_measure(pair.counts(), self.alpha)])

    def get_results(self) -> dict[str, Any]:
        """Return `{"sm": mean}`."""
        return {"sm": self._mean()[0]}


class Emeasure(_Measure):
    """The enhanced alignment."""

    _length = 1 + THRESHOLDS

    def _of(self, pair: _Pair) -> Floats:
        score = score_picture(pair.map, pair.mask, protocol=pair.protocol, weighted=False)
        return np.concatenate([[score.e_adaptive], score.e])

    def get_results(self) -> dict[str, Any]:
        """Return `{"em": {"adp": mean, "curve": (256,)}}`; thresholds run from 255 down to 0."""
        mean = self._mean()
        return {"em": {"adp": mean[0], "curve": mean[1:]}}


class Fmeasure(_Measure):
    """F, precision and recall.

    Parameters
    ----------
    beta : the squared beta, as the original calls it.
    """

    _length = 1 + 3 * THRESHOLDS

    def __init__(self, beta: float = BETA_SQUARED) -> None:
        super().__init__()
        self.beta = beta

    def _of(self, pair: _Pair) -> Floats:
        score = score_picture(pair.map, pair.mask, protocol=pair.protocol, weighted=False)
        precision, recall, f, _ = score.curves()
        adaptive = score.f_adaptive
        if self.beta != BETA_SQUARED:
            f = f_measure(precision, recall, self.beta)
            at_threshold = precision_recall(found_adaptive(pair.counts()), score.foreground)
            adaptive = float(f_measure(*at_threshold, self.beta))
        return np.concatenate([[adaptive], f, precision, recall])

    def get_results(self) -> dict[str, Any]:
        """Return `{"fm": {"adp": mean, "curve": (256,)}, "pr": {"p": (256,), "r": (256,)}}`."""
        mean = self._mean()
        f, precision, recall = mean[1:].reshape(3, THRESHOLDS)
        return {"fm": {"adp": mean[0], "curve": f}, "pr": {"p": precision, "r": recall}}


class WeightedFmeasure(_Measure):
    """The weighted F-measure.

    Parameters
    ----------
    beta : the squared beta, as the original calls it.
    """

    def __init__(self, beta: float = 1) -> None:
        super().__init__()
        self.beta = beta

    def _of(self, pair: _Pair) -> Floats:
        picture = pair.counts()
        value = weighted_f_of_levels(picture.levels, picture.values, pair.mask, beta_squared=self.beta)
        return np.array([value])

    def get_results(self) -> dict[str, Any]:
        """Return `{"wfm": mean}`."""
        return {"wfm": self._mean()[0]}


class FmeasureV2:
    """Any measures of the pixels found and missed, each by its handler, from one histogram of each picture.

    Parameters
    ----------
    metric_handlers : name to handler.
    """

    def __init__(self, metric_handlers: Mapping[str, Handler] | None = None) -> None:
        self._handlers: dict[str, Handler] = dict(metric_handlers or {})

    def add_handler(self, handler_name: str, metric_handler: Handler) -> None:
        """Add a handler under a name; what was measured before is not in it."""
        self._handlers[handler_name] = metric_handler

    def step(self, pred: NDArray[Any], gt: NDArray[Any], normalize: bool = True) -> None:
        """Measure one picture; arguments and errors as `MAE.step`, and ValueError where there is no handler."""
        if not self._handlers:
            raise ValueError("there is no handler; pass metric_handlers or call add_handler first")
        pair = _Pair(pred, gt, normalize)
        picture = pair.counts()
        background, foreground = picture.counts.sum(axis=0)
        score = score_picture(pair.map, pair.mask, protocol=pair.protocol, weighted=False)
        bright = picture.values > 0.5
        found = {
            "dynamic": Found(score.right, score.wrong),
            "adaptive": found_adaptive(picture),
            "binary": Found(np.asarray(foreground[bright].sum()), np.asarray(background[bright].sum())),
        }
        for handler in self._handlers.values():
            handler.add(found, picture.foreground, picture.pixels)

    def get_results(self) -> dict[str, Any]:
        """Return for each handler `{"dynamic": (256,), "adaptive": number, "binary": number}`, as far as asked for."""
        return {name: handler.get_results() for name, handler in self._handlers.items()}
