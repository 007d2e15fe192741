"""Scores by the content of their two files, so that a new method, a new set or a restart scores only what is new."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from standout.errors import StandoutError
from standout.evaluate.stored import unpacked
from standout.files import FolderLock, Ledger, sha256_of


class ScoreCache:
    """A file of scores, one line each; names and places of the pictures do not matter, their bytes do.

    It is held by one process at a time, while it is used in `with`.

    Parameters
    ----------
    path : the file; made where it is missing, its torn last line cut off.
    settings : all that decides a score besides the two files, as JSON values.

    Raises
    ------
    StandoutError : another process holds the file (on entry), or it holds no scores (exit code 2).
    """

    def __init__(self, path: Path, settings: Mapping[str, Any]) -> None:
        self._ledger = Ledger(path)
        self._lock = FolderLock(path.parent, name=f"{path.name}.lock")
        self._settings = json.dumps(dict(settings), sort_keys=True)
        self._masks: dict[Path, str] = {}
        self._known: dict[str, tuple[Mapping[str, Any], bool]] = {}

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as held:
            held.enter_context(self._lock)
            self._ledger.repair()
            for entry in self._ledger.read():
                try:
                    unpacked(entry["score"])
                    self._known[entry["key"]] = (entry["score"], bool(entry["resized"]))
                except (KeyError, TypeError, ValueError) as error:
                    raise StandoutError(
                        "cache-foreign", "cache holds no scores", self._ledger.path, "choose another --cache",
                        exit_code=2,
                    ) from error  # fmt: skip
            held.pop_all()  # what was read is good: the lock stays until the end of `with`
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lock.__exit__(kind, error, trace)

    def key(self, map: Path, mask: Path) -> str | None:  # noqa: A002 - the field's word
        """Return the key of a map and its mask, or None where one of the two cannot be read."""
        try:
            if mask not in self._masks:
                self._masks[mask] = sha256_of(mask)
            told = "\0".join((self._settings, sha256_of(map), self._masks[mask]))
        except OSError:  # the scorer meets the same failure and tells it by name
            return None
        return hashlib.sha256(told.encode()).hexdigest()

    def get(self, key: str) -> tuple[Mapping[str, Any], bool] | None:
        """Return the stored score and whether the map was resized, or None."""
        return self._known.get(key)

    def put(self, key: str, stored: Mapping[str, Any], resized: bool) -> None:
        """Store a score as `stored.packed` gives it."""
        self._known[key] = (stored, resized)
        self._ledger.append({"key": key, "resized": resized, "score": stored})
