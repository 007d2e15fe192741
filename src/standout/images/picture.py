"""`read_image`: the only way bytes become pixels."""

from __future__ import annotations

import os
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from standout.images import headers
from standout.images.colour import Pixels, over_white, turned, unturned, upright
from standout.images.decode import Decoded, decode
from standout.images.headers import Header
from standout.images.limits import Limits
from standout.images.quiet import quiet
from standout.images.resize import fitting, resize
from standout.images.source import UNNAMED, Encoded

Source = Encoded | NDArray[np.uint8] | Image.Image


class Picture(NamedTuple):
    """A picture ready for a network.

    Attributes
    ----------
    pixels : (H, W, 3) uint8 RGB in sRGB, upright, transparent parts laid over white.
    alpha : (H, W) uint8, the source's own opacity, or none where it is opaque throughout.
    notes : what was done to it that a user may want to know, each a short sentence.
    orientation : EXIF's, 1 to 8, that was applied.
    raw_size : rows and columns as stored, before turning and before any shrinking.
    profile : the source's colour profile, only where it was asked to be kept.
    name : for messages.
    """

    pixels: Pixels
    alpha: Pixels | None = None
    notes: tuple[str, ...] = ()
    orientation: int = 1
    raw_size: tuple[int, int] = (0, 0)
    profile: bytes | None = None
    name: str = UNNAMED

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns of `pixels`."""
        return self.pixels.shape[0], self.pixels.shape[1]

    @property
    def full_size(self) -> tuple[int, int]:
        """Rows and columns upright, before any shrinking."""
        return self.raw_size[::-1] if self.orientation >= 5 else self.raw_size

    def as_stored(self) -> Picture:
        """Return the picture turned back to how the file stores it."""
        alpha = None if self.alpha is None else np.ascontiguousarray(unturned(self.alpha, self.orientation))
        pixels = np.ascontiguousarray(unturned(self.pixels, self.orientation))
        return self._replace(pixels=pixels, alpha=alpha, orientation=1)


DEFAULT_LIMITS = Limits()


def read_image(
    source: Source,
    *,
    limits: Limits = DEFAULT_LIMITS,
    longest: int | None = None,
    keep_profile: bool = False,
) -> Picture:
    """Return a picture as 8-bit sRGB, upright, its transparent parts over white.

    Parameters
    ----------
    source : path, bytes of a file, uint8 array (H, W), (H, W, 3) or (H, W, 4) in RGB(A), or an image of Pillow.
    limits : caps that are checked from the header, before any pixel is decoded.
    longest : shrink so that the longer side is at most this; a JPEG is decoded at reduced size for it.
    keep_profile : leave colours as stored and return the profile, instead of converting to sRGB.

    Raises
    ------
    StandoutError : the file makes no whole picture that we read; the message names the file and the remedy.
    ValueError : an array of another shape or type.
    TypeError : a source of another kind.
    """
    if longest is not None and longest < 1:
        raise ValueError(f"longest must be at least 1, not {longest}")
    if isinstance(source, np.ndarray):
        picture = _from_array(source)
    else:
        decoded = decoded_source(source, limits, longest)
        with quiet, headers.refusing(decoded.name):
            pixels, alpha, notes = upright(decoded, keep_profile=keep_profile)
        profile = decoded.image.info.get("icc_profile") if keep_profile else None
        picture = Picture(
            pixels, alpha, (*_notes(decoded), *notes), decoded.orientation, decoded.header.size, profile, decoded.name
        )
    headers.check_pixels(picture.size, picture.name, limits)
    if longest is None or max(picture.size) <= longest:
        return picture
    size = fitting(picture.full_size, longest)
    alpha = None if picture.alpha is None else resize(picture.alpha, size)
    return picture._replace(pixels=resize(picture.pixels, size), alpha=alpha)


def decoded_source(source: Encoded | Image.Image, limits: Limits, longest: int | None = None) -> Decoded:
    """Return the decoded picture of a path, bytes or an image of Pillow.

    Raises
    ------
    TypeError : a source of another kind.
    """
    if isinstance(source, Image.Image):
        headers.check_pixels((source.height, source.width), UNNAMED, limits)
        return _from_pillow(source)
    if not isinstance(source, str | os.PathLike | bytes | bytearray | memoryview):
        raise TypeError(f"source must be a path, bytes, array or image, not {type(source).__name__}")
    return decode(source, limits, longest)


def _from_pillow(image: Image.Image) -> Decoded:
    with quiet, headers.refusing(UNNAMED):
        image.load()
        stored = image.getexif().get(274, 1)
    orientation = stored if isinstance(stored, int) and 1 <= stored <= 8 else 1
    depth = 16 if image.mode.startswith("I;16") else 8
    return Decoded(
        image, Header(image.format or "", (image.height, image.width), depth, adobe=True), orientation, UNNAMED
    )


def _notes(decoded: Decoded) -> list[str]:
    notes = list(decoded.notes)
    if decoded.orientation != 1:
        notes.append(f"turned upright (orientation {decoded.orientation})")
    if decoded.header.several:
        notes.append("first frame only")
    return notes


def _from_array(array: NDArray[np.uint8]) -> Picture:
    if array.dtype != np.uint8 or array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (3, 4)):
        raise ValueError(f"an array must be uint8 (H, W), (H, W, 3) or (H, W, 4), not {array.dtype} {array.shape}")
    size = (array.shape[0], array.shape[1])
    if min(size) < 1:
        raise ValueError(f"an array must have pixels, not shape {array.shape}")
    if array.ndim == 2:
        return Picture(np.repeat(array[..., None], 3, axis=2), raw_size=size)
    if array.shape[2] == 3:
        return Picture(np.ascontiguousarray(array), raw_size=size)
    alpha = np.ascontiguousarray(array[..., 3])
    if int(alpha.min()) == 255:
        return Picture(np.ascontiguousarray(array[..., :3]), raw_size=size)
    return Picture(over_white(array[..., :3], alpha), alpha, raw_size=size)


__all__ = ["Picture", "Source", "read_image", "turned", "unturned"]
