"""Which folder holds the maps of which method for which set, and what pairs with what, before anything is scored."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from standout.data.layouts import TEST
from standout.errors import EXIT_USAGE, StandoutError, printable
from standout.evaluate.pairs import Found, Problem, pair_maps, problems_by_name

SET = "{set}"
"""Stands in a folder of maps for the name of the set."""


class Named(NamedTuple):
    """A folder under the name that the table gives it: of a method's maps, or of a set's masks."""

    name: str
    folder: Path


class Planned(NamedTuple):
    """The maps of one run of one method on one set, paired with the set's masks.

    run : 1 for the first folder of that name, 2 for the second, and so on: the seeds of one method.
    """

    method: str
    run: int
    data: str
    found: Found

    @property
    def label(self) -> str:
        """The words for messages and notes."""
        return f"{self.method}{f' run {self.run}' if self.run > 1 else ''} on {self.data}"


def plan_comparison(
    maps: Iterable[tuple[str, str | Path]], masks: Iterable[tuple[str, str | Path]], *, part: str | None = TEST
) -> tuple[Planned, ...]:
    """Return what is to be scored: sets in the order given, in each the methods in theirs.

    Parameters
    ----------
    maps : a method's folder holds one folder for each set, called like it (case does not matter), or has `{set}`
        in its path; with one set the maps may lie in it directly. A name given again is another run of that method.
    masks : each as `pair_maps` takes them.

    Raises
    ------
    StandoutError : exit code 2, no folders, a name twice among the sets, one folder twice for one method, a folder
        that is missing, or what `pair_maps` refuses.
    """
    methods = [Named(name, Path(folder)) for name, folder in maps]
    sets = [Named(name, Path(folder)) for name, folder in masks]
    if not methods or not sets:
        missing = "--maps NAME=DIR" if not methods else "--masks NAME=DIR"
        raise StandoutError("usage", "a comparison needs maps and masks", "", f"add {missing}", exit_code=EXIT_USAGE)
    _refuse_twice((name for name, _ in sets), "two sets have one name")
    _refuse_twice(
        (f"{name}={folder.resolve()}" for name, folder in methods), "one folder is given twice for one method"
    )
    runs: list[tuple[Named, int]] = []
    for given in methods:
        runs.append((given, 1 + sum(other.name == given.name for other, _ in runs)))
    order = list(dict.fromkeys(given.name for given in methods))
    runs.sort(key=lambda run: order.index(run[0].name))
    only = len(sets) == 1
    return tuple(
        Planned(given.name, run, data, pair_maps(_maps_of(given, data, only), folder, part=part))
        for data, folder in sets
        for given, run in runs
    )  # fmt: skip


def _maps_of(given: Named, data: str, only: bool) -> Path:
    if SET in str(given.folder):
        return Path(str(given.folder).replace(SET, data))
    if given.folder.is_dir():
        for folder in sorted(given.folder.iterdir()):
            if folder.name.casefold() == data.casefold() and folder.is_dir():
                return folder
    return given.folder if only else given.folder / data


def _refuse_twice(names: Iterable[str], what: str) -> None:
    seen = set()
    for name in names:
        if name in seen:
            raise StandoutError("name-twice", what, name, "give each once", exit_code=EXIT_USAGE)
        seen.add(name)


def refuse_comparison(problems: Sequence[tuple[str, Sequence[Problem]]]) -> StandoutError:
    """Return the one-line failure that names, for each series in turn, what has no score; exit code 1."""
    found = [(label, those) for label, those in problems if those]
    count = sum(len(those) for _, those in found)
    return StandoutError(
        "maps-incomplete",
        f"{count} {'problem' if count == 1 else 'problems'} in {len(found)} of {len(problems)} folders of maps",
        ". ".join(f"{printable(label)}: {problems_by_name(those)}" for label, those in found),
        "mend them, or pass --allow-missing for a table marked PARTIAL",
    )
