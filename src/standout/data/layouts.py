"""How the field's data sets lie on disk, as one literal table, and which layout a folder has.

A layout is recognised by its folder names alone, upper or lower case; no picture is opened.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from standout.errors import StandoutError
from standout.names import unknown

TRAIN = "train"
VALIDATION = "validation"
TEST = "test"
PARTS = (TRAIN, VALIDATION, TEST)

JUNK = frozenset({"__macosx", "thumbs.db", "desktop.ini", "@eadir"})
"""Names that operating systems and archives leave behind; hidden names (leading dot) count as junk too."""

SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".webp", ".gif", ".bmp", ".dib", ".tif", ".tiff", ".avif"}
)
"""Suffixes of pictures, lower case; whether a file can be read is decided by its content, later."""


class Place(NamedTuple):
    """One folder of pictures and its folder of masks, relative to the set's own folder.

    images, masks : with `/` between folders; the same folder twice means pictures (.jpg) and masks (.png)
        side by side, where pictures without a mask are part of the published set.
    part : "train", "validation", "test", or "" where the set has no parts.
    only : pictures and masks whose names start otherwise do not belong to the task and are left out.
    prefix : put before the names, where a set uses one name in several folders.
    """

    images: str
    masks: str
    part: str = ""
    only: str = ""
    prefix: str = ""


_PART_FOLDERS: Mapping[str, str] = {
    "train": TRAIN,
    "training": TRAIN,
    "tr": TRAIN,
    "traindataset": TRAIN,
    "val": VALIDATION,
    "valid": VALIDATION,
    "validation": VALIDATION,
    "test": TEST,
    "testing": TEST,
    "te": TEST,
    "testdataset": TEST,
}


def _plain(images: str, masks: str) -> tuple[Place, ...]:
    """Return the two folders side by side, inside each part's folder, and with the parts inside them."""
    inside = [Place(f"{name}/{images}", f"{name}/{masks}", part) for name, part in _PART_FOLDERS.items()]
    below = [Place(f"{images}/{name}", f"{masks}/{name}", part) for name, part in _PART_FOLDERS.items()]
    return (Place(images, masks), *inside, *below)


