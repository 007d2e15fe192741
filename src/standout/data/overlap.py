"""Pictures that are both trained on and tested on, found by their files' content or by their look, never by name."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from standout.data.pairing import Pair
from standout.data.pairs import digest_file, shown
from standout.errors import StandoutError


def find_overlap(train: Iterable[Pair], test: Iterable[Pair]) -> list[tuple[Pair, Pair]]:
    """Return each test pair whose picture file has the same bytes as a training one, with that training pair.

    The result is in the order of `test`; renamed copies are found, re-encoded or resized ones are not.

    Raises
    ------
    StandoutError : a picture cannot be read.
    """
    by_size: defaultdict[int, list[Pair]] = defaultdict(list)
    for pair in train:
        by_size[_size(pair.image)].append(pair)
    # Few files have the size of another one, so few are read: two sets of 10,000 take a second, not a minute.
    by_digest: dict[int, dict[str, Pair]] = {}
    found = []
    for pair in test:
        size = _size(pair.image)
        if size not in by_size:
            continue
        if size not in by_digest:
            by_digest[size] = {digest_file(other.image)[0]: other for other in reversed(by_size[size])}
        same = by_digest[size].get(digest_file(pair.image)[0])
        if same is not None:
            found.append((same, pair))
    return found


def refuse_overlap(
    train: Iterable[Pair], test: Iterable[Pair], *, allow: bool = False, how: str = "exact", workers: int = 0
) -> list[str]:
    """Return notes for the run's record, where an overlap is allowed; refuse one otherwise.

    Parameters
    ----------
    how : "exact", by their bytes, or "perceptual", also by their look, see `standout.data.perceptual`.
    workers : threads that read, where pictures are compared by their look.

    Raises
    ------
    StandoutError : exit code 2; pictures to test on are among those to train on, and `allow` is false.
    """
    train, test = list(train), list(test)
    found = find_overlap(train, test)
    if how == "perceptual":
        # The exact comparison needs neither NumPy nor the image library.
        from standout.data.copies import find_look_alikes

        exact = {pair for _, pair in found}
        found += [(same, pair) for same, pair in find_look_alikes(train, test, workers=workers) if pair not in exact]
        place = {pair: number for number, pair in enumerate(test)}
        found.sort(key=lambda both: place[both[1]])
    if not found:
        return []
    names = shown(pair.name if pair.name == same.name else f"{pair.name} (as {same.name})" for same, pair in found)
    what = f"{len(found)} pictures to test on are also trained on"
    if not allow:
        raise StandoutError("overlap", what, names, "leave them out, or say --allow-overlap", exit_code=2)
    return [f"{what}: {names}"]


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise StandoutError(
            "file-unreadable", f"the file cannot be read ({reason})", path, "check its permissions"
        ) from error
