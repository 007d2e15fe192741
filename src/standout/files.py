"""The only place that gives a result its final name, and what guards a folder of results.

A result is written beside its final place under a temporary name, flushed to the disk, and renamed: at every
instant the final name holds either the old result or the new one, never a part of either.
"""

from __future__ import annotations

import contextlib
import datetime
import errno
import hashlib
import json
import os
import secrets
import socket
import stat
import time
from collections.abc import Callable, Iterator, Mapping
from io import FileIO
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

from standout.errors import EXIT_USAGE, StandoutError
from standout.reading import open_plain
from standout.windows import WINDOWS_PATH, refused_by_windows, takes_long_paths

TEMPORARY_PREFIX = ".standout-"
TEMPORARY_SUFFIX = ".tmp"
LONGEST_NAME = 255
"""Bytes that a file name may have on every common file system."""

HOLDER_LOOKS, HOLDER_PAUSE = 50, 0.02
"""How often, and after how many seconds, a refused process looks again who holds the folder."""

WINDOWS = os.name == "nt"

Content = bytes | Callable[[BinaryIO], object]


def temporary_path(final: Path) -> Path:
    """Return a fresh name beside `final`; `remove_leftovers` knows such names."""
    return final.with_name(f"{TEMPORARY_PREFIX}{os.getpid()}-{secrets.token_hex(6)}{TEMPORARY_SUFFIX}")


def is_temporary(path: Path) -> bool:
    """Whether the name is one that `temporary_path` gives."""
    return path.name.startswith(TEMPORARY_PREFIX) and path.name.endswith(TEMPORARY_SUFFIX)


def atomic_write(path: str | Path, content: Content, *, overwrite: bool = True, durable: bool = True) -> Path:
    """Write bytes, or what a function writes to a binary file, and give them their name in one rename.

    Returns the final path. Parents are made. The file has the permissions of the umask.

    Parameters
    ----------
    durable : wait until the disk has it, which may take longer than all else. Without, a machine that loses its power
        may keep a damaged file under the final name: only for what is checked when it is read and can be made anew.

    Raises
    ------
    StandoutError : the destination is a folder, a device or a link, exists while `overwrite` is false, or the
        disk refuses; nothing with the final name has changed and no temporary file is left.
    """
    path = Path(path)
    check_destination(path, overwrite=overwrite)
    temporary = temporary_path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("xb") as file:
            if isinstance(content, bytes | bytearray | memoryview):
                file.write(content)
            else:
                content(file)
            file.flush()
            if durable:
                os.fsync(file.fileno())
        if overwrite:
            temporary.replace(path)
        else:
            _rename_new(temporary, path)
        if durable:
            sync_folder(path.parent)
    except BaseException as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        if isinstance(error, OSError):
            raise disk_error(error, path) from error
        raise
    return path


def commit_folder(temporary: Path, final: Path) -> Path:
    """Give a finished temporary folder its final name by one rename, after flushing it to the disk.

    Raises
    ------
    OSError : the rename or the flush failed; the caller still owns the temporary folder.
    """
    sync_folder(temporary)
    temporary.rename(final)
    sync_folder(final.parent)
    return final


def refused_here(path: Path) -> str:
    """Return why this system would not give a file this path; empty where it would."""
    if not WINDOWS:
        return ""
    # The temporary name beside it may be the longer one.
    longest = max(len(path.name), len(temporary_path(path).name))
    if len(str(path.parent.absolute())) + 1 + longest > WINDOWS_PATH and not takes_long_paths():
        return f"with its folder's it has over {WINDOWS_PATH} characters"
    return refused_by_windows(path.name)


def refuse_locked(path: Path) -> None:
    """Refuse an existing file that another program holds, where such a file cannot be replaced.

    Raises
    ------
    StandoutError : it cannot be opened to write.
    """
    if not WINDOWS or not path.is_file():
        return
    try:
        with path.open("r+b"):
            pass
    except OSError as error:
        raise disk_error(error, path) from error


