"""One labelled sheet of pictures beside their masks and maps, for people to look at."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from standout.images import as_levels, grid, label_image, paste, resize

Pixels = NDArray[Any]


def picture_grid(
    rows: Sequence[Sequence[Pixels]],
    columns: Sequence[str],
    *,
    width: int = 200,
) -> NDArray[np.uint8]:
    """Return one RGB sheet, a row of cells for each picture.

    Parameters
    ----------
    rows : for each picture the cells from left to right: RGB (H, W, 3) uint8, or grey (H, W) as uint8, bool or
        float in 0..1. All cells of one row show one picture and get its first cell's shape.
    columns : the words over the columns, one for each cell of a row.
    width : of each cell, in pixels; no cell is higher than that, an upright picture stands in the middle.

    Raises
    ------
    ValueError : no rows, rows of another length than `columns`, or a cell of another shape or type.
    """
    if not rows or any(len(row) != len(columns) for row in rows):
        raise ValueError(f"a grid needs rows of {len(columns)} cells, not {[len(row) for row in rows]}")
    sheet = []
    for at, row in enumerate(rows):
        size = _fitted(row[0].shape[:2], width)
        cells = [_cell(cell, size, width) for cell in row]
        if at == 0:
            cells = [label_image(cell, word) for cell, word in zip(cells, columns, strict=True)]
        sheet.append(cells)
    return grid(sheet, gap=6)


def _fitted(size: tuple[int, ...], width: int) -> tuple[int, int]:
    scale = width / max(size)
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _cell(cell: Pixels, size: tuple[int, int], width: int) -> NDArray[np.uint8]:
    """Return the cell as RGB (size[0], width, 3), with a thin grey border, so that black maps show where they end."""
    levels = cell if cell.ndim == 3 else as_levels(cell)
    small = resize(np.ascontiguousarray(levels), size)
    full = small if small.ndim == 3 else np.repeat(small[..., None], 3, axis=2)
    framed = np.ascontiguousarray(full[..., :3])
    framed[[0, -1]] = 200
    framed[:, [0, -1]] = 200
    sheet = np.full((size[0], width, 3), 255, np.uint8)
    paste(sheet, framed, 0, (width - size[1]) // 2)
    return sheet
