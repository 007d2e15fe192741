"""What a picture's header says: its format by content, its size, whether it is whole; no pixel is decoded."""

from __future__ import annotations

import contextlib
import re
import struct
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from PIL import Image

from standout.errors import StandoutError
from standout.images import tiff
from standout.images.limits import KNOWN, Limits

HEAD = 4096
"""Bytes that tell the format; AVIF's and HEIC's brands stand far earlier."""
MOST_SEGMENTS = 10_000
"""Of a JPEG file; ten to some hundreds are usual, and a walk over more would take its time."""
LARGEST_TILE = 2**24
"""Pixels by which a TIFF's tile may be larger than its picture."""


class Header(NamedTuple):
    """Facts of a picture file, all from its header.

    Attributes
    ----------
    format : one of `limits.KNOWN`.
    size : rows and columns as stored, before any turning.
    depth : bits of one sample, where the format says so (PNG, TIFF), else 8.
    orientation : 1 to 8 for TIFF, whose tag stands in the header; 1 for the others.
    several : whether more frames or pages follow the first; they are never counted.
    adobe : whether a JPEG has Adobe's mark.
    whole : whether the file is as long as its header says.
    """

    format: str
    size: tuple[int, int]
    depth: int = 8
    orientation: int = 1
    several: bool = False
    adobe: bool = False
    whole: bool = True


class Damaged(Exception):  # noqa: N818 - never leaves this package
    """The header does not hold together."""


def read_header(file: BinaryIO, length: int, name: str, limits: Limits) -> Header:
    """Return what the header says; refuse what is not allowed, too large or cut off there.

    Parameters
    ----------
    file, length : seekable, and its number of bytes; a few kilobytes of it are read, wherever they lie.
    name : for messages.

    Raises
    ------
    StandoutError : the content is no picture of an allowed format, has too many pixels, or the header is damaged.
    """
    head = file.read(HEAD)
    kind = sniff(head, name)
    if kind not in limits.formats:
        how = "convert it to JPEG or PNG first"
        raise StandoutError("picture-format", "picture format is not allowed here", f"{name} is {kind}", how)
    try:
        header = _READERS[kind](_Start(file, length, head))
    except tiff.Outside:
        raise truncated(name) from None
    except (Damaged, struct.error, IndexError, ValueError, OverflowError):
        raise _broken(name, length) from None
    if header is None:
        how = "convert it to JPEG or PNG first"
        raise StandoutError("picture-format", "not a picture we read", f"{name} is a camera's raw file", how)
    check_pixels(header.size, name, limits)
    if min(header.size) < 1:
        raise damaged(name)
    return header


def check_pixels(size: tuple[int, int], name: str, limits: Limits) -> None:
    """Refuse a picture of `size` rows and columns that has more pixels than the limit."""
    rows, columns = size
    if rows * columns > limits.pixels:
        millions = f"{rows * columns / 1e6:.4g} Mpixel, limit {limits.pixels / 1e6:.4g}"
        raise StandoutError(
            "picture-pixels", "picture has too many pixels", f"{name} is {columns} x {rows} ({millions})",
            "make it smaller; predict and cut take a higher limit with --max-pixels",
        )  # fmt: skip


def damaged(name: str, what: str = "picture is damaged") -> StandoutError:
    """Return the failure for a file whose bytes make no picture."""
    return StandoutError("picture-damaged", what, name, "copy the file again or leave it out")


def truncated(name: str) -> StandoutError:
    """Return the failure for a file that ends too early."""
    return StandoutError("picture-truncated", "picture is cut off", name, "copy the file again")


@contextlib.contextmanager
def refusing(name: str, what: str = "picture is damaged") -> Iterator[None]:
    """Turn whatever a decoder raises into one line.

    Damaged files make it raise OSError, SyntaxError, ValueError and more: whatever it is, the file is at fault.
    """
    try:
        yield
    except StandoutError:
        raise
    except Image.DecompressionBombError as error:
        raise StandoutError(
            "picture-pixels", "picture has too many pixels for its decoder", name, "make it smaller"
        ) from error
    except MemoryError as error:
        raise StandoutError("picture-memory", "picture does not fit into memory", name, "make it smaller") from error
    except Exception as error:
        raise (truncated(name) if "truncated" in str(error).lower() else damaged(name, what)) from error


def _broken(name: str, length: int) -> StandoutError:
    # A file that ends inside its header was cut; a longer one has wrong bytes there.
    return truncated(name) if length < HEAD else damaged(name)


