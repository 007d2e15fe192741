"""The compiled loops (`src/kernel`). Arrays are C-contiguous; whatever does not fit raises TypeError or ValueError."""

import numpy as np
from numpy.typing import NDArray

def centroid(mask: NDArray[np.bool_], /) -> tuple[int, int]: ...
def count(
    levels: NDArray[np.uint8], mask: NDArray[np.bool_], row: int, column: int, counts: NDArray[np.int64], /
) -> None: ...
def numbers(
    counts: NDArray[np.int64],
    stretch: bool,
    values: NDArray[np.float64],
    right: NDArray[np.int64],
    wrong: NDArray[np.int64],
    /,
) -> tuple[int, int, float, float, float, float, float, bool]: ...
def curves(
    right: NDArray[np.int64], wrong: NDArray[np.int64], foreground: int, pixels: int, out: NDArray[np.float64], /
) -> None: ...
def distances(
    mask: NDArray[np.bool_], classes: NDArray[np.uint16], out: NDArray[np.uint16], /
) -> tuple[bytes, bytes, tuple[int, int, int, int]]: ...
def weigh(
    levels: NDArray[np.uint8],
    mask: NDArray[np.bool_],
    values: NDArray[np.float64],
    weights: NDArray[np.float64],
    taps: NDArray[np.float64],
    classes: NDArray[np.uint16],
    ring: NDArray[np.intp],
    nearest: NDArray[np.intp],
    box: tuple[int, int, int, int],
    /,
) -> tuple[float, float]: ...
def add(values: NDArray[np.float64], parts: NDArray[np.int64], /) -> None: ...
