"""What only a file's whole body tells, before it is decoded: its scans, whether it ends too early, more frames."""

from __future__ import annotations

import re

from standout.errors import StandoutError
from standout.images.headers import MOST_SEGMENTS, Header, damaged, truncated
from standout.images.limits import Limits


def check_body(data: bytes, header: Header, name: str, limits: Limits) -> Header:
    """Look over the whole file before it is decoded; return the header with what only the body tells.

    Raises
    ------
    StandoutError : "picture-scans" for a JPEG that would cost far more time than its size shows, "picture-truncated"
        for a file that ends too early in a way that its decoder would not see.
    """
    if header.format == "JPEG":
        scans, ended = walk_scans(data)
        _check_scans(scans, header, name, limits)
        header = header._replace(whole=ended)
    elif header.format == "GIF":
        after = _after_first_frame(data, name)
        return header._replace(several=after != _GIF_END)
    elif header.format == "PNG":
        header = header._replace(whole=_PNG_END in data)
    elif header.format == "WEBP":
        header = header._replace(whole=len(data) >= 8 + int.from_bytes(data[4:8], "little"))
    if not header.whole:
        raise truncated(name)
    return header


_PNG_END = b"IEND\xaeB`\x82"
_GIF_FRAME, _GIF_EXTENSION, _GIF_END = 0x2C, 0x21, 0x3B
_MOST_BLOCKS = 4_000_000
_MARKER = re.compile(rb"\xff[^\x00\x01\xd0-\xd7\xff]")


def _check_scans(scans: int, header: Header, name: str, limits: Limits) -> None:
    millions = header.size[0] * header.size[1] / 1e6
    if scans > limits.scans or scans * millions > limits.scan_megapixels:
        cap = min(limits.scans, int(limits.scan_megapixels / max(millions, 1e-6)))
        raise StandoutError(
            "picture-scans",
            "picture has too many scans",
            f"{name} has {scans} (limit {cap} at {millions:.3g} Mpixel)",
            "save it again as an ordinary JPEG",
        )


def walk_scans(data: bytes) -> tuple[int, bool]:
    """Return the scans of the first picture in a JPEG file, by its markers, and whether its end mark is there.

    Progressive files usually have ten scans, others one. A file of more than `MOST_SEGMENTS` segments counts as
    having as many scans.
    """
    at, scans = 2, 0
    for _ in range(MOST_SEGMENTS):
        found = _MARKER.search(data, at)
        if found is None:
            return scans, False
        at = found.end()
        marker = data[at - 1]
        if marker == 0xD9:
            return scans, True
        scans += marker == 0xDA
        at += int.from_bytes(data[at : at + 2], "big")
    return MOST_SEGMENTS, True


def _after_first_frame(data: bytes, name: str) -> int:
    """Return the byte that follows a GIF's first frame: its end or the start of more; later frames are not walked."""
    at, seen = 13 + _table(data, 10), False
    for _ in range(_MOST_BLOCKS):
        if at >= len(data):
            raise truncated(name)
        kind = data[at]
        if seen and kind != _GIF_EXTENSION:
            return kind
        if kind == _GIF_FRAME and at + 10 < len(data):
            # Place and size, flags, perhaps colours, and the width of the codes.
            at, seen = at + 11 + _table(data, at + 9), True
        elif kind == _GIF_EXTENSION:
            at += 2
        else:
            raise truncated(name) if at + 10 >= len(data) else damaged(name)
        while at < len(data) and data[at]:
            at += 1 + data[at]
        at += 1
    raise damaged(name)


def _table(data: bytes, flags: int) -> int:
    """Return the bytes of the colour table that the flags at that place announce."""
    return 3 * 2 ** (1 + (data[flags] & 7)) if flags < len(data) and data[flags] & 0x80 else 0
