"""A picture with its mask, decoded and fitted: read from the files, or from the cache of an earlier reading."""

from __future__ import annotations

import hashlib
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from standout.data.pairing import Pair
from standout.errors import StandoutError
from standout.images import fit_mask, read_image, read_mask
from standout.images.picture import DEFAULT_LIMITS
from standout.images.quiet import quiet
from standout.images.source import open_source

Pixels = NDArray[np.uint8]


class Decoded(NamedTuple):
    """A picture (H, W, 3) and its mask (H, W), both uint8.

    known : (H, W) bool, false where the label says nothing; none where it speaks everywhere.
    how : "equal", or what was done to a mask of another size: "resized" or "unturned".
    """

    image: Pixels
    mask: Pixels
    known: NDArray[np.bool_] | None = None
    how: str = "equal"


class Reading(NamedTuple):
    """How pairs are read: what decides the pixels beside the files.

    longest : a larger picture is shrunk so that its longer side is this.
    mask_class : the palette index or grey value that is the object, for masks of several classes.
    unknown : what a third value over an area of a mask means: "soft", a half label, or "ignore", no label.
    """

    longest: int
    mask_class: int | None = None
    unknown: str = "soft"

    def decode(self, pair: Pair) -> Decoded:
        """Return the pair's pixels.

        Raises
        ------
        StandoutError : a file cannot be read, or the two do not fit.
        """
        return self._decode(pair.image, pair.mask)

    def decode_bytes(self, image: bytes, mask: bytes) -> Decoded:
        """Return the pixels of two files' contents; failures cannot name the files."""
        return self._decode(image, mask)

    def _decode(self, image: bytes | object, mask: bytes | object) -> Decoded:
        with quiet:  # once for the pair, not anew for each of its parts
            label = read_mask(mask, class_index=self.mask_class, unknown=self.unknown)  # type: ignore[arg-type]
            fitted = fit_mask(label, read_image(image, longest=self.longest))  # type: ignore[arg-type]
        return Decoded(fitted.picture.pixels, fitted.mask.values, fitted.mask.known, fitted.how)

    def key(self, image: bytes, mask: bytes) -> str:
        """Return the name in the cache of what these contents decode to: a SHA-256, in hex."""
        digests = [hashlib.sha256(content).hexdigest() for content in (image, mask)]
        return hashlib.sha256(f"{self.longest} {self.mask_class} {self.unknown} {digests}".encode()).hexdigest()


def contents(pair: Pair) -> tuple[bytes, bytes]:
    """Return the bytes of a pair's two files.

    Raises
    ------
    StandoutError : one cannot be read.
    """
    read = []
    for path in (pair.image, pair.mask):
        try:
            with open_source(path, DEFAULT_LIMITS) as (file, _, _):
                read.append(file.read())
        except OSError as error:
            raise StandoutError("picture-unreadable", f"picture cannot be read ({error})", path, "check it") from error
    return read[0], read[1]
