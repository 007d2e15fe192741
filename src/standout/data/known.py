"""What is known of the field's published sets: how many pairs they have, and their defects."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from standout.data.findings import Finding, Item
from standout.data.layouts import TEST, TRAIN, VALIDATION
from standout.data.pairing import Pair

PUBLISHED: Mapping[tuple[str, str], int] = {
    ("DUTS", TRAIN): 10_553,
    ("DUTS", TEST): 5_019,
    ("DUT-OMRON", ""): 5_168,
    ("PASCAL-S", ""): 850,
    ("ECSSD", ""): 1_000,
    ("HKU-IS", ""): 4_447,
    ("THUR15K", ""): 6_232,
    ("COD10K", TRAIN): 3_040,
    ("COD10K", TEST): 2_026,
    ("CAMO", TRAIN): 1_000,
    ("CAMO", TEST): 250,
    ("CHAMELEON", ""): 76,
    ("NC4K", ""): 4_121,
    ("DIS5K", TRAIN): 3_000,
    ("DIS5K", VALIDATION): 470,
    ("DIS5K", TEST): 2_000,
}
"""Pairs of a layout's part as published."""


class Defect(NamedTuple):
    """A defect of a published set that the files at hand may still have.

    layout, part : of the set.
    file : the picture's name without suffix, or a mask's whole file name where it is there twice; empty where the
        defect is in the set as long as it has all its published pairs.
    sentence : what is wrong and what to do.
    """

    layout: str
    part: str
    file: str
    sentence: str


DEFECTS = (
    Defect(
        "DUTS", TRAIN, "ILSVRC2014_train_00019441",
        "the same picture is ILSVRC2013_test_00005864 of DUTS-TE: leave it out where DUTS-TE is scored",
    ),
    Defect(
        "DUTS", TEST, "ILSVRC2013_test_00005864",
        "the same picture is ILSVRC2014_train_00019441 of DUTS-TR: leave it out of training",
    ),
    Defect(
        "DUTS", TEST, "ILSVRC2012_test_00036002.jpg",
        "a leftover of the first release, which its authors ask to delete: the PNG is the mask",
    ),
    Defect(
        "DUTS", TEST, "sun_bcogaqperiljqupq.jpg",
        "a leftover of the first release, which its authors ask to delete: the PNG is the mask",
    ),
    Defect("ECSSD", "", "0073", "the same picture is in DUTS-TE"),
    Defect("ECSSD", "", "", "71 pictures of CAMO's published training part and 3 of its test part are in ECSSD"),
    Defect("CAMO", TRAIN, "", "71 of the 1,000 published pictures are in ECSSD: leave them out where ECSSD is scored"),
    Defect("CAMO", TEST, "", "3 of the 250 published pictures are in ECSSD"),
)  # fmt: skip
"""The overlaps are stated with the copies of DUTS-TR, ECSSD and CAMO that this project trains on; the leftovers of
DUTS-TE on its authors' page, saliencydetection.net/duts."""


def known_findings(
    layout: str, part: str, label: str, pairs: Sequence[Pair], twice: Iterable[str] = ()
) -> list[Finding]:
    """Return what is known of a published set and true of the files at hand.

    Parameters
    ----------
    twice : names of files that share their stem with another one of their folder.
    """
    found = []
    count = PUBLISHED.get((layout, part), len(pairs))
    if count != len(pairs):
        message = f"{len(pairs)} pairs, {count} as published: figures are not comparable with published ones"
        found.append(Finding("known-count", (label,), message))
    by_stem = {pair.image.stem: pair for pair in pairs}
    doubled = set(twice)
    for defect in DEFECTS:
        if (defect.layout, defect.part) != (layout, part):
            continue
        if not defect.file:
            if len(pairs) == count:
                found.append(Finding("known-defect", (label,), defect.sentence))
        elif defect.file in by_stem or defect.file in doubled:
            file = str(by_stem[defect.file].image) if defect.file in by_stem else defect.file
            found.append(Finding("known-defect", (label,), defect.sentence, (Item(defect.file, file),)))
    return found
