"""What a killed evaluation leaves behind, so that the next one goes on from there with the same table."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from standout.errors import StandoutError
from standout.evaluate.pairs import Item
from standout.evaluate.stored import packed, unpacked
from standout.files import Ledger
from standout.metrics import PictureScore


class ScoreLedger:
    """Scores of pictures by what they were made from; anything that changed is scored again.

    Parameters
    ----------
    path : the ledger file; made where it is missing, its torn last line cut off.
    settings : all that decides a score besides the two files, as JSON values.
    """

    def __init__(self, path: Path, settings: Mapping[str, Any]) -> None:
        self._ledger = Ledger(path)
        self._ledger.repair()
        self._settings = json.dumps(dict(settings), sort_keys=True)
        self._known: dict[str, tuple[PictureScore, bool]] = {}
        for entry in self._ledger.read():
            try:
                self._known[entry["key"]] = (unpacked(entry["score"]), bool(entry["resized"]))
            except (KeyError, TypeError, ValueError) as error:
                raise StandoutError(
                    "ledger-foreign", "ledger holds no scores", path, "choose another --ledger", exit_code=2
                ) from error

    def get(self, item: Item) -> tuple[PictureScore, bool] | None:
        """Return the stored score of the item and whether its map was resized, or None."""
        try:
            return self._known.get(self._key(item))
        except OSError:  # the scorer meets the same failure and tells it by name
            return None

    def put(self, item: Item, score: PictureScore, resized: bool) -> None:
        """Store a score; floats survive the trip through JSON to the last bit."""
        try:
            key = self._key(item)
        except OSError:  # the file went away since it was scored: the next run tells it
            return
        self._ledger.append({"key": key, "name": item.name, "resized": resized, "score": packed(score)})

    def _key(self, item: Item) -> str:
        told = [self._settings, item.name]
        for path in (item.source, item.mask):
            found = path.stat()
            told += [path.name, str(found.st_size), str(found.st_mtime_ns)]
        return hashlib.sha256("\0".join(told).encode("utf-8", "surrogatepass")).hexdigest()
