"""One look at a pair: both files are read once, and only what the check needs of them is kept."""

from __future__ import annotations

import filecmp
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from standout.data.pairing import Pair
from standout.data.pairs import digest_file
from standout.data.perceptual import Print, take_print
from standout.errors import StandoutError
from standout.images import MaskFacts, MaskPicture, Picture, fit_mask, mask_facts, read_image, read_mask, resize

LABEL_SIDE = 32
"""Rows and columns of a mask that is kept to be compared with that of the same picture elsewhere."""
LONGEST = 512
"""Longest side that is decoded, where the format can decode less than all of a picture."""
CHUNK = 32
"""Pairs that one process looks at before it gives back what it saw."""

_ENDS = (16, 239)
"""A picture that is hardly anything but black up to the first level and white from the second is a drawing."""
_DRAWN = 0.9
_PHOTO_COLOURS = 32
"""A photo has more colours than this among some thousand pixels; drawn classes have fewer."""


class Fault(NamedTuple):
    """What is wrong with one file of a pair: a code, a phrase that all such files share, the whole line."""

    code: str
    what: str
    file: str
    line: str


class Look(NamedTuple):
    """What was seen of a pair.

    Attributes
    ----------
    pair : its name and files.
    digest : SHA-256 of the picture's file in hex, empty where it cannot be read.
    print : to recognise the picture by; none where it cannot be read, is flat, or is no picture.
    is_flat : whether the picture is of one colour.
    facts : of the mask, none where it cannot be read or is no mask.
    label : the mask in small, `LABEL_SIDE` levels square, row by row; empty where it does not lie as the picture does.
    fit : how the mask's size fits: "equal", "resized", "unturned", or "" where it does not.
    faults : everything that is wrong.
    """

    pair: Pair
    digest: str = ""
    print: Print | None = None
    is_flat: bool = False
    facts: MaskFacts | None = None
    label: bytes = b""
    fit: str = ""
    faults: tuple[Fault, ...] = ()


def look_at_all(pairs: Sequence[Pair], mask_class: int | None = None, jobs: int = 0) -> Iterator[Look]:
    """Yield a look at each pair, in order.

    Parameters
    ----------
    mask_class : the palette index or grey value that is the object, for masks of several classes.
    jobs : processes; 0 for all processors. Their number changes nothing in what is seen.
    """
    # Starting processes takes longer than some hundred pairs.
    if jobs == 1 or len(pairs) <= 8 * CHUNK:
        for pair in pairs:
            yield look_at(pair, mask_class)
        return
    from joblib import Parallel, delayed

    chunks = [pairs[start : start + CHUNK] for start in range(0, len(pairs), CHUNK)]
    work = Parallel(n_jobs=jobs or -1, return_as="generator")
    for looks in work(delayed(_look_at_some)(chunk, mask_class) for chunk in chunks):
        yield from looks


def _look_at_some(pairs: Sequence[Pair], mask_class: int | None) -> list[Look]:
    return [look_at(pair, mask_class) for pair in pairs]


def look_at(pair: Pair, mask_class: int | None = None) -> Look:
    """Return what a pair's files show; a file that cannot be read is a fault among the others."""
    picture, picture_fault = _picture(pair)
    mask, mask_fault = _mask(pair, mask_class)
    faults = [fault for fault in (picture_fault, mask_fault) if fault is not None]
    facts = None if mask is None else mask_facts(mask)._replace(name=pair.name)
    if picture is None:
        return Look(pair, facts=facts, faults=tuple(faults))
    try:
        digest = digest_file(pair.image)[0]
        same_file = mask is not None and filecmp.cmp(pair.image, pair.mask, shallow=False)
    except (StandoutError, OSError):
        # Both were read a moment ago: somebody took one away meanwhile.
        gone = Fault("file-unreadable", "file vanished during the check", str(pair.image), pair.name)
        return Look(pair, facts=facts, faults=(*faults, gone))
    fit, misfit = ("", None) if mask is None else _fit(mask, picture, pair)
    faults += [] if misfit is None else [misfit]
    if _is_drawing(picture.pixels) and _is_photo(_pixels_of_mask(pair, mask, mask_fault)):
        swapped = Fault("swapped", "pictures and masks are exchanged", str(pair.image), pair.name)
        # That the photo has the colours of no mask is this very fault.
        return Look(pair, digest, faults=(swapped, *(fault for fault in faults if fault is not mask_fault)))
    if same_file:
        same = Fault("mask-is-picture", "picture and mask are one and the same file", str(pair.mask), pair.name)
        return Look(pair, digest, faults=(*faults, same))
    taken = take_print(picture.pixels)
    look = Look(pair, digest, taken, taken is None, facts, faults=tuple(faults))
    if mask is None or not fit:
        return look
    small = b"" if fit == "unturned" else resize(mask.values, (LABEL_SIDE, LABEL_SIDE)).tobytes()
    return look._replace(label=small, fit=fit)


