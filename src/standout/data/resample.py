"""Filtered resizing of levels, and its twin for a batch of pictures that lie on a graphics card.

Both average over the area that a pixel covers, along the columns first and the rows then, with weights that are whole
multiples of a power of two, and round to whole levels after each. Sums of such products are exact, so it matters to no
bit in what order, by which instructions or on which device they are taken.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

MOST_BITS = 22
WEIGHT_BITS = 15
"""Weights are below two to this; they are multiples of two to the power of minus `MOST_BITS` at most."""


def resampled(pixels: NDArray[np.uint8], size: tuple[int, int]) -> Tensor:
    """Return a picture (H, W, C) at `size` rows and columns: (C, *size) uint8, its channels side by side in memory."""
    # The stride of a batch of one must be said, or the filter takes the channels for planes and sorts them twice.
    channels_last = torch.from_numpy(pixels).unsqueeze(0).permute(0, 3, 1, 2)
    return F.interpolate(channels_last, size=size, mode="bilinear", antialias=True)[0]


def resampled_batch(planes: Tensor, boxes: Tensor, size: tuple[int, int], flip: Tensor) -> Tensor:
    """Return a part of each picture at `size`, the same levels as `resampled` gives of it.

    Parameters
    ----------
    planes : (N, C, H, W) uint8.
    boxes : (N, 4) int64, the part of each picture as top, left, bottom, right.
    size : rows and columns of the result.
    flip : (N,) bool, whether left and right change places.

    Returns
    -------
    (N, C, *size) float64, whole levels 0 to 255.
    """
    rows, columns = size
    across, unit_across = _weights(boxes[:, 1], boxes[:, 3], columns, planes.shape[3])
    across = torch.where(flip[:, None, None], across.flip(1), across)
    down, unit_down = _weights(boxes[:, 0], boxes[:, 2], rows, planes.shape[2])
    wide = _rounded(planes.double().flatten(1, 2) @ across.transpose(1, 2), unit_across[:, None, None])
    return _rounded(down[:, None] @ wide.reshape(*planes.shape[:3], columns), unit_down[:, None, None, None])


def _rounded(sums: Tensor, unit: Tensor) -> Tensor:
    return sums.add_(unit / 2).div_(unit).floor_().clamp_(0, 255)


def _weights(start: Tensor, stop: Tensor, size: int, most: int) -> tuple[Tensor, Tensor]:
    """Return the whole weights (N, size, most) of each pixel of a row or column for each of the result, and their sum.

    Parameters
    ----------
    start, stop : (N,), ends of the part. most : pixels of the row or column.

    Returns
    -------
    The weights and (N,) the power of two that those for one pixel add up to, but for rounding.
    """
    length = (stop - start)[:, None].double()
    scale = length / size
    reach = scale.clamp(min=1)
    centre = scale * (torch.arange(size, dtype=torch.float64, device=start.device) + 0.5)
    first = (centre - reach + 0.5).floor().clamp(min=0)[..., None]
    after = torch.minimum((centre + reach + 0.5).floor(), length)[..., None]
    pixels = (torch.arange(most, device=start.device) - start[:, None])[:, None].double()
    weight = (1 - ((pixels - centre[..., None] + 0.5) * (1 / reach[..., None])).abs()).clamp(min=0)
    weight = torch.where((pixels >= first) & (pixels < after), weight, 0)
    weight = weight / weight.sum(dim=2, keepdim=True)
    # As many bits as keep the largest of a picture's weights below its limit.
    doubled = 2.0 ** torch.arange(1, MOST_BITS + 1, dtype=torch.float64, device=start.device)
    fitting = (weight.amax(dim=(1, 2))[:, None] * doubled + 0.5).floor() < 2**WEIGHT_BITS
    unit = 2.0 ** fitting.sum(dim=1).double()
    return (weight * unit[:, None, None] + 0.5).floor(), unit
