"""`read_mask`: the only way bytes become labels."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from standout.errors import StandoutError
from standout.images import headers
from standout.images.colour import BAND, Pixels, turned
from standout.images.decode import Decoded
from standout.images.limits import Limits
from standout.images.picture import DEFAULT_LIMITS, Picture, Source, decoded_source
from standout.images.quiet import quiet
from standout.images.resize import resize, resize_classes
from standout.images.source import UNNAMED

UNKNOWN = ("soft", "ignore", "refuse")
"""What the middle value of a mask of exactly three may mean: a half label, no label, or a mistake."""

LEAST_MIDDLE = 0.005
"""Share of the pixels from which a single middle value is an area and no edge."""
SAME_SHAPE = 0.01
"""Most relative difference of two aspect ratios that count as one."""
HALF = 128
"""The least level that is foreground where a label must be yes or no."""


class MaskPicture(NamedTuple):
    """A label ready for training or scoring.

    Attributes
    ----------
    values : (H, W) uint8, 0 background to 255 foreground, soft in between, upright.
    known : (H, W) bool, false where the label says nothing, or none where it speaks everywhere.
    notes : what was done to it that a user may want to know.
    classes : whether it was read by class index, so that no resizing may mix its values.
    format : the file's format, empty where it never was a file.
    name : for messages.
    """

    values: Pixels
    known: NDArray[np.bool_] | None = None
    notes: tuple[str, ...] = ()
    classes: bool = False
    format: str = ""
    name: str = UNNAMED

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.values.shape[0], self.values.shape[1]

    @property
    def foreground(self) -> NDArray[np.bool_]:
        """The hard label (H, W): level 128 and above."""
        return self.values >= HALF


def read_mask(
    source: Source,
    *,
    class_index: int | None = None,
    unknown: str = "soft",
    limits: Limits = DEFAULT_LIMITS,
) -> MaskPicture:
    """Return a label as levels 0 to 255, upright.

    A palette is read by index (0 is background) unless it is a ramp of greys; a mask of 0 and 1 in any depth is one
    of 0 and 255; with transparency, the one plane that is not constant is the mask.

    Parameters
    ----------
    source : path, bytes of a file, array (H, W) bool, uint8, uint16 or float in 0..1, or an image of Pillow.
    class_index : take the pixels of this palette index or grey value as the object.
    unknown : for masks of three values whose middle one covers an area: "soft" keeps it as a half label, "ignore"
        marks it in `known`, "refuse" raises.

    Raises
    ------
    StandoutError : the file makes no picture, or no single mask follows from its colours, classes or values.
    ValueError : an array of another shape, type or range, or an unknown word for `unknown`.
    """
    if unknown not in UNKNOWN:
        raise ValueError(f"unknown must be one of {', '.join(UNKNOWN)}, not {unknown!r}")
    if isinstance(source, np.ndarray):
        if source.ndim != 2 or min(source.shape) < 1:
            raise ValueError(f"a mask array must be (H, W), not {source.shape}")
        mask = MaskPicture(_levels(source, 16 if source.dtype == np.uint16 else 8, UNNAMED, class_index))
        mask = mask._replace(classes=class_index is not None)
    else:
        decoded = decoded_source(source, limits)
        with quiet, headers.refusing(decoded.name, "mask is damaged"):
            mask = _from_decoded(decoded, class_index)
    return _with_unknown(mask, unknown)


def _from_decoded(decoded: Decoded, class_index: int | None) -> MaskPicture:
    image, name = decoded.image, decoded.name
    notes: list[str] = []
    if decoded.orientation != 1:
        notes.append(f"turned upright (orientation {decoded.orientation})")
    if decoded.header.several:
        notes.append("first frame only")
    classes = class_index is not None
    if image.mode == "P":
        plane, by_index = _palette_plane(image)
        classes = classes or by_index
        values = _indexed(plane, name, class_index) if by_index else _levels(plane, 8, name, class_index)
    else:
        values = _levels(mask_plane(decoded), decoded.header.depth, name, class_index)
    if decoded.header.format == "JPEG":
        between = float(np.count_nonzero((values > 0) & (values < 255))) / values.size
        notes.append(f"JPEG mask, {between:.1%} of the pixels in between")
    values = np.require(turned(values, decoded.to_turn), requirements=["C", "W"])
    return MaskPicture(values, None, tuple(notes), classes, decoded.header.format, name)


def _palette_plane(image: Image.Image) -> tuple[NDArray[np.uint8], bool]:
    """Return indices and true, or grey levels and false where the palette is a ramp of greys."""
    indices = np.asarray(image)
    table = np.zeros((256, 3), np.uint8)
    stored = np.frombuffer(bytes(image.getpalette("RGB") or []), np.uint8).reshape(-1, 3)[:256]
    table[: len(stored)] = stored
    # The whole palette decides, not the entries in use: VOC's "car" is a grey among colours. A ramp reaches white;
    # its order is free, since programs that shrink files sort palettes.
    is_ramp = len(stored) > 0 and bool((stored == stored[:, :1]).all()) and int(stored.max()) == 255
    return (table[:, 0][indices] if is_ramp else indices), not is_ramp


def _indexed(indices: NDArray[np.uint8], name: str, class_index: int | None) -> Pixels:
    if class_index is not None:
        return _hard(indices == class_index)
    used = np.flatnonzero(np.bincount(indices.ravel(), minlength=256))
    if np.count_nonzero(used) > 1:
        listed = ", ".join(map(str, used[:8])) + (", ..." if len(used) > 8 else "")
        raise StandoutError(
            "mask-classes", f"mask has {len(used)} colours", f"{name} uses palette entries {listed}",
            f"choose one with --class {used[-1]}",
        )  # fmt: skip
    return _hard(indices > 0)


def _hard(mask: NDArray[np.bool_]) -> Pixels:
    return mask.astype(np.uint8) * np.uint8(255)


def mask_plane(decoded: Decoded, kind: str = "mask") -> NDArray[Any]:
    """Return the one plane (H, W) that is the mask, or the map, as `kind` calls it in messages.

    Raises
    ------
    StandoutError : the picture has colours, or colours and transparency, or a mode without such a plane.
    """
    image, name = decoded.image, decoded.name
    mode = image.mode
    if mode in ("1", "L", "I", "F") or mode.startswith("I;16"):
        return np.asarray(image)
    if mode in ("LA", "La", "PA", "RGBA", "RGBa"):
        full = np.asarray(image if mode == "RGBA" else image.convert("RGBA"))
        colours, alpha = full[..., :3], full[..., 3]
        if (alpha == alpha[0, 0]).all():
            return _grey(colours, name, kind)
        if (colours == colours[0, 0]).all() or (colours == alpha[..., None]).all():
            return alpha
        raise StandoutError(
            "mask-transparent", f"{kind} has both colours and transparency", name,
            f"keep the one that is the {kind}",
        )  # fmt: skip
    return _grey(np.asarray(image if mode == "RGB" else image.convert("RGB")), name, kind)


def _grey(colours: NDArray[np.uint8], name: str, kind: str) -> NDArray[np.uint8]:
    """Return the grey levels of RGB (H, W, 3); of two colours one of which is black, the other is the object."""
    # JPEG stores grey as brightness and colour differences; they come back equal within rounding.
    if all(int((band.max(axis=2) - band.min(axis=2)).max()) <= 4 for band in _bands(colours)):
        return np.ascontiguousarray(colours[..., 1])
    label = colours.max(axis=2) > 0
    colour = colours[np.unravel_index(label.argmax(), label.shape)]
    if all(((band == colour).all(axis=2) | ~band.any(axis=2)).all() for band in _bands(colours)):
        return _hard(label)
    raise StandoutError(
        "mask-colours", f"{kind} has several colours", name, "save it as grey or as a palette of classes"
    )


def _bands(colours: NDArray[np.uint8]) -> Iterator[NDArray[np.uint8]]:
    height = max(1, BAND // colours.shape[1])
    return (colours[start : start + height] for start in range(0, len(colours), height))


def _levels(plane: NDArray[Any], depth: int, name: str, class_index: int | None) -> Pixels:
    """Return levels 0 to 255 of a plane of any type; a plane of zeros and ones is a label, not almost black."""
    if plane.dtype == np.bool_:
        return _hard(plane != 0 if class_index in (None, 1) else plane == 0)
    if np.issubdtype(plane.dtype, np.floating):
        return _floating(plane, name, class_index)
    top = int(plane.max())
    if not np.issubdtype(plane.dtype, np.integer) or int(plane.min()) < 0 or top > 65535:
        raise _values(name, float(plane.min()), float(plane.max()))
    if class_index is not None:
        return _hard(plane == class_index)
    if plane.dtype == np.uint8:
        # One of a depth below 8 bits has been spread over 0 to 255 by the decoder.
        unit = 255 // (2**depth - 1) if depth < 8 else 1
        if top == unit:
            return plane if bool(((plane > 0) & (plane < unit)).any()) else _hard(plane > 0)
        return plane
    values = plane.astype(np.uint32)
    if top in (1, 257) and not ((values > 0) & (values < top)).any():
        return _hard(values > 0)
    # Wider whole numbers (32-bit files, arrays) hold 8-bit or 16-bit levels; only their range tells which.
    if plane.dtype != np.uint16 and top <= 255:
        return values.astype(np.uint8)
    full = 2 ** min(max(depth, 9), 16) - 1 if plane.dtype == np.uint16 else 65535
    return ((values * 255 + full // 2) // full).clip(0, 255).astype(np.uint8)


def _floating(plane: NDArray[Any], name: str, class_index: int | None) -> Pixels:
    values = plane.astype(np.float64)
    low, high = float(values.min()), float(values.max())
    if class_index is not None and low >= 0:
        return _hard(values == class_index)
    if not (low >= 0 and high <= 1):
        raise _values(name, low, high)
    return np.rint(values * 255).astype(np.uint8)


def _values(name: str, low: float, high: float) -> StandoutError:
    return StandoutError(
        "mask-values",
        "mask has values outside 0 to 1",
        f"{name} has {low:g} to {high:g}",
        "scale it or save it as 8-bit grey",
    )


def _with_unknown(mask: MaskPicture, unknown: str) -> MaskPicture:
    if unknown == "soft" or mask.classes:
        return mask
    middle = middle_level(mask.values)
    if middle is None:
        return mask
    if unknown == "refuse":
        raise StandoutError(
            "mask-unknown", "mask has a third value that covers an area", f"{mask.name} has level {middle}",
            "read it with unknown soft or ignore",
        )  # fmt: skip
    return mask._replace(known=mask.values != middle)


def middle_level(values: Pixels) -> int | None:
    """Return the middle of exactly three levels where it covers over half a percent of the mask, else none."""
    counts = np.bincount(values.ravel(), minlength=256)
    found = np.flatnonzero(counts)
    if len(found) != 3 or counts[found[1]] <= LEAST_MIDDLE * values.size:
        return None
    return int(found[1])


def resize_mask(mask: MaskPicture, size: tuple[int, int], *, hard: bool = False) -> MaskPicture:
    """Return the mask at `size` rows and columns.

    A one-channel training mask is filtered and stays in 0 to 255; classes, and masks to score against (`hard`), get
    no value that was not there.
    """
    shrink = resize_classes if hard or mask.classes else resize
    known = None if mask.known is None else resize_classes(mask.known.astype(np.uint8), size) > 0
    return mask._replace(values=shrink(mask.values, size), known=known)


class Fitted(NamedTuple):
    """A picture and its mask of one size, and what was done: "equal", "unturned" or "resized"."""

    picture: Picture
    mask: MaskPicture
    how: str


def fit_mask(mask: MaskPicture, picture: Picture, *, hard: bool = False) -> Fitted:
    """Return mask and picture of one size.

    A mask that was drawn on the stored picture, before the camera's turning, has that size: then both are taken as
    stored. A mask of the same shape within one percent is resized. A picture that was shrunk by `longest` keeps its
    size, and the mask is compared with its full one.

    Raises
    ------
    StandoutError : "mask-size", the shapes differ.
    """
    if mask.size == picture.full_size or mask.size == picture.size:
        how = "equal"
    elif picture.orientation != 1 and mask.size == picture.raw_size:
        picture, how = picture.as_stored(), "unturned"
    elif _same_shape(mask.size, picture.full_size):
        how = "resized"
    elif picture.orientation >= 5 and _same_shape(mask.size, picture.raw_size):
        picture, how = picture.as_stored(), "unturned"
    else:
        (rows, columns), (mask_rows, mask_columns) = picture.full_size, mask.size
        raise StandoutError(
            "mask-size", "mask and picture have different shapes",
            f"{mask.name} is {mask_columns} x {mask_rows}, {picture.name} is {columns} x {rows}",
            "use the mask that belongs to the picture",
        )  # fmt: skip
    if mask.size != picture.size:
        mask = resize_mask(mask, picture.size, hard=hard)
    return Fitted(picture, mask, how)


def _same_shape(one: tuple[int, int], other: tuple[int, int]) -> bool:
    return abs(one[0] * other[1] / (one[1] * other[0]) - 1) <= SAME_SHAPE
