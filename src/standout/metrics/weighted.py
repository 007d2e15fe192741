"""Weighted F (Margolin et al. 2014): errors weighted by where they lie.

Needs, for each background pixel, its exact Euclidean distance to the foreground, and near the foreground also
which foreground pixel is the nearest. That part depends on the mask alone: `MaskWeights` holds it, so that many
maps scored against one mask pay for it once.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from standout.metrics.counts import Floats
from standout.metrics.curves import EPSILON

BETA_SQUARED = 1.0
REACH = 3
"""Half the width of the 7 x 7 Gaussian window."""
SIGMA = 5.0
HALF_DISTANCE = 5.0
"""Distance in pixels at which a background error has lost half of what it can still gain in weight."""
FAR = 270
"""From here on `exp(ln(0.5) / 5 * distance)` is below the last bit of the weight, which is exactly 2."""
ROWS_AT_ONCE = 64
STEPS_AT_ONCE = 8


class MaskWeights(NamedTuple):
    """What weighted F needs of a mask, (H, W) bool with at least one foreground pixel.

    background : (B,) float64 in 1..2: the weight of each background pixel, in reading order.
    ring : (R,) flat indices of the background pixels that the Gaussian window of a foreground pixel can see.
    nearest : (R,) flat index of the nearest foreground pixel of each.
    """

    background: Floats
    ring: NDArray[np.intp]
    nearest: NDArray[np.intp]


def mask_weights(mask: NDArray[np.bool_]) -> MaskWeights:
    """Return the part of weighted F that depends on the mask alone."""
    above, below = _nearest_rows(mask)
    rows = np.arange(mask.shape[0], dtype=np.int32)[:, None]
    vertical = np.minimum(rows - above, below - rows)
    squared = _squared_distances(vertical)
    background = 2 - np.exp(math.log(0.5) / HALF_DISTANCE * np.sqrt(squared[~mask].astype(np.float64)))
    ring = np.flatnonzero(_grown(mask) & ~mask)
    return MaskWeights(background, ring, _nearest_of(ring, mask.shape[1], above, below))


def weighted_f(map: Floats, mask: NDArray[np.bool_], weights: MaskWeights | None = None) -> float:  # noqa: A002
    """Return weighted F, in 0..1, of a map in 0..1 and a mask, both (H, W); 0 where the mask is empty."""
    if not mask.any():
        return 0.0
    if weights is None:
        weights = mask_weights(mask)
    error = np.abs(map - mask)
    spread = np.where(mask, error, 0.0)
    spread.ravel()[weights.ring] = error.ravel()[weights.nearest]
    on_object = np.minimum(error, _smoothed(spread, mask))[mask]
    missed = float(on_object.sum())
    wrong = float((error[~mask] * weights.background).sum())
    total = on_object.size
    right = total - missed
    recall = 1 - missed / total
    precision = right / (right + wrong + EPSILON)
    return (1 + BETA_SQUARED) * recall * precision / (recall + BETA_SQUARED * precision + EPSILON)


def _smoothed(spread: Floats, mask: NDArray[np.bool_]) -> Floats:
    """Return the Gaussian mean of the errors, zeros beyond the border; right on the foreground's box only."""
    height, width = mask.shape
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    top, bottom, left, right = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
    taps = np.exp(-(np.arange(-REACH, REACH + 1) ** 2) / (2 * SIGMA**2))
    taps /= taps.sum()
    # Zeros beyond the picture's border are the published rule, not an oversight: errors there weigh less.
    around = np.zeros((bottom - top + 2 * REACH, right - left + 2 * REACH))
    first_row, first_column = max(top - REACH, 0), max(left - REACH, 0)
    seen = spread[first_row : min(bottom + REACH, height), first_column : min(right + REACH, width)]
    row, column = first_row - top + REACH, first_column - left + REACH
    around[row : row + seen.shape[0], column : column + seen.shape[1]] = seen
    across = sum(tap * around[:, at : at + right - left] for at, tap in enumerate(taps))
    smoothed = np.zeros_like(spread)
    smoothed[top:bottom, left:right] = sum(tap * across[at : at + bottom - top] for at, tap in enumerate(taps))
    return smoothed


def _nearest_rows(mask: NDArray[np.bool_]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Return for each pixel the row of the next foreground pixel of its column, upwards and downwards.

    Where there is none the row lies `FAR + H` away, farther than any distance that matters.
    """
    height = mask.shape[0]
    none = FAR + 2 * height
    rows = np.arange(height, dtype=np.int32)[:, None]
    above = np.maximum.accumulate(np.where(mask, rows, np.int32(-none)), axis=0)
    below = np.minimum.accumulate(np.where(mask, rows, np.int32(none))[::-1], axis=0)[::-1]
    return above, below


def _squared_distances(vertical: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return the exact squared distance to the foreground, from the distances within each column.

    Distances of `FAR` and beyond may come out too large; their weight is the same.
    """
    height, width = vertical.shape
    squared = np.minimum(vertical, 2 * FAR) ** 2
    # Only columns that hold foreground can be where the nearest lies.
    holding = np.flatnonzero((vertical == 0).any(axis=0))
    first, last = int(holding[0]), int(holding[-1]) + 1
    for start in range(0, height, ROWS_AT_ONCE):
        rows = squared[start : start + ROWS_AT_ONCE]
        columns = rows[:, first:last].copy()
        for step in range(1, min(width, FAR)):
            if step % STEPS_AT_ONCE == 0 and step * step >= rows.max():
                break
            reached = columns + step * step
            here = rows[:, first + step : last + step]
            np.minimum(here, reached[:, : here.shape[1]], out=here)
            outside = max(step - first, 0)
            here = rows[:, first + outside - step : max(last - step, 0)]
            np.minimum(here, reached[:, outside:], out=here)
    return squared


def _grown(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the pixels within `REACH` rows and columns of the foreground."""
    for _ in range(2):
        wide = mask.copy()
        for step in range(1, REACH + 1):
            wide[step:] |= mask[:-step]
            wide[:-step] |= mask[step:]
        mask = wide.T
    return mask


def _nearest_of(
    ring: NDArray[np.intp], width: int, above: NDArray[np.int32], below: NDArray[np.int32]
) -> NDArray[np.intp]:
    """Return the flat index of the foreground pixel nearest to each ring pixel.

    Among equals the leftmost column wins, then the topmost row: another rule moves weighted F by up to 0.005.
    A ring pixel has foreground within `REACH` rows and columns, so its nearest lies within 4 columns.
    """
    row, column = np.divmod(ring, width)
    best = np.full(ring.shape, np.iinfo(np.int64).max)
    nearest = np.zeros_like(ring)
    reach = math.isqrt(2 * REACH * REACH)
    for step in range(-reach, reach + 1):
        inside = (column + step >= 0) & (column + step < width)
        at = np.clip(column + step, 0, width - 1)
        up, down = above[row, at].astype(np.int64), below[row, at].astype(np.int64)
        chosen = np.where(row - up <= down - row, up, down)
        squared = (chosen - row) ** 2 + step * step
        better = inside & (squared < best)
        best[better] = squared[better]
        nearest[better] = (chosen * width + at)[better]
    return nearest