def agreement(first: Look, second: Look, *, mirrored: bool = False) -> float | None:
    """Return the soft intersection over union of two masks in small, 1 where both are empty, none where one lacks.

    Parameters
    ----------
    mirrored : whether the second one is mirrored first.
    """
    if not first.label or not second.label:
        return None
    one, other = (
        np.frombuffer(look.label, np.uint8).reshape(LABEL_SIDE, LABEL_SIDE).astype(np.int64) for look in (first, second)
    )
    other = other[:, ::-1] if mirrored else other
    union = int(np.maximum(one, other).sum())
    return int(np.minimum(one, other).sum()) / union if union else 1.0


def _picture(pair: Pair) -> tuple[Picture | None, Fault | None]:
    try:
        return read_image(pair.image, longest=LONGEST), None
    except StandoutError as error:
        return None, _fault(error, pair.image)


def _mask(pair: Pair, mask_class: int | None) -> tuple[MaskPicture | None, Fault | None]:
    try:
        return read_mask(pair.mask, class_index=mask_class), None
    except StandoutError as error:
        return None, _fault(_of_mask(error), pair.mask)


def _of_mask(error: StandoutError) -> StandoutError:
    """Return the failure to read a mask's file in words that say mask: a reader of pictures says picture."""
    foreign = error.what.startswith("not a picture")
    what = f"mask is {error.what}" if foreign else error.what.replace("picture", "mask", 1)
    return StandoutError(error.code, what, error.where, error.how) if error.code.startswith("picture-") else error


def _fit(mask: MaskPicture, picture: Picture, pair: Pair) -> tuple[str, Fault | None]:
    """Return how the mask's size fits, or "" and the fault."""
    try:
        how = fit_mask(mask, picture).how
    except StandoutError as error:
        return "", _fault(error, pair.mask)
    # A picture that was decoded at reduced size fits a mask of either size.
    return "resized" if how == "equal" and mask.size != picture.full_size else how, None


def _pixels_of_mask(pair: Pair, mask: MaskPicture | None, fault: Fault | None) -> NDArray[np.uint8] | None:
    """Return what the mask's file shows (H, W, 1 or 3), none where it makes no picture."""
    if mask is not None:
        return mask.values[..., None]
    if fault is None or not fault.code.startswith("mask-"):
        return None
    try:
        return read_image(pair.mask, longest=LONGEST).pixels
    except StandoutError:
        return None


def _fault(error: StandoutError, file: object) -> Fault:
    return Fault(error.code, error.what, str(file), str(error))


def _some(pixels: NDArray[np.uint8]) -> NDArray[np.int16]:
    """Return at most some thousand pixels of a picture (H, W, C), spread over all of it."""
    return pixels[:: max(1, pixels.shape[0] // 64), :: max(1, pixels.shape[1] // 64)].astype(np.int16)


def _is_drawing(pixels: NDArray[np.uint8]) -> bool:
    """Whether a picture (H, W, 3) is grey, and nearly all of it black or white, as a mask is."""
    few = _some(pixels)
    if int((few.max(axis=2) - few.min(axis=2)).max()) > 4:
        return False
    black, white = (few[..., 0] <= _ENDS[0]).mean(), (few[..., 0] >= _ENDS[1]).mean()
    return bool(black + white >= _DRAWN)


def _is_photo(pixels: NDArray[np.uint8] | None) -> bool:
    """Whether a picture (H, W, C) has many colours, and most of it is neither black nor white, as no mask is."""
    if pixels is None:
        return False
    few = _some(pixels)
    between = ((few > 0) & (few < 255)).any(axis=2).mean()
    return bool(between > 0.5) and len(np.unique(few.reshape(-1, few.shape[2]), axis=0)) > _PHOTO_COLOURS