def _rename_new(temporary: Path, path: Path) -> None:
    # A hard link fails where the name exists, so two writers cannot both win; not every file system has links.
    try:
        os.link(temporary, path)
    except FileExistsError:
        raise _exists(path) from None
    except OSError:
        if path.exists():
            raise _exists(path) from None
        temporary.rename(path)
    else:
        temporary.unlink()


def _exists(path: Path) -> StandoutError:
    return StandoutError("file-exists", "file exists already", path, "pass --overwrite or another --output")


def check_destination(path: Path, *, overwrite: bool) -> None:
    """Refuse a name that `atomic_write` would refuse.

    Raises
    ------
    StandoutError : no such name on this system, too long, no regular file, or it exists while `overwrite` is false.
    """
    if why := refused_here(path):
        raise StandoutError("name-refused", f"Windows has no such file name: {why}", path, "choose another one")
    if len(os.fsencode(path.name)) > LONGEST_NAME:
        raise StandoutError("name-too-long", f"file name has over {LONGEST_NAME} bytes", path, "choose a shorter one")
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    except OSError as error:
        raise disk_error(error, path) from error
    if not stat.S_ISREG(mode):
        raise StandoutError("not-a-file", "destination is no regular file", path, "choose another --output")
    if not overwrite:
        raise _exists(path)
    refuse_locked(path)


def disk_error(error: OSError, path: str | Path) -> StandoutError:
    """Return the one-line failure for what the operating system refused."""
    remedies = {
        errno.ENOSPC: "free some space and run again",
        errno.EDQUOT: "your quota is used up; free some space and run again",
        errno.EACCES: "check its permissions",
        errno.EPERM: "check its permissions",
        errno.ETXTBSY: "close the program that holds it",
        errno.EROFS: "choose a place that can be written",
        errno.ENOENT: "check the path",
        errno.ENOTDIR: "a part of the path is a file",
        errno.EISDIR: "give a file",
        errno.ENAMETOOLONG: "choose a shorter one",
        errno.ELOOP: "mend the link",
    }
    if WINDOWS:
        remedies[errno.EACCES] = "close the program that holds it, or check its permissions"
    what = (error.strerror or str(error)).lower()
    return StandoutError("disk", what, path, remedies.get(error.errno or 0, "check the disk"))


