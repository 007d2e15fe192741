"""Seeded pairs of map and mask, random and degenerate; the inputs of the measures' parity figures."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Pair = tuple[str, NDArray[np.uint8], NDArray[np.uint8]]

KINDS = (
    "blobs",
    "noise",
    "empty mask",
    "full mask",
    "constant map",
    "one pixel mask",
    "map is mask",
    "map is inverse",
    "two values",
    "two far pixels",
    "narrow range",
    "grey mask",
    "object at the border",
    "thin",
    "last row and column",
    "constant quadrants",
    "black map",
    "white map",
    "ties",
)


def pairs(count: int, seed: int = 8, largest: int = 160) -> Iterator[Pair]:
    """Yield `count` pairs (kind, map, mask), uint8, the kinds in turn; the same for one seed for ever."""
    random = np.random.Generator(np.random.PCG64(seed))
    for number in range(count):
        kind = KINDS[number % len(KINDS)]
        height, width = (int(side) for side in random.integers(2, largest + 1, 2))
        if kind == "thin":
            height = int(random.integers(1, 3))
        elif kind == "ties":
            height, width = (int(side) for side in random.integers(2, 7, 2))
        yield kind, *_pair(kind, height, width, random)


def _pair(
    kind: str, height: int, width: int, random: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    mask = _blobs(height, width, random) > 0
    noise = random.integers(0, 256, (height, width))
    map_ = np.clip(150 * mask + 0.3 * noise + random.integers(0, 40), 0, 255)
    if kind == "noise":
        map_ = noise
    elif kind == "empty mask":
        mask[:] = False
    elif kind == "full mask":
        mask[:] = True
    elif kind == "constant map":
        map_ = np.full_like(map_, random.integers(0, 256))
    elif kind == "one pixel mask":
        mask[:] = False
        mask[random.integers(height), random.integers(width)] = True
    elif kind == "map is mask":
        map_ = 255 * mask
    elif kind == "map is inverse":
        map_ = 255 * ~mask
    elif kind == "two values":
        map_ = np.where(noise > 128, random.integers(0, 256), random.integers(0, 256))
    elif kind == "two far pixels":
        mask[:] = False
        mask[0, 0] = mask[-1, -1] = True
    elif kind == "narrow range":
        map_ = random.integers(0, 100) + noise % random.integers(2, 60)
    elif kind == "object at the border":
        mask[:] = False
        mask[: height // 2 + 1, : width // 3 + 1] = True
        map_ = np.clip(255 * mask - 0.7 * noise, 0, 255)
    elif kind == "last row and column":
        mask[:] = False
        mask[-1, -1] = True
    elif kind == "constant quadrants":
        map_ = np.where(np.arange(width) < width // 2, random.integers(0, 256), noise)
    elif kind == "black map":
        map_ = np.zeros_like(noise)
    elif kind == "white map":
        map_ = np.full_like(noise, 255)
    elif kind == "ties":
        map_ = 60 * (noise % 4)
    stored = np.where(mask, 255, 0)
    if kind == "grey mask":
        stored = np.where(mask, random.integers(127, 256, mask.shape), random.integers(0, 131, mask.shape))
    return np.asarray(map_).astype(np.uint8), stored.astype(np.uint8)


def _blobs(height: int, width: int, random: np.random.Generator) -> NDArray[np.float64]:
    """Return a field of a few ellipses, positive inside."""
    rows, columns = np.mgrid[0:height, 0:width]
    field = np.full((height, width), -1.0)
    for _ in range(random.integers(1, 5)):
        row, column = random.uniform(0, height), random.uniform(0, width)
        tall, wide = random.uniform(0.05, 0.4) * height + 0.5, random.uniform(0.05, 0.4) * width + 0.5
        field = np.maximum(field, 1 - ((rows - row) / tall) ** 2 - ((columns - column) / wide) ** 2)
    return field