_MAGIC = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"BM", "BMP"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0", "TIFF"),
    (b"MM\0+", "TIFF"),
)
_REFUSED = (
    (b"\xff\x0a", "JPEG XL"),
    (b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL"),
    (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
    (b"FUJIFILMCCD-RAW", "a camera's raw file"),
    (b"IIRO", "a camera's raw file"),
    (b"IIRS", "a camera's raw file"),
    (b"MMOR", "a camera's raw file"),
    (b"IIU\0", "a camera's raw file"),
    (b"FOVb", "a camera's raw file"),
    (b"%PDF", "PDF"),
    (b"%!", "PostScript"),
    (b"\xc5\xd0\xd3\xc6", "PostScript"),
    (b"8BPS", "PSD"),
    (b"8BPB", "PSD"),
    (b"\0\0\1\0", "ICO"),
    (b"SIMPLE  =", "FITS"),
    (b"v/1\1", "OpenEXR"),
    (b"#?RADIANCE", "Radiance HDR"),
    (b"\x93NUMPY", "a NumPy array"),
    (b"PK\3\4", "an archive"),
    (b"\x1f\x8b", "an archive"),
)
_BRANDS = {b"avif": "AVIF", b"avis": "AVIF", b"crx ": "a camera's raw file"}
_HEIC = frozenset((b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1"))


def sniff(head: bytes, name: str) -> str:
    """Return the format that the first bytes show, whatever the file is called.

    Raises
    ------
    StandoutError : it is none of `limits.KNOWN`; formats that people often have are named.
    """
    for magic, kind in _MAGIC:
        if head.startswith(magic):
            # Canon's CR2 is a TIFF whose first picture is a preview.
            if kind == "TIFF" and head[8:10] == b"CR":
                break
            return kind
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP"
    other = _other_kind(head)
    if other in KNOWN:
        return other
    if other:
        how = "convert it to JPEG or PNG first"
        raise StandoutError("picture-format", "not a picture we read", f"{name} is {other}", how)
    raise StandoutError("picture-unknown", "not a picture", name, f"known are {', '.join(KNOWN[:-1])}")


def _other_kind(head: bytes) -> str:
    if head[4:8] == b"ftyp":
        # The length of the box bounds the list of brands; the major brand comes first.
        brands = head[8 : min(max(int.from_bytes(head[:4], "big"), 12), 256)]
        listed = [brands[i : i + 4] for i in range(0, len(brands), 4) if i != 4]
        for brand in listed:
            if brand in _BRANDS:
                return _BRANDS[brand]
        return "HEIC" if _HEIC.intersection(listed) else "a film"
    if head.startswith((b"II*\0", b"MM\0*")):
        return "a camera's raw file"
    for magic, kind in _REFUSED:
        if head.startswith(magic):
            return kind
    text = head[:1024].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith(b"<svg") or (text.startswith((b"<?xml", b"<!--", b"<!doctype svg")) and b"<svg" in head.lower()):
        return "SVG"
    return ""


class _Start(NamedTuple):
    file: BinaryIO
    length: int
    head: bytes


def _png(start: _Start) -> Header:
    if start.head[12:16] != b"IHDR":
        raise Damaged
    columns, rows, depth = struct.unpack_from(">IIB", start.head, 16)
    return Header("PNG", (rows, columns), depth, several=b"acTL" in start.head[33:])


def _gif(start: _Start) -> Header:
    columns, rows = struct.unpack_from("<HH", start.head, 6)
    return Header("GIF", (rows, columns))


def _bmp(start: _Start) -> Header:
    header = struct.unpack_from("<I", start.head, 14)[0]
    columns, rows = struct.unpack_from("<HH" if header == 12 else "<ii", start.head, 18)
    # A negative height only means that the rows go from top to bottom.
    return Header("BMP", (abs(rows), columns))


def _webp(start: _Start) -> Header:
    kind = start.head[12:16]
    if kind == b"VP8X":
        flags = start.head[20]
        columns, rows = (1 + int.from_bytes(start.head[i : i + 3], "little") for i in (24, 27))
        return Header("WEBP", (rows, columns), several=bool(flags & 2))
    if kind == b"VP8L" and start.head[20] == 0x2F:
        bits = struct.unpack_from("<I", start.head, 21)[0]
        return Header("WEBP", (1 + (bits >> 14 & 0x3FFF), 1 + (bits & 0x3FFF)))
    if kind == b"VP8 " and start.head[23:26] == b"\x9d\x01\x2a":
        columns, rows = struct.unpack_from("<HH", start.head, 26)
        return Header("WEBP", (rows & 0x3FFF, columns & 0x3FFF))
    raise Damaged


def _tiff(start: _Start) -> Header | None:
    page = tiff.read_page(start.file, start.length)
    if page.is_raw:
        return None
    # A tile is decoded whole, so a small picture may not have a large one.
    if page.tile[0] * page.tile[1] > page.size[0] * page.size[1] + LARGEST_TILE:
        raise Damaged
    return Header("TIFF", page.size, page.depth, page.orientation, page.several, whole=page.is_whole)


def _avif(start: _Start) -> Header:
    # Every picture item (the whole, its tiles, a thumbnail) has an `ispe` box; the largest is the whole.
    boxes = [m.start() for m in re.finditer(rb"ispe", start.head)]
    sizes = [struct.unpack_from(">II", start.head, at + 8) for at in boxes]
    if not sizes:
        raise Damaged
    columns, rows = max(sizes, key=lambda size: size[0] * size[1])
    return Header("AVIF", (rows, columns), several=start.head[8:12] == b"avis")


_SIZES = frozenset((*range(0xC0, 0xD0),)) - {0xC4, 0xC8, 0xCC}
_ALONE = frozenset((0x01, *range(0xD0, 0xD9)))


def _jpeg(start: _Start) -> Header:
    at, adobe, several = 2, False, False
    for _ in range(MOST_SEGMENTS):
        start.file.seek(at)
        segment = start.file.read(20)
        if segment[:1] != b"\xff":
            raise Damaged
        marker = segment[1]
        if marker == 0xFF or marker in _ALONE:
            at += 1 if marker == 0xFF else 2
            continue
        if marker in (0xD9, 0xDA):
            break
        size = struct.unpack_from(">H", segment, 2)[0]
        adobe = adobe or (marker == 0xEE and segment[4:9] == b"Adobe")
        several = several or (marker == 0xE2 and segment[4:8] == b"MPF\0")
        if marker in _SIZES:
            rows, columns = struct.unpack_from(">HH", segment, 5)
            # Adobe's mark stands before the frame's header in files of this kind, but need not.
            adobe = adobe or b"\xff\xee\x00\x0eAdobe" in start.head
            return Header("JPEG", (rows, columns), segment[4], several=several, adobe=adobe)
        at += 2 + size
    raise Damaged


_READERS = {
    "JPEG": _jpeg, "PNG": _png, "WEBP": _webp, "GIF": _gif, "BMP": _bmp, "TIFF": _tiff, "AVIF": _avif,
}  # fmt: skip
