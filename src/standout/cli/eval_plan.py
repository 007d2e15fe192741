"""What `standout eval --dry-run` says: what pairs with what, and which files would be written. Nothing is scored."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from standout.cli.preview import tell_plan
from standout.errors import printable

if TYPE_CHECKING:
    from standout.evaluate.pairs import Found, Problem

Series = Sequence[tuple[str, "Found"]]
"""What would be scored, with its pairs: a method on a set, or the one folder of maps or model."""


def named_series(maps: Sequence[tuple[str, Path]], masks: Sequence[tuple[str, Path]], part: str) -> Series:
    """Return the series of a comparison."""
    from standout.evaluate.plan import plan_comparison

    return [(planned.label, planned.found) for planned in plan_comparison(maps, masks, part=part)]


def one_series(source: Path, data: Path, part: str, *, is_model: bool) -> Series:
    """Return the series of a folder of maps, or of a model, which must be one."""
    from standout.evaluate.pairs import pair_maps, pair_pictures

    if not is_model:
        return [(source.name, pair_maps(source, data, part=part))]
    from standout.models.inspect import inspect_model

    inspect_model(source)
    return [(source.name, pair_pictures(data, part=part))]


def tell_series(series: Series, write: Sequence[Path], *, allow_missing: bool, as_json: bool) -> None:
    """Print what would be scored and written.

    Raises
    ------
    StandoutError : maps are missing or surplus, as the scoring itself refuses them.
    """
    from standout.evaluate.pairs import refuse
    from standout.evaluate.plan import refuse_comparison

    problems: list[tuple[str, tuple[Problem, ...]]] = [(label, found.problems) for label, found in series]
    if any(those for _, those in problems) and not allow_missing:
        first = series[0][1]
        raise refuse(first.problems, first.expected) if len(series) == 1 else refuse_comparison(problems)
    lines = [f"{printable(label)}: {len(found.items)} of {found.expected} pictures to score" for label, found in series]
    rows = [
        {"series": printable(label), "to_score": len(found.items), "expected": found.expected}
        for label, found in series
    ]
    tell_plan(lines, write, as_json, series=rows)
