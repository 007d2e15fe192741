"""Which pictures a job reads and where each result goes; everything that can be refused is refused here, before work.

Loads no NumPy: a wrong path is told at once.
"""

from __future__ import annotations

import hashlib
import os
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from standout.data.layouts import SUFFIXES, is_junk
from standout.errors import EXIT_USAGE, StandoutError
from standout.files import LONGEST_NAME, disk_error, is_temporary, refuse_locked, refused_here

REFUSED_BY_NAME = frozenset({".heic", ".heif", ".jxl", ".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".rw2", ".raf"})
"""Pictures that we do not read: each is a failure with a remedy, never a file that was passed over in silence."""

PICTURES = SUFFIXES | REFUSED_BY_NAME
"""Suffixes of what is looked at in a folder; all else is passed over."""

WRITTEN = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff")
"""Suffixes that make `--output` a file where one picture is given."""


class Item(NamedTuple):
    """One picture and where its result goes."""

    source: Path
    output: Path


class Plan(NamedTuple):
    """What a job will do.

    items : in the order of their names.
    folder : that all results lie in, or none where one picture goes to one file.
    passed_over : what was found and is no picture: a reason to how many.
    """

    items: tuple[Item, ...]
    folder: Path | None
    passed_over: dict[str, int]


def make_plan(
    inputs: Sequence[str | Path], output: str | Path, *, keep_extension: bool = False, follow_links: bool = False
) -> Plan:
    """Return which pictures are read and where each result goes.

    One picture goes to the file `output` if that has a picture's suffix (one that we write, or it is refused) and is no
    folder. All else goes into the folder `output`: the tree of one folder as it is; several folders each under its own
    name.

    Raises
    ------
    StandoutError : exit code 2; an input is missing, there is no picture, two inputs would write one file, or a result
        would overwrite an input. Nothing was written.
    """
    sources = [Path(given) for given in inputs]
    for source in sources:
        _check_exists(source)
    target = Path(output)
    passed_over: Counter[str] = Counter()
    if len(sources) == 1 and not sources[0].is_dir() and _is_file_name(output):
        items = [Item(sources[0], target)]
        folder = None
    else:
        if target.exists() and not target.is_dir():
            raise _usage(
                "output-not-folder", "output is a file, and several pictures need a folder", target, "change --output"
            )
        folder = target
        items = []
        for source in sources:
            if not source.is_dir():
                items.append(Item(source, target / result_name(source.name, keep_extension)))
                continue
            if target.exists() and source.samefile(target):
                raise _usage("output-is-input", "output folder is the input folder", target, "choose another --output")
            below = target / source.resolve().name if len(sources) > 1 else target
            for path in _pictures(source, target, follow_links, passed_over):
                relative = path.relative_to(source)
                items.append(Item(path, below / relative.parent / result_name(relative.name, keep_extension)))
    if not items:
        found = f" (passed over: {tell(passed_over)})" if passed_over else ""
        raise _usage(
            "no-pictures", f"no pictures found{found}", ", ".join(str(s) for s in sources[:3]), "check the path"
        )
    _check_collisions(items, keep_extension)
    _check_names(items)
    _check_inputs_are_safe(items)
    return Plan(tuple(items), folder, dict(passed_over))


def result_name(name: str, keep_extension: bool) -> str:
    """Return the name of the result of a picture; one over 255 bytes is shortened and told apart by a hash."""
    stem = name if keep_extension else Path(name).stem
    if len(os.fsencode(stem + ".png")) <= LONGEST_NAME:
        return stem + ".png"
    ending = f"-{hashlib.sha256(os.fsencode(name)).hexdigest()[:12]}.png"
    while len(os.fsencode(stem + ending)) > LONGEST_NAME:
        stem = stem[:-1]
    return stem + ending


def tell(counts: dict[str, int] | Counter[str]) -> str:
    """Return reasons and counts in words, such as "2 not pictures, 1 linked folder"."""
    return ", ".join(f"{count} {reason}" for reason, count in sorted(counts.items()))


def _is_file_name(output: str | Path) -> bool:
    text = str(output)
    path = Path(output)
    if text.endswith(("/", os.sep)) or path.is_dir():
        return False
    suffix = path.suffix.lower()
    if suffix in PICTURES and suffix not in WRITTEN:
        raise _usage("output-format", "this kind of picture is not written", path, "name it .png")
    return suffix in WRITTEN


def _check_exists(source: Path) -> None:
    try:
        source.stat()
    except FileNotFoundError:
        what, how = "there is no such picture or folder", "check the path"
        raise _usage("input-missing", what, source, how) from None
    except (OSError, ValueError) as error:
        why = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise _usage("input-unreadable", f"input cannot be read ({why.lower()})", source, "check the path") from error


def _pictures(root: Path, output: Path, follow_links: bool, passed_over: Counter[str]) -> Iterator[Path]:
    """Yield the pictures below a folder in the order of their names; count what is passed over."""
    kept_out = _identity(output)
    seen = {_identity(root)}
    todo = [root]
    while todo:
        folder = todo.pop()
        files, folders = [], []
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError as error:
            raise disk_error(error, folder) from error
        for entry in entries:
            path = folder / entry.name
            if is_junk(entry.name) or is_temporary(path):
                passed_over["hidden or left by a system"] += 1
            elif entry.is_dir(follow_symlinks=follow_links):
                folders.append(path)
            elif entry.is_dir():
                passed_over["linked folders (--follow-links walks them)"] += 1
            elif path.suffix.lower() in PICTURES:
                files.append(path)
            else:
                passed_over["not pictures by their names"] += 1
        yield from files
        unseen = []
        for path in folders:
            identity = _identity(path)
            if identity is not None and identity == kept_out:
                continue
            # Linked folders can form loops and diamonds; each real folder is walked once.
            if identity in seen:
                passed_over["folders met before"] += 1
                continue
            seen.add(identity)
            unseen.append(path)
        todo.extend(reversed(unseen))


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _check_collisions(items: Sequence[Item], keep_extension: bool) -> None:
    """Refuse two results of one name, also where a file system would take the two names for one."""
    taken: dict[str, Item] = {}
    folders: dict[str, Item] = {}
    for item in items:
        key = _folded(item.output)
        if key in taken:
            if taken[key].source == item.source:
                raise _usage("input-twice", "an input is named twice", item.source, "name it once")
            how = "rename one" if keep_extension else "pass --keep-extension"
            raise _collision(taken[key], item, how)
        taken[key] = item
        for parent in Path(key).parents:
            if str(parent) in folders:
                break
            folders[str(parent)] = item
    for key, item in folders.items():
        if key in taken:
            raise _collision(taken[key], item, "rename one")


def _collision(first: Item, second: Item, how: str) -> StandoutError:
    where = f"{first.source} and {second.source} -> {first.output}"
    return _usage("output-collision", "two inputs would write one file", where, how)


def _folded(path: Path) -> str:
    return unicodedata.normalize("NFC", str(path)).casefold()


def _check_names(items: Sequence[Item]) -> None:
    """Refuse results whose names this system would not take, or whose files another program holds."""
    for item in items:
        if why := refused_here(item.output):
            raise _usage("name-refused", f"Windows has no such file name: {why}", item.output, "rename the picture")
        try:
            refuse_locked(item.output)
        except StandoutError as error:
            error.exit_code = EXIT_USAGE
            raise


def _check_inputs_are_safe(items: Sequence[Item]) -> None:
    """Refuse results that would overwrite any input, under whatever name or link."""
    inputs = {identity for item in items if (identity := _identity(item.source)) is not None}
    for item in items:
        if _identity(item.output) in inputs:
            raise _usage("output-is-input", "result would overwrite an input", item.output, "choose another --output")


def _usage(code: str, what: str, where: object, how: str) -> StandoutError:
    return StandoutError(code, what, where, how, exit_code=EXIT_USAGE)
