"""Decoded pictures on the disk, so that each is decoded once and not once an epoch and run.

A pair is one file of raw levels, named by the hash of its two files' contents and of how they are read: so runs share
the folder, whatever their sets are called and wherever they lie, and nothing in it is ever out of date.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import struct
import threading
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from standout.data.decoded import Decoded, Reading, contents
from standout.data.pairing import Pair
from standout.errors import EXIT_USAGE, StandoutError
from standout.files import atomic_write, disk_error, is_temporary

MARK = b"standout"
VERSION = 1
HEADER = struct.Struct("<8sIIIBBxxI")
"""Mark, version, rows, columns, which of `HOW`, whether `known` follows, CRC-32 of the levels."""
HOW = ("equal", "resized", "unturned")
SUFFIX = ".levels"
LEFTOVER_SECONDS = 3600.0
"""A temporary file as old as this belongs to no living process."""
STORED_BETWEEN_LOOKS = 500
"""Files stored until the folder's size is taken anew, since other runs store there too."""


class _Entry(NamedTuple):
    size: int
    used: float


def _silent(_line: str) -> None:
    """Say nothing."""


class DecodedCache:
    """A folder of decoded pairs.

    Parameters
    ----------
    folder : made where missing; may be shared by any number of runs at once.
    limit : bytes that the files in it may take; what was used longest ago makes room, but nothing that this run uses.
    warn : takes one line where the disk refuses; from then on nothing more is stored.

    Raises
    ------
    StandoutError : the folder cannot be made or listed; exit code 2 where it is a file.
    """

    def __init__(self, folder: str | Path, limit: int, warn: Callable[[str], object] = _silent) -> None:
        self.folder = Path(folder)
        self.limit = limit
        self.warn = warn
        self._lock = threading.Lock()
        self._keys: dict[tuple[Reading, Pair], str] = {}
        self._own: set[str] = set()
        self._stored = 0
        self._refused = False
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._list()
        except FileExistsError as error:
            what, how = "the cache must be a folder, this is a file", "choose another --cache"
            raise StandoutError("not-a-folder", what, self.folder, how, exit_code=EXIT_USAGE) from error
        except OSError as error:
            raise disk_error(error, self.folder) from error

    def read(self, pair: Pair, reading: Reading) -> Decoded:
        """Return the pair's pixels as `reading.decode` gives them, decoded only where they are not stored.

        The files are read and hashed the first time that this process asks for the pair, and not again.

        Raises
        ------
        StandoutError : as `reading.decode`.
        """
        key = self._keys.get((reading, pair))
        if key is not None:
            found = self._load(key)
            if found is not None:
                return found
        image, mask = contents(pair)
        key = reading.key(image, mask)
        self._keys[reading, pair] = key
        found = self._load(key)
        if found is None:
            try:
                found = reading.decode_bytes(image, mask)
            except StandoutError:
                return reading.decode(pair)  # fails again, and names the files
            self._store(key, found)
        return found

    def place(self, pair: Pair, reading: Reading) -> Path | None:
        """Return the file in which a pair's pixels are kept, or None where this process has not asked for it yet."""
        key = self._keys.get((reading, pair))
        return None if key is None else self._path(key)

    def size(self) -> int:
        """Return the bytes of all files that this process knows of."""
        return self._taken

    def _path(self, key: str) -> Path:
        return self.folder.joinpath(key[:2], f"{key}{SUFFIX}")

    def _list(self) -> None:
        """Look what lies in the folder."""
        entries = {}
        now = time.time()
        for part in self.folder.iterdir():
            if len(part.name) != 2 or not part.is_dir():
                continue
            for path in part.iterdir():
                with contextlib.suppress(FileNotFoundError):  # another run may clear it at this moment
                    found = path.stat()
                    if path.suffix == SUFFIX:
                        entries[path.stem] = _Entry(found.st_size, found.st_mtime)
                    elif is_temporary(path) and now - found.st_mtime > LEFTOVER_SECONDS:
                        path.unlink()
        self._entries, self._taken = entries, sum(entry.size for entry in entries.values())

    def _add(self, key: str, size: int) -> None:
        """Remember a file of this process's own, under the lock."""
        self._remove(key)
        self._own.add(key)
        self._entries[key] = _Entry(size, time.time())
        self._taken += size

    def _remove(self, key: str) -> None:
        """Forget a file, under the lock."""
        entry = self._entries.pop(key, None)
        self._taken -= entry.size if entry else 0

    def _load(self, key: str) -> Decoded | None:
        """Return what is stored, its levels mapped into memory; None where there is nothing, or nothing whole."""
        path = self._path(key)
        try:
            with path.open("rb", buffering=0) as file:
                mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except (OSError, ValueError):  # missing, or of length 0
            return None
        if len(mapped) < HEADER.size:
            return None
        mark, version, rows, columns, how, has_known, checksum = HEADER.unpack_from(mapped)
        count = rows * columns
        if (mark, version) != (MARK, VERSION) or how >= len(HOW) or has_known > 1:
            return None
        if len(mapped) != HEADER.size + (4 + has_known) * count:
            return None
        planes = np.frombuffer(mapped, np.uint8, offset=HEADER.size)
        with self._lock:
            first = key not in self._own
        if first:
            # The disk may have changed a bit since; once a process is enough.
            if zlib.crc32(planes.data) != checksum:
                return None
            with contextlib.suppress(OSError):
                os.utime(path)
            with self._lock:
                self._add(key, len(mapped))
        image = planes[: 3 * count].reshape(rows, columns, 3)
        mask = planes[3 * count : 4 * count].reshape(rows, columns)
        known = planes[4 * count :].reshape(rows, columns) > 0 if has_known else None
        return Decoded(image, mask, known, HOW[how])

    def _store(self, key: str, decoded: Decoded) -> None:
        planes = [decoded.image, decoded.mask] + ([] if decoded.known is None else [decoded.known.astype(np.uint8)])
        parts = [np.ascontiguousarray(plane).data for plane in planes]
        checksum = 0
        for part in parts:
            checksum = zlib.crc32(part, checksum)
        header = HEADER.pack(
            MARK, VERSION, *decoded.mask.shape, HOW.index(decoded.how), decoded.known is not None, checksum
        )
        size = HEADER.size + sum(part.nbytes for part in parts)
        with self._lock:
            if self._refused or not self._make_room(size):
                return
            self._add(key, size)

        def write(file: BinaryIO) -> None:
            file.write(header)
            file.writelines(parts)

        try:
            # The disk's own time for a file is a hundred pictures': a damaged one is noticed, and made anew.
            atomic_write(self._path(key), write, durable=False)
        except StandoutError as error:
            with self._lock:
                self._remove(key)
                told, self._refused = self._refused, True
            if not told:
                self.warn(f"decoded pictures are no longer stored: {error}")

    def _make_room(self, size: int) -> bool:
        """Whether `size` bytes more fit under the limit, after deleting what no run has used for longest."""
        self._stored += 1
        if self._stored % STORED_BETWEEN_LOOKS == 0:
            with contextlib.suppress(OSError):
                self._list()
        over = self._taken + size - self.limit
        if over <= 0:
            return True
        others = sorted((entry.used, key) for key, entry in self._entries.items() if key not in self._own)
        for _, key in others:
            if over <= 0:
                break
            with contextlib.suppress(OSError):
                self._path(key).unlink(missing_ok=True)
            over -= self._entries[key].size
            self._remove(key)
        return over <= 0
