"""The pictures that training never sees, read anew for each validation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from standout.data.pairs import Pair
from standout.data.workers import in_order
from standout.errors import StandoutError
from standout.images import fit_mask, read_image, read_mask, resize
from standout.shapes import Image

PATIENCE = 120.0


class HeldOut(NamedTuple):
    """Some held-out pictures: images (N, 3, H, W) at the network's size; masks (H, W) uint8 at their own sizes.

    known : (H, W) bool for each mask, false where it says nothing and is 0, or none where it speaks everywhere.
    """

    image: Image
    masks: Sequence[NDArray[np.uint8]]
    known: Sequence[NDArray[np.bool_] | None]


_Read = tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.bool_] | None]


class HeldOutPictures:
    """The held-out pictures in small batches, in their order, as often as they are gone through.

    Parameters
    ----------
    pairs : the held-out pairs.
    size : side to which pictures are resized, as `Segmenter` resizes them.
    batch : pictures at once.
    device : where the images go.
    workers : threads that read ahead.
    between : called before each batch; what it raises ends the iteration.
    mask_class : the palette index or grey value that is the object, for masks of several classes.
    unknown : what a third value over an area of a mask means: "soft", a half label, or "ignore", no label.
    warn : takes a line for each picture that cannot be read; it is left out of the scores.

    Raises
    ------
    StandoutError : on iteration, where no held-out picture at all can be read.
    """

    def __init__(
        self,
        pairs: Sequence[Pair],
        *,
        size: int,
        batch: int,
        device: torch.device,
        workers: int,
        warn: Callable[[str], object],
        between: Callable[[], object] = lambda: None,
        mask_class: int | None = None,
        unknown: str = "soft",
    ) -> None:
        self.pairs, self.size, self.batch = pairs, size, batch
        self.device, self.workers, self.warn = device, workers, warn
        self.between = between
        self.mask_class = mask_class
        self.unknown = unknown
        self._told: set[str] = set()

    def __len__(self) -> int:
        """Return the number of pictures."""
        return len(self.pairs)

    def __iter__(self) -> Iterator[HeldOut]:
        """Yield the pictures, a batch at a time."""
        read = in_order(
            self._read,
            self.pairs,
            workers=self.workers,
            ahead=2 * self.batch,
            patience=PATIENCE,
            name=lambda pair: pair.image,
            between=self.between,
        )
        images, masks, known, any_read = [], [], [], False
        for number, (pair, found) in enumerate(zip(self.pairs, read, strict=True), 1):
            if isinstance(found, StandoutError):
                if pair.name not in self._told:
                    self._told.add(pair.name)
                    self.warn(f"held-out picture left out: {found}")
            else:
                images.append(found[0])
                masks.append(found[1])
                known.append(found[2])
            if images and (len(images) == self.batch or number == len(self.pairs)):
                any_read = True
                self.between()
                stacked = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).to(self.device).float().div(255)
                yield HeldOut(stacked.contiguous(memory_format=torch.channels_last), masks, known)
                images, masks, known = [], [], []
        if self.pairs and not any_read:
            raise StandoutError(
                "validation-empty", "no held-out picture can be read", self.pairs[0].image, "mend the files"
            )

    def _read(self, pair: Pair) -> _Read | StandoutError:
        try:
            label = read_mask(pair.mask, class_index=self.mask_class, unknown=self.unknown)
            picture, mask, _ = fit_mask(label, read_image(pair.image), hard=True)
        except StandoutError as error:
            return error
        values = mask.values if mask.known is None else np.where(mask.known, mask.values, np.uint8(0))
        return resize(picture.pixels, (self.size, self.size)), values, mask.known
