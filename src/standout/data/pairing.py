"""What the names of files say, and nothing refused: the files of two folders, which belong together, what is left.

`standout.data.pairs` refuses what does not fit before a run, `standout.data.check` tells all of it.
"""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from standout.data import layouts, lists
from standout.data.layouts import SUFFIXES, Found, Place

JPEG = frozenset({".jpg", ".jpeg"})
PNG = frozenset({".png"})


class Pair(NamedTuple):
    """A picture and its mask under their common name (NFC; case as the picture writes it)."""

    name: str
    image: Path
    mask: Path


class Pairing(NamedTuple):
    """How the files of two folders, or of a list, belong together.

    Attributes
    ----------
    pairs : in the order of the pictures' names.
    twice : files of one folder that share a name, two by two; the first of them is the one that is paired.
    without_mask, without_image : files whose partner is not there.
    notes : one sentence for each thing that was left out on purpose.
    """

    pairs: tuple[Pair, ...]
    twice: tuple[tuple[Path, Path], ...] = ()
    without_mask: tuple[Path, ...] = ()
    without_image: tuple[Path, ...] = ()
    notes: tuple[str, ...] = ()


def key(stem: str) -> str:
    """Return what two names must share to belong together: composed Unicode, lower case."""
    # Lower case after composition may be decomposed again (dotted capital I), so compose twice.
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", stem).lower())


def pair_folders(found: Found, others: Iterable[Path] = ()) -> Pairing:
    """Return the pairs of two folders and what does not pair.

    Parameters
    ----------
    others : folders of pictures that share this folder of masks; their masks are not left over.
    """
    place = found.place
    together = found.images == found.masks
    images, twice, notes = _list(found.images, place, JPEG if together else SUFFIXES)
    masks, masks_twice, mask_notes = _list(found.masks, place, PNG if together else SUFFIXES)
    notes += mask_notes
    without_mask = [path for name, path in images.items() if name not in masks]
    without_image = [path for name, path in masks.items() if name not in images]
    if without_image:
        elsewhere: set[str] = set()
        for folder in others:
            elsewhere.update(_list(folder, place, SUFFIXES)[0])
        without_image = [path for name, path in masks.items() if name not in images and name not in elsewhere]
    if together and without_mask:
        notes.append(f"{len(without_mask)} pictures without mask left out, as published: {found.images.parent.name}")
        without_mask = []
    pairs = tuple(
        Pair(place.prefix + unicodedata.normalize("NFC", path.stem), path, masks[name])
        for name, path in images.items()
        if name in masks
    )
    return Pairing(pairs, (*twice, *masks_twice), tuple(without_mask), tuple(without_image), tuple(notes))


def pair_listed(path: Path, lines: Iterable[lists.Listed]) -> tuple[Pairing, tuple[Path, ...]]:
    """Return the pairs that a list file of two columns names and are there, and the files that are not."""
    pairs = [Pair(lists.name_of(line.image), path.parent / line.image, path.parent / line.mask) for line in lines]
    missing = tuple(file for pair in pairs for file in (pair.image, pair.mask) if not _is_there(file))
    gone = set(missing)
    return Pairing(tuple(pair for pair in pairs if pair.image not in gone and pair.mask not in gone)), missing


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a name that no file can have
        return False


def same_names(pairs: Iterable[Pair]) -> list[tuple[Pair, Pair]]:
    """Return every pair whose name an earlier one has, in the order of the names, with that earlier one."""
    seen: dict[str, Pair] = {}
    named = ((seen.setdefault(key(pair.name), pair), pair) for pair in sorted(pairs))
    return [(first, pair) for first, pair in named if first is not pair]


def _list(
    folder: Path, place: Place, suffixes: frozenset[str]
) -> tuple[dict[str, Path], list[tuple[Path, Path]], list[str]]:
    """Return the pictures of a folder by pairing key, in the order of their names; names that come twice; notes."""
    nested = junk = foreign = other_task = 0
    files: dict[str, Path] = {}
    twice: list[tuple[Path, Path]] = []
    with os.scandir(folder) as entries:
        listed = sorted((entry.name, layouts.is_folder(entry)) for entry in entries)
    for name, inner in listed:
        path = folder / name
        if layouts.is_junk(name):
            junk += 1
        elif inner:
            nested += 1
        elif path.suffix.lower() not in suffixes:
            # Side by side, a picture is no foreign file among the masks.
            foreign += path.suffix.lower() not in SUFFIXES
        elif not name.startswith(place.only):
            other_task += 1
        else:
            first = files.setdefault(key(path.stem), path)
            if first is not path:
                twice.append((first, path))
    notes = [
        f"{count} {what} left out: {folder.name}"
        for count, what in (
            (nested, "nested folders"),
            (junk, "hidden or system files"),
            (foreign, "files that are no pictures"),
            (other_task, f"files whose names do not start with {place.only}"),
        )
        if count
    ]
    return files, twice, notes
