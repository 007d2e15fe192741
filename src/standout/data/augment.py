"""Views of a sample: what is drawn for it, where that lies in the picture, and the pixels there.

What is drawn is a pure function of (seed, epoch, index, view). One affine says where the view lies; image and
mask are cut by the same numbers with the same filter, so they cannot come apart. Colours change in the image alone.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from standout.counter_hash import uniform
from standout.images import resize

Pixels = NDArray[np.uint8]
Affine = NDArray[np.float64]

MARGIN = 2.0
"""Pixels of the view around a turned one that are cut too, so that no filter meets the region's edge."""
SLACK = 1e-6
LUMINANCE = (0.299, 0.587, 0.114)


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


class View(NamedTuple):
    """One view of one sample, cut out of the picture.

    image, mask : (H, W, 3) and (H, W) uint8, of the view's own size unless `rest` is there.
    affine : (2, 3), the view to the whole picture.
    rest : (2, 3), the view to `image`, where a turn remains that filtering rows and columns cannot do; else none.
    """

    image: Pixels
    mask: Pixels
    affine: Affine
    drawn: Drawn = WHOLE
    rest: Affine | None = None


class Place(NamedTuple):
    """Where a view lies in a picture, and how its pixels are had.

    affine : (2, 3), the view to the whole picture.
    box : top, left, bottom, right in pixels of the picture, filtered to the view's size; where rest is there, of the
        picture that goes on mirrored, filtered to `size`.
    size : rows and columns that the box is filtered to.
    rest : (2, 3), the view to the box, where a turn or a mirrored edge remains; else none.
    """

    affine: Affine
    box: tuple[float, float, float, float]
    size: tuple[int, int]
    rest: Affine | None = None


def place(drawn: Drawn, shape: tuple[int, int], size: int) -> Place:
    """Return where a view of `size` x `size` pixels lies in a picture of `shape` rows and columns."""
    rows, columns = shape
    whole = affine(drawn, (rows, columns))
    # The corners of the view in pixels of the picture.
    corners = whole @ np.array([[-1, 1, -1, 1], [-1, -1, 1, 1], [1, 1, 1, 1]])
    x, y = (corners[0] + 1) * columns / 2, (corners[1] + 1) * rows / 2
    top, left, bottom, right = y.min(), x.min(), y.max(), x.max()
    inside = min(top, left) > -SLACK and bottom < rows + SLACK and right < columns + SLACK
    if drawn.angle == 0 and inside:
        # Rounding must not push the box beyond the edge, where the filter would refuse it.
        box = (max(top, 0.0), max(left, 0.0), min(bottom, float(rows)), min(right, float(columns)))
        return Place(whole, box, (size, size))
    # Pixels of the picture for one of the view, along each side of the view.
    pitch_y, pitch_x = drawn.height / drawn.scale * rows / size, drawn.width / drawn.scale * columns / size
    margin = MARGIN * max(pitch_y, pitch_x, 1.0)
    first_y, first_x = math.floor(top - margin), math.floor(left - margin)
    high, wide = math.ceil(bottom + margin) - first_y, math.ceil(right + margin) - first_x
    reduced = (max(1, round(high / max(pitch_y, 1.0))), max(1, round(wide / max(pitch_x, 1.0))))
    # From -1..1 of the picture to -1..1 of the region.
    rest = whole + np.array([[0, 0, 1 - 2 * first_x / columns], [0, 0, 1 - 2 * first_y / rows]])
    rest = rest * np.array([[columns / wide], [rows / high]]) - np.array([[0, 0, 1], [0, 0, 1]])
    return Place(whole, (first_y, first_x, first_y + high, first_x + wide), reduced, rest)


def cut(image: Pixels, mask: Pixels, drawn: Drawn, size: int) -> View:
    """Return a view of `size` x `size` pixels of an image (H, W, 3) and its mask (H, W).

    Shrinking averages over the area that a pixel covers. Beyond the edge both are mirrored.

    Raises
    ------
    ValueError : image and mask differ in size.
    """
    if image.shape[:2] != mask.shape:
        raise ValueError(f"image and mask differ in size: {image.shape[:2]} and {mask.shape}")
    at = place(drawn, (mask.shape[0], mask.shape[1]), size)
    if at.rest is None:
        parts = [_filtered(plane, at.box, at.size) for plane in (image, mask)]
        if drawn.flip:
            parts = [plane[:, ::-1] for plane in parts]
    else:
        top, left, bottom, right = (int(edge) for edge in at.box)
        region = (top, left, bottom - top, right - left)
        whole = (0.0, 0.0, float(bottom - top), float(right - left))
        parts = [_filtered(_mirrored(plane, region), whole, at.size) for plane in (image, mask)]
    return View(parts[0], parts[1], at.affine, drawn, at.rest)


def _filtered(plane: Pixels, box: tuple[float, float, float, float], size: tuple[int, int]) -> Pixels:
    """Return the box at `size`, filtered along the rows first and the columns then.

    Which of the two comes first moves single levels, and the image library chooses by its version and the sizes.
    """
    top, left, bottom, right = box
    rows, columns = plane.shape[:2]
    if (left, right, size[1]) != (0.0, float(columns), columns):
        plane = resize(plane, (rows, size[1]), box=(0.0, left, float(rows), right))
    if (top, bottom, size[0]) != (0.0, float(rows), rows):
        plane = resize(plane, size, box=(top, 0.0, bottom, float(size[1])))
    return plane


