"""What a folder of masks shows together that no single one does."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from standout.images.mask import HALF, MaskPicture, middle_level

MOST = 0.5
"""Share of a folder's masks above which a third value is a habit and no accident."""
INVERTED = 0.8
"""Share of a folder's masks from which a foreground that fills the picture to its borders looks inverted."""


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
    """

    name: str
    foreground: float
    between: float
    middle: int | None
    touches: bool
    is_jpeg: bool


def mask_facts(mask: MaskPicture) -> MaskFacts:
    """Return the facts of one mask."""
    counts = np.bincount(mask.values.ravel(), minlength=256)
    label = mask.foreground
    touches = all(bool(edge.any()) for edge in (label[0], label[-1], label[:, 0], label[:, -1]))
    return MaskFacts(
        mask.name,
        float(counts[HALF:].sum()) / label.size,
        float(counts[1:255].sum()) / label.size,
        middle_level(mask.values),
        touches,
        mask.format == "JPEG",
    )


class MaskFinding(NamedTuple):
    """One thing that a folder's masks show: a stable code, a sentence, and the masks it is about."""

    code: str
    message: str
    names: tuple[str, ...]


def mask_findings(facts: Iterable[MaskFacts]) -> list[MaskFinding]:
    """Return what a user should know of a folder's masks; nothing is changed because of it.

    Codes: "masks-third-value" (most masks have exactly three levels whose middle covers an area), "masks-inverted"
    (in four fifths of the masks the foreground fills over half of the picture and touches all borders),
    "masks-jpeg", "masks-empty" and "masks-full".
    """
    listed = list(facts)
    found = []
    third = [f.name for f in listed if f.middle is not None]
    if len(third) > MOST * len(listed):
        message = f"{len(third)} of {len(listed)} masks have a third value over an area; it counts as a half label"
        found.append(MaskFinding("masks-third-value", message, tuple(third)))
    filled = [f.name for f in listed if f.foreground > 0.5 and f.touches]
    if listed and len(filled) >= INVERTED * len(listed):
        message = f"{len(filled)} of {len(listed)} masks look inverted: foreground fills the picture to all borders"
        found.append(MaskFinding("masks-inverted", message, tuple(filled)))
    lossy = [f for f in listed if f.is_jpeg]
    if lossy:
        between = sum(f.between for f in lossy) / len(lossy)
        message = f"{len(lossy)} masks are JPEG, {between:.1%} of their pixels in between; hard labels use level {HALF}"
        found.append(MaskFinding("masks-jpeg", message, tuple(f.name for f in lossy)))
    for code, share, word in (("masks-empty", 0.0, "empty"), ("masks-full", 1.0, "full")):
        names = tuple(f.name for f in listed if f.foreground == share)
        if names:
            count = "1 mask is" if len(names) == 1 else f"{len(names)} masks are"
            found.append(MaskFinding(code, f"{count} {word}", names))
    return found
