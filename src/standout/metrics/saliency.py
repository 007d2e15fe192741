"""All measures of saliency and camouflage over a data set, from one pass over each picture."""

from __future__ import annotations

from types import ModuleType
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from standout.metrics.counts import (
    LEVELS,
    Counts,
    Floats,
    Pixels,
    check_map,
    check_mask,
    count_picture,
    joint_histogram,
    mean_absolute_error,
)
from standout.metrics.curves import (
    EPSILON,
    IOU_LEVEL,
    THRESHOLDS,
    Found,
    e_measure,
    f_measure,
    found_adaptive,
    found_by_threshold,
    intersection_over_union,
    over_all_pixels,
    precision_recall,
)
from standout.metrics.kernel import kernel_for, kernel_now
from standout.metrics.protocols import DEFAULT_PROTOCOL, PROTOCOLS, Protocol, find_protocol
from standout.metrics.structure import s_measure
from standout.metrics.sums import ExactSum
from standout.metrics.weighted import MaskWeights, weighted_f_of_levels

MEASURES = (
    "mae",
    "f_max",
    "f_max_pr",
    "f_mean",
    "f_adaptive",
    "weighted_f",
    "s",
    "e_max",
    "e_mean",
    "e_adaptive",
    "iou",
)
"""The keys of `SaliencyMeasures.compute()`, in the order of tables."""

_CURVES = ("precision", "recall", "f", "e")
_NUMBERS = ("mae", "f_adaptive", "weighted_f", "s", "e_adaptive", "iou")


class PictureScore(NamedTuple):
    """The measures of one picture.

    pixels, foreground : of the mask.
    right, wrong : (256,) int64: pixels found inside and outside the mask at thresholds 255, 254, ..., 0.
    weighted_f : None where it was left out.
    constant_map : whether the map holds one value only.
    protocol : under which the map was scored.
    """

    pixels: int
    foreground: int
    right: Counts
    wrong: Counts
    mae: float
    f_adaptive: float
    weighted_f: float | None
    s: float
    e_adaptive: float
    iou: float
    constant_map: bool
    protocol: Protocol = PROTOCOLS[DEFAULT_PROTOCOL]

    @property
    def precision(self) -> Floats:
        """(256,) float64, 0 where nothing is found."""
        return np.asarray(self.curves()[0])

    @property
    def recall(self) -> Floats:
        """(256,) float64, 0 where the mask is empty."""
        return np.asarray(self.curves()[1])

    @property
    def f(self) -> Floats:
        """(256,) float64."""
        return np.asarray(self.curves()[2])

    @property
    def e(self) -> Floats:
        """(256,) float64."""
        return np.asarray(self.curves()[3])

    def curves(self) -> Floats:
        """Return precision, recall, f and e as (4, 256) float64."""
        kernel = kernel_now()
        if kernel is None:
            found = Found(self.right, self.wrong)
            precision, recall = precision_recall(found, self.foreground)
            curves = np.stack([
                precision, recall, f_measure(precision, recall), e_measure(found, self.foreground, self.pixels)
            ])  # fmt: skip
        else:
            curves = np.empty((len(_CURVES), THRESHOLDS))
            kernel.curves(self.right, self.wrong, self.foreground, self.pixels, curves)
        if self.protocol.empty == "agree" and self.foreground == 0:
            nothing = self.wrong == 0
            curves[0], curves[1], curves[2] = nothing, 1, nothing
        if self.protocol.e_over == "all":
            curves[3] = over_all_pixels(curves[3], self.pixels)
        return curves

    def agreeing(self) -> PictureScore:
        """Return the score with the corner cases of its protocol, made from those of pysodmetrics."""
        score = self
        if self.protocol.empty == "agree" and self.foreground == 0:
            # On an empty mask E counts the pixels that are not called; on a black map the adaptive threshold is 0
            # and would call them all.
            black = self.wrong[THRESHOLDS - 2] == 0
            left = round(self.e_adaptive * (self.pixels - 1 + EPSILON))
            nothing = bool(black or left == self.pixels)
            score = score._replace(
                f_adaptive=float(nothing),
                e_adaptive=self.pixels / (self.pixels - 1 + EPSILON) if nothing else self.e_adaptive,
                weighted_f=None if self.weighted_f is None else 1 - self.mae,
                iou=float(self.wrong[THRESHOLDS - 1 - IOU_LEVEL] == 0),
            )
        if self.protocol.e_over == "all":
            score = score._replace(e_adaptive=float(over_all_pixels(np.asarray(score.e_adaptive), self.pixels)))
        return score


