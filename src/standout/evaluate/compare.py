"""Many methods over many sets: each mask read once for all its maps, each map scored once."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from standout import __version__
from standout.data.layouts import TEST
from standout.errors import StandoutError
from standout.evaluate.attributes import Attributes, colour_contrast, picture_attributes
from standout.evaluate.cache import ScoreCache
from standout.evaluate.comparison import Comparison, Files, Outcome, Picture, gather, refuse_incomplete
from standout.evaluate.kept_masks import Label, make_mask_folder
from standout.evaluate.pairs import Item, Problem
from standout.evaluate.plan import Planned, plan_comparison, refuse_comparison
from standout.evaluate.score import Loaded, Progress, Rules, at_mask_size, in_order, label_of, loaded_or_problem
from standout.evaluate.stored import packed
from standout.images import fit_mask, read_image, read_map, read_mask
from standout.metrics import MaskWeights, find_protocol, mask_weights, score_picture
from standout.metrics.counts import check_mask


class Task(NamedTuple):
    """One mask and the maps to score against it, each with the number of its series."""

    data: str
    name: str
    mask: Path
    maps: tuple[tuple[int, Path], ...]
    image: Path | None = None


def compare(
    maps: Iterable[tuple[str, str | Path]],
    masks: Iterable[tuple[str, str | Path]],
    *,
    rules: Rules = Rules(),  # noqa: B008 - immutable
    part: str | None = TEST,
    allow_missing: bool = False,
    attributes: bool = False,
    jobs: int = 1,
    cache: str | Path | None = None,
    mask_cache: str | Path | None = None,
    progress: Progress | None = None,
) -> Comparison:
    """Score the maps of many methods against the masks of many sets, paired by name.

    Work over processes goes through joblib: inside `joblib.parallel_config(backend="dask")` a cluster does it.

    Parameters
    ----------
    maps : (name of the method, its folder), see `plan_comparison`; a name given again is another run of the method.
    masks : (name of the set, its masks): a folder of masks, a data set, or a list file.
    part : "train", "validation" or "test" of a data set.
    allow_missing : score what there is and mark the table PARTIAL, instead of refusing.
    attributes : measure also each picture's size, parts, contrast and so on, see `standout.evaluate.attributes`.
    jobs : processes; 0 for all processors. Their number changes no digit.
    cache : a file that keeps every score by the content of its map and mask; what is in it is not scored again.
    mask_cache : a folder that keeps each mask decoded and with its exact distances, for further methods.

    Raises
    ------
    StandoutError : exit code 1, maps are missing, surplus, unreadable or (with `strict_size`) mis-sized, by name;
        or none of a folder could be scored. Exit code 2, see `plan_comparison`.
    """
    plan = plan_comparison(maps, masks, part=part)
    tasks = tasks_of(plan)
    outcomes = score_tasks(
        plan, tasks, rules=rules, allow_missing=allow_missing, jobs=jobs, cache=cache, mask_cache=mask_cache,
        progress=progress,
    )  # fmt: skip
    comparison = gather(plan, outcomes, rules, attributes_of(tasks, rules, jobs) if attributes else {})
    refuse_incomplete(comparison, allow_missing)
    return comparison._replace(files=files_of(plan, tasks))


def tasks_of(plan: Sequence[Planned]) -> list[Task]:
    """Return one task for each mask that has a map, set by set in the order of the names."""
    found: dict[tuple[str, str], list[tuple[int, Item]]] = {}
    for data in dict.fromkeys(planned.data for planned in plan):
        of_set = [(at, item) for at, planned in enumerate(plan) if planned.data == data for item in planned.found.items]
        for at, item in sorted(of_set, key=lambda one: (one[1].name, one[0])):
            found.setdefault((data, item.name), []).append((at, item))
    return [
        Task(
            data,
            name,
            items[0][1].mask,
            tuple((at, item.source) for at, item in items),
            plan[items[0][0]].found.images.get(name),
        )
        for (data, name), items in found.items()
    ]


def score_tasks(
    plan: Sequence[Planned],
    tasks: Sequence[Task],
    *,
    rules: Rules,
    allow_missing: bool = False,
    jobs: int = 1,
    cache: str | Path | None = None,
    mask_cache: str | Path | None = None,
    progress: Progress | None = None,
) -> list[list[tuple[str, Outcome]]]:
    """Return the outcomes of each series, over the tasks given.

    Raises
    ------
    StandoutError : exit code 1, something does not pair and that was not allowed; every broken file is named too.
    """
    outcomes: list[list[tuple[str, Outcome]]] = [[] for _ in plan]
    if not allow_missing and any(planned.found.problems for planned in plan):
        # There will be no table, so nothing is measured; but every broken file is named as well.
        checked = in_order(functools.partial(_checked, rules=rules), tasks, jobs)
        for task, broken in zip(tasks, checked, strict=True):
            for at, problem in broken:
                outcomes[at].append((task.name, problem))
        raise _refusal(plan, outcomes)
    settings = {"rules": rules._asdict(), "version": __version__}
    kept_masks = None if mask_cache is None else Path(mask_cache)
    make_mask_folder(kept_masks)
    with ScoreCache(Path(cache), settings) if cache is not None else contextlib.nullcontext() as kept:
        done = _scored(tasks, functools.partial(_score_mask, rules=rules, kept=kept_masks), jobs, kept)
        for task, found in done if progress is None else progress(done, len(tasks)):
            for at, outcome in found.items():
                outcomes[at].append((task.name, outcome))
    if not allow_missing and any(isinstance(outcome, Problem) for found in outcomes for _, outcome in found):
        raise _refusal(plan, outcomes)
    return outcomes


def files_of(plan: Sequence[Planned], tasks: Iterable[Task]) -> dict[tuple[str, str], Files]:
    """Return where the files of each task lie, by (set, name)."""
    return {
        (task.data, task.name): Files(
            task.mask, task.image, {(plan[at].method, plan[at].run): path for at, path in task.maps}
        )
        for task in tasks
    }


def attributes_of(tasks: Sequence[Task], rules: Rules, jobs: int) -> dict[tuple[str, str], Attributes]:
    """Return the attributes of each task's picture by (set, name); of unreadable masks there are none."""
    found = in_order(functools.partial(_attributes, rules=rules), tasks, jobs)
    return {(task.data, task.name): own for task, own in zip(tasks, found, strict=True) if own is not None}


