"""Pictures that are there twice: the same bytes, or the same look after encoding, resizing or mirroring."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from standout.data.looks import LONGEST
from standout.data.pairing import Pair
from standout.data.perceptual import Print, look_alikes, take_print
from standout.data.workers import in_order
from standout.errors import StandoutError
from standout.images import read_image

EXACT = "exact"
ENCODED = "re-encoded"
MIRRORED = "mirrored"

PATIENCE = 120.0
"""Seconds that reading one picture may take, where there are workers."""


class Seen(NamedTuple):
    """A picture to compare: its group (a part of a set), its file's digest, its print or none."""

    group: int
    digest: str
    print: Print | None


class Copy(NamedTuple):
    """Two pictures that are one.

    Attributes
    ----------
    first, second : their places, first < second.
    how : "exact", "re-encoded" or "mirrored".
    bits : of the two hashes that differ, 0 to 64.
    correlation : of the two thumbnails, at most 1.
    """

    first: int
    second: int
    how: str = EXACT
    bits: int = 0
    correlation: float = 1.0


def find_copies(seen: Sequence[Seen]) -> list[Copy]:
    """Return, for each picture and each group, the picture before it that is most like it, where it is a copy.

    The result is in the order of the second pictures. One picture that is there n times makes n - 1 copies within
    its group, not n².
    """
    best: dict[tuple[int, int], Copy] = {}
    first_of: dict[str, dict[int, int]] = {}
    for place, one in enumerate(seen):
        if one.digest:
            earlier = first_of.setdefault(one.digest, {})
            for group, first in earlier.items():
                best[place, group] = Copy(first, place)
            earlier.setdefault(one.group, place)
    # Exact copies within a group look like everything that the first of them looks like: only that one is compared.
    twins = [copy for (place, group), copy in best.items() if seen[place].group == group]
    left_out = {twin.second for twin in twins}
    chosen = [(place, one.print) for place, one in enumerate(seen) if one.print is not None and place not in left_out]
    for found in look_alikes([taken for _, taken in chosen]):
        first, second = chosen[found.first][0], chosen[found.second][0]
        how = MIRRORED if found.mirrored else ENCODED
        copy = Copy(first, second, how, found.bits, found.correlation)
        key = second, seen[first].group
        if key not in best or (best[key].how != EXACT and best[key].bits > copy.bits):
            best[key] = copy
    groups = {one.group for one in seen}
    for twin in twins:
        for group in groups:
            if (twin.first, group) in best and (twin.second, group) not in best:
                best[twin.second, group] = best[twin.first, group]._replace(second=twin.second)
    return [best[key] for key in sorted(best)]


def find_look_alikes(train: Iterable[Pair], test: Iterable[Pair], *, workers: int = 0) -> list[tuple[Pair, Pair]]:
    """Return each test pair whose picture looks like a training one, with that training pair.

    Re-encoded, resized and mirrored copies are found. Every picture is decoded; one that cannot be read, or is of one
    colour, is like no other.

    Parameters
    ----------
    workers : threads that read.
    """
    train, test = list(train), list(test)
    pairs = [*train, *test]
    prints = in_order(
        _print, pairs, workers=workers, ahead=4 * (workers + 1), patience=PATIENCE, name=lambda pair: pair.image
    )
    copies = find_copies([Seen(int(number >= len(train)), "", one) for number, one in enumerate(prints)])
    return [(pairs[one.first], pairs[one.second]) for one in copies if one.first < len(train) <= one.second]


def _print(pair: Pair) -> Print | None:
    try:
        return take_print(read_image(pair.image, longest=LONGEST).pixels)
    except StandoutError:
        return None
