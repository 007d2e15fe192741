"""Batches of classified pictures; every bit of them is a pure function of what was asked for."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from standout.counter_hash import hash64
from standout.data.augment import WHOLE, Augmentation, draw, stream
from standout.data.batches import DETAIL, LOST_PER_MILLE
from standout.data.pairs import shown
from standout.data.views import Pixels, View, cut, stack
from standout.data.workers import in_order
from standout.errors import StandoutError
from standout.images import read_image
from standout.lifelong.streams import Example
from standout.shapes import Image

PATIENCE = 120.0


class Labelled(NamedTuple):
    """Pictures and classes of one step.

    image : (N, 3, H, W), RGB in 0..1.
    label : (N,) int64, rows of the classifier; -1 where the class is not learnt yet.
    number : (N,) int64, the pictures' numbers in the stream.
    replayed : how many, at the end, come from memory.
    remembered : what a method remembers of each of these. Latents stand in for pictures, so `image` is shorter then.
    """

    image: Image
    label: Tensor
    number: Tensor
    replayed: int = 0
    remembered: tuple[Tensor, ...] = ()


class Wanted(NamedTuple):
    """A picture to read.

    number : in the stream; what is drawn for its view depends on it.
    epoch, view : of the draw.
    sha256 : its content as it was remembered; "" where it was not.
    """

    example: Example
    number: int
    epoch: int = 0
    view: str = ""
    sha256: str = ""


class Reader:
    """Reads pictures in groups.

    Parameters
    ----------
    size : side of the square views.
    augmentation : what may happen to a picture; none gives whole pictures, resized.
    seed : of the views.
    workers : threads that read ahead; their number changes no bit.
    cache_bytes : decoded pictures that stay in memory, so that each is decoded once; 0 keeps none. Of pictures that
        are read whole their views stay.
    between : called every second in which a read is waited for; what it raises ends the reading.

    Attributes
    ----------
    failures : path to what was wrong with it, of pictures whose place others took.
    held_bytes : of the decoded pictures in memory.
    """

    def __init__(
        self,
        *,
        size: int,
        augmentation: Augmentation | None,
        seed: int,
        workers: int,
        channels_last: bool = True,
        cache_bytes: int = 0,
        between: Callable[[], object] = lambda: None,
    ) -> None:
        self.size, self.augmentation, self.seed, self.workers = size, augmentation, seed, workers
        self.channels_last, self.cache_bytes, self.between = channels_last, cache_bytes, between
        self.failures: dict[str, str] = {}
        self._decoded: dict[tuple[Path, str], Pixels] = {}
        self.held_bytes = 0
        self._lock = threading.Lock()

    def forget(self) -> None:
        """Drop every decoded picture: nothing of an experience stays in memory when it is past."""
        with self._lock:
            self._decoded.clear()
            self.held_bytes = 0

    def groups(
        self,
        groups: Sequence[Sequence[Wanted]],
        rows: Mapping[str, int],
        *,
        replayed: int = 0,
        substitutes: Sequence[Wanted] = (),
    ) -> Iterator[Labelled]:
        """Yield each group as one batch.

        Parameters
        ----------
        rows : class -> row of the classifier.
        replayed : how many, at the end of each group, come from memory.
        substitutes : what takes the place of a picture that cannot be read; without any, it is refused.

        Raises
        ------
        StandoutError : a picture cannot be read and none may take its place, or three per mille of the substitutes
            cannot be read; a remembered picture has changed; or reading one does not end.
        """
        samples = in_order(
            self._read,
            itertools.chain.from_iterable(groups),
            workers=self.workers,
            ahead=2 * max(map(len, groups), default=1) + self.workers,
            patience=PATIENCE,
            name=lambda wanted: wanted.example.path,
            between=self.between,
        )
        with contextlib.closing(samples):
            for group in groups:
                found: list[tuple[Wanted, View]] = []
                for wanted, view in zip(group, itertools.islice(samples, len(group)), strict=True):
                    found.append((wanted, view) if isinstance(view, View) else self._other(wanted, view, substitutes))
                yield self._together(found, rows, min(replayed, len(group)))

    def _together(self, found: Sequence[tuple[Wanted, View]], rows: Mapping[str, int], replayed: int) -> Labelled:
        image = stack([view for _, view in found], self.size, channels_last=self.channels_last).image
        label = torch.tensor([rows.get(wanted.example.label, -1) for wanted, _ in found])
        return Labelled(image, label, torch.tensor([wanted.number for wanted, _ in found]), replayed)

    def _read(self, wanted: Wanted) -> View | StandoutError:
        try:
            pixels = self._pixels(wanted.example.path, wanted.sha256)
        except StandoutError as error:
            return error
        drawn = WHOLE
        if self.augmentation is not None:
            drawn = draw(self.augmentation, self.seed, wanted.epoch, wanted.number, wanted.view)
        return cut(pixels, None, drawn, self.size)

    def _pixels(self, path: Path, sha256: str) -> Pixels:
        key = (path, sha256)
        pixels = self._decoded.get(key)
        if pixels is None:
            source = _unchanged(path, sha256) if sha256 else path
            pixels = read_image(source, longest=DETAIL * self.size).pixels
            if self.augmentation is None:  # then all that is ever asked for is the whole picture at this size
                pixels = cut(pixels, None, WHOLE, self.size).image.permute(1, 2, 0).contiguous().numpy()
            with self._lock:
                if self.held_bytes + pixels.nbytes <= self.cache_bytes and key not in self._decoded:
                    self._decoded[key] = pixels
                    self.held_bytes += pixels.nbytes
        return pixels

    def _other(self, wanted: Wanted, error: StandoutError, substitutes: Sequence[Wanted]) -> tuple[Wanted, View]:
        """Return the next readable substitute after the one that cannot be read."""
        places = [place for place, other in enumerate(substitutes) if other.number == wanted.number]
        if wanted.sha256 or not places:
            raise error
        place = places[0]
        while True:
            self.failures[str(substitutes[place].example.path)] = str(error)
            if 1000 * len(self.failures) >= LOST_PER_MILLE * len(substitutes):
                raise StandoutError(
                    "pictures-lost",
                    f"{len(self.failures)} of {len(substitutes)} pictures cannot be read",
                    shown(self.failures),
                    f"the last one: {error}",
                ) from error
            place = (place + 1) % len(substitutes)
            other = substitutes[place]._replace(epoch=wanted.epoch, view=wanted.view)
            view = self._read(other)
            if isinstance(view, View):
                return other, view
            error = view


def _unchanged(path: Path, sha256: str) -> bytes:
    """Return a remembered picture's bytes.

    Raises
    ------
    StandoutError : it is gone, or has changed.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise StandoutError(
            "memory-changed", "remembered picture is gone", path, "put it back, or resume the run without it"
        ) from error
    if hashlib.sha256(content).hexdigest() != sha256:
        raise changed(path)
    return content


def changed(path: Path) -> StandoutError:
    """Return the refusal of a remembered picture that is another file now; one that is gone is no hindrance."""
    return StandoutError(
        "memory-changed", "remembered picture has changed", path, "put the old one back, or take it out to go on"
    )


def shuffled(pool: Sequence[Wanted], seed: int, epoch: int) -> list[Wanted]:
    """Return the pool in the order of an epoch, each picture with that epoch's view."""
    numbers = np.array([wanted.number for wanted in pool], np.int64)
    order = np.argsort(hash64(seed, epoch, numbers, stream("order")), kind="stable")
    return [pool[place]._replace(epoch=epoch) for place in order.tolist()]


def chunks(pool: Iterable[Wanted], count: int) -> list[list[Wanted]]:
    """Return the pool in groups of `count`, the last one with what is left."""
    every = list(pool)
    return [every[first : first + count] for first in range(0, len(every), count)]
