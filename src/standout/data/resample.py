"""The image library's filtered resizing on tensors, a batch at a time, so that it can run on a graphics card.

Both work with weights that are whole multiples of 2**-22 and round to whole levels after the rows and again after the
columns. Sums of such products are exact in float64, whatever their order, so every device gives the same levels.
"""

from __future__ import annotations

import torch
from torch import Tensor

PRECISION = 2.0**22


def resampled(planes: Tensor, sizes: Tensor, boxes: Tensor, size: tuple[int, int], flip: Tensor) -> Tensor:
    """Return a part of each picture at `size`, as `standout.images.resize(filter="bilinear", box=…)` gives it.

    Parameters
    ----------
    planes : (N, C, H, W) uint8; each picture fills the upper left corner of its planes.
    sizes : (N, 2), rows and columns of each picture.
    boxes : (N, 4) float64, the part of each picture as top, left, bottom, right in its pixels.
    size : rows and columns of the result.
    flip : (N,) bool, whether left and right change places.

    Returns
    -------
    (N, C, *size) float64, whole levels 0 to 255.
    """
    rows, columns = size
    across = _weights(boxes[:, 1], boxes[:, 3], sizes[:, 1], columns, planes.shape[3])
    across = torch.where(flip[:, None, None], across.flip(1), across)
    down = _weights(boxes[:, 0], boxes[:, 2], sizes[:, 0], rows, planes.shape[2])
    wide = _rounded(planes.double().flatten(1, 2) @ across.transpose(1, 2))
    return _rounded(down[:, None] @ wide.reshape(*planes.shape[:3], columns))


def _rounded(sums: Tensor) -> Tensor:
    return sums.add_(PRECISION / 2).div_(PRECISION).floor_().clamp_(0, 255)


def _weights(start: Tensor, stop: Tensor, length: Tensor, size: int, most: int) -> Tensor:
    """Return (N, size, most) whole weights: of each pixel of a row or column of the picture, for each of the result.

    Parameters
    ----------
    start, stop : (N,), ends of the part. length : (N,), pixels of the picture, at most `most`.
    """
    # The library keeps the box in single precision.
    start, stop = start.float(), stop.float()
    scale = (stop - start).double() / size
    reach = scale.clamp(min=1)[:, None]
    places = torch.arange(size, dtype=torch.float64, device=start.device)
    centre = start.double()[:, None] + (places + 0.5) * scale[:, None]
    first = (centre - reach + 0.5).floor()[..., None]
    after = torch.minimum((centre + reach + 0.5).floor(), length[:, None])[..., None]
    pixels = torch.arange(most, dtype=torch.float64, device=start.device)
    weight = (1 - ((pixels - centre[..., None] + 0.5) * (1 / reach[..., None])).abs()).clamp(min=0)
    weight = torch.where((pixels >= first) & (pixels < after), weight, 0)
    return (weight / weight.sum(dim=2, keepdim=True) * PRECISION + 0.5).floor()
