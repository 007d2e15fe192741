"""Views of a sample: what is drawn for it, a pure function of (seed, epoch, index, view), and where that lies."""

from __future__ import annotations

import functools
import hashlib
import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from standout.counter_hash import uniform

Affine = NDArray[np.float64]

MARGIN = 2.0
"""Pixels of the view around a turned one that are cut too, so that no filter meets the region's edge."""


@dataclass(frozen=True, slots=True)
class Augmentation:
    """What may happen to a sample; the defaults are the pipeline of F3Net (Wei et al., AAAI 2020) at one size.

    Parameters
    ----------
    flip : probability of a horizontal flip.
    crop_keep : least share of each side that a random crop keeps, in (0, 1]; both sides are drawn on their own.
    scale : range of a further magnification about the crop's centre; below 1 shows what lies beyond the picture's
        edge, where the picture is mirrored.
    rotation : largest turn either way, in degrees.
    brightness, contrast, saturation : largest relative change either way, in [0, 1).
    sizes : the sides, one of which is drawn for each whole batch; empty for one size throughout. F3Net's are
        224, 256, 288, 320 and 352.

    Raises
    ------
    ValueError : a value outside its range.
    """

    flip: float = 0.5
    crop_keep: float = 0.875
    scale: tuple[float, float] = (1.0, 1.0)
    rotation: float = 0.0
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    sizes: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        ranges = {
            "flip": 0 <= self.flip <= 1,
            "crop_keep": 0 < self.crop_keep <= 1,
            "scale": 0 < self.scale[0] <= self.scale[1],
            "rotation": 0 <= self.rotation <= 180,
            "brightness": 0 <= self.brightness < 1,
            "contrast": 0 <= self.contrast < 1,
            "saturation": 0 <= self.saturation < 1,
            "sizes": all(size >= 1 for size in self.sizes),
        }
        for name, holds in ranges.items():
            if not holds:
                raise ValueError(f"{name} is out of range: {getattr(self, name)!r}")


class Drawn(NamedTuple):
    """What was drawn for one view of one sample.

    height, width : shares of the picture's sides that the crop keeps, before `scale`.
    top, left : shares of the picture's sides that lie above and left of the crop.
    angle : radians, clockwise as seen.
    """

    height: float = 1.0
    width: float = 1.0
    top: float = 0.0
    left: float = 0.0
    flip: bool = False
    scale: float = 1.0
    angle: float = 0.0
    brightness: float = 1.0
    contrast: float = 1.0
    saturation: float = 1.0


WHOLE = Drawn()
"""The whole picture as it is."""


