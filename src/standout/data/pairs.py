"""Pictures and their masks, paired by name and never by order.

Two files belong together where their names without suffix are the same under Unicode composition (NFC) and
without regard to case. Only files directly in the two folders count: nested folders, hidden files, leftovers
of systems and files that are no pictures are left out and counted in the notes.
"""

from __future__ import annotations

import hashlib
import os
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

from standout.data import layouts, lists
from standout.data.layouts import SUFFIXES, Found, Place
from standout.errors import StandoutError, printable
from standout.names import unknown

JPEG = frozenset({".jpg", ".jpeg"})
PNG = frozenset({".png"})

MISTAKES_SHOWN = 10
NAMES_VALIDATION = "names_val.txt"
FRACTION = 0.05

T = TypeVar("T")


class Pair(NamedTuple):
    """A picture and its mask under their common name (NFC; case as the picture writes it)."""

    name: str
    image: Path
    mask: Path


class Pairs(NamedTuple):
    """The pairs of a data set in the order of their names, and what was left out.

    layout : the name of the line of `standout.data.layouts.LAYOUTS` that fitted.
    notes : one sentence for each thing that was left out or chosen.
    """

    layout: str
    pairs: tuple[Pair, ...]
    notes: tuple[str, ...] = ()


def find_pairs(
    folder: str | Path, *, layout: str | None = None, part: str | None = None, skip_unpaired: bool = False
) -> Pairs:
    """Return the pairs of a data set, given its folder or a list file.

    Parameters
    ----------
    layout : a name of `LAYOUTS`; without it the layout is recognised.
    part : "train", "validation" or "test". A set without parts, or one that is only one part, is taken whole.
    skip_unpaired : leave out pictures without mask and masks without picture, with a note, instead of refusing.

    Raises
    ------
    StandoutError : exit code 2; missing, empty or unrecognised folder, two files of one name, unpaired files.
    """
    folder = Path(folder)
    if folder.is_file():
        return _from_list(folder, layout, part, skip_unpaired)
    recognised = layouts.recognise(folder, layout)
    if recognised is None:
        listed = lists.lists_in(folder) if layout is None else {}
        if not listed:
            raise layouts.unrecognised(folder, layout)
        chosen, notes = _choose_part(folder, dict(listed), part)
        whole = _from_list(chosen, None, part, skip_unpaired)
        return whole._replace(notes=(*notes, *whole.notes))
    by_part: dict[str, list[Found]] = {}
    for found in recognised.found:
        by_part.setdefault(found.place.part, []).append(found)
    places, notes = _choose_part(folder, by_part, part)
    pairs: list[Pair] = []
    for found in places:
        # Where several parts keep their masks in one folder, another part's masks are not left over.
        others = [other.images for other in recognised.found if other.masks == found.masks and other is not found]
        pairs += _pair(found, others, skip_unpaired, notes)
    return Pairs(recognised.layout, _sorted(folder, pairs), tuple(notes))


def split_validation(
    pairs: Sequence[Pair], validation: Path | float | None, folder: str | Path
) -> tuple[tuple[Pair, ...], tuple[Pair, ...]]:
    """Return the pairs to train on and those held out, both in the order of their names.

    Parameters
    ----------
    validation : a file with one name a line; or the fraction, in [0, 1), with the smallest SHA-1 of the name;
        or None: those of the set that `names_val.txt` in `folder` or beside the pictures' folder names, else 0.05.

    Raises
    ------
    StandoutError : exit code 2; the file names what is not there, or nothing is left to train on.
    """
    held: set[str] = set()
    if validation is None:
        near = [Path(folder), *(pair.image.parent.parent for pair in pairs[:1])]
        beside = next((path for place in near if (path := place / NAMES_VALIDATION).is_file()), None)
        # A list may have taken a part of the set; the file beside the whole set still speaks for that part.
        held = set(_named(pairs, beside, missing_allowed=True)) if beside is not None else held
        held = held or _smallest_hashes(pairs, FRACTION)
    elif isinstance(validation, float | int):
        if not 0 <= validation < 1:
            raise ValueError(f"the validation fraction lies in [0, 1), not {validation}")
        held = _smallest_hashes(pairs, validation)
    else:
        held = set(_named(pairs, validation))
    train = tuple(pair for pair in pairs if pair.name not in held)
    if not train:
        raise StandoutError(
            "training-empty", "nothing is left to train on", folder, "hold out fewer pictures", exit_code=2
        )
    return train, tuple(pair for pair in pairs if pair.name in held)


