"""The named rules under which a map is scored; a figure without its protocol's name means little."""

from __future__ import annotations

from typing import NamedTuple

from standout.names import unknown


class Protocol(NamedTuple):
    """What happens to a map and its mask before they are measured, and what a measure says in the corner cases.

    name : printed with every table and stored in every result.
    stretch : whether each map that holds two values or more is stretched so that it spans 0 to 1.
    scaling : the same in words, for tables.
    version : of these rules; another one means that figures may differ.
    mask_above : the level above which a pixel of a grey mask is foreground.
    resize : how a map of another size comes to its mask's: "bilinear" or "nearest".
    thresholds : 256 for the levels 255 to 0, or 255, which leaves out level 1, as tools do that divide 0 to 1 by 254.
    empty : what F, weighted F and IoU say of an empty mask: "zero"; or "agree", 1 where the map finds nothing either
        (weighted F: 1 minus the map's mean).
    e_over : whether E is divided by the pixels less one ("less one", as its authors do) or by all of them ("all").
    """

    name: str
    stretch: bool
    scaling: str
    version: int = 1
    mask_above: int = 128
    resize: str = "bilinear"
    thresholds: int = 256
    empty: str = "zero"
    e_over: str = "less one"

    @property
    def told(self) -> str:
        """The rules in words, for tables."""
        lines = [self.scaling]
        if self.empty == "agree":
            lines.append("an empty mask scores 1 where nothing is found")
        if self.e_over == "all":
            lines.append("E divided by all pixels")
        return "; ".join(lines)


DEFAULT_PROTOCOL = "pysodmetrics-1.6.2"

_STRETCHED, _STORED = "each map stretched to its own minimum and maximum", "maps as stored"
PROTOCOLS = {
    DEFAULT_PROTOCOL: Protocol(DEFAULT_PROTOCOL, True, _STRETCHED),
    "raw": Protocol("raw", False, _STORED),
    "sane": Protocol("sane", False, _STORED, empty="agree", e_over="all"),
}
"""Name -> protocol. All share thresholds 255 down to 0, masks by `> 128`, and the bilinear resize rule."""


def find_protocol(name: str | Protocol) -> Protocol:
    """Return the protocol of that name, or the protocol that was given.

    Raises
    ------
    StandoutError : exit code 2, there is no such protocol; the message holds the nearest one.
    """
    if isinstance(name, Protocol):
        return name
    if name not in PROTOCOLS:
        raise unknown("protocol", name, PROTOCOLS)
    return PROTOCOLS[name]
