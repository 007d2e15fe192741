"""From pairs of files to one row of measures: each picture scored once, sums exact, order fixed."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from standout import __version__
from standout.data.layouts import TEST
from standout.errors import StandoutError
from standout.evaluate.kept_masks import Label, make_mask_folder, read_label
from standout.evaluate.ledger import ScoreLedger
from standout.evaluate.pairs import Found, Item, Problem, pair_maps, pair_pictures, refuse
from standout.images import as_levels, fit_mask, read_image, read_map, read_mask, resize, resize_map
from standout.metrics import (
    DEFAULT_PROTOCOL,
    MaskWeights,
    PictureScore,
    Protocol,
    SaliencyMeasures,
    find_protocol,
    score_picture,
)

if TYPE_CHECKING:
    from standout.predict import Segmenter

Pixels = NDArray[Any]
Outcome = tuple[PictureScore, bool] | Problem
"""A picture's score and whether its map was resized, or why there is none."""

MOST_AT_ONCE = 32
"""Pictures that a process is handed in one go."""

Task = TypeVar("Task")
T = TypeVar("T")


class Loaded(NamedTuple):
    """A map and its mask at one size, whether the map was resized for that, and the mask's part of weighted F."""

    map: Pixels
    mask: Pixels
    resized: bool
    weights: MaskWeights | None = None


Load = Callable[[Item], Loaded]


class Rules(NamedTuple):
    """How pictures are scored.

    protocol : see `standout.metrics.PROTOCOLS`.
    weighted : whether weighted F is computed, which takes most of the time.
    strict_size : refuse a map whose size is not its mask's, instead of resizing it.
    map_scale : the stored value that means 1, for maps of 0 and 1 in whole numbers.
    mask_class : the palette index or grey value that is the object, for masks of several classes.
    """

    protocol: str = DEFAULT_PROTOCOL
    weighted: bool = True
    strict_size: bool = False
    map_scale: int | None = None
    mask_class: int | None = None


class Scored(NamedTuple):
    """One row of a table, and the account of its pictures.

    label : the row's name.
    sharpness : that the model's logits were multiplied with, None for a folder of maps.
    measures : the measures by name, see `standout.metrics.MEASURES`.
    expected : how many masks there are; `measures.count` of them were scored.
    resized : how many maps were resized to their mask.
    problems : what was left out, empty unless that was allowed.
    list_sha256 : over the names of the pictures that were scored.
    notes : what was left out of the data set or chosen from it, one sentence each.
    """

    label: str
    sharpness: float | None
    sums: SaliencyMeasures
    expected: int
    resized: int
    problems: tuple[Problem, ...]
    list_sha256: str
    notes: tuple[str, ...] = ()

    @property
    def measures(self) -> dict[str, float]:
        """The measures by name."""
        return self.sums.compute()

    @property
    def protocol(self) -> Protocol:
        """The protocol under which the maps were scored."""
        return self.sums.protocol

    @property
    def partial(self) -> str | None:
        """The mark that a table over less than all pictures carries, or None."""
        return None if self.sums.count == self.expected else f"PARTIAL {self.sums.count} of {self.expected}"


Progress = Callable[[Iterable[Any], int], Iterable[Any]]
"""Wraps what is done as it comes, told how much there will be; for a progress bar."""


def score_maps(
    maps: str | Path,
    masks: str | Path,
    *,
    rules: Rules = Rules(),  # noqa: B008 - immutable
    label: str | None = None,
    part: str | None = TEST,
    allow_missing: bool = False,
    jobs: int = 1,
    ledger: str | Path | None = None,
    mask_cache: str | Path | None = None,
    progress: Progress | None = None,
) -> Scored:
    """Score a folder of maps against masks, paired by name.

    Parameters
    ----------
    masks : a folder of masks, or a data set, or a list file.
    label : the row's name; the folder's by default.
    part : "train", "validation" or "test" of a data set; one of a single part is taken whole, with a note.
    allow_missing : score what there is and mark the table PARTIAL, instead of refusing.
    jobs : processes; 0 for all processors. Their number changes no digit.
    ledger : a file that keeps each picture's score, so that a killed evaluation goes on where it was.
    mask_cache : a folder that keeps each mask decoded and with its exact distances, for other maps of the same masks.

    Raises
    ------
    StandoutError : exit code 1, maps are missing, surplus, unreadable or (with `strict_size`) mis-sized, by name;
        or none could be scored. Exit code 2, a folder is missing or empty.
    """
    maps = Path(maps)
    found = pair_maps(maps, Path(masks), part=part)
    settings = {"rules": rules._asdict(), "version": __version__}
    book = None if ledger is None else ScoreLedger(Path(ledger), settings)
    kept = None if mask_cache is None else Path(mask_cache)
    make_mask_folder(kept)
    load = functools.partial(_load_stored, rules=rules, kept=kept)
    if found.problems and not allow_missing:
        # There will be no table, so nothing is measured; but every broken file is named as well.
        unreadable = in_order(functools.partial(_check, load=load), found.items, jobs)
        raise refuse([*found.problems, *(problem for problem in unreadable if problem)], found.expected)
    task = functools.partial(_score, load=load, rules=rules)
    return _collect(label or maps.resolve().name, None, found, task, rules, allow_missing, jobs, book, progress)