def _smallest_hashes(pairs: Sequence[Pair], fraction: float) -> set[str]:
    count = max(1, round(len(pairs) * fraction)) if fraction > 0 else 0
    by_hash = sorted(pairs, key=lambda pair: hashlib.sha1(os.fsencode(pair.name), usedforsecurity=False).digest())
    return {pair.name for pair in by_hash[:count]}


def fingerprint(pairs: Iterable[Pair]) -> str:
    """Return the SHA-256, in hex, over the names, sizes and whole contents of all pictures and masks.

    The folder and the files' suffixes, times and order do not count; a changed byte, a new name or a missing
    pair does.

    Raises
    ------
    StandoutError : a file cannot be read.
    """
    total = hashlib.sha256()
    for pair in sorted(pairs):
        for path in (pair.image, pair.mask):
            digest, size = digest_file(path)
            total.update(f"{os.fsencode(pair.name).hex()} {size} {digest}\n".encode())
    return total.hexdigest()


def digest_file(path: Path) -> tuple[str, int]:
    """Return the SHA-256 of a file's bytes, in hex, and its size."""
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256")
            return digest.hexdigest(), file.tell()
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise StandoutError(
            "file-unreadable", f"the file cannot be read ({reason})", path, "check its permissions"
        ) from error


def shown(names: Iterable[object]) -> str:
    """Return the first ten names, escaped for the terminal, and how many more there are."""
    names = list(names)
    text = ", ".join(printable(name) for name in names[:MISTAKES_SHOWN])
    return text + (f" and {len(names) - MISTAKES_SHOWN} more" if len(names) > MISTAKES_SHOWN else "")


def _key(stem: str) -> str:
    # Lower case after composition may be decomposed again (dotted capital I), so compose twice.
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", stem).lower())


def _choose_part(folder: Path, by_part: Mapping[str, T], part: str | None) -> tuple[T, list[str]]:
    """Return what belongs to the part that was asked for, and a note where another one had to be taken."""
    known = sorted(name for name in by_part if name)
    if part is not None and part not in layouts.PARTS:
        raise unknown("part", part, layouts.PARTS)
    if part is not None and part in by_part:
        return by_part[part], []
    if "" in by_part:
        return by_part[""], []
    if len(known) == 1:
        note = "" if part is None else f"the set has no {part} part: its {known[0]} part is taken whole"
        return by_part[known[0]], [note] if note else []
    if part is None:
        raise StandoutError(
            "part-needed",
            f"the set has several parts ({', '.join(known)})",
            folder,
            "give the folder of one part",
            exit_code=2,
        )
    raise StandoutError(
        "part-missing", f"the set has no {part} part", folder, f"it has {', '.join(known)}", exit_code=2
    )


def _from_list(path: Path, layout: str | None, part: str | None, skip_unpaired: bool) -> Pairs:
    lines = lists.read_list(path)
    if not lines[0].mask:
        whole = find_pairs(path.parent, layout=layout, part=part, skip_unpaired=skip_unpaired)
        chosen = set(_named(whole.pairs, path))
        return whole._replace(pairs=tuple(pair for pair in whole.pairs if pair.name in chosen))
    if layout is not None:
        raise StandoutError(
            "layout-and-list", "a list of pairs has no layout", path, "leave the layout out", exit_code=2
        )
    pairs = [Pair(lists.name_of(line.image), path.parent / line.image, path.parent / line.mask) for line in lines]
    missing = [file for pair in pairs for file in (pair.image, pair.mask) if not file.exists()]
    lost = [pair for pair in pairs if not (pair.image.exists() and pair.mask.exists())]
    notes = []
    if missing:
        if not skip_unpaired:
            raise StandoutError(
                "list-missing",
                f"{len(missing)} listed files are not there ({shown(missing)})",
                path,
                "mend the list, or leave them out with --skip-unpaired",
                exit_code=2,
            )
        notes.append(f"{len(lost)} listed pairs left out, their files are not there: {shown(p.name for p in lost)}")
        pairs = [pair for pair in pairs if pair not in set(lost)]
    return Pairs(layouts.LIST, _sorted(path, pairs), tuple(notes))


