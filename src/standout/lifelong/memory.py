"""What may be kept of past experiences: pictures by reference, within a budget of bytes.

A kept picture counts with the bytes of its pixels as the network sees it, what a device would store, and of what a
method remembers beside it; here its file stays where it is, and its hash is kept, so that a changed one is noticed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from torch import Tensor

from standout.counter_hash import hash64, uniform
from standout.data.augment import stream
from standout.data.pairs import digest_file
from standout.lifelong.pictures import Wanted, changed
from standout.lifelong.streams import Example

POLICIES = ("reservoir", "balanced")


class Kept(NamedTuple):
    """A remembered picture; `payload` is a method's own, where it keeps any."""

    path: str
    label: str
    number: int
    sha256: str
    payload: Tensor | None = None

    def wanted(self, step: int) -> Wanted:
        """Return how it is read in a step, with a view of its own."""
        return Wanted(Example(Path(self.path), self.label), self.number, step, "memory", self.sha256)


class Memory:
    """Remembers pictures within a budget.

    Parameters
    ----------
    limit : bytes; 0 remembers nothing.
    policy : "reservoir", in which every picture ever offered has the same chance to be kept (J. Vitter, 1985), or
        "balanced", in which the largest class gives way (A. Prabhu et al., "GDumb", ECCV 2020).
    seed : of what is kept and what is drawn.

    Attributes
    ----------
    kept : the pictures, in no order that matters.
    offered : pictures offered so far.

    Raises
    ------
    ValueError : a limit below 0, or an unknown policy.
    """

    def __init__(self, limit: int, policy: str = "reservoir", *, seed: int = 0) -> None:
        if limit < 0 or policy not in POLICIES:
            raise ValueError(f"limit must be at least 0 and policy one of {', '.join(POLICIES)}")
        self.limit, self.policy, self.seed = limit, policy, seed
        self.kept: list[Kept] = []
        self.offered = 0
        self.item_bytes = 1

    def __len__(self) -> int:
        """Return the number of pictures kept."""
        return len(self.kept)

    @property
    def slots(self) -> int:
        """How many pictures fit."""
        return self.limit // self.item_bytes

    @property
    def bytes(self) -> int:
        """What the kept pictures count."""
        return len(self.kept) * self.item_bytes

    def measure(self, item_bytes: int) -> None:
        """State what one picture counts from now on; where fewer fit, some give way."""
        self.item_bytes = item_bytes
        while len(self.kept) > self.slots:
            self.kept.pop(self._victim(len(self.kept)))

    def offer(self, picture: Kept) -> None:
        """Keep the picture or let it go, as the policy says."""
        self.offered += 1
        if not self.slots:
            return
        if len(self.kept) < self.slots:
            self.kept.append(picture)
        elif self.policy == "reservoir":
            place = int(self._chance() * self.offered)
            if place < self.slots:
                self.kept[place] = picture
        else:
            self.kept.append(picture)
            self.kept.pop(self._victim(self.offered))

    def _victim(self, salt: int) -> int:
        """Return the place of the picture that gives way: any, or one of the largest class."""
        places = list(range(len(self.kept)))
        if self.policy == "balanced":
            counts = Counter(picture.label for picture in self.kept)
            largest = max(sorted(counts), key=lambda label: counts[label])
            places = [place for place in places if self.kept[place].label == largest]
        return places[int(self._chance(salt + 1) * len(places))]

    def _chance(self, salt: int = 0) -> float:
        return float(uniform(self.seed, self.offered, salt, stream("memory")))

    def draw(self, count: int, step: int) -> list[Kept]:
        """Return `count` different pictures for a step, or all where there are fewer."""
        order = np.argsort(hash64(self.seed, step, np.arange(len(self.kept)), stream("replay")), kind="stable")
        return [self.kept[place] for place in order[:count].tolist()]

    def attach(self, payloads: Mapping[int, Tensor]) -> None:
        """Let the pictures of these numbers have a payload from now on."""
        self.kept = [k._replace(payload=payloads[k.number]) if k.number in payloads else k for k in self.kept]

    def state(self) -> dict[str, Any]:
        """Return everything that changes, for a checkpoint."""
        return {
            "offered": self.offered,
            "item_bytes": self.item_bytes,
            "kept": [dict(picture._asdict()) for picture in self.kept],
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Take back what `state` gave."""
        self.offered, self.item_bytes = state["offered"], state["item_bytes"]
        self.kept = [Kept(**picture) for picture in state["kept"]]
        self.measure(self.item_bytes)  # the limit may be another one now

    def find_again(self, known: Mapping[Path, str]) -> list[str]:
        """Look for pictures whose files are gone among others with their content; return and forget the rest.

        Parameters
        ----------
        known : path -> sha256 of pictures that are learnt from.

        Raises
        ------
        StandoutError : a file is there, but has changed, and its old content is nowhere else.
        """
        places: dict[str, Path] = {}
        for path, digest in known.items():
            places.setdefault(digest, path)
        kept, gone = [], []
        for one in self.kept:
            path = Path(one.path)
            digest = known.get(path) or (digest_file(path)[0] if path.is_file() else "")
            if digest == one.sha256:
                kept.append(one)
            elif one.sha256 in places:
                kept.append(one._replace(path=str(places[one.sha256].resolve())))
            elif digest:
                raise changed(path)
            else:
                gone.append(one.path)
        self.kept = kept
        return gone
