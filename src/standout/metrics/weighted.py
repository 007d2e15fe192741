"""Weighted F (Margolin et al. 2014): errors weighted by where they lie.

Needs, for each background pixel, its exact Euclidean distance to the foreground, and near the foreground also
which foreground pixel is the nearest. That part depends on the mask alone: `MaskWeights` holds it, so that many
maps scored against one mask pay for it once.
"""

from __future__ import annotations

import math
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from standout.metrics.counts import Floats
from standout.metrics.curves import EPSILON
from standout.metrics.distances import FAR, REACH, nearest_pixels, squared_distances
from standout.metrics.kernel import kernel_for

BETA_SQUARED = 1.0
SIGMA = 5.0
HALF_DISTANCE = 5.0
"""Distance in pixels at which a background error has lost half of what it can still gain in weight."""


class DistanceClasses(NamedTuple):
    """The squared distances that two whole numbers can make, numbered in 16 bits.

    of_squared : (FAR**2 + 1,) uint16: the class of each squared distance; 0 is the foreground itself.
    weights : (65536,) float64: the weight of each class, 0 on the foreground, 1 to 2 beyond it.
    """

    of_squared: NDArray[np.uint16]
    weights: Floats


@cache
def distance_classes() -> DistanceClasses:
    """Return the numbering of squared distances and their weights."""
    squares = np.arange(FAR + 1) ** 2
    sums = np.unique(squares[:, None] + squares)
    sums = sums[sums <= FAR * FAR]
    of_squared = np.zeros(FAR * FAR + 1, np.uint16)
    of_squared[sums] = np.arange(len(sums))
    weights = np.full(2**16, 2.0)
    weights[: len(sums)] = 2 - np.exp(math.log(0.5) / HALF_DISTANCE * np.sqrt(sums.astype(np.float64)))
    weights[0] = 0
    for table in (of_squared, weights):
        table.flags.writeable = False
    return DistanceClasses(of_squared, weights)


@cache
def window_taps() -> Floats:
    """Return the first four of the seven Gaussian taps, which are symmetric; all seven sum to 1."""
    taps = np.exp(-(np.arange(-REACH, REACH + 1) ** 2) / (2 * SIGMA**2))
    return np.asarray((taps / taps.sum())[: REACH + 1])


class MaskWeights(NamedTuple):
    """What weighted F needs of a mask, (H, W) bool with at least one foreground pixel.

    classes : (H, W) uint16: the class (`distance_classes`) of each pixel's exact squared distance to the foreground.
    ring : (R,) flat indices of the background pixels within `sqrt(18)` of the foreground, ascending: they hold all
        that the Gaussian window of a foreground pixel can see.
    nearest : (R,) flat index of the nearest foreground pixel of each.
    box : (top, bottom, left, right) of the foreground; bottom and right lie beyond it.
    """

    classes: NDArray[np.uint16]
    ring: NDArray[np.intp]
    nearest: NDArray[np.intp]
    box: tuple[int, int, int, int]

    @property
    def background(self) -> Floats:
        """(B,) float64 in 1..2: the weight of each background pixel, in reading order."""
        return distance_classes().weights[self.classes[self.classes > 0]]


def mask_weights(mask: NDArray[np.bool_]) -> MaskWeights:
    """Return the part of weighted F that depends on the mask alone.

    Raises
    ------
    ValueError : the mask has no foreground.
    """
    kernel = kernel_for(mask)
    of_squared = distance_classes().of_squared
    if not mask.any():
        raise ValueError("an empty mask has no nearest foreground; its weighted F is 0")
    if kernel is not None:
        classes = np.empty(mask.shape, np.uint16)
        ring, nearest, box = kernel.distances(np.ascontiguousarray(mask), of_squared, classes)
        return MaskWeights(classes, np.frombuffer(ring, np.intp), np.frombuffer(nearest, np.intp), box)
    squared = squared_distances(mask)
    held_rows, held_columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    corners = (held_rows[0], held_rows[-1] + 1, held_columns[0], held_columns[-1] + 1)
    top, bottom, left, right = (int(corner) for corner in corners)
    return MaskWeights(of_squared[squared], *nearest_pixels(mask, squared), (top, bottom, left, right))


