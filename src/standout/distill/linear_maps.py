"""Averages over grids, spreading of grids and resizing of maps as products with small matrices.

All are linear along rows and along columns alone, so each is one matrix from the left and one from the right, and its
slope the same with the matrices turned: on a processor several times as fast as the framework's pooling and resizing,
whose way back goes cell by cell. The matrices are what the framework itself makes of unit vectors.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from standout.shapes import Logits

_KERNEL = 3


def averages(feature: Tensor, grids: Sequence[int]) -> list[Tensor]:
    """Return `adaptive_avg_pool2d(feature, cells)` for each number of cells a side: (N, C, cells, cells).

    Parameters
    ----------
    feature : (N, C, h, w), best with its channels last in memory.
    """
    count, channels, height, width = feature.shape
    rows = torch.cat([_averaging(height, cells, feature.dtype, feature.device) for cells in grids])
    lines = feature.permute(0, 2, 3, 1).reshape(count, height, width * channels)
    bands = torch.bmm(rows.expand(count, -1, -1), lines).view(count, -1, width, channels)
    found = []
    for cells, band in zip(grids, torch.split(bands, list(grids), 1), strict=True):
        columns = _averaging(width, cells, feature.dtype, feature.device)
        found.append(torch.matmul(columns, band).permute(0, 3, 1, 2))
    return found


def cells_spread(grids: Sequence[Tensor], weights: Sequence[Tensor], size: Sequence[int]) -> Tensor:
    """Return the sum of 3x3 convolutions, zeros outside, of grids spread over a map: (N, C, h, w), channels last.

    Equals `sum(conv2d(interpolate(grid, size, mode="bilinear", align_corners=True), weight, padding=1))`.

    Parameters
    ----------
    grids : each (N, c, cells, cells).
    weights : for each grid (C, c, 3, 3).
    size : h and w.
    """
    height, width = size
    bands, rows = [], []
    for grid, weight in zip(grids, weights, strict=True):
        count, inner, cells, _ = grid.shape
        outputs = len(weight)
        mixing = weight.permute(1, 2, 3, 0).reshape(inner, -1)
        mixed = torch.matmul(grid.permute(0, 2, 3, 1).reshape(-1, inner), mixing)
        # (N, row, column, tap down, tap across, C) -> (N, row and tap down, column and tap across, C)
        mixed = mixed.view(count, cells, cells, _KERNEL, _KERNEL, outputs).transpose(2, 3)
        mixed = mixed.reshape(count * cells * _KERNEL, cells * _KERNEL, outputs)
        columns = _spreading(cells, width, grid.dtype, grid.device)
        band = torch.bmm(columns.expand(len(mixed), -1, -1), mixed)
        bands.append(band.view(count, cells * _KERNEL, width * outputs))
        rows.append(_spreading(cells, height, grid.dtype, grid.device))
    found = torch.bmm(torch.cat(rows, 1).expand(count, -1, -1), torch.cat(bands, 1))
    return found.view(count, height, width, outputs).permute(0, 3, 1, 2)


def resized(logits: Logits, size: tuple[int, int]) -> Logits:
    """Return `interpolate(logits, size, mode="bilinear", align_corners=False)` of maps (N, 1, h, w)."""
    found: Logits = _Resized.apply(logits, size)  # type: ignore[no-untyped-call]
    return found


class _Resized(torch.autograd.Function):
    @staticmethod
    def forward(logits: Logits, size: tuple[int, int]) -> Logits:
        return F.interpolate(logits, size=size, mode="bilinear", align_corners=False)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:  # noqa: ARG004 - called so
        ctx.before, ctx.after = inputs[0].shape[-2:], inputs[1]

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor, None]:
        sides = zip(ctx.before, ctx.after, strict=True)
        rows, columns = (_resizing(old, new, slope.dtype, slope.device) for old, new in sides)
        with torch.autocast(slope.device.type, enabled=False):
            return torch.matmul(rows.t(), torch.matmul(slope, columns)), None


@lru_cache(maxsize=64)
def _averaging(side: int, cells: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return (cells, side): which share every place has in every cell."""
    unit = torch.eye(side, dtype=torch.float64)
    return F.adaptive_avg_pool1d(unit, cells).t().contiguous().to(device, dtype)


@lru_cache(maxsize=64)
def _resizing(old: int, new: int, dtype: torch.dtype, device: torch.device, corners: bool = False) -> Tensor:
    """Return (new, old): of what every place is blended."""
    unit = torch.eye(old, dtype=torch.float64)[None, None]
    return F.interpolate(unit, size=(new, old), mode="bilinear", align_corners=corners)[0, 0].to(device, dtype)


@lru_cache(maxsize=64)
def _spreading(cells: int, side: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return (side, cells * 3): the blend of every place's neighbour before, itself and the one after; 0 outside."""
    blend = F.pad(_resizing(cells, side, dtype, device, True), (0, 0, 1, 1))
    return torch.stack([blend[tap : tap + side] for tap in range(_KERNEL)], 2).reshape(side, -1)
