"""The named rules under which a map is scored; a figure without its protocol's name means little."""

from __future__ import annotations

from typing import NamedTuple

from standout.names import unknown


class Protocol(NamedTuple):
    """What happens to a map before it is measured.

    name : printed with every table and stored in every result.
    stretch : whether each map that holds two values or more is stretched so that it spans 0 to 1.
    scaling : the same in words, for tables.
    """

    name: str
    stretch: bool
    scaling: str


DEFAULT_PROTOCOL = "pysodmetrics-1.6.2"

PROTOCOLS = {
    DEFAULT_PROTOCOL: Protocol(DEFAULT_PROTOCOL, True, "each map stretched to its own minimum and maximum"),
    "raw": Protocol("raw", False, "maps as stored"),
}
"""Name -> protocol. Both share thresholds 255 down to 0, masks by `> 128`, and the answers for empty masks."""


def find_protocol(name: str) -> Protocol:
    """Return the protocol of that name.

    Raises
    ------
    StandoutError : exit code 2, there is no such protocol; the message holds the nearest one.
    """
    if name not in PROTOCOLS:
        raise unknown("protocol", name, PROTOCOLS)
    return PROTOCOLS[name]