# The order matters twice: of two layouts that mean the same folders the first gives the name, unless the
# folder itself is called like the other one; and the field's sets come before the plain pairs of names.
LAYOUTS: Mapping[str, tuple[Place, ...]] = {
    "DUTS": (
        Place("DUTS-TR/DUTS-TR-Image", "DUTS-TR/DUTS-TR-Mask", TRAIN),
        Place("DUTS-TE/DUTS-TE-Image", "DUTS-TE/DUTS-TE-Mask", TEST),
        Place("DUTS-TR-Image", "DUTS-TR-Mask", TRAIN),
        Place("DUTS-TE-Image", "DUTS-TE-Mask", TEST),
    ),
    "DUT-OMRON": (
        Place("DUT-OMRON-image", "DUT-OMRON-gt-pixelwise"),
        Place("DUT-OMRON-image", "pixelwiseGT-new-PNG"),
        Place("DUT-OMRON-image", "DUT-OMRON-gt-pixelwise.zip.new/pixelwiseGT-new-PNG"),
        Place("DUT-OMRON-image/DUT-OMRON-image", "pixelwiseGT-new-PNG"),
        Place("DUT-OMRON-image/DUT-OMRON-image", "DUT-OMRON-gt-pixelwise.zip.new/pixelwiseGT-new-PNG"),
    ),
    "PASCAL-S": (
        Place("datasets/imgs/pascal", "datasets/masks/pascal"),
        Place("imgs/pascal", "masks/pascal"),
    ),
    # Half of COD10K's pictures hide nothing; the field trains and tests on the camouflaged ones.
    "COD10K": (
        Place("Train/Image", "Train/GT_Object", TRAIN, only="COD10K-CAM-"),
        Place("Test/Image", "Test/GT_Object", TEST, only="COD10K-CAM-"),
        Place("Image", "GT_Object", only="COD10K-CAM-"),
    ),
    "DIS5K": (
        Place("DIS-TR/im", "DIS-TR/gt", TRAIN),
        Place("DIS-VD/im", "DIS-VD/gt", VALIDATION),
        Place("DIS-TE1/im", "DIS-TE1/gt", TEST),
        Place("DIS-TE2/im", "DIS-TE2/gt", TEST),
        Place("DIS-TE3/im", "DIS-TE3/gt", TEST),
        Place("DIS-TE4/im", "DIS-TE4/gt", TEST),
    ),
    # Pictures and masks share a folder, and every class counts from the start.
    "THUR15K": (
        Place("Butterfly/Src", "Butterfly/Src", prefix="Butterfly/"),
        Place("CoffeeMug/Src", "CoffeeMug/Src", prefix="CoffeeMug/"),
        Place("DogJump/Src", "DogJump/Src", prefix="DogJump/"),
        Place("Giraffe/Src", "Giraffe/Src", prefix="Giraffe/"),
        Place("Plane/Src", "Plane/Src", prefix="Plane/"),
    ),
    "Image/Mask": _plain("Image", "Mask"),
    "Imgs/GT": _plain("Imgs", "GT"),
    "im/gt": _plain("im", "gt"),
    "images/masks": _plain("images", "masks"),
    "Image/GT": _plain("Image", "GT"),
    "images/GT": _plain("images", "GT"),
    # As published, one folder holds the masks of both parts.
    "CAMO": (
        Place("Images/Train", "GT", TRAIN),
        Place("Images/Test", "GT", TEST),
        Place("train/images", "train/masks", TRAIN),
        Place("test/images", "test/masks", TEST),
        Place("Train/Imgs", "Train/GT", TRAIN),
        Place("Test/Imgs", "Test/GT", TEST),
    ),
    "ECSSD": (
        Place("images", "ground_truth_mask"),
        Place("images", "masks"),
        Place("Imgs", "GT"),
        Place("Image", "GT"),
    ),
    "HKU-IS": (Place("imgs", "gt"), Place("images", "masks"), Place("Image", "GT")),
    "CHAMELEON": (Place("Image", "GT"), Place("Imgs", "GT"), Place("images", "masks")),
    "NC4K": (Place("Imgs", "GT"), Place("Image", "GT"), Place("images", "masks")),
}

LIST = "list file"
"""The layout's name where a text file lists the pairs; see `standout.data.lists`."""


Subfolders = Callable[[Path], list[Path]]


class Found(NamedTuple):
    """A place of a layout that exists: its two folders, and where it comes from."""

    images: Path
    masks: Path
    place: Place


class Recognised(NamedTuple):
    """The layout of a folder and all its places, of every part."""

    layout: str
    found: tuple[Found, ...]


def is_junk(name: str) -> bool:
    """Whether a file or folder name is hidden or a known leftover of systems and archives."""
    return name.startswith(".") or name.lower() in JUNK


def is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether an entry is a folder or a link to one; a link to itself is none."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def recognise(folder: Path, layout: str | None = None) -> Recognised | None:
    """Return the layout that the folder has, or None where no line of the table fits.

    An archive that unpacks into one folder inside the given one is looked into, twice at most.

    Parameters
    ----------
    layout : take this line of the table and no other.

    Raises
    ------
    StandoutError : exit code 2; the folder is missing, the layout unknown, or several lines fit and mean
        different folders.
    """
    if layout is not None and layout not in LAYOUTS:
        raise unknown("layout", layout, LAYOUTS)
    tables = LAYOUTS if layout is None else {layout: LAYOUTS[layout]}
    # Many lines ask for the same folders, and a folder may hold 100,000 files: each is listed once.
    subfolders = functools.cache(_subfolders)
    for _ in range(3):
        folders = subfolders(folder)
        fitting = {name: found for name, places in tables.items() if (found := _existing(folder, places, subfolders))}
        if fitting:
            return _choose(folder, fitting)
        if len(folders) != 1:
            return None
        folder = folders[0]
    return None


