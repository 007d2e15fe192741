"""A decoded picture of any mode to 8-bit RGB and source alpha, upright."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from standout.errors import StandoutError
from standout.images.decode import PROFILE_NOTE, Decoded

Pixels = NDArray[np.uint8]
"""(H, W, 3) RGB or (H, W), 0 to 255."""

BAND = 2**20
"""Pixels that are converted at a time, so that large pictures need little memory besides the result."""
LONGEST_PROFILE = 4 * 2**20


def upright(
    decoded: Decoded, *, flatten: bool = True, keep_profile: bool = False
) -> tuple[Pixels, Pixels | None, list[str]]:
    """Return RGB (H, W, 3) and alpha (H, W), or none where all is opaque, turned upright, and notes.

    Parameters
    ----------
    flatten : lay transparent parts over white, so that colours hidden there are gone.
    keep_profile : leave the colours as stored instead of converting them to sRGB.

    Raises
    ------
    StandoutError : the picture's mode or values have no 8-bit RGB form.
    """
    image = decoded.image
    notes: list[str] = []
    transform = None if keep_profile else _transform(image, notes)
    if image.mode == "CMYK" and decoded.header.format == "JPEG" and not decoded.header.adobe:
        notes.append("CMYK without Adobe's mark read as inverted")
    read = _reader(decoded)
    rows, columns = image.height, image.width
    turn = decoded.to_turn
    shape = (columns, rows) if turn >= 5 else (rows, columns)
    pixels = np.empty((*shape, 3), np.uint8)
    alpha: Pixels | None = None
    # Writing through a turned view costs no second copy of the picture.
    view = unturned(pixels, turn)
    for start, stop, band in _bands(image):
        colours, opacity = read(band)
        if transform is not None:
            colours = np.asarray(transform(colours))
        if opacity is not None and (alpha is not None or int(opacity.min()) < 255):
            if alpha is None:
                alpha = np.full(shape, 255, np.uint8)
            unturned(alpha, turn)[start:stop] = opacity
            if flatten:
                colours = over_white(colours, opacity)
        view[start:stop] = colours if colours.ndim == 3 else colours[..., None]
    return pixels, alpha, notes


def over_white(colours: Pixels, alpha: Pixels) -> Pixels:
    """Return colours (H, W, 3) or (H, W) laid over white with alpha (H, W); exact at alpha 0 and 255."""
    share = (alpha if colours.ndim == 2 else alpha[..., None]).astype(np.uint16)
    # Everything fits 16 bits, and adding a 256th of itself makes the shift by 8 a rounded division by 255.
    total = colours * share
    total += 255 * (255 - share) + 128
    total += total >> 8
    total >>= 8
    return total.astype(np.uint8)


def _bands(image: Image.Image) -> Iterator[tuple[int, int, Image.Image]]:
    height = max(1, BAND // image.width)
    if height >= image.height:
        yield 0, image.height, image
        return
    for start in range(0, image.height, height):
        stop = min(start + height, image.height)
        yield start, stop, image.crop((0, start, image.width, stop))


Planes = tuple[Pixels, Pixels | None]


def _reader(decoded: Decoded) -> Callable[[Image.Image], Planes]:
    """Return the function that turns a band of this picture into colours (h, w, 3) or (h, w), and alpha."""
    image = decoded.image
    mode, key = image.mode, image.info.get("transparency")
    if mode in ("RGBA", "LA", "PA", "RGBa", "La") or (mode == "P" and key is not None):
        return _with_alpha
    if mode in ("L", "1", "RGB"):
        return functools.partial(_plain, key=_scaled_key(key, mode, decoded.header.depth))
    if mode.startswith("I;16"):
        return functools.partial(_sixteen, key=key, depth=decoded.header.depth)
    if mode == "F":
        return functools.partial(_floating, name=decoded.name)
    if mode in ("P", "CMYK", "YCbCr", "RGBX"):
        return _converted
    raise StandoutError(
        "picture-mode", "picture has a pixel form that we do not read", f"{decoded.name} is {mode}",
        "save it as 8-bit RGB",
    )  # fmt: skip


def _with_alpha(band: Image.Image) -> Planes:
    full = np.asarray(band if band.mode == "RGBA" else band.convert("RGBA"))
    return full[..., :3], full[..., 3]


def _converted(band: Image.Image) -> Planes:
    return np.asarray(band.convert("RGB")), None


def _plain(band: Image.Image, key: NDArray[np.uint8] | None) -> Planes:
    colours = np.asarray(band if band.mode != "1" else band.convert("L"))
    if key is None:
        return colours, None
    hidden = colours == key
    return colours, np.where(hidden.all(axis=2) if colours.ndim == 3 else hidden, 0, 255).astype(np.uint8)


def _scaled_key(key: Any, mode: str, depth: int) -> NDArray[np.uint8] | None:
    """Return a PNG's transparent colour, stored in its own bit depth, as the decoder gives that colour."""
    if key is None or isinstance(key, bytes):
        return None
    levels = np.atleast_1d(np.asarray(key, np.int64))
    if mode == "1":
        levels = np.where(levels > 0, 255, 0)
    elif depth < 8:
        levels = levels * 255 // (2**depth - 1)
    elif depth == 16:
        levels = levels >> 8
    return (levels & 255).astype(np.uint8)


