"""Maps and masks, paired by name and never by order; what does not pair is told by name."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from standout.data.layouts import SUFFIXES, TEST, is_junk
from standout.data.pairing import key as pairing_key
from standout.data.pairs import find_pairs, shown
from standout.errors import EXIT_USAGE, StandoutError, printable


class Item(NamedTuple):
    """One picture to score: its name, its map (or the picture that a model makes it from), its mask."""

    name: str
    source: Path
    mask: Path


class Problem(NamedTuple):
    """Why a picture has no score, or a map no picture.

    kind : "missing", "surplus", "unreadable" or "mis-sized".
    name : of the mask, or of the surplus map.
    text : what is wrong, one line; empty where the kind says it all.
    """

    kind: str
    name: str
    text: str = ""


class Found(NamedTuple):
    """The items in the order of their names, how many masks there are, and what does not pair.

    notes : one sentence for each thing that was left out of the data set or chosen from it.
    images : the picture of each name, where the masks came with pictures.
    """

    items: tuple[Item, ...]
    expected: int
    problems: tuple[Problem, ...]
    notes: tuple[str, ...] = ()
    images: Mapping[str, Path] = MappingProxyType({})


def pair_maps(maps: Path, masks: Path, *, part: str | None = TEST) -> Found:
    """Return the maps of a folder with their masks.

    Parameters
    ----------
    maps : folder of maps; a mask called `a/b` has its map in the folder's own folder `a`.
    masks : a folder of masks, or a data set or list file as training takes them.
    part : "train", "validation" or "test"; a set of one part is taken whole, with a note.

    Raises
    ------
    StandoutError : exit code 2, a folder is missing or empty, both are one, or two files have one name.
    """
    if not maps.is_dir():
        raise StandoutError(
            "folder-missing", "there is no such folder of maps", maps, "check the path", exit_code=EXIT_USAGE
        )
    wanted, images, notes = _masks(masks, part)
    if maps.resolve() in {folder.resolve() for folder in {path.parent for path in wanted.values()}}:
        raise StandoutError(
            "one-folder",
            "maps and masks lie in one folder",
            maps,
            "give the folder of maps first",
            exit_code=EXIT_USAGE,
        )
    folders = {name.rpartition("/")[0] for name in wanted}
    have: dict[str, Path] = {}
    for folder in sorted(folders):
        here = maps / folder
        if here.is_dir():
            have.update({f"{folder}/{key}" if folder else key: path for key, path in _files(here).items()})
    if not have:
        raise StandoutError(
            "folder-empty", "the folder holds no maps", maps, "give the folder in which they lie", exit_code=EXIT_USAGE
        )
    items, problems = [], []
    keys = set()
    for name, mask in sorted(wanted.items()):
        folder, _, stem = name.rpartition("/")
        key = f"{folder}/{pairing_key(stem)}" if folder else pairing_key(stem)
        keys.add(key)
        path = have.get(key)
        if path is None:
            problems.append(Problem("missing", name))
        elif path.suffix.lower() not in SUFFIXES:
            problems.append(Problem("unreadable", name, f"{path.name} is no picture"))
        else:
            items.append(Item(name, path, mask))
    surplus = (path for key, path in sorted(have.items()) if key not in keys and path.suffix.lower() in SUFFIXES)
    problems += [Problem("surplus", path.name) for path in surplus]
    return Found(tuple(items), len(wanted), tuple(problems), notes, images)


def pair_pictures(data: Path, *, part: str | None = TEST) -> Found:
    """Return the pictures and masks of a data set; errors as `standout.data.find_pairs`."""
    pairs = find_pairs(data, part=part)
    items = tuple(Item(pair.name, pair.image, pair.mask) for pair in pairs.pairs)
    return Found(items, len(items), (), pairs.notes)


def refuse(problems: Iterable[Problem], expected: int) -> StandoutError:
    """Return the one-line failure that names what has no score; exit code 1."""
    problems = tuple(problems)
    return StandoutError(
        "maps-incomplete",
        f"{len(problems)} {'problem' if len(problems) == 1 else 'problems'} with {expected} pictures",
        problems_by_name(problems),
        "mend them, or pass --allow-missing for a table marked PARTIAL",
    )


def problems_by_name(problems: Iterable[Problem]) -> str:
    """Return the problems as one line: how many of each kind, and their names."""
    problems = tuple(problems)
    told = []
    for kind in dict.fromkeys(problem.kind for problem in problems):
        names = [
            f"{printable(problem.name)} ({problem.text})" if problem.text else problem.name
            for problem in problems
            if problem.kind == kind
        ]
        told.append(f"{len(names)} {kind}: {shown(names)}")
    return "; ".join(told)


def _masks(masks: Path, part: str | None) -> tuple[Mapping[str, Path], Mapping[str, Path], tuple[str, ...]]:
    """Return the masks by name, those of a folder or of a data set, the set's pictures, and its notes."""
    if masks.is_dir():
        here = {path.stem: path for path in _files(masks).values() if path.suffix.lower() in SUFFIXES}
        if here:
            return {unicodedata.normalize("NFC", stem): path for stem, path in here.items()}, {}, ()
    elif not masks.exists():
        raise StandoutError(
            "folder-missing", "there is no such folder of masks", masks, "check the path", exit_code=EXIT_USAGE
        )
    pairs = find_pairs(masks, part=part)
    images = {pair.name: pair.image for pair in pairs.pairs}
    return {pair.name: pair.mask for pair in pairs.pairs}, images, pairs.notes


def _files(folder: Path) -> dict[str, Path]:
    """Return the files directly in a folder by pairing key; of two with one key only one may be a picture."""
    files: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if is_junk(path.name) or path.is_dir():
            continue
        other = files.setdefault(pairing_key(path.stem), path)
        if other is path:
            continue
        if other.suffix.lower() in SUFFIXES and path.suffix.lower() in SUFFIXES:
            where = f"{other} and {path.name}"
            raise StandoutError(
                "name-twice", "two files have one name", where, "rename or remove one of them", exit_code=EXIT_USAGE
            )
        if path.suffix.lower() in SUFFIXES:
            files[pairing_key(path.stem)] = path
    return files
