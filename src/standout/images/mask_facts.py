"""What a folder of masks shows together that no single one does."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from standout.images.colour import Pixels
from standout.images.mask import HALF, LEAST_MIDDLE, MaskPicture, middle_level

MOST = 0.5
"""Share of a folder's masks above which a third value is a habit and no accident."""
INVERTED = 0.8
"""Share of a folder's masks from which a foreground that fills the picture to its borders looks inverted."""
GREY = (26, 229)
"""Levels that are neither background nor foreground, beyond what JPEG and smoothed edges add to them."""


THIRD = {"soft": "a half label", "ignore": "no label", "refuse": "a mistake"}
"""What a third value means under each word for `unknown` of `read_mask`."""


class MaskFacts(NamedTuple):
    """Facts of one mask, small enough to keep for a hundred thousand.

    Attributes
    ----------
    name : for messages.
    foreground : share of the pixels at level 128 and above, in [0, 1].
    between : share of the pixels that are neither 0 nor 255.
    middle : the middle of exactly three levels, where it covers over half a percent, else none.
    touches : whether the foreground reaches all four borders.
    is_jpeg : whether the file lost its exact levels.
    grey : share of the pixels that lie within an area of levels between, and not on an edge.
    border : share of the border's pixels that are foreground.
    top : the greatest level.
    """

    name: str
    foreground: float
    between: float
    middle: int | None
    touches: bool
    is_jpeg: bool
    grey: float = 0.0
    border: float = 0.0
    top: int = 255


def mask_facts(mask: MaskPicture) -> MaskFacts:
    """Return the facts of one mask."""
    counts = np.bincount(mask.values.ravel(), minlength=256)
    label = mask.foreground
    edges = (label[0], label[-1], label[:, 0], label[:, -1])
    return MaskFacts(
        mask.name,
        float(counts[HALF:].sum()) / label.size,
        float(counts[1:255].sum()) / label.size,
        middle_level(mask.values),
        all(bool(edge.any()) for edge in edges),
        mask.format == "JPEG",
        _grey_share(mask.values, counts),
        sum(int(np.count_nonzero(edge)) for edge in edges) / sum(map(len, edges)),
        int(np.flatnonzero(counts)[-1]),
    )


def _grey_share(values: Pixels, counts: NDArray[np.intp]) -> float:
    """Return the share of the pixels whose whole neighbourhood of 5 x 5 is neither background nor foreground."""
    low, high = GREY
    # Most masks have edges only, and need no neighbourhoods.
    if int(counts[low : high + 1].sum()) <= LEAST_MIDDLE * values.size or min(values.shape) < 5:
        return 0.0
    between = (values >= low) & (values <= high)
    rows, columns = values.shape
    tall = np.logical_and.reduce([between[at : rows - 4 + at] for at in range(5)])
    return (
        float(np.count_nonzero(np.logical_and.reduce([tall[:, at : columns - 4 + at] for at in range(5)])))
        / values.size
    )


class MaskFinding(NamedTuple):
    """One thing that a folder's masks show: a stable code, a sentence, and the masks it is about."""

    code: str
    message: str
    names: tuple[str, ...]


def mask_findings(facts: Iterable[MaskFacts], unknown: str = "soft") -> list[MaskFinding]:
    """Return what a user should know of a folder's masks; nothing is changed because of it.

    `unknown` is what `read_mask` does with a third value, for the sentence about it.

    Codes: "masks-third-value" (most masks have exactly three levels whose middle covers an area), "masks-inverted"
    (in four fifths of the masks the foreground fills over half of the picture and touches all borders),
    "masks-grey" (areas of levels between, as of several annotators or a matte), "masks-faint" (marked, but nowhere at
    level 128), "masks-jpeg", "masks-empty" and "masks-full".
    """
    listed = list(facts)
    found = []
    third = [f.name for f in listed if f.middle is not None]
    if len(third) > MOST * len(listed):
        message = f"{len(third)} of {len(listed)} masks have a third value over an area; it counts as {THIRD[unknown]}"
        found.append(MaskFinding("masks-third-value", message, tuple(third)))
    filled = [f.name for f in listed if f.foreground > 0.5 and f.touches]
    if listed and len(filled) >= INVERTED * len(listed):
        message = f"{len(filled)} of {len(listed)} masks look inverted: foreground fills the picture to all borders"
        found.append(MaskFinding("masks-inverted", message, tuple(filled)))
    told = set(third) if found else set()
    grey = tuple(f.name for f in listed if f.grey > LEAST_MIDDLE and f.name not in told)
    if grey:
        message = f"{_counted(len(grey), 'has', 'have')} areas of grey levels, which count as soft labels"
        found.append(MaskFinding("masks-grey", message, grey))
    faint = tuple(f.name for f in listed if _is_faint(f))
    if faint:
        message = f"{_counted(len(faint), 'reaches', 'reach')} no level of {HALF}: scored, all of it is background"
        found.append(MaskFinding("masks-faint", message, faint))
    lossy = [f for f in listed if f.is_jpeg]
    if lossy:
        between = sum(f.between for f in lossy) / len(lossy)
        message = f"{len(lossy)} masks are JPEG, {between:.1%} of their pixels in between; hard labels use level {HALF}"
        found.append(MaskFinding("masks-jpeg", message, tuple(f.name for f in lossy)))
    for code, share, word in (("masks-empty", 0.0, "empty"), ("masks-full", 1.0, "full")):
        names = tuple(f.name for f in listed if f.foreground == share and not _is_faint(f))
        if names:
            found.append(MaskFinding(code, f"{_counted(len(names), 'is', 'are')} {word}", names))
    return found


def _is_faint(facts: MaskFacts) -> bool:
    return 0 < facts.top < HALF


def _counted(count: int, one: str, many: str) -> str:
    return f"1 mask {one}" if count == 1 else f"{count} masks {many}"
