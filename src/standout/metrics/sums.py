"""Sums of floats that do not depend on the order or on how the work was split."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from standout.metrics.counts import Floats
from standout.metrics.kernel import kernel_now

_WEIGHTS = (2.0**32, 1.0, 2.0**-32, 2.0**-64)
LARGEST = 2.0**62


class ExactSum:
    """The running sum of arrays of one shape, held in integers.

    Each number is split into four signed parts of 32 bits, from 2**32 down to 2**-64; what lies below is rounded
    away once, when the number is added. The parts are added as integers, so every order and every split of the
    work gives the same bits. Holds two thousand million numbers of magnitude up to 2**62.

    Parameters
    ----------
    shape : of the arrays that are summed.
    """

    def __init__(self, shape: tuple[int, ...] = ()) -> None:
        self.parts: NDArray[np.int64] = np.zeros((len(_WEIGHTS), *shape), np.int64)

    def add(self, values: Floats | float) -> None:
        """Add an array of the shape given.

        Raises
        ------
        ValueError : another shape, or a number that is not finite or beyond 2**62.
        """
        rest = np.asarray(values, dtype=np.float64)
        if rest.shape != self.parts.shape[1:]:
            raise ValueError(f"this sum holds arrays of shape {self.parts.shape[1:]}, not {rest.shape}")
        kernel = kernel_now()
        if kernel is not None:
            kernel.add(np.ascontiguousarray(rest).reshape(-1), self.parts.reshape(len(_WEIGHTS), -1))
            return
        if not (np.abs(rest) <= LARGEST).all():
            raise ValueError("only finite numbers of magnitude up to 2**62 can be summed")
        for at, weight in enumerate(_WEIGHTS):
            whole = np.rint(rest / weight)
            self.parts[at] += whole.astype(np.int64)
            rest = rest - whole * weight  # exact: weights are powers of two

    def merge(self, other: ExactSum) -> None:
        """Add another running sum of the same shape."""
        self.parts += other.parts

    def mean(self, count: int) -> Floats:
        """Return the sum divided by `count`, correctly rounded."""
        # Python's whole numbers have no end and divide with one rounding; arrays of them are quicker than a loop.
        first, second, third, last = self.parts.reshape(len(_WEIGHTS), -1).astype(object)
        whole = ((first * 2**32 + second) * 2**32 + third) * 2**32 + last
        return np.array(whole / (count << 64), dtype=np.float64).reshape(self.parts.shape[1:])
