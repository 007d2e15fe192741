"""What makes a picture hard, measured from its mask and its colours: six attributes without any labelling by hand."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

LEAST_PART = 0.01
"""Share of the foreground below which a component is a speck and no part."""
COLOURS = 8
"""Bins of each colour channel for the contrast."""

_Mask = NDArray[np.bool_]


class Attributes(NamedTuple):
    """The attributes of one picture; None where an empty mask or a missing picture leaves them open.

    size : share of the pixels that are foreground, 0 to 1.
    parts : 8-connected components that hold at least 1 % of the foreground.
    border : share of the pixels on the picture's border that are foreground, 0 to 1; 0 is no contact.
    contrast : chi-squared distance of the colours of foreground and background, 0 (alike) to 1 (none in common).
    complexity : perimeter squared over 4 pi times the area: 1 for a disc, larger for ragged and long outlines.
    concavity : share of its convex hull that the largest component leaves empty, 0 to 1.
    """

    size: float
    parts: int
    border: float
    contrast: float | None
    complexity: float | None
    concavity: float | None


def picture_attributes(mask: _Mask, picture: NDArray[np.uint8] | None = None) -> Attributes:
    """Return the attributes of a mask (H, W) and its picture (H, W, 3) RGB, if there is one."""
    area = int(np.count_nonzero(mask))
    edge = np.ones(mask.shape, bool)
    edge[1:-1, 1:-1] = False
    size, border = area / mask.size, float(mask[edge].mean())
    if area == 0:
        return Attributes(size, 0, border, None, None, None)
    runs = _Runs.of(mask)
    areas = np.bincount(runs.label, weights=runs.stop - runs.start)
    largest = runs.only(int(areas.argmax()))
    return Attributes(
        size=size,
        parts=int(np.count_nonzero(areas >= LEAST_PART * area)),
        border=border,
        contrast=None if picture is None or area == mask.size else colour_contrast(mask, picture),
        complexity=_perimeter(mask) ** 2 / (4 * math.pi * area),
        concavity=max(0.0, 1 - float(areas.max()) / _hull_area(largest)),
    )


def colour_contrast(mask: _Mask, picture: NDArray[np.uint8]) -> float:
    """Return half the sum of (a - b)^2 / (a + b) over the shares a, b of 8 x 8 x 8 colours inside and outside."""
    coarse = (picture // (256 // COLOURS)).astype(np.int64)
    colour = (coarse[..., 0] * COLOURS + coarse[..., 1]) * COLOURS + coarse[..., 2]
    inside, outside = (
        np.bincount(colour[side], minlength=COLOURS**3) / np.count_nonzero(side) for side in (mask, ~mask)
    )
    both = inside + outside
    return float(((inside - outside) ** 2 / np.where(both == 0, 1, both)).sum() / 2)


def _perimeter(mask: _Mask) -> float:
    """Return the length of the outline, a straight part of it in the picture's border left out.

    The steps between pixels overrate a slanted line; over all directions by 4 / pi, which is taken back.
    """
    steps = np.count_nonzero(mask[1:] != mask[:-1]) + np.count_nonzero(mask[:, 1:] != mask[:, :-1])
    return math.pi / 4 * steps


class _Runs(NamedTuple):
    """The foreground as runs of pixels, in reading order: row, first and last column (exclusive), component."""

    row: NDArray[np.int64]
    start: NDArray[np.int64]
    stop: NDArray[np.int64]
    label: NDArray[np.int64]

    @classmethod
    def of(cls, mask: _Mask) -> _Runs:
        """Find the runs and join those that touch, corners included."""
        height, width = mask.shape
        padded = np.zeros((height, width + 2), np.int8)
        padded[:, 1:-1] = mask
        steps = np.diff(padded, axis=1)
        row, start = np.nonzero(steps == 1)
        stop = np.nonzero(steps == -1)[1]
        # In one ascending line of rows, gaps of two keep the last column of a row from touching the next row's first.
        line = width + 2
        above = (row - 1) * line
        first = np.searchsorted(row * line + stop, above + start, side="left")
        beyond = np.searchsorted(row * line + start, above + stop, side="right")
        parent = list(range(len(row)))

        def root(at: int) -> int:
            while parent[at] != at:
                parent[at] = parent[parent[at]]
                at = parent[at]
            return at

        for at, (low, high) in enumerate(zip(first.tolist(), beyond.tolist(), strict=True)):
            for other in range(low, high):
                parent[root(at)] = root(other)
        _, label = np.unique([root(at) for at in range(len(row))], return_inverse=True)
        return cls(row, start, stop, label)

    def only(self, label: int) -> _Runs:
        """Return the runs of one component."""
        return _Runs(*(column[self.label == label] for column in self))


def _hull_area(runs: _Runs) -> float:
    """Return the area of the convex hull of all pixels of the runs, each a unit square."""
    corners: set[tuple[int, int]] = set()
    for row in np.unique(runs.row).tolist():
        here = runs.row == row
        left, right = int(runs.start[here].min()), int(runs.stop[here].max())
        corners.update(((row, left), (row, right), (row + 1, left), (row + 1, right)))
    points = sorted(corners)
    hull = [*_chain(points), *_chain(points[::-1])]
    following = [*hull[1:], hull[0]]
    return abs(sum(a * d - b * c for (a, b), (c, d) in zip(hull, following, strict=True))) / 2


def _chain(points: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return one half of the convex hull of sorted points (Andrew 1979), its last point left to the other half."""
    chain: list[tuple[int, int]] = []
    for point in points:
        while len(chain) > 1 and _turn(chain[-2], chain[-1], point) <= 0:
            chain.pop()
        chain.append(point)
    return chain[:-1]


