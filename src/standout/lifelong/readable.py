"""Whether the pictures of a stream can be read, before anything is learnt from them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence

from standout.data.batches import LOST_PER_MILLE
from standout.data.pairs import shown
from standout.data.workers import in_order
from standout.errors import StandoutError
from standout.images import read_image
from standout.lifelong.pictures import PATIENCE
from standout.lifelong.streams import Example


def refuse_unreadable(
    training: Sequence[Sequence[Example]],
    test: Sequence[Example],
    *,
    size: int,
    workers: int,
    stopped: Callable[[], bool] = lambda: False,
) -> None:
    """Decode every picture once, so that a damaged one is told now and not after hours of learning.

    Parameters
    ----------
    training : to be learnt from, an experience each. Fewer than three per mille of one may be damaged: while it is
        learnt, others take their places, and they are told.
    test : to be tested on, of which each has to be read.
    size : side in pixels at which they are looked at; a JPEG need not be decoded in full for it.
    workers : threads that read ahead.
    stopped : whether to give up looking, as the run is to stop.

    Raises
    ------
    StandoutError : names the pictures that cannot be read.
    """

    def fault(example: Example) -> StandoutError | None:
        try:
            read_image(example.path, longest=size)
        except StandoutError as error:
            return error
        return None

    every = [example for group in (*training, test) for example in group]
    found = in_order(
        fault, every, workers=workers, ahead=4 * workers, patience=PATIENCE, name=lambda example: example.path
    )
    damaged: dict[Example, StandoutError] = {}
    with contextlib.closing(found):
        for example, error in zip(every, found, strict=True):
            if error is not None:
                damaged[example] = error
            if stopped():
                return
    bad, lost = [example for example in test if example in damaged], 0
    for group in training:
        here = [example for example in group if example in damaged]
        lost += len(here)  # over all experiences, as it is counted while they are learnt
        if here and 1000 * lost >= LOST_PER_MILLE * len(group):
            bad += here
    if bad:
        paths = list(dict.fromkeys(example.path for example in bad))
        what = "1 picture cannot be read" if len(paths) == 1 else f"{len(paths)} pictures cannot be read"
        how = f"mend them or take them out; the first one: {damaged[bad[0]]}"
        raise StandoutError("pictures-lost", what, shown(paths), how)
