"""One walk over the pixels: how often each value occurs, by quadrant and by mask.

MAE, the F, precision, recall and E curves, adaptive F and E, IoU and the S-measure all follow from one joint
histogram over (quadrant about the mask's centroid, mask, value). For an 8-bit map these are 2,048 counters.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from standout.metrics.kernel import kernel_for
from standout.metrics.protocols import Protocol

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]
Levels = NDArray[np.integer[Any]]
Pixels = NDArray[Any]
"""(H, W) uint8 in 0..255 or float64 in 0..1."""
LEVELS = 256
"""How many values an 8-bit map can hold."""


class PictureCounts(NamedTuple):
    """The joint histogram of one map and its mask.

    levels : (H, W): which of the L values each pixel holds.
    counts : (4, 2, L) int64; quadrants top left, top right, bottom left, bottom right; background, foreground.
    values : (L,) float64, ascending: the map's values in 0..1 under the protocol.
    bins : (L,) uint8: the 8-bit level that each value falls into, `floor(255 * value)`.
    adaptive : (L,) bool: the values that lie at or above the adaptive threshold, twice the map's mean and at most 1.
    """

    levels: Levels
    counts: Counts
    values: Floats
    bins: NDArray[np.uint8]
    adaptive: NDArray[np.bool_]

    @property
    def pixels(self) -> int:
        """How many pixels the picture has."""
        return self.levels.size

    @property
    def constant(self) -> bool:
        """Whether the map holds one value only."""
        return int(np.count_nonzero(self.counts.sum(axis=(0, 1)))) == 1

    @property
    def foreground(self) -> int:
        """How many pixels the mask marks."""
        return int(self.counts[:, 1].sum())


def check_mask(mask: object, above: int = 128) -> NDArray[np.bool_]:
    """Return the mask as (H, W) bool: bool as it is, uint8 where it lies above a level.

    Raises
    ------
    TypeError : not a NumPy array of bool or uint8.
    ValueError : not two-dimensional, or without pixels.
    """
    if not isinstance(mask, np.ndarray) or mask.dtype not in (np.bool_, np.uint8):
        raise TypeError(f"a mask must be a NumPy array of bool or uint8 (above 128 is foreground), not {_kind(mask)}")
    _check_shape(mask, "mask")
    return mask if mask.dtype == np.bool_ else np.asarray(mask > above)


def check_map(map: object) -> Pixels:  # noqa: A002 - the field's word
    """Return the map as (H, W) uint8 in 0..255 or float64 in 0..1.

    A float map that holds nothing but 8-bit levels (`k / 255` in its own precision) becomes those levels, so
    that a map scores the same whichever way it is handed over. Any other float map is taken at its own values.

    Raises
    ------
    TypeError : not a NumPy array of uint8 or float.
    ValueError : not two-dimensional, without pixels, not finite, or outside 0..1.
    """
    if not isinstance(map, np.ndarray) or not (map.dtype == np.uint8 or np.issubdtype(map.dtype, np.floating)):
        raise TypeError(f"a map must be a NumPy array of uint8 (0..255) or float (0..1), not {_kind(map)}")
    _check_shape(map, "map")
    if map.dtype == np.uint8:
        return map
    low, high = map.min(), map.max()  # NaN wins both
    if not np.isfinite(low) or not np.isfinite(high):
        raise ValueError("a map must hold finite numbers; this one holds NaN or infinity")
    if low < 0 or high > 1:
        raise ValueError(f"a float map must lie in 0..1; this one spans {low:g} to {high:g}")
    levels: Pixels = np.rint(map * map.dtype.type(255)).astype(np.uint8)
    if np.array_equal((np.arange(256) / 255).astype(map.dtype)[levels], map):
        return levels
    return np.asarray(map, dtype=np.float64)


def centroid(mask: NDArray[np.bool_]) -> tuple[int, int]:
    """Return (row, column) at which the S-measure cuts the picture in four.

    The mean position of the foreground, or of the picture where the mask is empty, rounded half to even, plus 1.
    Exact integer sums are divided once.
    """
    kernel = kernel_for(mask)
    if kernel is not None:
        row, column = kernel.centroid(np.ascontiguousarray(mask))
        return row, column
    height, width = mask.shape
    by_row = np.count_nonzero(mask, axis=1)
    total = int(by_row.sum())
    if total == 0:
        return round(height / 2) + 1, round(width / 2) + 1
    by_column = np.count_nonzero(mask, axis=0)
    mean_row = int(by_row @ np.arange(height)) / total
    mean_column = int(by_column @ np.arange(width)) / total
    return round(mean_row) + 1, round(mean_column) + 1


def count_picture(map: Pixels, mask: NDArray[np.bool_], protocol: Protocol) -> PictureCounts:  # noqa: A002
    """Return the joint histogram of a checked map and a checked mask of one size.

    For an 8-bit map the adaptive threshold is compared in integers, so a pixel that lies on it exactly is
    always found; float maps compare in float64.
    """
    index: Levels
    if map.dtype == np.uint8:
        stored, index = np.arange(256) / 255, map
    else:
        stored, inverse = np.unique(map, return_inverse=True)
        index = inverse.reshape(map.shape)
    counts = joint_histogram(index, len(stored), mask)
    occupied = np.flatnonzero(counts.sum(axis=(0, 1)))
    first, last = int(occupied[0]), int(occupied[-1])
    stretch = protocol.stretch and first != last
    # The order of these float steps decides into which bin a value falls: divide by 255 first, stretch after.
    values = (stored - stored[first]) / (stored[last] - stored[first]) if stretch else stored
    values = np.clip(values, 0, 1)  # values that do not occur may lie outside
    if map.dtype == np.uint8:
        low, span = (first, last - first) if stretch else (0, 255)
        levels = np.arange(256, dtype=np.int64) - low
        total = counts.sum(axis=(0, 1))
        pixels = int(total.sum())
        adaptive = levels * pixels >= min(2 * int(total @ levels), span * pixels)
    else:
        total = counts.sum(axis=(0, 1))
        adaptive = values >= min(2 * float((total * values).sum() / total.sum()), 1)
    return PictureCounts(index, counts, values, (values * 255).astype(np.uint8), adaptive)


def mean_absolute_error(picture: PictureCounts) -> float:
    """Return the mean of |map - mask| over all pixels, in 0..1."""
    background, foreground = picture.counts.sum(axis=0)
    return (weighed_sum(background, picture.values) + weighed_sum(foreground, 1 - picture.values)) / picture.pixels


def weighed_sum(counts: Counts, values: Floats) -> float:
    """Return the sum of `counts * values` from the first to the last: an order that the compiled path follows."""
    return float((counts * values).cumsum()[-1])


def joint_histogram(index: Levels, length: int, mask: NDArray[np.bool_]) -> Counts:
    """Count (quadrant, mask, value) as (4, 2, length) int64; NumPy: one `bincount` for each quadrant."""
    row, column = centroid(mask)
    kernel = kernel_for(mask)
    if kernel is not None and index.dtype == np.uint8:
        counts = np.empty((4, 2, length), np.int64)
        kernel.count(np.ascontiguousarray(index), np.ascontiguousarray(mask), row, column, counts)
        return counts
    key = index + mask * np.int64(length)
    parts = (key[:row, :column], key[:row, column:], key[row:, :column], key[row:, column:])
    counted = [np.bincount(part.ravel(), minlength=2 * length) for part in parts]
    return np.stack(counted).reshape(4, 2, length).astype(np.int64, copy=False)


def _check_shape(array: NDArray[np.generic], name: str) -> None:
    if array.ndim != 2 or array.size == 0:
        raise ValueError(f"a {name} must have shape (rows, columns) with at least one pixel, not {array.shape}")


def _kind(value: object) -> str:
    return f"an array of {value.dtype}" if isinstance(value, np.ndarray) else type(value).__name__