def _mirrored(plane: Pixels, region: tuple[int, int, int, int]) -> Pixels:
    """Return the region (top, left, rows, columns) of a picture (H, W) or (H, W, C) that goes on mirrored."""
    for axis, (first, count) in enumerate(((region[0], region[2]), (region[1], region[3]))):
        length = plane.shape[axis]
        if first >= 0 and first + count <= length:
            plane = plane[first : first + count] if axis == 0 else plane[:, first : first + count]
        else:
            plane = np.take(plane, _mirror_places(first, count, length), axis=axis)
    return plane


def mirrored(planes: Tensor, region: tuple[int, int, int, int]) -> Tensor:
    """Return the region (top, left, rows, columns) of planes (C, H, W) that go on mirrored beyond their edges."""
    for axis, (first, count) in ((1, (region[0], region[2])), (2, (region[1], region[3]))):
        places = torch.from_numpy(_mirror_places(first, count, planes.shape[axis])).to(planes.device)
        planes = planes.index_select(axis, places)
    return planes


def _mirror_places(first: int, count: int, length: int) -> NDArray[np.int64]:
    """Return the pixels from `first` on of a row of `length` that goes on mirrored."""
    place = np.arange(first, first + count) % (2 * length)
    return np.minimum(place, 2 * length - 1 - place)


def stack(views: Sequence[View], size: int, *, channels_last: bool = True) -> tuple[Tensor, Tensor, Tensor]:
    """Return images (N, 3, H, W) and masks (N, 1, H, W) in 0..1 and affines (N, 2, 3), all float32.

    What remains to be turned is turned here, image and mask by one grid; then colours change in the images.
    """
    image = torch.empty((len(views), size, size, 3))
    mask = torch.empty((len(views), size, size))
    for number, view in enumerate(views):
        if view.rest is None:
            image[number] = torch.from_numpy(np.ascontiguousarray(view.image))
            mask[number] = torch.from_numpy(np.ascontiguousarray(view.mask))
        else:
            both = _turned(view.image, view.mask, view.rest, size)
            image[number], mask[number] = both[:3].permute(1, 2, 0), both[3]
    images = image.div_(255).permute(0, 3, 1, 2)
    if any(view.drawn.brightness != 1 or view.drawn.contrast != 1 or view.drawn.saturation != 1 for view in views):
        images = coloured(images, [view.drawn for view in views])
    masks = mask.div_(255).unsqueeze(1)
    affines = torch.from_numpy(np.stack([view.affine for view in views]).astype(np.float32))
    if not channels_last:
        images = images.contiguous()
    return images, masks, affines


def _turned(image: Pixels, mask: Pixels, rest: Affine, size: int) -> Tensor:
    """Return (4, H, W) float32 of image and mask in 0..255, one grid for both."""
    both = torch.empty((1, 4, *mask.shape))
    both[0, :3] = torch.from_numpy(image).permute(2, 0, 1)
    both[0, 3] = torch.from_numpy(mask)
    return turned(both, rest, size)


def turned(planes: Tensor, rest: Affine, size: int) -> Tensor:
    """Return (C, size, size) of one picture's levels (1, C, H, W), where `rest` says that they lie."""
    # What `affine_grid` computes, cheaper: a place is the sum of what its column and its row contribute.
    place = torch.arange(1 - size, size, 2, device=planes.device) / size
    x, y, origin = torch.from_numpy(rest.T.astype(np.float32)).to(planes.device)
    grid = (place[:, None] * x)[None] + (place[:, None] * y + origin)[:, None]
    # Bilinear weights may sum to a rounding error above one.
    return F.grid_sample(planes, grid[None], padding_mode="border", align_corners=False)[0].clamp_(0, 255)


def coloured(image: Tensor, drawn: Sequence[Drawn]) -> Tensor:
    """Return images (N, 3, H, W) in 0..1 with their own brightness, saturation and contrast, clamped to 0..1.

    Brightness multiplies; saturation mixes with each pixel's luminance, contrast with the image's mean luminance.
    """
    brightness, contrast, saturation = (
        torch.tensor([getattr(one, name) for one in drawn], dtype=image.dtype, device=image.device).view(-1, 1, 1, 1)
        for name in ("brightness", "contrast", "saturation")
    )
    weights = torch.tensor(LUMINANCE, dtype=image.dtype, device=image.device).view(1, 3, 1, 1)
    grey = (image * weights).sum(dim=1, keepdim=True)
    mean = grey.mean(dim=(2, 3), keepdim=True) * brightness
    # contrast (saturation (brightness x - grey) + grey - mean) + mean, sorted by what it multiplies
    colour = image * (brightness * contrast * saturation)
    return colour.add_(grey * (brightness * contrast * (1 - saturation)) + mean * (1 - contrast)).clamp_(0, 1)