def weighted_f(
    map: Floats,  # noqa: A002 - the field's word
    mask: NDArray[np.bool_],
    weights: MaskWeights | None = None,
    beta_squared: float = BETA_SQUARED,
) -> float:
    """Return weighted F, in 0..1, of a map in 0..1 and a mask, both (H, W); 0 where the mask is empty."""
    if not mask.any():
        return 0.0
    weights = _weights_of(mask, weights)
    own = np.where(mask, 1 - map, 0.0)
    spread = own.copy()
    spread.ravel()[weights.ring] = own.ravel()[weights.nearest]
    top, bottom, left, right = weights.box
    missed = column_sum(np.minimum(own[top:bottom, left:right], _smoothed(spread, weights.box)))
    wrong = column_sum(distance_classes().weights[weights.classes] * map)
    return _combined(int(np.count_nonzero(mask)), missed, wrong, beta_squared)


def weighted_f_of_levels(
    levels: NDArray[np.integer],
    values: Floats,
    mask: NDArray[np.bool_],
    weights: MaskWeights | None = None,
    beta_squared: float = BETA_SQUARED,
) -> float:
    """Return weighted F of the map `values[levels]`, as `weighted_f` does.

    Parameters
    ----------
    levels : (H, W) which value each pixel holds; where it is uint8 and there are 256 values, the compiled path runs.
    values : (L,) float64 in 0..1.
    """
    kernel = kernel_for(mask)
    if kernel is None or levels.dtype != np.uint8:
        return weighted_f(values[levels], mask, weights, beta_squared)
    mask = np.ascontiguousarray(mask)
    total = int(np.count_nonzero(mask))
    if total == 0:
        return 0.0
    weights = _weights_of(mask, weights)
    missed, wrong = kernel.weigh(
        np.ascontiguousarray(levels), mask, values, distance_classes().weights, window_taps(), *weights
    )
    return _combined(total, missed, wrong, beta_squared)


def _weights_of(mask: NDArray[np.bool_], weights: MaskWeights | None) -> MaskWeights:
    if weights is None:
        return mask_weights(mask)
    if weights.classes.shape != mask.shape:
        raise ValueError(f"these weights belong to a mask of {weights.classes.shape}, not of {mask.shape}")
    return weights


def column_sum(terms: Floats) -> float:
    """Return the sum of (H, W) numbers: down each column, then across; an order that the compiled path follows."""
    down = np.zeros(terms.shape[1])
    for row in terms:
        down += row
    return float(down.cumsum()[-1])


def _combined(total: int, missed: float, wrong: float, beta_squared: float) -> float:
    """Return weighted F from the foreground's pixels, the errors on it and the weighted errors beside it."""
    right = total - missed
    recall = 1 - missed / total
    precision = right / (right + wrong + EPSILON)
    return (1 + beta_squared) * recall * precision / (recall + beta_squared * precision + EPSILON)


def _smoothed(spread: Floats, box: tuple[int, int, int, int]) -> Floats:
    """Return the Gaussian mean of the errors on the foreground's box, zeros beyond the picture's border."""
    height, width = spread.shape
    top, bottom, left, right = box
    # Zeros beyond the picture's border are the published rule, not an oversight: errors there weigh less.
    around = np.zeros((bottom - top + 2 * REACH, right - left + 2 * REACH))
    first_row, first_column = max(top - REACH, 0), max(left - REACH, 0)
    seen = spread[first_row : min(bottom + REACH, height), first_column : min(right + REACH, width)]
    row, column = first_row - top + REACH, first_column - left + REACH
    around[row : row + seen.shape[0], column : column + seen.shape[1]] = seen
    return _windowed(_windowed(around.T).T)


def _windowed(padded: Floats) -> Floats:
    """Return the Gaussian mean down the columns of (N + 6, M), as (N, M)."""
    length = padded.shape[0] - 2 * REACH
    at = [padded[step : step + length] for step in range(2 * REACH + 1)]
    outer, second, inner, centre = window_taps()
    return np.asarray(outer * (at[0] + at[6]) + second * (at[1] + at[5]) + inner * (at[2] + at[4]) + centre * at[3])
