"""The few entries of a TIFF's first page that matter before decoding; EXIF blocks have the same form."""

from __future__ import annotations

import struct
from io import BytesIO
from typing import BinaryIO, NamedTuple

COLUMNS, ROWS, BITS, ORIENTATION = 256, 257, 258, 274
SUBFILE, MAKE, DNG_VERSION = 254, 271, 50706
STRIPS, STRIP_BYTES, TILE_COLUMNS, TILE_ROWS, TILES, TILE_BYTES = 273, 279, 322, 323, 324, 325

_WHOLE_NUMBERS = {1: "B", 3: "H", 4: "I", 16: "Q"}
_WIDTHS = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}


class Outside(ValueError):  # noqa: N818 - never leaves this package
    """Something lies behind the file's end: it was cut off."""


class Page(NamedTuple):
    """Facts of the first page: rows and columns, largest tile, bits a sample, orientation 1 to 8."""

    size: tuple[int, int]
    tile: tuple[int, int]
    depth: int
    orientation: int
    several: bool
    is_raw: bool
    is_whole: bool


def read_page(file: BinaryIO, length: int) -> Page:
    """Return the facts of a TIFF's first page.

    Raises
    ------
    ValueError, struct.error : the entries lie outside the file or do not hold together.
    """
    entries, following = _entries(file, length)
    size = (_first(entries, ROWS), _first(entries, COLUMNS))
    tile = (_first(entries, TILE_ROWS), _first(entries, TILE_COLUMNS))
    # A raw file's first page is a small preview beside the camera's name.
    is_raw = DNG_VERSION in entries or (MAKE in entries and bool(_first(entries, SUBFILE) & 1))
    return Page(
        size,
        tile,
        max(_first(entries, BITS, 1), 1),
        orientation_of(_first(entries, ORIENTATION, 1)),
        following != 0,
        is_raw,
        _is_whole(entries, length),
    )


def exif_orientation(block: bytes) -> int | None:
    """Return the orientation 1 to 8 of an EXIF block, 1 where it is garbage, or none where it is missing."""
    block = block.removeprefix(b"Exif\0\0")
    try:
        entries, _ = _entries(BytesIO(block), len(block))
    except (ValueError, struct.error):
        return None
    return orientation_of(_first(entries, ORIENTATION)) if ORIENTATION in entries else None


def orientation_of(value: int) -> int:
    """Return a stored orientation if it is one, else 1."""
    return value if 1 <= value <= 8 else 1


Entries = dict[int, tuple[int, ...]]


def _entries(file: BinaryIO, length: int) -> tuple[Entries, int]:
    """Return the whole-number entries of the first page and the place of the next page, 0 where there is none."""
    file.seek(0)
    start = file.read(16)
    order = {b"II": "<", b"MM": ">"}.get(start[:2])
    if order is None:
        raise ValueError("no TIFF")
    is_big = struct.unpack_from(order + "H", start, 2)[0] == 43
    at = struct.unpack_from(order + ("Q" if is_big else "I"), start, 8 if is_big else 4)[0]
    head, width, word = ("Q", 20, "Q") if is_big else ("H", 12, "I")
    inline = struct.calcsize(word)
    if at > length:
        raise Outside("first page")
    file.seek(at)
    count = struct.unpack(order + head, file.read(struct.calcsize(head)))[0]
    if count * width > length:
        raise ValueError("more entries than bytes")
    table = file.read(count * width + inline)
    entries: Entries = {}
    for number in range(count):
        tag, kind, values = struct.unpack_from(order + "HH" + word, table, number * width)
        if kind == 2:
            entries[tag] = ()
        if kind not in _WHOLE_NUMBERS:
            continue
        place = number * width + 4 + inline
        content = table[place : place + inline]
        size = values * _WIDTHS[kind]
        if size > inline:
            if tag not in (STRIPS, STRIP_BYTES, TILES, TILE_BYTES, BITS):
                continue
            outside = struct.unpack(order + word, content)[0]
            if outside + size > length:
                raise Outside("an entry")
            file.seek(outside)
            content = file.read(size)
        entries[tag] = struct.unpack_from(f"{order}{values}{_WHOLE_NUMBERS[kind]}", content)
    following = table[count * width :]
    return entries, int.from_bytes(following, "little" if order == "<" else "big")


def _first(entries: Entries, tag: int, default: int = 0) -> int:
    return next(iter(entries.get(tag, ())), default)


def _is_whole(entries: Entries, length: int) -> bool:
    for places, sizes in ((STRIPS, STRIP_BYTES), (TILES, TILE_BYTES)):
        pairs = zip(entries.get(places, ()), entries.get(sizes, ()), strict=False)
        if any(place + size > length for place, size in pairs):
            return False
    return True