def score_model(
    model: str | Path,
    data: str | Path,
    *,
    rules: Rules = Rules(),  # noqa: B008 - immutable
    label: str | None = None,
    part: str | None = TEST,
    sharpness: Iterable[float] | None = None,
    allow_missing: bool = False,
    jobs: int = 1,
    ledger: str | Path | None = None,
    progress: Progress | None = None,
) -> list[Scored]:
    """Score a run or a model file on a data set: one row at sharpness 1 and one at the stored sharpness.

    Maps are rounded to 8 bits before they are scored, as `standout predict` stores them, so that scoring its
    folder gives the same digits.

    Parameters
    ----------
    sharpness : the factors on the logits to report; by default 1 and the stored one.

    The other parameters and the errors are those of `score_maps`.
    """
    stored = _segmenter(str(model), None)
    found = pair_pictures(Path(data), part=part)
    wanted = dict.fromkeys((1.0, stored.sharpness) if sharpness is None else sharpness)
    rows = []
    for factor in wanted:
        settings = {"rules": rules._asdict(), "version": __version__, "model": stored.sha256, "sharpness": factor}
        book = None if ledger is None else ScoreLedger(Path(ledger), settings)
        load = functools.partial(_load_predicted, rules=rules, model=str(model), sharpness=factor)
        task = functools.partial(_score, load=load, rules=rules)
        name = label or Path(model).resolve().name
        rows.append(_collect(name, factor, found, task, rules, allow_missing, jobs, book, progress))
    return rows


def _collect(
    label: str,
    sharpness: float | None,
    found: Found,
    task: Callable[[Item], Outcome],
    rules: Rules,
    allow_missing: bool,
    jobs: int,
    ledger: ScoreLedger | None,
    progress: Progress | None,
) -> Scored:
    """Score all items in the order of their names and account for every one of them."""
    known = {item: score for item in found.items if ledger is not None and (score := ledger.get(item)) is not None}
    fresh = in_order(task, [item for item in found.items if item not in known], jobs)
    outcomes: Iterable[Outcome] = (known[item] if item in known else next(fresh) for item in found.items)
    if progress is not None:
        outcomes = progress(outcomes, len(found.items))

    def kept() -> Iterator[tuple[str, Outcome]]:
        for item, outcome in zip(found.items, outcomes, strict=True):
            if ledger is not None and item not in known and not isinstance(outcome, Problem):
                ledger.put(item, *outcome)
            yield item.name, outcome

    scored = tally(label, sharpness, found, rules, kept())
    if scored.problems and (not allow_missing or scored.sums.count == 0):
        raise refuse(scored.problems, found.expected)
    return scored


def tally(
    label: str, sharpness: float | None, found: Found, rules: Rules, outcomes: Iterable[tuple[str, Outcome]]
) -> Scored:
    """Return the row over the outcomes, given by name and in the order of the names."""
    problems = list(found.problems)
    sums = SaliencyMeasures(rules.protocol, weighted=rules.weighted)
    names, resized = hashlib.sha256(), 0
    for name, outcome in outcomes:
        if isinstance(outcome, Problem):
            problems.append(outcome)
            continue
        sums.add(outcome[0])
        resized += outcome[1]
        names.update(f"{name}\n".encode("utf-8", "surrogatepass"))
    return Scored(label, sharpness, sums, found.expected, resized, tuple(problems), names.hexdigest(), found.notes)


