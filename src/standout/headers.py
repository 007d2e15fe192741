"""Opening a weight file without trusting it: what kind it is, and a safetensors header checked before use.

The library that parses safetensors accepts duplicate keys and headers up to 100 MB; we refuse both before it sees a
byte. Nothing that can carry code is ever parsed. Loads no torch.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from standout.errors import StandoutError
from standout.files import disk_error
from standout.metadata import parse_json
from standout.reading import open_plain

HEADER_BYTES = 16 * 2**20
TENSORS = 100_000
_WIDTHS = {
    "BOOL": 1, "U8": 1, "I8": 1, "U16": 2, "I16": 2, "F16": 2, "BF16": 2,
    "U32": 4, "I32": 4, "F32": 4, "U64": 8, "I64": 8, "F64": 8,
}  # fmt: skip

# How files begin that hold serialised Python objects, bare or inside an archive or a compressed stream.
_CODE_STARTS = (b"PK\x03\x04", b"\x93NUMPY", b"\x1f\x8b", b"BZh", b"\xfd7zXZ\x00", b"\x89HDF", b"\x04\x22M\x18")
_CODE_SUFFIXES = frozenset(
    (
        *(".bin", ".ckpt", ".dill", ".h5", ".joblib", ".keras", ".mar", ".npy", ".npz", ".pickle", ".pkl"),
        *(".pt", ".pt2", ".pth", ".t7", ".tar"),
    )
)


class Header(NamedTuple):
    """What a safetensors file says before any value is read.

    tensors : name to (dtype, shape), in the order of their bytes.
    strings : the file's metadata, texts only.
    """

    tensors: Mapping[str, tuple[str, tuple[int, ...]]]
    strings: Mapping[str, str]


def read_safetensors(path: str | Path) -> tuple[bytes, Header]:
    """Return the bytes of a safetensors file, read once from one handle, and its checked header.

    Raises
    ------
    StandoutError : no regular file; a file that may carry code (`pickle refused`); or a header that is too large,
        damaged, repeats a key or does not agree with the file's size.
    """
    path = Path(path)
    with open_regular(path) as file:
        start = file.read(9)
        length = int.from_bytes(start[:8], "little")
        size = os.fstat(file.fileno()).st_size
        if start[8:] != b"{" or length > size - 8:
            _refuse_code(path, file, start)
            raise _damaged(path, "is no safetensors file, or a part of one")
        if length > HEADER_BYTES:
            raise _damaged(path, f"has a header over {HEADER_BYTES // 2**20} MiB")
        content = start + file.read()
    if len(content) != size:
        raise _damaged(path, "changed while it was read")
    return content, _checked(parse_json(content[8 : 8 + length], path), size - 8 - length, path)


def open_regular(path: Path) -> BinaryIO:
    """Open a regular file to read; anything else (a FIFO would block for ever) is refused without being read.

    Raises
    ------
    StandoutError : missing, not allowed, or no regular file.
    """
    try:
        return open_plain(path)
    except (OSError, ValueError) as error:  # a NUL in the name is a ValueError
        if isinstance(error, OSError) and error.errno != errno.EINVAL:
            raise disk_error(error, path) from error
        raise StandoutError("not-a-file", "not a regular file", path, "give a safetensors file") from error


def _refuse_code(path: Path, file: BinaryIO, start: bytes) -> None:
    """Refuse by name what may carry code; nothing of it is parsed."""
    tail = b""
    if os.fstat(file.fileno()).st_size:
        file.seek(-1, os.SEEK_END)
        tail = file.read(1)
    file.seek(257)
    archive = file.read(5) == b"ustar"
    framed = len(start) > 1 and start[0] == 0x80 and start[1] <= 5  # protocols 2 to 5
    textual = start[:1] in b"(c]}[ISFVN" and start[:1] != b"" and tail == b"."  # protocols 0 and 1
    packed = start[:1] == b"\x78" and start[1:2] in (b"\x01", b"\x5e", b"\x9c", b"\xda")  # zlib
    if (
        archive or framed or textual or packed
        or start.startswith(_CODE_STARTS) or path.suffix.lower() in _CODE_SUFFIXES
    ):  # fmt: skip
        raise StandoutError(
            "pickle-refused",
            "pickle refused: such a file can run code",
            path,
            "convert it to safetensors where you trust it",
        )


def _checked(header: Any, room: int, path: Path) -> Header:
    """Return the header if every tensor's bytes are where its shape says, with no gap and no overlap."""
    if not isinstance(header, dict):
        raise _damaged(path, "has a header that is no object")
    strings = header.pop("__metadata__", {})
    if not isinstance(strings, dict) or not all(isinstance(text, str) for text in strings.values()):
        raise _damaged(path, "has metadata that is no text")
    if len(header) > TENSORS:
        raise _damaged(path, f"has over {TENSORS:,} tensors")
    spans = sorted((_span(name, entry, room, path), name) for name, entry in header.items())
    place = 0
    for (first, last), name in spans:
        if first != place:
            raise _damaged(path, f"has a gap or an overlap before tensor {name[:200]!r}")
        place = last
    if place != room:
        raise _damaged(path, "does not end where its last tensor does")
    tensors = {name: (header[name]["dtype"], tuple(header[name]["shape"])) for _, name in spans}
    return Header(tensors, strings)


def _span(name: str, entry: Any, room: int, path: Path) -> tuple[int, int]:
    """Return where a tensor's bytes begin and end, recomputed from its shape."""
    wrong = _damaged(path, f"has a wrong entry for tensor {name[:200]!r}")
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise wrong
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in _WIDTHS or not _sizes(shape) or len(shape) > 32:
        raise wrong
    if not _sizes(offsets) or len(offsets) != 2:
        raise wrong
    first, last = offsets
    count = 1
    for side in shape:
        count *= side
        if count > 2**60:  # far beyond any file, far below where 64 bits would wrap
            raise wrong
    if not first <= last <= room or last - first != count * _WIDTHS[dtype]:
        raise wrong
    return first, last


def _sizes(values: object) -> bool:
    return isinstance(values, list) and all(isinstance(v, int) and not isinstance(v, bool) and v >= 0 for v in values)


def _damaged(path: Path, why: str) -> StandoutError:
    return StandoutError("weights-damaged", f"weight file {why}", path, "take the file from its source again")
