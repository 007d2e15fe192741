"""Bytes to a decoded picture of the image library: the one place that calls its decoders."""

from __future__ import annotations

import contextlib
import re
from io import BytesIO
from typing import Any, NamedTuple

from PIL import (
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    ImageFile,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from standout.images import headers, tiff
from standout.images.body import check_body
from standout.images.headers import Header
from standout.images.limits import Limits
from standout.images.quiet import hushed, quiet
from standout.images.source import Encoded, cannot_read, open_source

# The decoders are called by class and not through `Image.open`: nothing else can ever be parsed, no table of the
# library is filled, and its process-wide pixel cap, which is not ours to change, does not speak.
_DECODERS: dict[str, Any] = {
    "JPEG": JpegImagePlugin.JpegImageFile,
    "PNG": PngImagePlugin.PngImageFile,
    "WEBP": WebPImagePlugin.WebPImageFile,
    "GIF": GifImagePlugin.GifImageFile,
    "BMP": BmpImagePlugin.BmpImageFile,
    "TIFF": TiffImagePlugin.TiffImageFile,
}


class Decoded(NamedTuple):
    """A loaded picture of the image library with the facts of its file.

    Attributes
    ----------
    image : loaded; TIFF files come already turned upright from the library, the others as stored.
    header : facts of the file; of a picture that never was a file, made from the picture.
    orientation : 1 to 8, as the file says.
    name : for messages.
    notes : what was left out on the way.
    """

    image: Image.Image
    header: Header
    orientation: int
    name: str
    notes: tuple[str, ...] = ()

    @property
    def to_turn(self) -> int:
        """The orientation that still has to be applied."""
        return 1 if self.header.format == "TIFF" else self.orientation


def decode(source: Encoded, limits: Limits, longest: int | None = None) -> Decoded:
    """Return the first frame of a picture file, decoded.

    Parameters
    ----------
    source : path, or the file's bytes.
    longest : the longest side that is needed; a JPEG may be decoded at a half, quarter or eighth of its size,
        never below this.

    Raises
    ------
    StandoutError : the file may not be read or makes no whole picture within the limits.
    """
    with open_source(source, limits) as (file, length, name):
        try:
            header = headers.read_header(file, length, name, limits)
            file.seek(0)
            data = file.read()
        except OSError as error:
            raise cannot_read(error, name) from error
    header = check_body(data, header, name, limits)
    with quiet:
        image, notes = _load(data, header, name, limits, longest)
        return Decoded(image, header, _orientation(image, header), name, notes)


PROFILE_NOTE = "colour profile does not fit and was left out"


def _load(
    data: bytes, header: Header, name: str, limits: Limits, longest: int | None
) -> tuple[ImageFile.ImageFile, tuple[str, ...]]:
    with headers.refusing(name):
        try:
            return _loaded(data, header, name, limits, longest), ()
        except ValueError:
            plain = _without_comments(data) if header.format == "PNG" else data
            if len(plain) == len(data):
                raise
        return _loaded(plain, header, name, limits, longest), (PROFILE_NOTE,) if b"iCCP" in data else ()


def _loaded(data: bytes, header: Header, name: str, limits: Limits, longest: int | None) -> ImageFile.ImageFile:
    image: ImageFile.ImageFile = _decoder(header.format)(BytesIO(data))
    headers.check_pixels((image.height, image.width), name, limits)
    if longest is not None and header.format == "JPEG" and max(image.size) >= 2 * longest:
        # `draft` bounds both sides from below; the shorter one must not stop it.
        scale = longest / max(image.size)
        image.draft(None, (max(1, int(image.width * scale)), max(1, int(image.height * scale))))
    with hushed if header.format == "TIFF" else contextlib.nullcontext():
        image.load()
    return image


def _decoder(kind: str) -> Any:
    if kind == "AVIF":
        from PIL import AvifImagePlugin

        return AvifImagePlugin.AvifImageFile
    return _DECODERS[kind]


def _without_comments(data: bytes) -> bytes:
    """Return a PNG file without texts and colour profile.

    A profile or text of over a megabyte makes the library refuse the whole picture.
    """
    kept, at = [data[:8]], 8
    while at + 12 <= len(data):
        end = at + 12 + int.from_bytes(data[at : at + 4], "big")
        if data[at + 4 : at + 8] not in (b"iCCP", b"tEXt", b"zTXt", b"iTXt"):
            kept.append(data[at:end])
        at = end
    return b"".join(kept)


_XMP_ORIENTATION = re.compile(rb'tiff:Orientation(?:="|>)([0-9])')


def _orientation(image: Image.Image, header: Header) -> int:
    if header.format == "TIFF":
        return header.orientation
    block = image.info.get("exif")
    if block is None and "Raw profile type exif" in image.info:
        # Some programs store EXIF in a PNG as hexadecimal text after three lines of their own.
        try:
            block = bytes.fromhex("".join(image.info["Raw profile type exif"].split("\n")[3:]))
        except ValueError:
            block = None
    found = tiff.exif_orientation(block) if isinstance(block, bytes) else None
    if found is None:
        text = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp") or b""
        match = _XMP_ORIENTATION.search(text if isinstance(text, bytes) else text.encode())
        found = tiff.orientation_of(int(match[1])) if match else 1
    return found
