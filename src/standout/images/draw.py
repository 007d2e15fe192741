"""Words and joined pictures for grids that people look at."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont


def label_image(pixels: NDArray[np.uint8], text: str, *, height: int = 18) -> NDArray[np.uint8]:
    """Return the picture (H, W, 3) with a line of dark text on a light band of `height` rows above it.

    Grey pictures (H, W) become RGB; text wider than the picture is cut off there.
    """
    full = pixels if pixels.ndim == 3 else np.repeat(pixels[..., None], 3, axis=2)
    band = Image.new("RGB", (full.shape[1], height), (245, 245, 245))
    font = ImageFont.load_default(size=max(6, round(height * 0.66)))
    ImageDraw.Draw(band).text((3, height / 2), text, fill=(20, 20, 20), font=font, anchor="lm")
    return np.concatenate([np.asarray(band), full[..., :3]])


def grid(rows: Sequence[Sequence[NDArray[np.uint8]]], *, gap: int = 4) -> NDArray[np.uint8]:
    """Return one RGB picture of rows of RGB or grey pictures, each column as wide as its widest, gaps white."""
    columns = max(len(row) for row in rows)
    widths = [max(row[i].shape[1] for row in rows if i < len(row)) for i in range(columns)]
    heights = [max(cell.shape[0] for cell in row) for row in rows]
    sheet = np.full((sum(heights) + gap * (len(rows) + 1), sum(widths) + gap * (columns + 1), 3), 255, np.uint8)
    top = gap
    for row, height in zip(rows, heights, strict=True):
        left = gap
        for cell, width in zip(row, widths, strict=False):
            paste(sheet, cell, top, left)
            left += width + gap
        top += height + gap
    return sheet


def paste(canvas: NDArray[np.uint8], pixels: NDArray[np.uint8], top: int, left: int) -> None:
    """Copy a picture (H, W, 3) or grey (H, W) into an RGB canvas at row `top` and column `left`.

    Raises
    ------
    ValueError : it does not fit there.
    """
    rows, columns = pixels.shape[:2]
    if top < 0 or left < 0 or top + rows > canvas.shape[0] or left + columns > canvas.shape[1]:
        raise ValueError(f"a picture of {pixels.shape} does not fit into {canvas.shape} at ({top}, {left})")
    canvas[top : top + rows, left : left + columns] = pixels if pixels.ndim == 3 else pixels[..., None]