def unrecognised(folder: Path, layout: str | None = None) -> StandoutError:
    """Return the usage error for a folder that no layout fits: what was seen and what is expected."""
    seen = [path.name + "/" for path in _subfolders(folder)]
    more = f" and {len(seen) - 10} more" if len(seen) > 10 else ""
    inside = ", ".join(seen[:10]) + more if seen else "no folder"
    if layout is not None:
        expected = f"expected for {layout}: {_expected(LAYOUTS[layout])}"
    else:
        expected = (
            "expected are a folder of pictures and one of masks, such as images/ and masks/, Imgs/ and GT/, "
            f"Image/ and Mask/, a published set ({', '.join(name for name in LAYOUTS if '/' not in name)}), "
            "or a list file"
        )
    return StandoutError(
        "layout-unknown", f"no pictures with masks found (inside: {inside})", folder, expected, exit_code=2
    )


def _expected(places: tuple[Place, ...]) -> str:
    return " or ".join(f"{place.images}/ with {place.masks}/" for place in places[:4])


def _subfolders(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            names = sorted(entry.name for entry in entries if is_folder(entry) and not is_junk(entry.name))
    except FileNotFoundError:
        raise StandoutError(
            "folder-missing", "there is no such folder", folder, "check the path", exit_code=2
        ) from None
    except NotADirectoryError:
        raise StandoutError("folder-expected", "this is not a folder", folder, "check the path", exit_code=2) from None
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise StandoutError(
            "folder-unreadable", f"the folder cannot be read ({reason})", folder, "check its permissions", exit_code=2
        ) from error
    return [folder / name for name in names]


def _existing(root: Path, places: tuple[Place, ...], subfolders: Subfolders) -> tuple[Found, ...]:
    found: dict[tuple[Path, Path], Found] = {}
    for place in places:
        images = _descend(root, place.images, subfolders)
        masks = _descend(root, place.masks, subfolders)
        if images is not None and masks is not None and _holds_files(images) and _holds_files(masks):
            found.setdefault((images, masks), Found(images, masks, place))
    return tuple(found.values())


def _descend(root: Path, relative: str, subfolders: Subfolders) -> Path | None:
    """Return the folder below `root`; an exact name wins over one that differs in case."""
    for wanted in relative.split("/"):
        near = [path for path in subfolders(root) if path.name.lower() == wanted.lower()]
        exact = [path for path in near if path.name == wanted] or near
        if len(exact) != 1:
            return None
        root = exact[0]
    return root


def _holds_files(folder: Path) -> bool:
    """Whether files lie in the folder itself, or nothing at all: an empty folder is refused later by name."""
    with os.scandir(folder) as entries:
        visible = (is_folder(entry) for entry in entries if not is_junk(entry.name))
        only_folders = next(visible, False) and all(visible)
    return not only_folders


def _choose(folder: Path, fitting: Mapping[str, tuple[Found, ...]]) -> Recognised:
    places = {name: frozenset((f.images, f.masks) for f in found) for name, found in fitting.items()}
    # A line that means only some of the folders that another line means says nothing new.
    largest = [name for name in places if not any(places[name] < other for other in places.values())]
    if len({places[name] for name in largest}) > 1:
        choices = "; ".join(f"{name}: {_described(folder, places[name])}" for name in largest)
        raise StandoutError(
            "layout-ambiguous",
            f"several layouts fit ({choices})",
            folder,
            "give the inner folder, or a list file",
            exit_code=2,
        )
    named = [name for name in largest if folder.name.lower().startswith(name.lower())]
    name = (named or largest)[0]
    return Recognised(name, fitting[name])


def _described(folder: Path, places: Iterable[tuple[Path, Path]]) -> str:
    return ", ".join(
        f"{images.relative_to(folder)}/ with {masks.relative_to(folder)}/" for images, masks in sorted(places)
    )
