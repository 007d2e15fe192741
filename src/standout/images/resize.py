"""Other sizes: filtered for pictures and maps, nearest for classes; all filters cover the whole area they shrink."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}


def resize(
    pixels: NDArray[np.uint8],
    size: tuple[int, int],
    *,
    filter: str = "bilinear",  # noqa: A002 - the field's word
    box: tuple[float, float, float, float] | None = None,
) -> NDArray[np.uint8]:
    """Return the picture or soft mask at `size`.

    Parameters
    ----------
    pixels : (H, W) grey, (H, W, 3) RGB or (H, W, 4) RGBA, uint8. RGBA is filtered with its colours weighted by alpha.
    size : rows and columns, each at least 1.
    filter : "bilinear", "bicubic", "lanczos" or "nearest"; when shrinking, all but the last average over the area.
    box : the part to take, as top, left, bottom, right in pixels of `pixels`, fractions allowed; all by default.

    Raises
    ------
    ValueError : shape, type, size, filter or box do not fit.
    """
    if pixels.dtype != np.uint8 or pixels.ndim not in (2, 3) or (pixels.ndim == 3 and pixels.shape[2] not in (3, 4)):
        raise ValueError(f"pixels must be uint8 (H, W), (H, W, 3) or (H, W, 4), not {pixels.dtype} {pixels.shape}")
    if pixels.shape[:2] == tuple(size) and box is None:
        return pixels.copy()
    return np.array(_resized(Image.fromarray(np.ascontiguousarray(pixels)), size, filter, box))


def resize_map(
    map: NDArray[np.float32],  # noqa: A002 - the project's word
    size: tuple[int, int],
    *,
    filter: str = "bilinear",  # noqa: A002
) -> NDArray[np.float32]:
    """Return a float map (H, W) at `size` rows and columns, float32; only a cubic can overshoot its range.

    Raises
    ------
    ValueError : the map is not (H, W) float, or size or filter do not fit.
    """
    if map.ndim != 2 or not np.issubdtype(map.dtype, np.floating):
        raise ValueError(f"map must be float (H, W), not {map.dtype} {map.shape}")
    values = np.ascontiguousarray(map, np.float32)
    if values.shape == tuple(size):
        return values.copy()
    return np.array(_resized(Image.fromarray(values), size, filter, None))


def resize_classes(mask: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Return a mask of classes or of labels to score (H, W) at `size`; no value appears that was not there.

    Raises
    ------
    ValueError : the mask has another number of dimensions.
    """
    if mask.ndim != 2:
        raise ValueError(f"mask must be (H, W), not {mask.shape}")
    return resize(mask, size, filter="nearest")


def fitting(size: tuple[int, int], longest: int) -> tuple[int, int]:
    """Return rows and columns of the same shape whose longer side is at most `longest`, each at least 1."""
    rows, columns = size
    scale = min(1.0, longest / max(rows, columns))
    return max(1, round(rows * scale)), max(1, round(columns * scale))


def _resized(
    image: Image.Image, size: tuple[int, int], name: str, box: tuple[float, float, float, float] | None
) -> Image.Image:
    if name not in FILTERS:
        raise ValueError(f"filter must be one of {', '.join(FILTERS)}, not {name!r}")
    rows, columns = (int(n) for n in size)
    if rows < 1 or columns < 1:
        raise ValueError(f"size must be at least (1, 1), not {tuple(size)}")
    part = None if box is None else (box[1], box[0], box[3], box[2])
    return image.resize((columns, rows), FILTERS[name], box=part)