@functools.cache  # asked for with every draw
def stream(name: str) -> int:
    """Return the number under which a named use of randomness is hashed; uses with other names are independent."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little")


def draw(augmentation: Augmentation, seed: int, epoch: int, index: int, view: str = "") -> Drawn:
    """Return what happens to a view of a sample; `view` is "" for the main one."""
    # Each option has a draw of its own, used or not: switching one on leaves the others as they were.
    u = uniform(seed, epoch, index, stream(f"view {view}"), np.arange(10)).tolist()
    height, width = (1 - (1 - augmentation.crop_keep) * share for share in u[:2])
    low, high = augmentation.scale
    return Drawn(
        height=height,
        width=width,
        top=(1 - height) * u[2],
        left=(1 - width) * u[3],
        flip=u[4] < augmentation.flip,
        scale=low + (high - low) * u[5],
        angle=math.radians(augmentation.rotation) * (2 * u[6] - 1),
        brightness=1 + augmentation.brightness * (2 * u[7] - 1),
        contrast=1 + augmentation.contrast * (2 * u[8] - 1),
        saturation=1 + augmentation.saturation * (2 * u[9] - 1),
    )


def affine(drawn: Drawn, size: tuple[int, int]) -> Affine:
    """Return where the view lies in a picture of `size` rows and columns.

    The (2, 3) matrix takes a point (x, y, 1) of the view to the picture, both in -1..1 from edge to edge
    (`align_corners=False`). The turn is one of the picture's pixels, so its shape matters.
    """
    rows, columns = size
    wide, high = drawn.width / drawn.scale, drawn.height / drawn.scale
    cosine, sine = math.cos(drawn.angle), math.sin(drawn.angle)
    mirror = -1.0 if drawn.flip else 1.0
    return np.array(
        [
            [mirror * wide * cosine, -high * sine * rows / columns, 2 * drawn.left + drawn.width - 1],
            [mirror * wide * sine * columns / rows, high * cosine, 2 * drawn.top + drawn.height - 1],
        ]
    )


class Place(NamedTuple):
    """Where a view lies in a picture, and how its pixels are had.

    affine : (2, 3), the view to the whole picture.
    box : top, left, bottom, right in whole pixels of the picture, which goes on mirrored beyond its edges.
    size : rows and columns that the box is filtered to.
    flip : whether left and right change places then.
    rest : (2, 3), the view to the box, where it lies turned in it; else none, and the box is the view.
    """

    affine: Affine
    box: tuple[int, int, int, int]
    size: tuple[int, int]
    flip: bool = False
    rest: Affine | None = None


def place(drawn: Drawn, shape: tuple[int, int], size: int) -> Place:
    """Return where a view of `size` x `size` pixels lies in a picture of `shape` rows and columns.

    A view that is not turned begins and ends between pixels, half a pixel at most from where it was drawn: its box is
    all that has to be read, and filtering that gives the view. `Place.affine` says where it came to lie.
    """
    return _straight(drawn, shape, size) if drawn.angle == 0 else _turned(drawn, shape, size)


def _straight(drawn: Drawn, shape: tuple[int, int], size: int) -> Place:
    ends = []
    for start, share, length in ((drawn.top, drawn.height, shape[0]), (drawn.left, drawn.width, shape[1])):
        middle, half = (start + share / 2) * length, share / drawn.scale * length / 2
        first, after = round(middle - half), round(middle + half)
        if first == after:  # less than a pixel: the one that its middle lies in
            first = math.floor(middle)
            after = first + 1
        ends.append((first, after))
    (top, bottom), (left, right) = ends
    rows, columns = shape
    across = (left - right if drawn.flip else right - left) / columns
    at = np.array([[across, 0, (left + right) / columns - 1], [0, (bottom - top) / rows, (top + bottom) / rows - 1]])
    return Place(at, (top, left, bottom, right), (size, size), drawn.flip)


def _turned(drawn: Drawn, shape: tuple[int, int], size: int) -> Place:
    rows, columns = shape
    whole = affine(drawn, shape)
    # The corners of the view in pixels of the picture.
    corners = whole @ np.array([[-1, 1, -1, 1], [-1, -1, 1, 1], [1, 1, 1, 1]])
    x, y = (corners[0] + 1) * columns / 2, (corners[1] + 1) * rows / 2
    # Pixels of the picture for one of the view, along each side of the view.
    pitch_y, pitch_x = drawn.height / drawn.scale * rows / size, drawn.width / drawn.scale * columns / size
    margin = MARGIN * max(pitch_y, pitch_x, 1.0)
    top, left = math.floor(y.min() - margin), math.floor(x.min() - margin)
    high, wide = math.ceil(y.max() + margin) - top, math.ceil(x.max() + margin) - left
    reduced = (max(1, round(high / max(pitch_y, 1.0))), max(1, round(wide / max(pitch_x, 1.0))))
    # From -1..1 of the picture to -1..1 of the box.
    rest = whole + np.array([[0, 0, 1 - 2 * left / columns], [0, 0, 1 - 2 * top / rows]])
    rest = rest * np.array([[columns / wide], [rows / high]]) - np.array([[0, 0, 1], [0, 0, 1]])
    return Place(whole, (top, left, top + high, left + wide), reduced, rest=rest)
