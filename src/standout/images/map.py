"""`read_map`: a stored map back to its levels, exactly as scoring needs them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from standout.errors import StandoutError
from standout.images import headers
from standout.images.colour import turned
from standout.images.limits import Limits
from standout.images.mask import mask_plane
from standout.images.picture import DEFAULT_LIMITS, decoded_source
from standout.images.quiet import quiet
from standout.images.source import Encoded


def read_map(source: Encoded, *, scale: int | None = None, limits: Limits = DEFAULT_LIMITS) -> NDArray[Any]:
    """Return a map file as uint8 levels (H, W), or float32 in 0..1 where it has 16 bits or is float.

    Parameters
    ----------
    scale : the stored value that means 1, for maps of 0 and 1 in whole numbers; by default the largest that the
        file's depth can hold.

    Raises
    ------
    StandoutError : no picture, colours, values that are not finite or out of range ("map-values"), or an 8-bit map
        whose largest value is 1 while no scale was given ("map-scale").
    """
    decoded = decoded_source(source, limits)
    name = decoded.name
    with quiet, headers.refusing(name, "map is damaged"):
        plane = np.require(turned(mask_plane(decoded, "map"), decoded.to_turn), requirements=["C", "W"])
    if plane.dtype == np.bool_:
        return plane.astype(np.uint8) * np.uint8(255)
    low, high = float(plane.min()), float(plane.max())
    if np.issubdtype(plane.dtype, np.floating):
        top = 1.0 if scale is None else float(scale)
    else:
        top = (255.0 if plane.dtype == np.uint8 else 65535.0) if scale is None else float(scale)
        if scale is None and high == 1:
            raise StandoutError("map-scale", "map holds only 0 and 1", name, "pass --map-scale 1")
    # NaN fails both comparisons.
    if not (low >= 0 and high <= top):
        raise StandoutError(
            "map-values", f"map has values outside 0 to {top:g}", f"{name} has {low:g} to {high:g}", "write it again"
        )
    if plane.dtype == np.uint8 and top == 255:
        return plane
    if plane.dtype == np.uint8 and scale == 1:
        return plane * np.uint8(255)
    return (plane / top).astype(np.float32)