def sync_folder(folder: Path) -> None:
    """Flush a folder's list of names to the disk, where the system can do that."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def remove_leftovers(folder: Path) -> list[Path]:
    """Delete the temporary files that killed processes left directly in `folder`; return their paths.

    Call it only while holding the folder's lock, so that no living process still writes to one.
    """
    leftovers = [path for path in sorted(folder.iterdir()) if is_temporary(path) and not path.is_dir()]
    for path in leftovers:
        with contextlib.suppress(FileNotFoundError):
            path.unlink()
    return leftovers


def sha256_of(path: Path) -> str:
    """Return the hexadecimal sha256 of a file's bytes.

    Raises
    ------
    OSError : as `open_plain`.
    """
    with open_plain(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class FolderLock:
    """Holds a folder for one process; a second one is refused at once, told who holds it.

    A record lock dies with its process however that dies, and a forked worker does not inherit it. The file is
    opened once and kept open: closing any other handle of it in this process would drop the lock.

    Raises
    ------
    StandoutError : another process holds the folder; names its pid, host and start time. Or the disk refuses.
    """

    NAME = "lock"

    def __init__(self, folder: str | Path, *, name: str = NAME) -> None:
        self.folder = Path(folder)
        self.path = self.folder / name
        self._file: FileIO | None = None

    def __enter__(self) -> Self:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            # Not through `with`: the handle lives as long as the lock.
            # Unbuffered: closing a buffer that a full disk does not take fails once more.
            file = os.fdopen(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o666), "r+b", buffering=0)
        except FileExistsError as error:
            what, how = "a file stands where a folder is needed", "choose another --output"
            raise StandoutError("not-a-folder", what, self.folder, how, exit_code=EXIT_USAGE) from error
        except OSError as error:
            raise disk_error(error, self.path) from error
        started = datetime.datetime.now().astimezone().strftime("%Y-%m-%d %H:%M")
        try:
            taken = _try_lock(file)
            if taken:
                file.truncate(0)
                file.write(f"process {os.getpid()} on host {socket.gethostname()} since {started}".encode())
        except OSError as error:
            file.close()
            raise disk_error(error, self.folder) from error
        if not taken:
            where = f"{self.folder} is held by {_holder(file.fileno()) or 'another process'}"
            file.close()
            raise StandoutError("folder-in-use", "folder is in use", where, "wait or use another --output")
        self._file = file
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            # The file stays: unlinking it would let two processes lock two files of one name.
            self._file.truncate(0)
            self._file.close()
            self._file = None


def _holder(handle: int) -> str:
    """Return what the holder wrote of itself; it may have taken the lock a moment ago and not written yet."""
    for _ in range(HOLDER_LOOKS):
        os.lseek(handle, 0, os.SEEK_SET)
        told = os.read(handle, 4096)
        if told:
            return told.decode(errors="replace")
        time.sleep(HOLDER_PAUSE)
    return ""


def _try_lock(file: FileIO) -> bool:
    try:
        if os.name == "nt":
            import msvcrt

            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined,unused-ignore]
        else:
            import fcntl

            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EAGAIN, errno.EDEADLK):
            return False
        raise
    return True


ENTRY_START = b'{"schema": 1'
"""How every line of a ledger begins."""


class Ledger:
    """An append-only file of JSON objects, one a line; what a killed writer left half is dropped.

    Parameters
    ----------
    path : the file; made with its folder on the first `append`.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    def read(self) -> Iterator[dict[str, Any]]:
        """Yield the whole lines in order; a torn last line is left out.

        Raises
        ------
        StandoutError : a line in the middle is no JSON object.
        """
        try:
            lines = self.path.read_bytes().split(b"\n")
        except FileNotFoundError:
            return
        except OSError as error:
            raise disk_error(error, self.path) from error
        for number, line in enumerate(lines[:-1], 1):
            try:
                entry = json.loads(line)
            except (ValueError, RecursionError):
                entry = None
            if not isinstance(entry, dict):
                raise self._damaged(number)
            yield entry

    def repair(self) -> None:
        """Cut off what follows the last whole line, so that the next entry starts on a line of its own.

        That is a part of an entry, or the zero bytes that a power cut leaves for what had not reached the disk.

        Raises
        ------
        StandoutError : something is to be cut off and the file does not begin as a ledger, so this is somebody's
            file: it is left as it is; or the disk refuses.
        """
        try:
            content = self.path.read_bytes()
            whole = content.rfind(b"\n") + 1
            if whole == len(content):
                return
            start = content[: len(ENTRY_START)].rstrip(b"\0")
            # An empty start is a file of zeros alone, as somebody's disk image is.
            if not start or not ENTRY_START.startswith(start):
                raise self._damaged(1)
            os.truncate(self.path, whole)
        except FileNotFoundError:
            return
        except OSError as error:
            raise disk_error(error, self.path) from error

    def _damaged(self, number: int) -> StandoutError:
        how = "choose another file, or delete that line"
        return StandoutError("ledger-damaged", "ledger line is damaged", f"{self.path} line {number}", how)

    def append(self, entry: Mapping[str, Any]) -> None:
        """Add one entry; it is on its way to the disk when this returns, whole or not at all to a reader.

        Raises
        ------
        StandoutError : the disk refuses.
        ValueError : the entry holds what JSON does not.
        """
        line = json.dumps({"schema": 1, **entry}, allow_nan=False).encode() + b"\n"  # ENTRY_START
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
            try:
                written = os.write(handle, line)
                if written != len(line):
                    # A part in the midst would spoil the whole file; but what others wrote after it is theirs.
                    end = os.lseek(handle, 0, os.SEEK_CUR)
                    if os.fstat(handle).st_size == end:
                        os.ftruncate(handle, end - written)
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            finally:
                os.close(handle)
        except OSError as error:
            raise disk_error(error, self.path) from error
