"""What a check of data finds: a code, a sentence, and every file that it is about."""

from __future__ import annotations

from typing import Any, NamedTuple

from standout.data.pairs import MISTAKES_SHOWN, shown
from standout.errors import printable

NOTES = frozenset(
    {
        "duplicate-picture",
        "known-count",
        "known-defect",
        "left-out",
        "mask-resized",
        "mask-unturned",
        "masks-disagree",
        "masks-empty",
        "masks-framed",
        "masks-full",
        "masks-grey",
        "masks-jpeg",
        "masks-soft",
        "masks-third-value",
        "picture-flat",
        "shared",
    }
)
"""Codes of what is legal and taken care of, but should be known. All other findings are faults: a run would be refused,
would go wrong in silence, or its figures would not mean what they seem to."""


class Item(NamedTuple):
    """One file that a finding is about.

    Attributes
    ----------
    name : of the pair, or of the file where it has none.
    file : its path.
    detail : what is particular to it, one sentence, or empty.
    other : path of the file that it is twice with, or empty.
    facts : numbers and words for `--json`.
    """

    name: str
    file: str
    detail: str = ""
    other: str = ""
    facts: tuple[tuple[str, Any], ...] = ()


class Finding(NamedTuple):
    """One thing that a check found in one part of a set, or between two.

    Attributes
    ----------
    code : stable, with hyphens.
    sets : labels of the part or the two parts.
    message : one sentence with the count.
    items : all files, in the order of their names.
    """

    code: str
    sets: tuple[str, ...]
    message: str
    items: tuple[Item, ...] = ()

    @property
    def is_fault(self) -> bool:
        """Whether it makes the check fail."""
        return self.code not in NOTES

    def line(self) -> str:
        """Return the message with the first names, escaped for the terminal: ten of a fault, three of a note."""
        if not self.items:
            return printable(self.message)
        most = MISTAKES_SHOWN if self.is_fault else 3
        return f"{printable(self.message)}: {shown((item.detail or item.name for item in self.items), most)}"

    def document(self) -> dict[str, Any]:
        """Return the finding for `--json`."""
        items = []
        for item in self.items:
            known = {"name": item.name, "file": item.file, "detail": item.detail, "other": item.other}
            items.append({key: value for key, value in known.items() if value} | dict(item.facts))
        return {
            "code": self.code,
            "severity": "fault" if self.is_fault else "note",
            "sets": list(self.sets),
            "message": self.message,
            "count": len(self.items),
            "items": items,
        }
