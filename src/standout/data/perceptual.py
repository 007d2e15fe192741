"""A 64-bit perceptual hash: pictures that look the same have almost the same bits, mirrored or not.

The hash is the sign of 64 coefficients of the discrete cosine transform of a small grey picture, as in C. Zauner,
"Implementation and Benchmarking of Perceptual Image Hash Functions" (2010), with the sign in place of the median:
half of the coefficients of a mirrored picture change their sign and nothing else, so one hash finds both.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from standout.images import resize

SIDE = 32
"""Rows and columns of the grey picture that is transformed."""
LOWEST, HIGHEST = 1, 8
"""Frequencies along each side. The zeroth are left out: brightness that rises over a picture is common to many."""
BITS = (HIGHEST - LOWEST + 1) ** 2
MOST_BITS = 8
"""Bits in which two prints of one picture may differ; `benchmarks/find_copies.py` measures what this finds."""
LEAST_CORRELATION = 0.98
"""Of the two thumbnails; the hash proposes a pair and this decides."""
LEAST_DEVIATION = 2.0
"""Grey levels below which a picture is too flat for its signs to mean anything."""
BLOCK = 4096
"""Pictures compared with as many others at a time, so that memory stays bounded."""

_MIRROR = np.tile(np.where(np.arange(LOWEST, HIGHEST + 1) % 2, -1, 1), HIGHEST - LOWEST + 1).astype(np.float32)
"""Which coefficients of a mirrored picture have the other sign: those of odd frequency along a row."""


class Print(NamedTuple):
    """What is kept of a picture to recognise it by.

    Attributes
    ----------
    bits : the hash.
    thumbnail : 16 x 16 grey levels, row by row.
    """

    bits: int
    thumbnail: bytes


class Likeness(NamedTuple):
    """Two pictures that look the same: their places, the bits that differ, the thumbnails' correlation."""

    first: int
    second: int
    bits: int
    correlation: float
    mirrored: bool


def take_print(pixels: NDArray[np.uint8]) -> Print | None:
    """Return the print of an RGB picture (H, W, 3), or none where it is flat, like a page of one colour."""
    # Rec. 601 luma, which JPEG keeps best.
    grey = resize(pixels, (SIDE, SIDE)).astype(np.float64) @ np.array([0.299, 0.587, 0.114])
    if grey.std() < LEAST_DEVIATION:
        return None
    basis = _basis()
    signs = (basis @ grey @ basis.T).ravel() > 0
    thumbnail = grey.reshape(SIDE // 2, 2, SIDE // 2, 2).mean(axis=(1, 3))
    return Print(int.from_bytes(np.packbits(signs).tobytes(), "big"), np.rint(thumbnail).astype(np.uint8).tobytes())


@functools.cache
def _basis() -> NDArray[np.float64]:
    """Return the cosines of the wanted frequencies, (frequencies, SIDE)."""
    places = (2 * np.arange(SIDE) + 1) / (2 * SIDE)
    return np.cos(np.pi * np.outer(np.arange(LOWEST, HIGHEST + 1), places))


def look_alikes(
    prints: Sequence[Print],
    *,
    most_bits: int = MOST_BITS,
    least_correlation: float = LEAST_CORRELATION,
) -> Iterator[Likeness]:
    """Yield every two pictures, first < second, that look the same, upright or mirrored."""
    if not prints:
        return
    signs = _signs(prints)
    for start in range(0, len(prints), BLOCK):
        few = signs[start : start + BLOCK]
        for begin in range(start, len(prints), BLOCK):
            others = signs[begin : begin + BLOCK]
            for mirrored in (False, True):
                # The inner product of two rows of signs is the bits that agree less those that differ.
                products = few @ (others * _MIRROR if mirrored else others).T
                for row, column in np.argwhere(products >= BITS - 2 * most_bits).tolist():
                    first, second = start + row, begin + column
                    if first < second:
                        correlation = _correlation(prints[first], prints[second], mirrored)
                        if correlation >= least_correlation:
                            bits = (BITS - int(products[row, column])) // 2
                            yield Likeness(first, second, bits, correlation, mirrored)


def _signs(prints: Sequence[Print]) -> NDArray[np.float32]:
    """Return -1 or 1 for each bit, (pictures, BITS)."""
    packed = np.frombuffer(b"".join(one.bits.to_bytes(BITS // 8, "big") for one in prints), np.uint8)
    bits = np.unpackbits(packed.reshape(-1, BITS // 8), axis=1)
    return bits.astype(np.float32) * 2 - 1


def _correlation(first: Print, second: Print, mirrored: bool) -> float:
    """Return the correlation of two thumbnails, the second one mirrored or not."""
    one, other = (np.frombuffer(taken.thumbnail, np.uint8).reshape(SIDE // 2, SIDE // 2) for taken in (first, second))
    return float(np.corrcoef(one.ravel(), (other[:, ::-1] if mirrored else other).ravel())[0, 1])
