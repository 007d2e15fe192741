"""Randomness without a generator: a number in [0, 1) that is a pure function of what it is for.

Every draw of a sample is a hash of (seed, epoch, index, view, pixel). So it does not matter how many workers or
processes there are, which of them draws, in which order, or whether a run was resumed: the bits are the same.
The mixing step is the finaliser of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014), applied once a counter.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

# Shared with the twin on the device (standout.distill.device_hash), which must give the same bits.
STEP = 0x9E3779B97F4A7C15
MIX = ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB))
LAST_SHIFT = 31
DRAW_BITS = 53

_WORD = 2**64 - 1


def hash64(
    seed: ArrayLike, epoch: ArrayLike = 0, index: ArrayLike = 0, view: ArrayLike = 0, pixel: ArrayLike = 0
) -> NDArray[np.uint64]:
    """Return 64 random bits for each combination of counters.

    Parameters
    ----------
    seed, epoch, index, view, pixel : integers or arrays of them that broadcast against each other; negative ones
        and seeds of any size count modulo 2**64. `pixel` is a pixel's flat index, or the number of the draw where
        a sample needs several.

    Raises
    ------
    TypeError : a counter is not an integer.
    """
    state: int | NDArray[np.uint64] = 0
    # The products are meant to wrap; NumPy warns of it for scalars only.
    with np.errstate(over="ignore"):
        for counter in (seed, epoch, index, view, pixel):
            if isinstance(state, int) and isinstance(counter, int):
                # The same in whole numbers of Python, which cost less than arrays of one.
                state = _mixed_number((state + (counter + 1) * STEP) & _WORD)
            else:
                state = _mixed(np.asarray(state, np.uint64) + (_word(counter) + np.uint64(1)) * np.uint64(STEP))
    return np.asarray(state, np.uint64)


def uniform(
    seed: ArrayLike, epoch: ArrayLike = 0, index: ArrayLike = 0, view: ArrayLike = 0, pixel: ArrayLike = 0
) -> NDArray[np.float64]:
    """Return a number in [0, 1) with 53 random bits for each combination of counters; see `hash64`."""
    bits = hash64(seed, epoch, index, view, pixel) >> np.uint64(64 - DRAW_BITS)
    return np.asarray(bits * 2.0**-DRAW_BITS, np.float64)


def _mixed(state: NDArray[np.uint64]) -> NDArray[np.uint64]:
    for shift, factor in MIX:
        state = (state ^ (state >> np.uint64(shift))) * np.uint64(factor)
    return np.asarray(state ^ (state >> np.uint64(LAST_SHIFT)), np.uint64)


def _mixed_number(state: int) -> int:
    for shift, factor in MIX:
        state = ((state ^ (state >> shift)) * factor) & _WORD
    return state ^ (state >> LAST_SHIFT)


def _word(counter: ArrayLike) -> NDArray[np.uint64]:
    if isinstance(counter, int):
        return np.asarray(counter & _WORD, np.uint64)
    array = np.asarray(counter)
    if array.dtype.kind not in "iu":
        raise TypeError(f"a counter is an integer, not {array.dtype}")
    return array.astype(np.uint64)
