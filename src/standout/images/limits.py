"""What a picture may cost before any of its pixels is decoded."""

from __future__ import annotations

from typing import NamedTuple

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
"""The formats that are parsed unless the caller says otherwise; AVIF is known too, by option."""

KNOWN = (*FORMATS, "AVIF")


class Limits(NamedTuple):
    """Caps that are checked from the header; the image library's own global cap is left alone.

    Attributes
    ----------
    pixels : most pixels a picture may have.
    file_bytes : longest file.
    scans : most scans of one JPEG; ten are usual, a thousand cost twenty seconds.
    scan_megapixels : most scans times megapixels of one JPEG.
    formats : the formats that may be parsed, of `KNOWN`.
    """

    pixels: int = 100_000_000
    file_bytes: int = 512 * 2**20
    scans: int = 64
    scan_megapixels: float = 1600.0
    formats: tuple[str, ...] = FORMATS


SERVER = Limits(pixels=25_000_000, file_bytes=20 * 2**20, formats=("JPEG", "PNG", "WEBP"))
"""For pictures that strangers send."""