def _sixteen(band: Image.Image, key: int | None, depth: int) -> Planes:
    values = np.asarray(band).astype(np.uint32)
    top = 2 ** min(max(depth, 9), 16) - 1
    grey = ((values * 255 + top // 2) // top).clip(0, 255).astype(np.uint8)
    return grey, None if key is None else np.where(values == key, 0, 255).astype(np.uint8)


def _floating(band: Image.Image, name: str) -> Planes:
    values = np.asarray(band)
    low, high = float(values.min()), float(values.max())
    if not (low >= 0 and high <= 1):
        raise StandoutError(
            "picture-values", "picture has values outside 0 to 1", f"{name} has {low:g} to {high:g}",
            "scale it or save it as 8 or 16 bit",
        )  # fmt: skip
    return np.rint(values * 255).astype(np.uint8), None


def turned(pixels: Pixels, orientation: int) -> Pixels:
    """Return a view of stored pixels (H, W, ...) turned upright; `orientation` is EXIF's, 1 to 8."""
    return _TURNS[orientation](pixels)


def unturned(pixels: Pixels, orientation: int) -> Pixels:
    """Return a view of upright pixels (H, W, ...) as they would be stored under `orientation`."""
    return _TURNS[{6: 8, 8: 6}.get(orientation, orientation)](pixels)


_TURNS: dict[int, Callable[[Pixels], Pixels]] = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: np.rot90(a),
}

Transform = Callable[[Pixels], Image.Image]


def _transform(image: Image.Image, notes: list[str]) -> Transform | None:
    """Return what turns this picture's colours into sRGB, or none where nothing is to be done."""
    profile = image.info.get("icc_profile")
    if not profile or not isinstance(profile, bytes):
        return None
    fits = profile[16:20] == b"RGB " and image.mode in ("RGB", "RGBA", "P", "RGBX") and len(profile) <= LONGEST_PROFILE
    try:
        found = _cached_transform(profile) if fits else None
    except Exception:
        found = None
        fits = False
    if not fits:
        notes.append(PROFILE_NOTE)
    return found


@functools.lru_cache(maxsize=8)
def _cached_transform(profile: bytes) -> Transform | None:
    from PIL import ImageCms

    transform = ImageCms.buildTransform(ImageCms.ImageCmsProfile(BytesIO(profile)), _srgb(), "RGB", "RGB")

    def apply(colours: Pixels) -> Image.Image:
        full = colours if colours.ndim == 3 else np.repeat(colours[..., None], 3, axis=2)
        return ImageCms.applyTransform(Image.fromarray(np.ascontiguousarray(full)), transform)  # type: ignore[return-value]

    # Most profiles are sRGB itself under one of its many names: a probe tells, and saves a third of a second
    # on a photo of 12 Mpixel.
    steps = np.arange(0, 256, 17, dtype=np.uint8)
    probe = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(16, 256, 3)
    change = np.abs(np.asarray(apply(probe)).astype(int) - probe)
    return None if change.max() <= 1 else apply


@functools.cache
def _srgb() -> Any:
    from PIL import ImageCms

    return ImageCms.createProfile("sRGB")
