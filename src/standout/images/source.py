"""A path or bytes to an open regular file; nothing that could block or never end is opened."""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import stat
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from standout.errors import StandoutError
from standout.images.limits import Limits

Encoded = str | os.PathLike[str] | bytes | bytearray | memoryview

UNNAMED = "picture"
"""What a picture is called in messages when it came as bytes."""


@contextlib.contextmanager
def open_source(source: Encoded, limits: Limits) -> Iterator[tuple[BinaryIO, int, str]]:
    """Give a seekable binary file, its length in bytes and its name for messages.

    Raises
    ------
    StandoutError : there is no such file, it is a folder, FIFO, socket, device or an entry of /proc, it may not be
        read, is empty, or is longer than the limit. Special files are refused without being opened.
    """
    if isinstance(source, bytes | bytearray | memoryview):
        length = memoryview(source).nbytes
        _check_length(length, UNNAMED, limits)
        yield BytesIO(source), length, UNNAMED
        return
    path = os.fspath(source)
    try:
        _check_kind(os.stat(path), path)  # noqa: PTH116 - Path would not accept what os.fspath gives for every name
        # Between the check and here the name may have come to mean something else: never block on a FIFO,
        # and look again at what was really opened.
        flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0) | getattr(os, "O_BINARY", 0)
        handle = os.open(path, flags | getattr(os, "O_CLOEXEC", 0))
    except (OSError, ValueError) as error:
        raise cannot_read(error, path) from error
    with os.fdopen(handle, "rb") as file:
        found = os.fstat(file.fileno())
        _check_kind(found, path)
        _check_length(found.st_size, path, limits)
        yield file, found.st_size, path


def _check_kind(found: os.stat_result, path: str) -> None:
    if stat.S_ISDIR(found.st_mode):
        raise StandoutError("picture-folder", "picture is a folder", path, "give a picture file")
    if not stat.S_ISREG(found.st_mode) or found.st_dev in _pseudo_devices():
        raise StandoutError("picture-special", "picture is no regular file", path, "copy it to a regular file first")


@functools.cache  # asked twice for every file, and no process sees them change
def _pseudo_devices() -> frozenset[int]:
    """Return the device numbers of the kernel's own file systems, whose files look regular and are not."""
    devices = set()
    for mount in ("/proc", "/sys"):
        with contextlib.suppress(OSError):
            here = Path(mount).stat().st_dev
            # In a jail these may be plain folders of the root file system.
            if here != Path("/").stat().st_dev:
                devices.add(here)
    return frozenset(devices)


def _check_length(length: int, name: str, limits: Limits) -> None:
    if length == 0:
        raise StandoutError("picture-empty", "picture file is empty", name, "copy the file again")
    if length > limits.file_bytes:
        size, cap = (f"{n / 2**20:.0f} MiB" for n in (length, limits.file_bytes))
        raise StandoutError(
            "picture-bytes", "picture file is too long", f"{name} has {size} (limit {cap})", "make it smaller"
        )


def cannot_read(error: OSError | ValueError, name: str) -> StandoutError:
    """Return the one-line failure for a file that the operating system does not give."""
    number = error.errno if isinstance(error, OSError) else None
    if number in (errno.ENOENT, errno.ENOTDIR):
        return StandoutError("picture-missing", "there is no such picture", name, "check the path")
    if number in (errno.EACCES, errno.EPERM):
        return StandoutError("picture-unreadable", "picture may not be read", name, "check its permissions")
    if number == errno.ELOOP:
        return StandoutError("picture-unreadable", "picture is a link to itself", name, "mend the link")
    reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
    return StandoutError("picture-unreadable", f"picture cannot be read ({reason.lower()})", name, "check the file")
