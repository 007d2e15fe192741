"""Batches of a data set: every bit of them is a pure function of (seed, epoch, batch number)."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from standout.counter_hash import hash64, uniform
from standout.data.augment import WHOLE, Augmentation, Drawn, View, cut, draw, stack, stream
from standout.data.pairs import Pair, shown
from standout.data.workers import in_order
from standout.errors import StandoutError
from standout.images import as_levels, fit_mask, read_image, read_mask
from standout.shapes import Batch

LOST_PER_MILLE = 3
"""From this share of unreadable pictures on, a run stops instead of going on with substitutes."""
DETAIL = 4
"""Pictures are read at up to this many times the largest view, so that decoding a huge one costs little."""
PATIENCE = 120.0
ALL_KNOWN = 1 - 0.5 / 255


class Batches:
    """The batches of a data set, epoch by epoch.

    Parameters
    ----------
    pairs : the whole set in its fixed order; a sample's id (`Batch.index`) is its place here.
    size : side of the square views.
    batch : pictures a batch.
    augmentation : what may happen to a sample; none gives whole pictures, resized.
    seed : of everything random.
    workers : threads that read ahead; their number changes no bit.
    views : names of further views of the same samples, each drawn on its own.
    shuffle : a new order each epoch; else the order of `pairs`.
    drop_last : leave out a last batch that is not full.
    channels_last : memory order of the images.
    mask_class : the palette index or grey value that is the object, for masks of several classes.
    unknown : what a third value over an area of a mask means: "soft", a half label, or "ignore", no label.
    patience : seconds after which a read that does not end stops the run, where there are workers.

    Attributes
    ----------
    failures : name to what was wrong with it, of pictures that could not be read so far; substitutes took their place.
    refitted : name to what was done, of samples whose mask had another size: "resized" or "unturned".

    Raises
    ------
    ValueError : no pairs, a number out of range, or fewer pairs than one batch while `drop_last` is set.
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
        views: Sequence[str] = (),
        shuffle: bool = True,
        drop_last: bool = True,
        channels_last: bool = True,
        mask_class: int | None = None,
        unknown: str = "soft",
        patience: float = PATIENCE,
    ) -> None:
        for name, value, least in (("size", size, 1), ("batch", batch, 1), ("workers", workers, 0)):
            if value < least:
                raise ValueError(f"{name} is at least {least}, not {value}")
        if not pairs:
            raise ValueError("there are no pairs to make batches of")
        if drop_last and len(pairs) < batch:
            raise ValueError(f"{len(pairs)} pairs make no full batch of {batch}; take a smaller batch")
        if "" in views:
            raise ValueError("a further view needs a name")
        self.pairs = tuple(pairs)
        self.size = size
        self.batch = batch
        self.augmentation = augmentation
        self.seed = seed
        self.workers = workers
        self.views = tuple(views)
        self.shuffle = shuffle
        self.drop_last = drop_last
        self.channels_last = channels_last
        self.mask_class = mask_class
        self.unknown = unknown
        self.patience = patience
        self.failures: dict[str, str] = {}
        self.refitted: dict[str, str] = {}
        sizes = augmentation.sizes if augmentation is not None else ()
        self._longest = DETAIL * max(size, *sizes) if sizes else DETAIL * size

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
        order = self.order(epoch)
        tasks = [
            _Task(index, epoch, self.size_of(epoch, number))
            for number in range(start, len(self))
            for index in order[number * self.batch : (number + 1) * self.batch]
        ]
        samples = in_order(
            self._read,
            tasks,
            workers=self.workers,
            ahead=2 * self.batch + self.workers,
            patience=self.patience,
            name=lambda task: self.pairs[task.index].image,
        )
        with contextlib.closing(samples):
            for first in range(0, len(tasks), self.batch):
                together = tasks[first : first + self.batch]
                gathered = [
                    sample if isinstance(sample, _Sample) else self._substitute(task, sample)
                    for task, sample in zip(together, itertools.islice(samples, len(together)), strict=True)
                ]
                yield self._gathered(gathered, together[0].size)

    def _read(self, task: _Task) -> _Sample | StandoutError:
        """Return the views of a sample, or why its files cannot be read; nothing else is touched."""
        pair = self.pairs[task.index]
        try:
            mask = read_mask(pair.mask, class_index=self.mask_class, unknown=self.unknown)
            fitted = fit_mask(mask, read_image(pair.image, longest=self._longest))
            picture, known = fitted.picture.pixels, fitted.mask.known
            drawn = {view: self._drawn(task, view) for view in ("", *self.views)}
            views = {view: cut(picture, fitted.mask.values, what, task.size) for view, what in drawn.items()}
            told = {}
            if known is not None:
                told = {view: cut(picture, as_levels(known), what, task.size) for view, what in drawn.items()}
        except StandoutError as error:
            return error
        except Exception as error:
            raise StandoutError(
                "loader-failed", f"reading failed ({type(error).__name__}: {error})", pair.image, "please report it"
            ) from error
        return _Sample(task.index, views, fitted.how, told)

    def _drawn(self, task: _Task, view: str) -> Drawn:
        if self.augmentation is None:
            return WHOLE
        return draw(self.augmentation, self.seed, task.epoch, task.index, view)

    def _substitute(self, task: _Task, error: StandoutError) -> _Sample:
        """Return the next readable sample in the set's order, in place of one that cannot be read."""
        count = len(self.pairs)
        index = task.index
        while True:
            self.failures[self.pairs[index].name] = str(error)
            if 1000 * len(self.failures) >= LOST_PER_MILLE * count:
                raise StandoutError(
                    "pictures-lost",
                    f"{len(self.failures)} of {count} pictures cannot be read",
                    shown(self.failures),
                    f"the last one: {error}",
                ) from error
            index = (index + 1) % count
            sample = self._read(replace(task, index=index))
            if isinstance(sample, _Sample):
                return sample
            error = sample

    def _gathered(self, samples: Sequence[_Sample], size: int) -> Batch:
        for sample in samples:
            if sample.how != "equal":
                self.refitted[self.pairs[sample.index].name] = sample.how
        index = torch.tensor([sample.index for sample in samples])
        made = {}
        for view in ("", *self.views):
            image, mask, affine = stack(
                [sample.views[view] for sample in samples], size, channels_last=self.channels_last
            )
            made[view] = Batch(
                image, mask, index, affine, known=_known([sample.known for sample in samples], view, size)
            )
        return made.pop("")._replace(views=made)


def _known(samples: Sequence[Mapping[str, View]], view: str, size: int) -> Tensor | None:
    """Return where the labels of a view speak, (N, 1, H, W) bool, or None where all do everywhere."""
    if not any(samples):
        return None
    known = torch.ones((len(samples), 1, size, size), dtype=torch.bool)
    for number, told in enumerate(samples):
        if told:
            # A pixel that an unknown one took part in is not known; rounding leaves whole ones a little below 1.
            known[number] = stack([told[view]], size)[1][0] > ALL_KNOWN
    return known


@dataclass(frozen=True, slots=True)
class _Task:
    index: int
    epoch: int
    size: int


@dataclass(frozen=True, slots=True)
class _Sample:
    index: int
    views: dict[str, View]
    how: str
    known: dict[str, View]
