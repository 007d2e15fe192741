"""The pixels of views: cut out of decoded pictures one by one, and put together as a batch.

Image and mask are cut by the same numbers with the same filter, so they cannot come apart. Views stay whole levels in
bytes until they lie in their batch; what is done to numbers of four bytes is done to the batch at once. Colours change
in the image alone.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from standout.data.augment import WHOLE, Affine, Drawn, Place, place
from standout.data.resample import resampled
from standout.shapes import Batch

Pixels = NDArray[np.uint8]

LUMINANCE = (0.299, 0.587, 0.114)
ALL_KNOWN = 254.5
"""A pixel of a view that an unknown one took part in is not known; rounding leaves whole ones a little below 255."""


class View(NamedTuple):
    """One view of one sample, cut out of the picture, in levels 0 to 255: uint8, or float32 where it is turned.

    image : (3, H, W).
    mask : (H, W); none where the picture has none.
    known : (H, W), 255 where the mask speaks; none where it does everywhere.
    affine : (2, 3), the view to the whole picture.
    flip : whether left and right still change places.
    """

    image: Tensor
    mask: Tensor | None
    known: Tensor | None
    affine: Affine
    drawn: Drawn = WHOLE
    flip: bool = False


def cut(image: Pixels, mask: Pixels | None, drawn: Drawn, size: int, known: Pixels | None = None) -> View:
    """Return a view of `size` x `size` pixels of an image (H, W, 3), its mask (H, W) and where that speaks (H, W).

    Shrinking averages over the area that a pixel covers. Beyond the edge all are mirrored. It starts no threads: only
    what `torch` computes in the thread that calls it is used, since readers run beside the threads of a step.

    Raises
    ------
    ValueError : image and mask differ in size.
    """
    rows, columns = image.shape[:2]
    if mask is not None and mask.shape != (rows, columns):
        raise ValueError(f"image and mask differ in size: {(rows, columns)} and {mask.shape}")
    at = place(drawn, (rows, columns), size)
    given = [image, *(plane[..., None] for plane in (mask, known) if plane is not None)]
    planes = [_filtered(plane, at) for plane in given]
    if at.rest is not None:
        planes = _turned_together(planes, at.rest, size)
    label = None if mask is None else planes[1][0]
    return View(planes[0], label, None if known is None else planes[-1][0], at.affine, drawn, at.flip)


def _filtered(plane: Pixels, at: Place) -> Tensor:
    """Return what a plane (H, W, C) shows at a place, (C, *at.size)."""
    top, left, bottom, right = at.box
    for axis, (first, after) in enumerate(((top, bottom), (left, right))):
        if first < 0 or after > plane.shape[axis]:
            plane = np.take(plane, _mirror_places(first, after - first, plane.shape[axis]), axis=axis)
        else:
            plane = plane[first:after] if axis == 0 else plane[:, first:after]
    # The copy may be written, as a tensor's memory must be; stored levels may not.
    return resampled(plane.copy(), at.size)


def _turned_together(planes: Sequence[Tensor], rest: Affine, size: int) -> list[Tensor]:
    """Return planes (C, H, W) of one picture where `rest` says that they lie, (C, size, size) float32, by one grid."""
    sides = [len(plane) for plane in planes]
    levels = np.empty((1, sum(sides), *planes[0].shape[1:]), np.float32)
    for level, channel in zip(levels[0], itertools.chain.from_iterable(planes), strict=True):
        level[...] = channel.numpy()
    column = np.arange(1 - size, size, 2, dtype=np.float32) / np.float32(size)
    grid = np.empty((size, size, 2), np.float32)
    for axis, (x, y, origin) in enumerate(rest.astype(np.float32)):
        np.add(column * x, (column * y + origin)[:, None], out=grid[..., axis])
    found = _sampled(torch.from_numpy(levels), torch.from_numpy(grid)).numpy()
    np.clip(found, 0, 255, out=found)
    return list(torch.from_numpy(found).split_with_sizes(sides))


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


def stack(views: Sequence[View], size: int, *, channels_last: bool = True) -> Batch:
    """Return views as a batch of float32 in 0..1, without an index; a picture without a mask has one of zeros.

    Colours change here, in the images.
    """
    order = torch.channels_last if channels_last else torch.contiguous_format
    image = torch.empty((len(views), 3, size, size), memory_format=order)
    mask = torch.zeros((len(views), 1, size, size))
    known = torch.full_like(mask, 255) if any(view.known is not None for view in views) else None
    for number, view in enumerate(views):
        for whole, plane in ((image, view.image), (mask, view.mask), (known, view.known)):
            if whole is not None and plane is not None:
                whole[number] = plane.flip(-1) if view.flip else plane
    affines = torch.from_numpy(np.stack([view.affine for view in views]).astype(np.float32))
    return finished(image, mask, known, affines, [view.drawn for view in views])


def finished(image: Tensor, mask: Tensor, known: Tensor | None, affine: Tensor, drawn: Sequence[Drawn]) -> Batch:
    """Return the batch of levels 0 to 255 in float32 (N, C, H, W), of which image and mask are made 0..1 in place."""
    spoken = None if known is None else known > ALL_KNOWN
    return Batch(coloured(image.div_(255), drawn), mask.div_(255), None, affine, known=spoken)


def turned(planes: Tensor, rest: Affine, size: int) -> Tensor:
    """Return (C, size, size) of one picture's levels (1, C, H, W), where `rest` says that they lie, on its device."""
    column = torch.arange(1 - size, size, 2, device=planes.device)[:, None] / size
    x, y, origin = torch.from_numpy(rest.T.astype(np.float32)).to(planes.device)
    return _sampled(planes, (column * x)[None] + (column * y + origin)[:, None]).clamp_(0, 255)