def score_picture(
    map: NDArray[np.generic],  # noqa: A002 - the field's word
    mask: NDArray[np.generic],
    *,
    protocol: str | Protocol = DEFAULT_PROTOCOL,
    weighted: bool = True,
    weights: MaskWeights | None = None,
) -> PictureScore:
    """Score one map against its mask.

    Parameters
    ----------
    map : (H, W) uint8 in 0..255 or float in 0..1.
    mask : (H, W) bool, or uint8 with foreground above 128.
    protocol : how the map is scaled before it is measured, see `standout.metrics.PROTOCOLS`.
    weighted : whether to compute weighted F, which takes most of the time.
    weights : the mask's own part of weighted F, if it is at hand (`mask_weights`).

    Raises
    ------
    TypeError : a dtype other than these.
    ValueError : the sizes differ, or the map holds NaN, infinity or values outside 0..1.
    StandoutError : exit code 2, unknown protocol.
    """
    rules = find_protocol(protocol)
    levels, labels = check_map(map), check_mask(mask, rules.mask_above)
    if levels.shape != labels.shape:
        raise ValueError(f"map and mask must have one size; the map is {levels.shape}, the mask {labels.shape}")
    kernel = kernel_for(levels)
    if kernel is not None and levels.dtype == np.uint8:
        return _score_compiled(kernel, levels, labels, rules, weighted, weights).agreeing()
    picture = count_picture(levels, labels, rules)
    pixels, foreground = picture.pixels, picture.foreground
    found, adaptive = found_by_threshold(picture), found_adaptive(picture)
    return PictureScore(
        pixels=pixels,
        foreground=foreground,
        right=found.right,
        wrong=found.wrong,
        mae=mean_absolute_error(picture),
        f_adaptive=float(f_measure(*precision_recall(adaptive, foreground))),
        weighted_f=weighted_f_of_levels(picture.levels, picture.values, labels, weights) if weighted else None,
        s=s_measure(picture),
        e_adaptive=float(e_measure(adaptive, foreground, pixels)),
        iou=intersection_over_union(found, foreground),
        constant_map=picture.constant,
        protocol=rules,
    ).agreeing()


def _score_compiled(
    kernel: ModuleType,
    levels: Pixels,
    labels: NDArray[np.bool_],
    rules: Protocol,
    weighted: bool,
    weights: MaskWeights | None,
) -> PictureScore:
    """Score an 8-bit map and its mask on the compiled path, which takes the steps of the functions used elsewhere."""
    counts = joint_histogram(levels, LEVELS, labels)
    values, right, wrong = np.empty(LEVELS), np.empty(THRESHOLDS, np.int64), np.empty(THRESHOLDS, np.int64)
    pixels, foreground, mae, f_adaptive, s, e_adaptive, iou, constant = kernel.numbers(
        counts, rules.stretch, values, right, wrong
    )
    return PictureScore(
        pixels=pixels,
        foreground=foreground,
        right=right,
        wrong=wrong,
        mae=mae,
        f_adaptive=f_adaptive,
        weighted_f=weighted_f_of_levels(levels, values, labels, weights) if weighted else None,
        s=s,
        e_adaptive=e_adaptive,
        iou=iou,
        constant_map=constant,
        protocol=rules,
    )


