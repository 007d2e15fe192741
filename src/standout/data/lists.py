"""Text files that list a data set: a picture and its mask a line, or names out of a folder."""

from __future__ import annotations

import contextlib
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from standout.data.layouts import SUFFIXES, TEST, TRAIN, VALIDATION
from standout.errors import StandoutError

LIST_SUFFIXES = (".csv", ".list", ".lst", ".tsv", ".txt")

_STEMS = {
    TRAIN: ("train", "train_pair", "train_pairs", "train_list", "training"),
    VALIDATION: ("val", "val_pair", "val_pairs", "val_list", "validation"),
    TEST: ("test", "test_pair", "test_pairs", "test_list", "testing"),
}


class Listed(NamedTuple):
    """One line: the picture and its mask, or a name alone where `mask` is empty."""

    image: str
    mask: str


def read_list(path: Path) -> list[Listed]:
    """Return the lines of a list file; empty lines and lines that start with `#` say nothing.

    Two columns are parted by a tab, or by a comma or spaces where both are names of pictures; a third column, such
    as an edge map, is left unread. Bytes that are no UTF-8 are kept as the file system keeps them.

    Raises
    ------
    StandoutError : exit code 2; the file cannot be read, is empty, or mixes names and pairs.
    """
    try:
        text = path.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise StandoutError(
            "list-unreadable",
            f"the list cannot be read ({reason})",
            path,
            "check the path and its permissions",
            exit_code=2,
        ) from error
    if "\0" in text:
        raise StandoutError("list-expected", "this is no text file", path, "give a folder or a list file", exit_code=2)
    lines = [line.strip() for line in text.removeprefix("\ufeff").split("\n")]
    listed = [_columns(line) for line in lines if line and not line.startswith("#")]
    if not listed:
        raise StandoutError("list-empty", "the list names nothing", path, "write one picture a line", exit_code=2)
    if len({bool(line.mask) for line in listed}) > 1:
        odd = next(
            number
            for number, line in enumerate(lines, 1)
            if line and not line.startswith("#") and not _columns(line).mask
        )
        raise StandoutError(
            "list-mixed",
            f"line {odd} has one column and other lines have two",
            path,
            "part the columns by a tab: picture, mask",
            exit_code=2,
        )
    return listed


@contextlib.contextmanager
def beside(path: Path) -> Iterator[None]:
    """While the set beside a list of names is looked for, tell its absence as the list's own fault.

    Raises
    ------
    StandoutError : exit code 2; no set lies there.
    """
    try:
        yield
    except StandoutError as error:
        if error.code != "layout-unknown":
            raise
        what, how = "the list has names alone, and no set lies beside it", "part picture and mask by a tab"
        raise StandoutError("list-without-set", what, path, how, exit_code=2) from error


def _columns(line: str) -> Listed:
    for separator in ("\t", ",", None):
        columns = [column.strip() for column in line.split(separator)]
        # Names may hold commas and spaces: those part columns only where two names of pictures result.
        if len(columns) > 1 and (separator == "\t" or all(_is_picture(column) for column in columns[:2])):
            return Listed(columns[0], columns[1])
    return Listed(line, "")


def _is_picture(text: str) -> bool:
    return Path(text).suffix.lower() in SUFFIXES


def name_of(text: str) -> str:
    """Return the name that a path or file name stands for: no folder, no suffix, composed Unicode."""
    return unicodedata.normalize("NFC", Path(text).stem)


def lists_in(folder: Path) -> dict[str, Path]:
    """Return the list files of pairs in a folder by part, where their names say the part.

    Raises
    ------
    StandoutError : exit code 2; several lists fit one part, or one cannot be read.
    """
    found = {}
    for part, stems in _STEMS.items():
        paths = sorted(
            path
            for stem in stems
            for suffix in LIST_SUFFIXES
            if (path := folder / f"{stem}{suffix}").is_file() and read_list(path)[0].mask
        )
        if len(paths) > 1:
            raise StandoutError(
                "layout-ambiguous",
                f"several lists fit ({', '.join(path.name for path in paths)})",
                folder,
                "give one of the files instead of the folder",
                exit_code=2,
            )
        if paths:
            found[part] = paths[0]
    return found
