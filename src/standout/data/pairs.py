"""Pictures and their masks, paired by name and never by order.

Two files belong together where their names without suffix are the same under Unicode composition (NFC) and
without regard to case. Only files directly in the two folders count: nested folders, hidden files, leftovers
of systems and files that are no pictures are left out and counted in the notes.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

from standout.data import layouts, lists
from standout.data.layouts import Found
from standout.data.pairing import Pair as Pair
from standout.data.pairing import key, pair_folders, pair_listed, same_names
from standout.errors import StandoutError, printable
from standout.names import unknown
from standout.reading import open_plain

MISTAKES_SHOWN = 10
NAMES_VALIDATION = "names_val.txt"
FRACTION = 0.05

T = TypeVar("T")


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
        held = names_held_out(pairs, folder) or _smallest_hashes(pairs, FRACTION)
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


def names_held_out(pairs: Sequence[Pair], folder: str | Path) -> set[str]:
    """Return the names of those pairs that `names_val.txt` in `folder` or beside the pictures' folder names."""
    near = [Path(folder), *(pair.image.parent.parent for pair in pairs[:1])]
    beside = next((path for place in near if (path := place / NAMES_VALIDATION).is_file()), None)
    # A list may have taken a part of the set; the file beside the whole set still speaks for that part.
    return set() if beside is None else set(_named(pairs, beside, missing_allowed=True))


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
    """Return the SHA-256 of a file's bytes, in hex, and its size.

    Raises
    ------
    StandoutError : it cannot be read, or is no regular file.
    """
    try:
        with open_plain(path) as file:
            digest = hashlib.file_digest(file, "sha256")
            return digest.hexdigest(), file.tell()
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise StandoutError(
            "file-unreadable", f"the file cannot be read ({reason})", path, "check its permissions"
        ) from error


def shown(names: Iterable[object], most: int = MISTAKES_SHOWN) -> str:
    """Return the first names, ten by default, escaped for the terminal, and how many more there are."""
    names = list(names)
    text = ", ".join(printable(name) for name in names[:most])
    return text + (f" and {len(names) - most} more" if len(names) > most else "")


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
        with lists.beside(path):
            whole = find_pairs(path.parent, layout=layout, part=part, skip_unpaired=skip_unpaired)
        chosen = set(_named(whole.pairs, path))
        return whole._replace(pairs=tuple(pair for pair in whole.pairs if pair.name in chosen))
    if layout is not None:
        raise StandoutError(
            "layout-and-list", "a list of pairs has no layout", path, "leave the layout out", exit_code=2
        )
    pairing, missing = pair_listed(path, lines)
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
        kept = {pair.name for pair in pairing.pairs}
        lost = [name for line in lines if (name := lists.name_of(line.image)) not in kept]
        notes.append(f"{len(lost)} listed pairs left out, their files are not there: {shown(lost)}")
    return Pairs(layouts.LIST, _sorted(path, pairing.pairs), tuple(notes))


def _named(pairs: Iterable[Pair], path: Path, *, missing_allowed: bool = False) -> list[str]:
    """Return the names of the pairs that a list file names, with or without suffix."""
    names = {key(pair.name): pair.name for pair in pairs}
    # A name may hold a dot of its own, so the text as it stands is tried first.
    found, missing = [], []
    for line in lists.read_list(path):
        text = line.image
        name = names.get(key(text)) or names.get(key(lists.name_of(text)))
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
    for first, second in same_names(pairs):
        raise _duplicate(first.image, second.image)
    if not pairs:
        raise StandoutError("set-empty", "there is no picture with a mask", folder, "check the folder", exit_code=2)
    return tuple(pairs)


def _duplicate(first: Path, second: Path) -> StandoutError:
    return StandoutError(
        "name-twice", "two files have one name", f"{first} and {second}", "rename or remove one of them", exit_code=2
    )


def _pair(found: Found, others: Iterable[Path], skip_unpaired: bool, notes: list[str]) -> tuple[Pair, ...]:
    """Return the pairs of two folders and add to the notes what was left out."""
    pairing = pair_folders(found, others)
    for first, second in pairing.twice:
        raise _duplicate(first, second)
    notes.extend(pairing.notes)
    told = [
        f"{what}, {len(files)}: {shown(path.name for path in files)}"
        for what, files in (
            ("pictures without mask", pairing.without_mask),
            ("masks without picture", pairing.without_image),
        )
        if files
    ]
    if told and not skip_unpaired:
        raise StandoutError(
            "unpaired",
            "; ".join(told),
            found.images.parent,
            "add or remove the files, or leave them out with --skip-unpaired",
            exit_code=2,
        )
    if told:
        notes.append("left out: " + "; ".join(told))
    return pairing.pairs
