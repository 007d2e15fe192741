"""Exact Euclidean distances to the foreground, in NumPy: the compiled kernel's `distances` without a compiler.

A pixel's squared distance is the least of `(column - u)^2 + rise(u)` over the columns `u` of its row, where `rise` is
the squared distance within that column. The best `u` never moves left when the pixel moves right. So it is searched
over the whole row for every sixteenth column only; a pixel between two of these has its best `u` between theirs.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

FAR = 270
"""From here on `exp(ln(0.5) / 5 * distance)`, which the weight of an error holds, is below the weight's last bit."""
REACH = 3
"""Half the width of the 7 x 7 Gaussian window."""
RING_SQUARED = 2 * REACH * REACH
BLOCK = 16
PIXELS_AT_ONCE = 2**19
STEPS_AT_ONCE = 8
_BITS = 10  # a step to the left or right, below 2 * FAR, stands below the squared distance in one integer


def squared_distances(mask: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Return (H, W): each pixel's exact squared distance to the foreground of a mask (H, W), at most `FAR**2`."""
    vertical = _within_columns(mask)
    rows = max(1, PIXELS_AT_ONCE // mask.shape[1])
    return np.concatenate([_across(vertical[start : start + rows]) for start in range(0, len(vertical), rows)])


def nearest_pixels(mask: NDArray[np.bool_], squared: NDArray[np.int32]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the background pixels within `sqrt(18)` of the foreground, and the foreground pixel nearest to each.

    Both are flat indices, (R,), the first ascending. Among equals the leftmost column wins, then the topmost row:
    another rule moves weighted F by up to 0.005.
    """
    width, edge = mask.shape[1], REACH + 1
    ring = np.flatnonzero((squared > 0) & (squared <= RING_SQUARED))
    apart = squared.ravel()[ring]
    row, column = np.divmod(ring, width)
    around = np.pad(mask, edge)
    stride, foreground = around.shape[1], around.ravel()
    place = (row + edge) * stride + column + edge
    nearest = np.empty_like(ring)
    for length in range(1, RING_SQUARED + 1):
        remaining = np.flatnonzero(apart == length)
        for down, right in _offsets(length):
            hit = foreground[place[remaining] + (down * stride + right)]
            found = remaining[hit]
            nearest[found] = ring[found] + (down * width + right)
            remaining = remaining[~hit]
    return ring, nearest


def _offsets(length: int) -> Iterator[tuple[int, int]]:
    """Yield (down, right) of that squared length: leftmost first, then topmost."""
    reach = range(-REACH - 1, REACH + 2)
    return ((down, right) for right in reach for down in reach if down * down + right * right == length)


def _within_columns(mask: NDArray[np.bool_]) -> NDArray[np.int16]:
    """Return the distance to the foreground of the pixel's own column, at most `FAR`."""
    vertical = np.where(mask, np.int16(0), np.int16(FAR))
    for rows in (vertical, vertical[::-1]):
        for above, row in pairwise(rows):
            np.minimum(row, above + np.int16(1), out=row)
    return vertical


def _across(vertical: NDArray[np.int16]) -> NDArray[np.int32]:
    """Return the squared distances of some rows, (N, W), from the distances within each column."""
    height, width = vertical.shape
    blocks, reach = -(-width // BLOCK), min(FAR, width)
    around = BLOCK * (reach // BLOCK + 1)
    # Beyond the picture nothing is nearer than `FAR`, so no search needs to know where the row ends.
    padded = np.full((height, (blocks + 1) * BLOCK + 2 * around), FAR, np.int16)
    padded[:, around : around + width] = vertical
    steps = _best_steps(padded, around, reach)
    begin, end = steps[:, :-1].ravel(), BLOCK + steps[:, 1:].ravel()
    inside = padded[:, around : around + blocks * BLOCK].reshape(-1, BLOCK)
    lengths = np.where(inside.any(axis=1), end - begin, 0).astype(np.int16)  # all foreground: nothing to search
    # Longest first: those that still have a column to try are then a slice.
    order = np.argsort(-lengths, kind="stable")
    trying = (lengths.size - np.cumsum(np.bincount(lengths)) + np.bincount(lengths)).tolist()
    row, block = np.divmod(order, blocks)
    begin, first = begin[order], row * padded.shape[1] + around + block * BLOCK
    columns = np.arange(BLOCK, dtype=np.int32)[:, None]
    best = np.full((BLOCK, len(order)), 2 * FAR * FAR, np.int32)
    room = np.empty_like(best)
    for step, count in enumerate(trying):
        # (column - u)^2 + rise^2 = column^2 - 2 column u + (u^2 + rise^2): column^2 waits until the best is known.
        u = begin[:count] + np.int32(step)
        rise = padded.ravel()[first[:count] + u].astype(np.int32)
        here = np.multiply(columns, 2 * u, out=room[:, :count])
        np.subtract(u * u + rise * rise, here, out=here)
        np.minimum(best[:, :count], here, out=best[:, :count])
    best += columns * columns
    squared = np.empty((len(order), BLOCK), np.int32)
    squared[order] = best.T
    return np.where(vertical, squared.reshape(height, -1)[:, :width], np.int32(0))


def _best_steps(padded: NDArray[np.int16], around: int, reach: int) -> NDArray[np.int32]:
    """Return for the first column of each block how far to the right its best column lies, (N, blocks + 1)."""
    blocks = (padded.shape[1] - 2 * around) // BLOCK
    # (BLOCK, blocks and those around, N): what one step compares lies side by side in memory.
    alike = np.ascontiguousarray(padded.reshape(len(padded), -1, BLOCK).transpose(2, 1, 0)).astype(np.int32)
    alike *= alike
    alike <<= _BITS

    def columns(step: int) -> NDArray[np.int32]:
        block, column = divmod(around + step, BLOCK)
        return alike[column, block : block + blocks]

    best = columns(0).copy()
    room = np.empty_like(best)
    for step in range(1, reach):
        far = step * step << _BITS
        if step % STEPS_AT_ONCE == 0 and far >= best.max():
            break
        for sign in (0, 1):
            np.add(columns(-step if sign else step), np.int32(far | 2 * step | sign), out=room)
            np.minimum(best, room, out=best)
    steps = (best & 2**_BITS - 1) >> 1
    return np.ascontiguousarray(np.where(best & 1, -steps, steps).T)
