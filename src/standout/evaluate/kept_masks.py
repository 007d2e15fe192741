"""Masks as scoring needs them, kept on disk by content: decoded, and with the exact distances that weighted F takes.

Decoding a mask and its distances take most of the time of scoring one map; both are the same for every map of the mask.
"""

from __future__ import annotations

import contextlib
import hashlib
import struct
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from standout.errors import StandoutError
from standout.files import atomic_write, disk_error
from standout.images import read_mask
from standout.metrics import MaskWeights, mask_weights
from standout.reading import open_plain

_MAGIC = b"standout mask 1\n"
_HEAD = struct.Struct("<16s8q")
"""The magic; rows, columns, length of the ring (-1 for a mask without foreground), top, bottom, left, right, 0."""
_CHECK = struct.Struct("<I")


class Label(NamedTuple):
    """A mask (H, W), uint8 as it was read or bool, and its part of weighted F where that is at hand."""

    values: NDArray[np.uint8] | NDArray[np.bool_]
    weights: MaskWeights | None = None


def make_mask_folder(folder: Path | None) -> None:
    """Make the folder, if one is given, so that a wrong place is told before anything is scored.

    Raises
    ------
    StandoutError : it cannot be made.
    """
    if folder is not None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise disk_error(error, folder) from error


def read_label(path: Path, mask_class: int | None, above: int, folder: Path | None = None) -> Label:
    """Return a mask from its file, or from the folder where it is kept since the first time.

    What is kept is found by the content of the mask's file and what decides about its pixels. A kept file that is
    damaged is made anew; where the disk takes no more, the mask is used without being kept.

    Parameters
    ----------
    mask_class : the palette entry or grey value that is the object, in masks of several.
    above : the level above which a pixel of a grey mask is foreground.

    Raises
    ------
    StandoutError : as `standout.images.read_mask`.
    """
    if folder is None:
        return Label(read_mask(path, class_index=mask_class).values)
    try:
        with open_plain(path) as file:
            content = file.read()
    except OSError as error:
        raise disk_error(error, path) from error
    key = hashlib.sha256(content + repr((mask_class, above)).encode()).hexdigest()
    place = folder / key[:2] / key
    with contextlib.suppress(OSError, ValueError, struct.error):
        return _unpacked(place.read_bytes())
    mask = np.ascontiguousarray(read_mask(path, class_index=mask_class).values > above)
    label = Label(mask, mask_weights(mask) if mask.any() else None)
    with contextlib.suppress(StandoutError):
        atomic_write(place, _packed(label), durable=False)
    return label


def _packed(label: Label) -> bytes:
    rows, columns = label.values.shape
    bits = np.packbits(label.values).tobytes()
    if label.weights is None:
        body = [_HEAD.pack(_MAGIC, rows, columns, -1, 0, 0, 0, 0, 0), bits]
    else:
        classes, ring, nearest, box = label.weights
        body = [
            _HEAD.pack(_MAGIC, rows, columns, len(ring), *box, 0),
            classes.astype("<u2").tobytes(), ring.astype("<i4").tobytes(), nearest.astype("<i4").tobytes(), bits,
        ]  # fmt: skip
    packed = b"".join(body)
    return packed + _CHECK.pack(zlib.crc32(packed))


def _unpacked(content: bytes) -> Label:
    """Return what was packed.

    Raises
    ------
    ValueError, struct.error : these bytes are not what `_packed` gave.
    """
    magic, rows, columns, length, top, bottom, left, right, _ = _HEAD.unpack_from(content)
    pixels = rows * columns
    sizes = [2 * pixels, 4 * length, 4 * length] if length >= 0 else [0, 0, 0]
    ends = np.cumsum([_HEAD.size, *sizes, (pixels + 7) // 8])
    if magic != _MAGIC or len(content) != ends[-1] + _CHECK.size:
        raise ValueError("no kept mask")
    if zlib.crc32(memoryview(content)[: ends[-1]]) != _CHECK.unpack_from(content, int(ends[-1]))[0]:
        raise ValueError("a damaged mask")
    bits = np.frombuffer(content, np.uint8, offset=ends[3], count=(pixels + 7) // 8)
    mask = np.unpackbits(bits, count=pixels).reshape(rows, columns).view(np.bool_)
    if length < 0:
        return Label(mask)
    classes = np.frombuffer(content, "<u2", offset=ends[0], count=pixels).reshape(rows, columns)
    ring, nearest = (np.frombuffer(content, "<i4", offset=ends[at], count=length).astype(np.intp) for at in (1, 2))
    return Label(mask, MaskWeights(classes.astype(np.uint16, copy=False), ring, nearest, (top, bottom, left, right)))
