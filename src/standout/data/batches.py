"""Batches of a data set: every bit of them is a pure function of (seed, epoch, batch number)."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from standout.counter_hash import hash64, uniform
from standout.data.augment import WHOLE, Augmentation, Drawn, draw, stream
from standout.data.cache import DecodedCache
from standout.data.decoded import Decoded, Reading
from standout.data.pairs import Pair, shown
from standout.data.views import View, cut, stack
from standout.data.workers import in_order
from standout.errors import StandoutError
from standout.images import as_levels
from standout.reading import announce_reading
from standout.shapes import Batch

LOST_PER_MILLE = 3
"""From this share of unreadable pictures on, a run stops instead of going on with substitutes."""
DETAIL = 4
"""Pictures are read at up to this many times the largest view, so that decoding a huge one costs little."""
PATIENCE = 120.0


class Batches:
    """The batches of a data set, epoch by epoch.

    Parameters
    ----------
    pairs : the whole set in its fixed order; a sample's id (`Batch.index`) is its place here.
    size : side of the square views.
    batch : pictures a batch.
    augmentation : what may happen to a sample; none gives whole pictures, resized.
    seed : of everything random.
    workers : threads that read; their number changes no bit.
    ahead : read the next batches while one is learned from. Else each is read when it is asked for, and its files are
        only announced to the disk before: on processors that a step takes all of, a thread that reads beside it holds
        up its threads for longer than its own time.
    views : names of further views of the same samples, each drawn on its own.
    shuffle : a new order each epoch; else the order of `pairs`.
    drop_last : leave out a last batch that is not full.
    channels_last : memory order of the images.
    mask_class : the palette index or grey value that is the object, for masks of several classes.
    unknown : what a third value over an area of a mask means: "soft", a half label, or "ignore", no label.
    patience : seconds after which a read that does not end stops the run, where there are workers.
    cache : where decoded pictures are kept; no bit depends on it.
    between : called every second in which a worker's read is waited for; what it raises ends the epoch.
    part : (number, parts); of each batch only this contiguous one of so many equal parts is given, for one process of
        several. `batch` and the number of batches are those of all parts together.

    Attributes
    ----------
    failures : name to what was wrong with it, of pictures that could not be read so far; substitutes took their place.
    refitted : name to what was done, of samples whose mask had another size: "resized" or "unturned".

    Raises
    ------
    ValueError : no pairs, a number out of range, fewer pairs than one batch while `drop_last` is set, or batches that
        have no equal parts.
    """

    def __init__(
        self,
        pairs: Sequence[Pair],
        *,
        size: int,
        batch: int,
        augmentation: Augmentation | None = None,
        seed: int = 0,
        workers: int = 0,
        ahead: bool = True,
        views: Sequence[str] = (),
        shuffle: bool = True,
        drop_last: bool = True,
        channels_last: bool = True,
        mask_class: int | None = None,
        unknown: str = "soft",
        patience: float = PATIENCE,
        cache: DecodedCache | None = None,
        between: Callable[[], object] = lambda: None,
        part: tuple[int, int] = (0, 1),
    ) -> None:
        for name, value, least in (("size", size, 1), ("batch", batch, 1), ("workers", workers, 0)):
            if value < least:
                raise ValueError(f"{name} is at least {least}, not {value}")
        if not pairs:
            raise ValueError("there are no pairs to make batches of")
        if drop_last and len(pairs) < batch:
            raise ValueError(f"{len(pairs)} pairs make no full batch of {batch}; take a smaller batch")
        if part[1] > 1 and (batch % part[1] or not drop_last):
            raise ValueError(f"a batch of {batch} has no {part[1]} equal parts, or the last one has none")
        if "" in views:
            raise ValueError("a further view needs a name")
        self.pairs = tuple(pairs)
        self.size = size
        self.batch = batch
        self.augmentation = augmentation
        self.seed = seed
        self.workers = workers
        self.ahead = ahead
        self.views = tuple(views)
        self.shuffle = shuffle
        self.drop_last = drop_last
        self.channels_last = channels_last
        self.patience = patience
        self.cache = cache
        self.between = between
        self.part = part
        self.failures: dict[str, str] = {}
        self.refitted: dict[str, str] = {}
        sizes = augmentation.sizes if augmentation is not None else ()
        self.reading = Reading(DETAIL * max((size, *sizes)), mask_class, unknown)

    def __len__(self) -> int:
        """Return the number of batches in an epoch."""
        whole, left = divmod(len(self.pairs), self.batch)
        return whole + (left > 0 and not self.drop_last)

    def order(self, epoch: int) -> list[int]:
        """Return the sample ids of an epoch in their order, those that `drop_last` leaves out included."""
        ids = np.arange(len(self.pairs))
        if self.shuffle:
            ids = np.argsort(hash64(self.seed, epoch, ids, stream("order")), kind="stable")
        return [int(number) for number in ids]

    def size_of(self, epoch: int, number: int) -> int:
        """Return the side of the views of one batch."""
        sizes = self.augmentation.sizes if self.augmentation is not None else ()
        if not sizes:
            return self.size
        return sizes[int(uniform(self.seed, epoch, number, stream("size")) * len(sizes))]

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """Yield the batches of an epoch from number `start` on.

        Raises
        ------
        StandoutError : three per mille of the pictures, or more, cannot be read; or reading one does not end.
        """
        count = self.batch // self.part[1]
        tasks = self.tasks(epoch, start)
        samples = in_order(
            self._read,
            tasks,
            workers=self.workers,
            ahead=2 * count + self.workers,
            patience=self.patience,
            name=lambda task: self.pairs[task.index].image,
            together=0 if self.ahead else count,
            announce=self._announce,
            between=self.between,
        )
        with contextlib.closing(samples):
            for first in range(0, len(tasks), count):
                together = tasks[first : first + count]
                gathered = [
                    sample if isinstance(sample, _Sample) else self._substitute(task, sample)
                    for task, sample in zip(together, itertools.islice(samples, len(together)), strict=True)
                ]
                yield self._gathered(gathered, together[0].size)

    def tasks(self, epoch: int, start: int = 0) -> list[Task]:
        """Return what is to be read for an epoch's batches from number `start` on, in order."""
        order = self.order(epoch)
        number, parts = self.part
        each = self.batch // parts
        return [
            Task(index, epoch, self.size_of(epoch, at))
            for at in range(start, len(self))
            for index in order[at * self.batch + number * each : at * self.batch + (number + 1) * each]
        ]

    def decoded(self, pair: Pair) -> Decoded | StandoutError:
        """Return a pair's pixels, or why its files cannot be read; nothing else is touched.

        Raises
        ------
        StandoutError : "loader-failed", reading raised what it should not.
        """
        try:
            return self.reading.decode(pair) if self.cache is None else self.cache.read(pair, self.reading)
        except StandoutError as error:
            return error
        except Exception as error:
            raise StandoutError(
                "loader-failed", f"reading failed ({type(error).__name__}: {error})", pair.image, "please report it"
            ) from error

    def _announce(self, task: Task) -> None:
        """Have the system fetch what a task reads."""
        pair = self.pairs[task.index]
        stored = None if self.cache is None else self.cache.place(pair, self.reading)
        for path in (pair.image, pair.mask) if stored is None else (stored,):
            announce_reading(path)

    def drawn(self, task: Task, view: str) -> Drawn:
        """Return what happens to a view of a sample."""
        if self.augmentation is None:
            return WHOLE
        return draw(self.augmentation, self.seed, task.epoch, task.index, view)

    def _read(self, task: Task) -> _Sample | StandoutError:
        found = self.decoded(self.pairs[task.index])
        if isinstance(found, StandoutError):
            return found
        known = None if found.known is None else as_levels(found.known)
        views = {
            view: cut(found.image, found.mask, self.drawn(task, view), task.size, known) for view in ("", *self.views)
        }
        return _Sample(task.index, views, found.how)

    def lost(self, index: int, error: StandoutError) -> int:
        """Remember a picture that cannot be read; return the index of the one that may take its place.

        Raises
        ------
        StandoutError : too many are lost.
        """
        count = len(self.pairs)
        self.failures[self.pairs[index].name] = str(error)
        if 1000 * len(self.failures) >= LOST_PER_MILLE * count:
            raise StandoutError(
                "pictures-lost",
                f"{len(self.failures)} of {count} pictures cannot be read",
                shown(self.failures),
                f"the last one: {error}",
            ) from error
        return (index + 1) % count

    def _substitute(self, task: Task, error: StandoutError) -> _Sample:
        """Return the next readable sample in the set's order, in place of one that cannot be read."""
        index = task.index
        while True:
            index = self.lost(index, error)
            sample = self._read(replace(task, index=index))
            if isinstance(sample, _Sample):
                return sample
            error = sample

    def _gathered(self, samples: Sequence[_Sample], size: int) -> Batch:
        for sample in samples:
            if sample.how != "equal":
                self.refitted[self.pairs[sample.index].name] = sample.how
        index = torch.tensor([sample.index for sample in samples])
        made = {
            view: stack([sample.views[view] for sample in samples], size, channels_last=self.channels_last)
            for view in ("", *self.views)
        }
        made = {view: batch._replace(index=index) for view, batch in made.items()}
        return made.pop("")._replace(views=made)


@dataclass(frozen=True, slots=True)
class Task:
    """A sample of an epoch, by its id, and the side of its views."""

    index: int
    epoch: int
    size: int


@dataclass(frozen=True, slots=True)
class _Sample:
    index: int
    views: dict[str, View]
    how: str