def _named(pairs: Iterable[Pair], path: Path, *, missing_allowed: bool = False) -> list[str]:
    """Return the names of the pairs that a list file names, with or without suffix."""
    names = {_key(pair.name): pair.name for pair in pairs}
    # A name may hold a dot of its own, so the text as it stands is tried first.
    found, missing = [], []
    for line in lists.read_list(path):
        text = line.image
        name = names.get(_key(text)) or names.get(_key(lists.name_of(text)))
        if name is None:
            missing.append(text)
        else:
            found.append(name)
    if missing and not missing_allowed:
        raise StandoutError(
            "list-missing",
            f"{len(missing)} listed names are not in the set ({shown(missing)})",
            path,
            "mend the list",
            exit_code=2,
        )
    return found


def _sorted(folder: Path, pairs: Iterable[Pair]) -> tuple[Pair, ...]:
    """Return the pairs by name, once no name occurs twice and at least one is left."""
    pairs = sorted(pairs)
    seen: dict[str, Pair] = {}
    for pair in pairs:
        other = seen.setdefault(_key(pair.name), pair)
        if other is not pair:
            raise _duplicate(other.image, pair.image)
    if not pairs:
        raise StandoutError("set-empty", "there is no picture with a mask", folder, "check the folder", exit_code=2)
    return tuple(pairs)


def _duplicate(first: Path, second: Path) -> StandoutError:
    return StandoutError(
        "name-twice", "two files have one name", f"{first} and {second}", "rename or remove one of them", exit_code=2
    )


def _pair(found: Found, others: Iterable[Path], skip_unpaired: bool, notes: list[str]) -> list[Pair]:
    """Return the pairs of two folders and add to the notes what was left out."""
    place = found.place
    together = found.images == found.masks
    images = _list(found.images, place, notes, JPEG if together else SUFFIXES)
    masks = _list(found.masks, place, notes, PNG if together else SUFFIXES)
    without_mask = [path.name for key, path in images.items() if key not in masks]
    without_image = [path.name for key, path in masks.items() if key not in images]
    if without_image:
        elsewhere: set[str] = set()
        for folder in others:
            elsewhere.update(_list(folder, place, [], SUFFIXES))
        without_image = [path.name for key, path in masks.items() if key not in images and key not in elsewhere]
    if together and without_mask:
        notes.append(f"{len(without_mask)} pictures without mask left out, as published: {found.images.parent.name}")
        without_mask = []
    if without_mask or without_image:
        told = []
        if without_mask:
            told.append(f"pictures without mask, {len(without_mask)}: {shown(without_mask)}")
        if without_image:
            told.append(f"masks without picture, {len(without_image)}: {shown(without_image)}")
        if not skip_unpaired:
            raise StandoutError(
                "unpaired",
                "; ".join(told),
                found.images.parent,
                "add or remove the files, or leave them out with --skip-unpaired",
                exit_code=2,
            )
        notes.append("left out: " + "; ".join(told))
    names = {key: place.prefix + unicodedata.normalize("NFC", path.stem) for key, path in images.items()}
    return [Pair(names[key], path, masks[key]) for key, path in images.items() if key in masks]


def _list(folder: Path, place: Place, notes: list[str], suffixes: frozenset[str]) -> dict[str, Path]:
    """Return the pictures of a folder by pairing key, in the order of their names."""
    nested = junk = foreign = other_task = 0
    files: dict[str, Path] = {}
    with os.scandir(folder) as entries:
        listed = sorted((entry.name, entry.is_dir()) for entry in entries)
    for name, is_folder in listed:
        path = folder / name
        if layouts.is_junk(name):
            junk += 1
        elif is_folder:
            nested += 1
        elif path.suffix.lower() not in suffixes:
            # Side by side, a picture is no foreign file among the masks.
            foreign += path.suffix.lower() not in SUFFIXES
        elif not name.startswith(place.only):
            other_task += 1
        else:
            first = files.setdefault(_key(path.stem), path)
            if first is not path:
                raise _duplicate(first, path)
    for count, what in (
        (nested, "nested folders"),
        (junk, "hidden or system files"),
        (foreign, "files that are no pictures"),
        (other_task, f"files whose names do not start with {place.only}"),
    ):
        if count:
            notes.append(f"{count} {what} left out: {folder.name}")
    return files