class SaliencyMeasures:
    """Running measures over many pictures.

    The sums are exact, so the order of the pictures and the split of the work over processes change no digit.

    Parameters
    ----------
    protocol : how maps are scaled before they are measured: `pysodmetrics-1.6.2` (each map stretched to its own
        minimum and maximum), `raw` (as they are) or `sane` (as they are, with answers for empty masks that agree).
    weighted : whether to compute weighted F; without it a picture costs a tenth.

    Attributes
    ----------
    count, empty_masks, full_masks, constant_maps : how many pictures were scored, and how many of each corner case.

    Examples
    --------
    >>> import numpy as np
    >>> measures = SaliencyMeasures()
    >>> mask = np.zeros((4, 6), bool)
    >>> mask[1:3, 2:5] = True
    >>> measures.update(mask * np.uint8(200), mask)
    >>> measures.compute()["f_max"]
    1.0
    """

    def __init__(self, protocol: str | Protocol = DEFAULT_PROTOCOL, *, weighted: bool = True) -> None:
        self.protocol = find_protocol(protocol)
        self.weighted = weighted
        self.count = 0
        self.empty_masks = 0
        self.full_masks = 0
        self.constant_maps = 0
        self._curves = ExactSum((len(_CURVES), THRESHOLDS))
        self._numbers = ExactSum((len(_NUMBERS),))

    def update(
        self,
        map: NDArray[np.generic],  # noqa: A002 - the field's word
        mask: NDArray[np.generic],
        weights: MaskWeights | None = None,
    ) -> None:
        """Score one map against its mask and add it; parameters and errors as `score_picture`."""
        self.add(score_picture(map, mask, protocol=self.protocol.name, weighted=self.weighted, weights=weights))

    def add(self, score: PictureScore) -> None:
        """Add the score of one picture, made by `score_picture` under the same protocol.

        Raises
        ------
        ValueError : weighted F is asked for here and was left out there.
        """
        if self.weighted and score.weighted_f is None:
            raise ValueError("this picture was scored without weighted F; pass weighted=False here or True there")
        self._curves.add(score.curves())
        self._numbers.add(np.array([getattr(score, name) or 0.0 for name in _NUMBERS]))
        self.count += 1
        self.empty_masks += score.foreground == 0
        self.full_masks += score.foreground == score.pixels
        self.constant_maps += score.constant_map

    def merge(self, other: SaliencyMeasures) -> None:
        """Add the pictures that another object of the same settings has scored.

        Raises
        ------
        ValueError : the protocols differ, or only one of the two computes weighted F.
        """
        if (self.protocol, self.weighted) != (other.protocol, other.weighted):
            raise ValueError(
                f"only sums of the same settings merge: protocol {self.protocol.name}, weighted={self.weighted} here, "
                f"protocol {other.protocol.name}, weighted={other.weighted} there"
            )
        self._curves.merge(other._curves)
        self._numbers.merge(other._numbers)
        for name in ("count", "empty_masks", "full_masks", "constant_maps"):
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def curves(self) -> dict[str, Floats]:
        """Return the mean precision, recall, f and e curves, (256,) each, at thresholds 255, 254, ..., 0.

        Under a protocol of 255 thresholds they are (255,), without level 1.
        """
        mean = self._curves.mean(self._pictures())
        if self.protocol.thresholds == THRESHOLDS - 1:
            mean = np.delete(mean, THRESHOLDS - 2, axis=1)
        return dict(zip(_CURVES, mean, strict=True))

    def compute(self) -> dict[str, float]:
        """Return the measures over all pictures, with the keys of `MEASURES`.

        `f_max` and `e_max` are the maximum of the mean curve, `f_max_pr` is the maximum F of the mean precision
        and the mean recall, `f_mean` and `e_mean` the mean over the 256 thresholds; the others are means over the
        pictures. `weighted_f` is absent where it was left out.

        Raises
        ------
        ValueError : no picture was scored.
        """
        curves = self.curves()
        values = {name: float(mean) for name, mean in zip(_NUMBERS, self._numbers.mean(self._pictures()), strict=True)}
        for name in ("f", "e"):
            values[f"{name}_max"] = float(curves[name].max())
            values[f"{name}_mean"] = float(curves[name].mean())
        values["f_max_pr"] = float(f_measure(curves["precision"], curves["recall"]).max())
        return {name: values[name] for name in MEASURES if self.weighted or name != "weighted_f"}

    def _pictures(self) -> int:
        if self.count == 0:
            raise ValueError("no picture was scored; call update(map, mask) first")
        return self.count
