"""A whole set that lies decoded on the device, where its views are made a batch at a time.

The views are those of `Batches`: the same draws, the same places, and filtering that gives the same levels
(`standout.data.resample`). What remains to be turned, and changes of colour, run the same code on the device, so they
agree as far as its arithmetic does.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from standout.data.augment import Place, place
from standout.data.batches import Batches, Task
from standout.data.decoded import Decoded
from standout.data.pairs import Pair
from standout.data.resample import resampled_batch
from standout.data.views import finished, mirrored, turned
from standout.data.workers import in_order
from standout.errors import EXIT_USAGE, StandoutError
from standout.shapes import Batch


class ResidentBatches(Batches):
    """`Batches` whose pictures are decoded once, at the first epoch's start, and then lie on the device.

    Parameters
    ----------
    pairs, settings : as `Batches`.
    device : where pictures lie and views are made.
    limit : bytes that the pictures may take there.

    Raises
    ------
    StandoutError : on `load`, "device-full", the pictures take more.
    """

    def __init__(self, pairs: Sequence[Pair], *, device: torch.device, limit: float, **settings: Any) -> None:
        super().__init__(pairs, **settings)
        self.device = device
        self.limit = limit
        self._planes: list[Tensor | StandoutError] = []
        self._how: list[str] = []

    def load(self) -> None:
        """Decode the whole set onto the device.

        Raises
        ------
        StandoutError : "device-full", or reading one picture does not end.
        """
        found = in_order(
            self.decoded,
            self.pairs,
            workers=self.workers,
            ahead=2 * self.batch + self.workers,
            patience=self.patience,
            name=lambda pair: pair.image,
            between=self.between,
        )
        planes: list[Tensor | StandoutError] = []
        how: list[str] = []
        taken = 0
        for one in found:
            planes.append(one if isinstance(one, StandoutError) else self._placed(one))
            how.append("equal" if isinstance(one, StandoutError) else one.how)
            last = planes[-1]
            taken += last.numel() if isinstance(last, Tensor) else 0
            if taken > self.limit:
                raise StandoutError(
                    "device-full", "the decoded pictures do not fit on the device",
                    f"{len(planes)} of {len(self.pairs)} take {taken / 2**30:.1f} GiB of the {self.limit / 2**30:.1f} "
                    f"that {self.device} may give",
                    "pass --set data.resident=no", exit_code=EXIT_USAGE,
                )  # fmt: skip
        self._planes, self._how = planes, how

    def _placed(self, decoded: Decoded) -> Tensor:
        """Return (5, H, W) uint8 on the device: RGB, mask, 255 where that speaks; or (4, H, W) where it all does."""
        planes = [decoded.image, decoded.mask[..., None]]
        if decoded.known is not None:
            planes.append(decoded.known[..., None].astype(np.uint8) * np.uint8(255))
        together = np.ascontiguousarray(np.concatenate(planes, axis=2).transpose(2, 0, 1))
        return torch.from_numpy(together).to(self.device)

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """Yield the batches of an epoch, on the device, from number `start` on.

        Raises
        ------
        StandoutError : three per mille of the pictures, or more, cannot be read; or `load` fails.
        """
        if not self._planes:
            self.load()
        tasks = self.tasks(epoch, start)
        count = self.batch // self.part[1]
        for first in range(0, len(tasks), count):
            yield self._batch([self._readable(task) for task in tasks[first : first + count]])

    def _readable(self, task: Task) -> Task:
        index = task.index
        while isinstance(error := self._planes[index], StandoutError):
            index = self.lost(index, error)
        return Task(index, task.epoch, task.size)

    def _batch(self, tasks: Sequence[Task]) -> Batch:
        planes = []
        for task in tasks:
            one = self._planes[task.index]
            if isinstance(one, Tensor):
                planes.append(one)
            if self._how[task.index] != "equal":
                self.refitted[self.pairs[task.index].name] = self._how[task.index]
        index = torch.tensor([task.index for task in tasks], device=self.device)
        made = {view: self._view(planes, tasks, view, index) for view in ("", *self.views)}
        return made.pop("")._replace(views=made)

    def _view(self, planes: Sequence[Tensor], tasks: Sequence[Task], view: str, index: Tensor) -> Batch:
        size = tasks[0].size
        drawn = [self.drawn(task, view) for task in tasks]
        places = [
            place(what, (int(one.shape[1]), int(one.shape[2])), size) for what, one in zip(drawn, planes, strict=True)
        ]
        depth = max(len(one) for one in planes)
        levels = torch.empty((len(tasks), depth, size, size), device=self.device)
        whole = [number for number, at in enumerate(places) if at.rest is None and _inside(at, planes[number])]
        if whole:
            levels[whole] = self._straight([planes[n] for n in whole], [places[n] for n in whole], depth, size)
        for number in set(range(len(places))).difference(whole):
            levels[number] = _turned(_deep(planes[number], depth), places[number], size)
        order = torch.channels_last if self.channels_last else torch.contiguous_format
        affines = torch.from_numpy(np.stack([at.affine for at in places]).astype(np.float32)).to(self.device)
        image, mask = levels[:, :3].contiguous(memory_format=order), levels[:, 3:4].contiguous()
        return finished(image, mask, levels[:, 4:] if depth == 5 else None, affines, drawn)._replace(index=index)

    def _straight(self, planes: Sequence[Tensor], places: Sequence[Place], depth: int, size: int) -> Tensor:
        """Return the levels (N, depth, size, size) of views that filtering rows and columns makes."""
        rows, columns = (max(int(one.shape[axis]) for one in planes) for axis in (1, 2))
        together = torch.zeros((len(planes), depth, rows, columns), dtype=torch.uint8, device=self.device)
        for number, one in enumerate(planes):
            together[number, :, : one.shape[1], : one.shape[2]] = _deep(one, depth)
        boxes = torch.tensor([at.box for at in places], device=self.device)
        flip = torch.tensor([at.flip for at in places], device=self.device)
        return resampled_batch(together, boxes, (size, size), flip).float()


def _inside(at: Place, planes: Tensor) -> bool:
    """Whether no part of a place lies beyond the picture's edge."""
    top, left, bottom, right = at.box
    return min(top, left) >= 0 and bottom <= planes.shape[1] and right <= planes.shape[2]


def _deep(planes: Tensor, depth: int) -> Tensor:
    """Return the planes with one more that says that the mask speaks everywhere, where `depth` asks for it."""
    if len(planes) == depth:
        return planes
    return torch.cat([planes, torch.full_like(planes[:1], 255)])


def _turned(planes: Tensor, at: Place, size: int) -> Tensor:
    """Return the levels (C, size, size) of a view that is turned or reaches beyond the edge."""
    top, left, bottom, right = at.box
    region = mirrored(planes, (top, left, bottom - top, right - left))
    box = torch.tensor([[0, 0, *region.shape[1:]]], device=planes.device)
    flip = torch.tensor([at.flip], device=planes.device)
    reduced = resampled_batch(region[None], box, at.size, flip).float()
    return reduced[0] if at.rest is None else turned(reduced, at.rest, size)
