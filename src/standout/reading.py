"""Opening files that somebody else made, without waiting for what is no file."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from io import BufferedReader
from pathlib import Path


def open_plain(path: str | Path) -> BufferedReader:
    """Open a plain file to read; nothing else is opened, for a FIFO would block for ever.

    Raises
    ------
    OSError : missing or not allowed; with EINVAL, no regular file.
    """
    # Asked before opening, because opening a device can do something; and after, because names can be swapped.
    _check_plain(os.stat(path), path)  # noqa: PTH116 - on the way of every picture
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    try:
        _check_plain(os.fstat(handle), path)
    except OSError:
        os.close(handle)
        raise
    return os.fdopen(handle, "rb")


def _check_plain(found: os.stat_result, path: str | Path) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, "Not a regular file", str(path))


def announce_reading(path: str | Path) -> None:
    """Have the system fetch a file into memory, for a reading that is to come; where it cannot, nothing happens."""
    if not hasattr(os, "posix_fadvise"):
        return
    # Whatever is wrong with the file is said by who reads it. Nothing but a plain file is opened.
    with contextlib.suppress(OSError, ValueError, TypeError), open_plain(path) as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_WILLNEED)