def in_order(task: Callable[[Task], T], items: Sequence[Task], jobs: int) -> Iterator[T]:
    """Yield what the task gives for each item, in order; in processes by joblib, so that a cluster can stand there."""
    if jobs == 1 or len(items) < 2:
        yield from map(task, items)
        return
    from joblib import Parallel, delayed, effective_n_jobs

    # Handing over one picture takes as long as scoring it, so they go in handfuls.
    some = max(1, min(MOST_AT_ONCE, len(items) // (4 * effective_n_jobs(jobs or -1))))
    handfuls = (items[start : start + some] for start in range(0, len(items), some))
    # joblib would begin with handfuls of one again.
    parallel = Parallel(n_jobs=jobs or -1, return_as="generator", batch_size=1)
    for given in parallel(delayed(_each)(task, handful) for handful in handfuls):
        yield from given


def _each(task: Callable[[Task], T], items: Sequence[Task]) -> list[T]:
    return [task(item) for item in items]


def _score(item: Item, load: Load, rules: Rules) -> Outcome:
    loaded = loaded_or_problem(item, load)
    if isinstance(loaded, Problem):
        return loaded
    score = score_picture(
        loaded.map, loaded.mask, protocol=rules.protocol, weighted=rules.weighted, weights=loaded.weights
    )
    return score, loaded.resized


def _check(item: Item, load: Load) -> Problem | None:
    loaded = loaded_or_problem(item, load)
    return loaded if isinstance(loaded, Problem) else None


def loaded_or_problem(item: Item, load: Load) -> Loaded | Problem:
    """Return the item's map and mask, or why they cannot be scored."""
    try:
        return load(item)
    except StandoutError as error:
        kind = "mis-sized" if error.code in ("map-size", "mask-size") else "unreadable"
        return Problem(kind, item.name, str(error))


def _load_stored(item: Item, rules: Rules, kept: Path | None) -> Loaded:
    label = label_of(item.mask, rules, kept)
    loaded = at_mask_size(read_map(item.source, scale=rules.map_scale), label.values, item, rules)
    return loaded._replace(weights=label.weights)


def label_of(mask: Path, rules: Rules, kept: Path | None) -> Label:
    """Return the mask as the rules read it, from the folder of kept masks where one is given."""
    return read_label(mask, rules.mask_class, find_protocol(rules.protocol).mask_above, kept)


def _load_predicted(item: Item, rules: Rules, model: str, sharpness: float) -> Loaded:
    label = read_mask(item.mask, class_index=rules.mask_class)
    # Only to turn the picture as its mask lies; a mask that is scored against is never resized itself.
    picture = fit_mask(label, read_image(item.source), hard=True).picture
    return at_mask_size(as_levels(_segmenter(model, sharpness).map_of(picture)), label.values, item, rules)


def at_mask_size(map: Pixels, mask: Pixels, item: Item, rules: Rules) -> Loaded:  # noqa: A002 - the field's word
    """Return the map at its mask's size: bilinear, and an 8-bit map stays one, before anything is stretched.

    Raises
    ------
    StandoutError : the sizes differ and the rules are `strict_size`.
    """
    if map.shape == mask.shape:
        return Loaded(map, mask, False)
    if rules.strict_size:
        (rows, columns), (mask_rows, mask_columns) = map.shape, mask.shape
        where = f"{item.source.name} is {columns} x {rows}, its mask {mask_columns} x {mask_rows}"
        raise StandoutError(
            "map-size",
            "map and mask differ in size",
            where,
            "leave --strict-size out, or write maps at their pictures' sizes",
        )
    return Loaded(resized_map(map, mask.shape, find_protocol(rules.protocol).resize), mask, True)


def resized_map(map: Pixels, size: tuple[int, ...], rule: str) -> Pixels:  # noqa: A002 - the field's word
    """Return the map at another size, "bilinear" or "nearest"; an 8-bit map stays one."""
    if rule == "nearest":
        at = [(2 * np.arange(new) + 1) * old // (2 * new) for new, old in zip(size, map.shape, strict=True)]
        return np.ascontiguousarray(map[np.ix_(*at)])
    return resize(map, (size[0], size[1])) if map.dtype == np.uint8 else resize_map(map, (size[0], size[1]))


@functools.lru_cache(maxsize=2)
def _segmenter(model: str, sharpness: float | None) -> Segmenter:
    """Return the model, loaded once in each process."""
    from standout.predict import Segmenter

    return Segmenter(model, sharpness=sharpness)
