"""A comparison in parts: each scores every n-th mask anywhere, and together they give the bits of the whole."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from standout import __version__
from standout.data.layouts import TEST
from standout.data.pairs import shown
from standout.errors import EXIT_USAGE, StandoutError
from standout.evaluate.attributes import Attributes
from standout.evaluate.compare import attributes_of, files_of, score_tasks, tasks_of
from standout.evaluate.comparison import Comparison, Files, Outcome, Picture, gather, refuse_incomplete
from standout.evaluate.pairs import Found, Problem
from standout.evaluate.plan import Planned, plan_comparison
from standout.evaluate.score import Rules
from standout.files import disk_error

KIND = "standout eval shard"
SCHEMA = 2
MOST_PARTS = 1_000_000


class Shard(NamedTuple):
    """Which part of how many, both from 1."""

    part: int
    parts: int

    @classmethod
    def parse(cls, word: str) -> Shard:
        """Return the shard that `2/8` names.

        Raises
        ------
        StandoutError : exit code 2, no such word, a part beyond the parts, or over a million parts.
        """
        part, _, parts = word.partition("/")
        if not (part.isdecimal() and parts.isdecimal() and 1 <= int(part) <= int(parts) <= MOST_PARTS):
            raise StandoutError("usage", "no shard", word, "write --shard 2/8 for the second of eight", exit_code=2)
        return cls(int(part), int(parts))


def score_shard(
    maps: Iterable[tuple[str, str | Path]],
    masks: Iterable[tuple[str, str | Path]],
    shard: Shard,
    *,
    rules: Rules = Rules(),  # noqa: B008 - immutable
    part: str | None = TEST,
    attributes: bool = False,
    jobs: int = 1,
    **options: Any,
) -> str:
    """Score every n-th mask of a comparison and return the shard's file; parameters and errors as `compare`.

    What does not pair is refused in every shard, whichever masks it scores.
    """
    plan = plan_comparison(maps, masks, part=part)
    tasks = tasks_of(plan)[shard.part - 1 :: shard.parts]
    outcomes = score_tasks(plan, tasks, rules=rules, jobs=jobs, **options)
    measured = attributes_of(tasks, rules, jobs) if attributes else None
    return shard_text(shard, plan, outcomes, rules, measured, files_of(plan, tasks))


def shard_text(
    shard: Shard,
    plan: Sequence[Planned],
    outcomes: Sequence[Sequence[tuple[str, Outcome]]],
    rules: Rules,
    attributes: Mapping[tuple[str, str], Attributes] | None = None,
    files: Mapping[tuple[str, str], Files] = MappingProxyType({}),
) -> str:
    """Return a scored shard as JSON lines: what the whole comparison is, then each outcome, attributes and files.

    The last line is the sha256 of all before it. Where the files lie, as absolute paths, lets a report of all shards
    show them.
    """
    head = {
        "schema": SCHEMA, "kind": KIND, "version": __version__, "shard": list(shard), "rules": rules._asdict(),
        "attributes": attributes is not None,
        "plan": [
            {
                "method": planned.method, "run": planned.run, "set": planned.data, "expected": planned.found.expected,
                "names": [item.name for item in planned.found.items],
                "problems": [list(problem) for problem in planned.found.problems],
                "notes": list(planned.found.notes),
            }
            for planned in plan
        ],
    }  # fmt: skip
    measured = [
        {"set": data, "name": name, "attributes": own._asdict()} for (data, name), own in (attributes or {}).items()
    ]
    lie = [
        {
            "set": data, "name": name, "mask": _absolute(own.mask), "image": own.image and _absolute(own.image),
            "maps": [[*of, _absolute(path)] for of, path in own.maps.items()],
        }
        for (data, name), own in files.items()
    ]  # fmt: skip
    lines = (head, *_lines(outcomes), *measured, *lie)
    text = "".join(f"{json.dumps(line, allow_nan=False)}\n" for line in lines)
    return text + _seal(text.encode())


def _seal(content: bytes) -> str:
    return json.dumps({"sha256": hashlib.sha256(content).hexdigest()}) + "\n"


def _absolute(path: Path) -> str:
    return str(path.absolute())


def _lines(outcomes: Sequence[Sequence[tuple[str, Outcome]]]) -> Iterator[dict[str, Any]]:
    for at, found in enumerate(outcomes):
        for name, outcome in found:
            if isinstance(outcome, Problem):
                yield {"series": at, "name": name, "problem": list(outcome)}
            else:
                yield {"series": at, "name": name, "resized": outcome.resized, "score": outcome.stored}


class _Part(NamedTuple):
    path: Path
    shard: Shard
    head: Mapping[str, Any]
    outcomes: list[tuple[int, str, Outcome]]
    attributes: dict[tuple[str, str], Attributes]
    files: dict[tuple[str, str], Files]
    plan_hash: str


def merge_shards(paths: Iterable[str | Path]) -> Comparison:
    """Return the comparison that all shards together make, in whatever order they are given.

    Raises
    ------
    StandoutError : exit code 2, a file is no shard, of another release or of another comparison, a shard is given
        twice or is missing; exit code 1, a folder of maps has no score at all.
    """
    parts = [_read(Path(path)) for path in paths]
    if not parts:
        raise StandoutError(
            "usage", "no shards to merge", "", "give the files that --shard wrote", exit_code=EXIT_USAGE
        )
    first = parts[0]
    given: dict[int, Path] = {}
    for part in parts:
        if part.plan_hash != first.plan_hash:
            raise StandoutError(
                "shards-differ", "two shards belong to different comparisons", f"{first.path} and {part.path}",
                "score them anew with the same files and options", exit_code=EXIT_USAGE,
            )  # fmt: skip
        number = part.shard.part
        if (other := given.setdefault(number, part.path)) is not part.path:
            raise StandoutError(
                "shard-twice", f"shard {number} is given twice", f"{other} and {part.path}", "give it once",
                exit_code=EXIT_USAGE,
            )  # fmt: skip
    count = first.shard.parts
    if missing := [str(number) for number in range(1, count + 1) if number not in given]:
        raise StandoutError(
            "shard-missing", f"{len(missing)} of {count} shards are missing", shown(missing),
            f"score them with --shard {missing[0]}/{count}", exit_code=EXIT_USAGE,
        )  # fmt: skip
    rules = Rules(**first.head["rules"])
    plan, outcomes = [], []
    for at, stored in enumerate(first.head["plan"]):
        problems = tuple(Problem(*problem) for problem in stored["problems"])
        found = Found((), stored["expected"], problems, tuple(stored["notes"]))
        plan.append(Planned(stored["method"], stored["run"], stored["set"], found))
        of_series = [(name, outcome) for part in parts for series, name, outcome in part.outcomes if series == at]
        if sorted(name for name, _ in of_series) != sorted(stored["names"]):
            raise _damaged(first.path, f"the shards do not hold every picture of {plan[-1].label} once")
        outcomes.append(of_series)
    # In the order in which one run finds them, whatever the order of the shards.
    sets = [planned.data for planned in plan]
    measured = sorted(
        (one for part in parts for one in part.attributes.items()), key=lambda one: (sets.index(one[0][0]), one[0][1])
    )
    comparison = gather(plan, outcomes, rules, dict(measured))
    refuse_incomplete(comparison, allow_missing=True)
    return comparison._replace(files={place: own for part in parts for place, own in part.files.items()})


def _read(path: Path) -> _Part:
    try:
        lines = path.read_bytes().splitlines(keepends=True)
    except OSError as error:
        raise disk_error(error, path) from error
    try:
        head = json.loads(lines[0])
        if head["kind"] != KIND:
            raise ValueError(head["kind"])
        if (head["schema"], head["version"]) != (SCHEMA, __version__):
            raise StandoutError(
                "shard-version", "shard was scored by another release", f"{path} by {head['version']}",
                f"score it anew with {__version__}", exit_code=EXIT_USAGE,
            )  # fmt: skip
        if lines[-1] != _seal(b"".join(lines[:-1])).encode():
            raise _damaged(path, "shard is cut off or damaged")
        rest = map(json.loads, lines[1:-1])
        shard = Shard(*head["shard"])
        outcomes: list[tuple[int, str, Outcome]] = []
        measured, files = {}, {}
        for line in rest:
            if "mask" in line:
                files[line["set"], line["name"]] = Files(
                    Path(line["mask"]),
                    line["image"] and Path(line["image"]),
                    {(method, run): Path(path) for method, run, path in line["maps"]},
                )
                continue
            if "attributes" in line:
                measured[line["set"], line["name"]] = Attributes(**line["attributes"])
                continue
            told: Outcome = (
                Problem(*line["problem"])
                if "problem" in line
                else Picture(line["name"], line["resized"], line["score"])
            )
            outcomes.append((line["series"], line["name"], told))
        same = {name: value for name, value in head.items() if name != "shard"} | {"parts": shard.parts}
        told_hash = hashlib.sha256(json.dumps(same, sort_keys=True).encode()).hexdigest()
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise _damaged(path, "this is no shard of a comparison") from error
    return _Part(path, shard, head, outcomes, measured, files, told_hash)


def _damaged(path: Path, what: str) -> StandoutError:
    return StandoutError(
        "shard-damaged", what, path, "give the files that --shard wrote, or score them anew", exit_code=EXIT_USAGE
    )