def _attributes(task: Task, rules: Rules) -> Attributes | None:
    try:
        label = read_mask(task.mask, class_index=rules.mask_class)
    except StandoutError:  # told where it is scored
        return None
    above = find_protocol(rules.protocol).mask_above
    own = picture_attributes(label.values > above)
    if task.image is None:
        return own
    try:
        fitted = fit_mask(label, read_image(task.image), hard=True)
    except StandoutError:  # the picture plays no part in the scores; its contrast stays open
        return own
    inside = fitted.mask.values > above
    return own._replace(contrast=colour_contrast(inside, fitted.picture.pixels) if 0 < own.size < 1 else None)


def _refusal(plan: Sequence[Planned], outcomes: Sequence[Sequence[tuple[str, Outcome]]]) -> StandoutError:
    return refuse_comparison([
        (planned.label, [*planned.found.problems, *(one for _, one in found if isinstance(one, Problem))])
        for planned, found in zip(plan, outcomes, strict=True)
    ])  # fmt: skip


def _scored(
    tasks: Sequence[Task], score: Callable[[Task], list[Outcome]], jobs: int, cache: ScoreCache | None
) -> Iterator[tuple[Task, Mapping[int, Outcome]]]:
    """Yield each task with the outcome of each of its series, taking from the cache what it holds."""
    keys: dict[tuple[int, Path], str] = {}
    if cache is not None:
        for task in tasks:
            keys.update({one: key for one in task.maps if (key := cache.key(one[1], task.mask)) is not None})
    known = {one: found for one, key in keys.items() if cache is not None and (found := cache.get(key)) is not None}
    open_tasks = [task._replace(maps=tuple(one for one in task.maps if one not in known)) for task in tasks]
    fresh = in_order(score, [task for task in open_tasks if task.maps], jobs)
    for task, remaining in zip(tasks, open_tasks, strict=True):
        outcomes: dict[int, Outcome] = {
            one[0]: Picture(task.name, known[one][1], known[one][0]) for one in task.maps if one in known
        }
        if remaining.maps:
            for one, outcome in zip(remaining.maps, next(fresh), strict=True):
                outcomes[one[0]] = outcome
                if cache is not None and one in keys and isinstance(outcome, Picture):
                    cache.put(keys[one], outcome.stored, outcome.resized)
        yield task, outcomes


def _score_mask(task: Task, rules: Rules, kept: Path | None) -> list[Outcome]:
    """Return the outcome of each map of the task; what weighted F needs of the mask is made once."""
    weights: MaskWeights | None = None
    above = find_protocol(rules.protocol).mask_above
    outcomes: list[Outcome] = []
    for loaded in _loaded(task, rules, kept):
        if isinstance(loaded, Problem):
            outcomes.append(loaded)
            continue
        weights = loaded.weights if weights is None else weights
        if rules.weighted and weights is None and (foreground := check_mask(loaded.mask, above)).any():
            weights = mask_weights(foreground)
        score = score_picture(
            loaded.map, loaded.mask, protocol=rules.protocol, weighted=rules.weighted, weights=weights
        )
        outcomes.append(Picture(task.name, loaded.resized, packed(score)))
    return outcomes


def _checked(task: Task, rules: Rules) -> list[tuple[int, Problem]]:
    found = zip(task.maps, _loaded(task, rules, None), strict=True)
    return [(at, loaded) for (at, _), loaded in found if isinstance(loaded, Problem)]


def _loaded(task: Task, rules: Rules, kept: Path | None) -> Iterator[Loaded | Problem]:
    """Yield each map of the task beside the mask, which is read once."""
    label: Label | None = None

    def load(item: Item) -> Loaded:
        nonlocal label
        if label is None:
            label = label_of(item.mask, rules, kept)
        loaded = at_mask_size(read_map(item.source, scale=rules.map_scale), label.values, item, rules)
        return loaded._replace(weights=label.weights)

    for _, path in task.maps:
        yield loaded_or_problem(Item(task.name, path, task.mask), load)
