"""The picture files below a folder, in an order that depends on names only."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

SUFFIXES = frozenset((
    ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".apng", ".webp", ".gif", ".bmp", ".dib", ".tif", ".tiff",
    ".avif",
))  # fmt: skip
"""Names that are looked at when a folder is searched; what a file is, its content says."""
SKIPPED = frozenset(("__MACOSX", "Thumbs.db", "desktop.ini"))


def walk_pictures(folder: str | Path, *, follow_links: bool = False) -> Iterator[Path]:
    """Yield the picture files below a folder, sorted by name within each folder.

    Links to files are followed. Links to folders are walked only with `follow_links`, and no folder twice, however
    the links lead in circles. Hidden files, and what some systems leave in folders, are passed over.

    Raises
    ------
    OSError : a folder cannot be listed.
    """
    yield from _walk(Path(folder), follow_links, set())


def _walk(folder: Path, follow_links: bool, seen: set[tuple[int, int]]) -> Iterator[Path]:
    found = folder.stat()
    if (found.st_dev, found.st_ino) in seen:
        return
    seen.add((found.st_dev, found.st_ino))
    with os.scandir(folder) as listing:
        entries = sorted(listing, key=lambda entry: os.fsencode(entry.name))
    for entry in entries:
        if entry.name.startswith(".") or entry.name in SKIPPED:
            continue
        if entry.is_dir(follow_symlinks=follow_links):
            yield from _walk(Path(entry.path), follow_links, seen)
        elif Path(entry.name).suffix.lower() in SUFFIXES and not _is_folder(entry):
            yield Path(entry.path)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    return entry.is_symlink() and entry.is_dir()
