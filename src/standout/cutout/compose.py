"""A picture and its map to a cut-out, an overlay or a grey map."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from standout.images import Picture, as_levels

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]

TINT = (255, 64, 96)
_TINT_SHARE = 0.25
_DIMMED = 0.55  # of its brightness remains to what is not the object
_BAND = 2**20  # pixels worked on at once: temporary floats must not grow with the picture


def cutout(picture: Picture, map: Floats) -> Pixels:  # noqa: A002 - the project's word
    """Return the object cut out, (H, W, 4) RGBA with straight alpha.

    Alpha is the map times the source's own alpha. Colours are the source's, also at soft edges; where alpha is 0 they
    are black, so that what was cut away cannot be brought back from the file, and the file is small.

    Parameters
    ----------
    picture : as `read_image` gives it.
    map : (H, W) in [0, 1], at the picture's size.

    Raises
    ------
    ValueError : the map has another size, or values outside 0..1.
    """
    alpha = _levels(picture, map)
    colours = picture.pixels
    if picture.alpha is not None:
        # In 16 bits: 255 * 255 + 127 fits, and the division rounds to the nearest level.
        product = alpha.astype(np.uint16) * picture.alpha
        alpha = ((product + 127) // 255).astype(np.uint8)
        colours = without_white(colours, picture.alpha)
    result = np.empty((*alpha.shape, 4), np.uint8)
    np.multiply(colours, (alpha > 0)[..., None], out=result[..., :3])
    result[..., 3] = alpha
    return result


def overlay(picture: Picture, map: Floats) -> Pixels:  # noqa: A002
    """Return the picture (H, W, 3) with the object tinted and outlined, and what is around it dimmed.

    The strength of the tint follows the map, so that doubt shows; the outline runs where the map crosses 0.5.
    """
    _levels(picture, map)
    result = np.empty_like(picture.pixels)
    tint = np.array(TINT, np.float32)
    rows = max(1, _BAND // map.shape[1])
    for start in range(0, map.shape[0], rows):
        part = slice(start, start + rows)
        share = map[part, :, None]
        colours = picture.pixels[part].astype(np.float32)
        colours *= _DIMMED + (1 - _DIMMED) * share
        colours += (_TINT_SHARE * share) * (tint - colours)
        result[part] = np.rint(colours)
    result[outline(map >= 0.5, max(1, round(min(map.shape) / 250)))] = TINT
    return result


def grey(picture: Picture, map: Floats) -> Pixels:  # noqa: A002
    """Return the map as 8-bit levels (H, W), as the network gave it; the source's own alpha plays no part."""
    return _levels(picture, map)


FORMS: Mapping[str, Callable[[Picture, Floats], Pixels]] = {"cutout": cutout, "overlay": overlay, "map": grey}
"""What `--as` may say."""


def without_white(pixels: Pixels, alpha: Pixels) -> Pixels:
    """Return the straight colours (H, W, 3) of pixels that were laid over white with `alpha` (H, W).

    `read_image` lays transparent pictures over white for the network. Laying the result over white with the same alpha
    gives `pixels` again; where alpha is 0 there is no colour to recover, and white comes back.
    """
    result = pixels.copy()
    soft = (alpha > 0) & (alpha < 255)
    share = alpha[soft].astype(np.float32)[:, None] / 255
    result[soft] = np.rint(np.clip(255 - (255 - pixels[soft].astype(np.float32)) / share, 0, 255))
    return result


def outline(inside: NDArray[np.bool_], width: int) -> NDArray[np.bool_]:
    """Return the pixels (H, W) outside of `inside` that lie within `width` rows or columns of it."""
    near = inside
    for axis in (0, 1):
        # Twice the reach in every pass, so that a wide line costs few passes.
        reach = 0
        while reach < width:
            step = min(reach + 1, width - reach)
            near = near | _shifted(near, step, axis) | _shifted(near, -step, axis)
            reach += step
    return near & ~inside


def _shifted(inside: NDArray[np.bool_], step: int, axis: int) -> NDArray[np.bool_]:
    result = np.zeros_like(inside)
    length = inside.shape[axis]
    if abs(step) < length:
        ahead, behind = slice(max(step, 0), length + min(step, 0)), slice(max(-step, 0), length - max(step, 0))
        to, source = ((ahead,), (behind,)) if axis == 0 else ((slice(None), ahead), (slice(None), behind))
        result[to] = inside[source]
    return result


def _levels(picture: Picture, map: Floats) -> Pixels:  # noqa: A002
    if map.shape != picture.size:
        raise ValueError(f"map of {map.shape} does not fit a picture of {picture.size}")
    return as_levels(map)