def _turn(a: tuple[int, int], b: tuple[int, int], c: tuple[int, int]) -> int:
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])


class Group(NamedTuple):
    """The pictures of a set that share a degree of one attribute.

    words : "small", and the like.
    low, high : the bounds of the attribute, low inclusive, high exclusive; None where open.
    names : of the pictures.
    """

    attribute: str
    words: str
    low: float | None
    high: float | None
    names: frozenset[str]

    @property
    def told(self) -> str:
        """The words, and the bounds where they do not say them themselves."""
        if self.attribute in ("parts", "border"):
            return self.words
        if self.low is None:
            return f"{self.words}, below {self.high:.4g}"
        return f"{self.words}, from {self.low:.4g}" + ("" if self.high is None else f" to {self.high:.4g}")


_FIXED: dict[str, tuple[tuple[str, ...], tuple[float, ...]]] = {
    "size": (("small", "medium", "large"), (0.05, 0.2)),
    "parts": (("one part", "two parts", "more parts"), (2, 3)),
    "border": (("inside", "cut off"), (1e-9,)),
}
_THIRDS = ("low", "middle", "high")


def groups_of(attributes: dict[str, Attributes]) -> list[Group]:
    """Return the groups of a set by each attribute; size, parts and border by fixed bounds, the others by thirds.

    Pictures with an empty mask are in no group, nor pictures without colours by contrast. Empty groups are left out.
    """
    found = []
    for attribute in Attributes._fields:
        values: dict[str, Any] = {
            name: value for name, own in attributes.items()
            if own.size > 0 and (value := getattr(own, attribute)) is not None
        }  # fmt: skip
        if not values:
            continue
        if attribute in _FIXED:
            words, bounds = _FIXED[attribute]
        else:
            ordered = sorted(values.values())
            words = _THIRDS
            bounds = (ordered[len(ordered) // 3], ordered[2 * len(ordered) // 3])
        limits = [None, *bounds, None]
        for word, low, high in zip(words, limits[:-1], limits[1:], strict=True):
            names = frozenset(
                name for name, value in values.items()
                if (low is None or value >= low) and (high is None or value < high)
            )  # fmt: skip
            if names:
                found.append(Group(attribute, word, low, high, names))
    return found
