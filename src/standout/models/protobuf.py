"""The wire format of ONNX files, read just far enough to check one before the runtime sees it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

MOST_FIELDS = 500_000
"""Our graphs have some ten thousand; a file made of millions of tiny fields would keep us busy for minutes."""

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5


class WireError(ValueError):
    """The bytes are no message of this format."""


class Field(NamedTuple):
    """One field: its number, its wire type, and its value; for `BYTES` the place of its content."""

    number: int
    kind: int
    value: int
    start: int
    end: int


class Reader:
    """Walks messages inside one buffer; never copies content, never recurses, counts what it reads.

    Parameters
    ----------
    content : the whole file.
    """

    def __init__(self, content: bytes) -> None:
        self.content = content
        self._left = MOST_FIELDS

    def fields(self, start: int, end: int) -> Iterator[Field]:
        """Yield the fields of the message that lies in [start, end).

        Raises
        ------
        WireError : a field does not end inside its message, an unknown wire type, or too many fields in all.
        """
        at = start
        while at < end:
            self._left -= 1
            if self._left < 0:
                raise WireError(f"over {MOST_FIELDS:,} fields")
            key, at = self._varint(at, end)
            number, kind = key >> 3, key & 7
            value = 0
            first = at
            if kind == VARINT:
                value, at = self._varint(at, end)
            elif kind == BYTES:
                length, first = self._varint(at, end)
                at = first + length
            elif kind in (FIXED32, FIXED64):
                at += 4 if kind == FIXED32 else 8
            else:
                # 3 and 4 are groups: no ONNX field is one, and a reader that skips them could hide fields from us.
                raise WireError(f"wire type {kind}")
            if at > end or number == 0:
                raise WireError("a field that does not end inside its message")
            yield Field(number, kind, value, first, at)

    def text(self, field: Field) -> str:
        """Return a `BYTES` field as text.

        Raises
        ------
        WireError : it is no UTF-8.
        """
        try:
            return self.content[field.start : field.end].decode()
        except UnicodeDecodeError as error:
            raise WireError("a text that is no UTF-8") from error

    def numbers(self, fields: Iterable[Field]) -> list[int]:
        """Return a repeated whole number, written one by one or packed.

        Raises
        ------
        WireError : a number that does not end.
        """
        found = []
        for field in fields:
            if field.kind == VARINT:
                found.append(field.value)
                continue
            at = field.start
            while at < field.end:
                value, at = self._varint(at, field.end)
                found.append(value)
        return found

    def _varint(self, at: int, end: int) -> tuple[int, int]:
        value = shift = 0
        while at < end and shift < 70:
            byte = self.content[at]
            at += 1
            value |= (byte & 127) << shift
            if byte < 128:
                return value & (2**64 - 1), at
            shift += 7
        raise WireError("a number that does not end")