def _sampled(planes: Tensor, grid: Tensor) -> Tensor:
    """Return (C, size, size) of levels (1, C, H, W) at the places of a grid (size, size, 2) in -1..1.

    The grid is what `affine_grid` computes, cheaper: a place is the sum of what its column and its row contribute.
    Bilinear weights may sum to a rounding error above one, so the levels may leave their range by as much.
    """
    return F.grid_sample(planes, grid[None], padding_mode="border", align_corners=False)[0]


def coloured(image: Tensor, drawn: Sequence[Drawn]) -> Tensor:
    """Return images (N, 3, H, W) in 0..1, changed in place, with their own brightness, saturation and contrast.

    Brightness multiplies; saturation mixes with each pixel's luminance, contrast with the image's mean luminance. What
    leaves 0..1 is clamped to it.
    """
    if all((one.brightness, one.contrast, one.saturation) == (1, 1, 1) for one in drawn):
        return image
    brightness, contrast, saturation = (
        torch.tensor([getattr(one, name) for one in drawn], dtype=image.dtype, device=image.device).view(-1, 1, 1)
        for name in ("brightness", "contrast", "saturation")
    )
    if all((one.contrast, one.saturation) == (1, 1) for one in drawn):
        return image.mul_(brightness[:, None]).clamp_(0, 1)
    red, green, blue = image.unbind(1)
    grey = (red * LUMINANCE[0]).add_(green, alpha=LUMINANCE[1]).add_(blue, alpha=LUMINANCE[2])
    mean = grey.mean(dim=(1, 2), keepdim=True) * brightness
    # contrast (saturation (brightness x - grey) + grey - mean) + mean, sorted by what it multiplies
    image.mul_((brightness * contrast * saturation)[:, None])
    grey.mul_(brightness * contrast * (1 - saturation)).add_(mean * (1 - contrast))
    # Plane by plane: spread over channels that lie side by side, the sum takes several times as long.
    for plane in (red, green, blue):
        plane.add_(grey)
    return image.clamp_(0, 1)
