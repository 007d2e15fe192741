"""The ledger of a folder of results: which are done, and which files in the folder are ours."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from standout.cutout.plan import Item
from standout.errors import EXIT_USAGE, StandoutError
from standout.files import Ledger, atomic_write, sha256_of

if TYPE_CHECKING:
    from standout.predict import Segmenter

LEDGER = ".standout-ledger.jsonl"


class _Done(NamedTuple):
    """What the ledger says of one result; small, since there may be a hundred thousand."""

    input: str
    size: int
    mtime: int
    input_sha256: str
    bytes: int
    sha256: str


def facts_of(source: Path) -> dict[str, Any]:
    """Return what tells a changed input: its name, size and time.

    Raises
    ------
    OSError : the system does not give them.
    """
    found = source.stat()
    # Bytes of a name that are no UTF-8 become escapes, which JSON keeps. Links in the path stay as they are.
    return {"input": os.path.abspath(source), "size": found.st_size, "mtime": found.st_mtime_ns}  # noqa: PTH100


class Record:
    """Reads the ledger once, and writes results with their entries.

    Parameters
    ----------
    folder : of all results; its lock is held.
    segmenter, form : what the results depend on besides the input.
    overwrite : replace files that are not ours.
    verify : compare what is done by sha256, not by size and time.
    """

    def __init__(
        self, folder: Path, segmenter: Segmenter, form: str, *, overwrite: bool = False, verify: bool = False
    ) -> None:
        self.folder = folder
        self.overwrite = overwrite
        self.verify = verify
        self.ledger = Ledger(folder / LEDGER)
        self.model = segmenter.sha256
        options = {"form": form, "sharpness": segmenter.sharpness, "size": segmenter.size}
        self.options = hashlib.sha256(json.dumps(options, sort_keys=True).encode()).hexdigest()
        self._done: dict[str, _Done] = {}
        self._ours: dict[str, tuple[str, ...]] = {}  # every content that the ledger announced for a name
        self._is_whole = False
        for entry in self.ledger.read():
            name = entry.get("output")
            if not isinstance(name, str):
                continue
            if entry.get("state") == "writing":
                self._ours[name] = (*self._ours.get(name, ()), str(entry.get("sha256")))
            elif entry.get("state") == "done":
                is_same = entry.get("model") == self.model and entry.get("options") == self.options
                if is_same and all(key in entry for key in _Done._fields):
                    self._done[name] = _Done(*(entry[key] for key in _Done._fields))
                else:
                    self._done.pop(name, None)

    def is_done(self, item: Item) -> bool:
        """Whether the result of this very input, model and options is there, whole."""
        entry = self._done.get(self._name(item))
        if entry is None:
            return False
        try:
            facts, found = facts_of(item.source), item.output.lstat()
            if not stat.S_ISREG(found.st_mode) or found.st_size != entry.bytes or facts["input"] != entry.input:
                return False
            if not self.verify:
                return (facts["size"], facts["mtime"]) == (entry.size, entry.mtime)
            if not stat.S_ISREG(item.source.stat().st_mode):
                return False
            return sha256_of(item.source) == entry.input_sha256 and sha256_of(item.output) == entry.sha256
        except OSError:
            return False  # whatever is wrong with it is told when it is read again

    def check_foreign(self, items: Iterable[Item]) -> None:
        """Refuse to begin where a file that we did not write, or that was changed since, would be overwritten.

        Raises
        ------
        StandoutError : exit code 2, names the first such file and counts the others.
        """
        if self.overwrite:
            return
        foreign = [item.output for item in items if os.path.lexists(item.output) and not self._is_ours(item)]
        if foreign:
            more = f" and {len(foreign) - 1} more" if len(foreign) > 1 else ""
            how = "pass --overwrite or another --output"
            raise StandoutError("file-exists", "file exists already", f"{foreign[0]}{more}", how, exit_code=EXIT_USAGE)

    def write(self, item: Item, content: bytes, facts: Mapping[str, Any]) -> StandoutError | None:
        """Write a result and say so in the ledger; return why not, where only this item is concerned.

        Raises
        ------
        StandoutError : the disk refuses, so no further item would fare better.
        """
        if not self._is_whole:
            self.ledger.repair()
            self._is_whole = True
        name, digest = self._name(item), hashlib.sha256(content).hexdigest()
        may_replace = self.overwrite or self._is_ours(item)
        self.ledger.append({"state": "writing", "output": name, "sha256": digest})
        try:
            atomic_write(item.output, content, overwrite=may_replace)
        except StandoutError as error:
            if error.code == "disk":
                raise
            return error
        entry = {**facts, "output": name, "bytes": len(content), "sha256": digest}
        self.ledger.append({"state": "done", **entry, "model": self.model, "options": self.options})
        return None

    def _is_ours(self, item: Item) -> bool:
        known = self._ours.get(self._name(item))
        if not known:
            return False
        try:
            return stat.S_ISREG(item.output.lstat().st_mode) and sha256_of(item.output) in known
        except OSError:
            return False

    def _name(self, item: Item) -> str:
        return str(item.output.relative_to(self.folder))
