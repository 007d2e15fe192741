"""What a comparison holds: for each run of each method on each set its row, its curves, and every picture's score."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from standout.evaluate.attributes import Attributes
from standout.evaluate.costs import Cost
from standout.evaluate.pairs import Problem
from standout.evaluate.plan import Planned, refuse_comparison
from standout.evaluate.score import Rules, Scored, tally
from standout.evaluate.stored import unpacked
from standout.metrics import MEASURES, PictureScore
from standout.metrics.curves import THRESHOLDS

Floats = NDArray[np.float64]

COMPARED = ("mae", "f_max", "weighted_f", "s", "e_mean", "iou")
"""The measures that a comparison shows where nothing else is asked for."""
LOWER_IS_BETTER = frozenset({"mae"})
PICTURE_MEASURES = tuple(name for name in MEASURES if name != "f_max_pr")
"""What one picture has; F of one picture's own precision and recall is its F, so `f_max_pr` would say nothing new."""


class Picture(NamedTuple):
    """One picture's score as it is stored, and whether its map was resized to the mask."""

    name: str
    resized: bool
    stored: Mapping[str, Any]

    @property
    def score(self) -> PictureScore:
        """The score, made from what is stored."""
        return unpacked(self.stored)


def picture_measures(score: PictureScore) -> dict[str, float]:
    """Return the measures of one picture alone; `f_max` and `e_max` are the maxima of its own curves.

    `weighted_f` is absent where it was left out.
    """
    curves = score.curves()
    if score.protocol.thresholds == THRESHOLDS - 1:
        curves = np.delete(curves, THRESHOLDS - 2, axis=1)
    _, _, f, e = curves
    values = {
        "mae": score.mae,
        "f_max": float(f.max()),
        "f_mean": float(f.mean()),
        "f_adaptive": score.f_adaptive,
        "weighted_f": score.weighted_f,
        "s": score.s,
        "e_max": float(e.max()),
        "e_mean": float(e.mean()),
        "e_adaptive": score.e_adaptive,
        "iou": score.iou,
    }
    return {name: value for name in PICTURE_MEASURES if (value := values[name]) is not None}


class Series(NamedTuple):
    """One run of one method on one set.

    scored : its row: measures, mean curves (`scored.sums.curves()`), and the account of its pictures.
    pictures : those that were scored, in the order of their names.
    """

    method: str
    run: int
    data: str
    scored: Scored
    pictures: tuple[Picture, ...]

    def curves(self) -> dict[str, Floats]:
        """Return the mean precision, recall, f and e curves, (256,) each, at thresholds 255, 254, ..., 0."""
        return self.scored.sums.curves()


class Files(NamedTuple):
    """Where one picture of a set lies: its mask, its picture where the set has them, its map by (method, run)."""

    mask: Path
    image: Path | None
    maps: Mapping[tuple[str, int], Path]


class Comparison(NamedTuple):
    """Every series of a comparison: set by set, in each the methods in their order, in each the runs.

    attributes : of each picture by (set, name), where they were asked for.
    files : of each picture by (set, name), where they lay when they were scored.
    costs : of the methods whose model files were given, see `standout.evaluate.model_costs`.
    """

    rules: Rules
    series: tuple[Series, ...]
    attributes: Mapping[tuple[str, str], Attributes] = MappingProxyType({})
    files: Mapping[tuple[str, str], Files] = MappingProxyType({})
    costs: Mapping[str, Cost] = MappingProxyType({})

    @property
    def sets(self) -> tuple[str, ...]:
        """The names of the sets."""
        return tuple(dict.fromkeys(series.data for series in self.series))

    @property
    def methods(self) -> tuple[str, ...]:
        """The names of the methods."""
        return tuple(dict.fromkeys(series.method for series in self.series))

    def of(self, method: str, data: str) -> tuple[Series, ...]:
        """Return the runs of one method on one set."""
        return tuple(series for series in self.series if (series.method, series.data) == (method, data))

    def same_pictures(self, data: str) -> bool:
        """Whether every series of the set was scored on the same pictures, so that its rows may be ranked."""
        return len({series.scored.list_sha256 for series in self.series if series.data == data}) == 1

    def records(self) -> Iterator[dict[str, Any]]:
        """Yield one JSON object for each picture of each series, then for each that has no score."""
        for series in self.series:
            key = {"set": series.data, "method": series.method, "run": series.run}
            for picture in series.pictures:
                score = picture.score
                yield {
                    "schema": 1, **key, "name": picture.name, **picture_measures(score),
                    "pixels": score.pixels, "foreground": score.foreground,
                    "constant_map": score.constant_map, "resized": picture.resized,
                    **self._attributes(series.data, picture.name),
                }  # fmt: skip
            for problem in series.scored.problems:
                yield {"schema": 1, **key, "name": problem.name, "problem": problem.kind, "text": problem.text}

    def _attributes(self, data: str, name: str) -> dict[str, Any]:
        own = self.attributes.get((data, name))
        return {} if own is None else {"attributes": own._asdict()}

    def records_text(self) -> str:
        """Return the records as JSON lines."""
        return "".join(f"{json.dumps(record, allow_nan=False)}\n" for record in self.records())


Outcome = Picture | Problem


def gather(
    plan: Sequence[Planned],
    outcomes: Sequence[Sequence[tuple[str, Outcome]]],
    rules: Rules,
    attributes: Mapping[tuple[str, str], Attributes] = MappingProxyType({}),
) -> Comparison:
    """Return the comparison from the outcomes of each series, in any order of the names: the sums are exact."""
    series = []
    for planned, found in zip(plan, outcomes, strict=True):
        ordered = sorted(found, key=lambda outcome: outcome[0])
        told = (
            (name, outcome if isinstance(outcome, Problem) else (outcome.score, outcome.resized))
            for name, outcome in ordered
        )
        scored = tally(planned.label, None, planned.found, rules, told)
        pictures = tuple(outcome for _, outcome in ordered if isinstance(outcome, Picture))
        series.append(Series(planned.method, planned.run, planned.data, scored, pictures))
    return Comparison(rules, tuple(series), attributes)


def refuse_incomplete(comparison: Comparison, allow_missing: bool) -> None:
    """Refuse a comparison in which something has no score, or (where that is allowed) a series has none at all.

    Raises
    ------
    StandoutError : exit code 1, with the names.
    """
    rows = [series.scored for series in comparison.series]
    if any(row.problems and (not allow_missing or row.sums.count == 0) for row in rows):
        raise refuse_comparison([(row.label, row.problems) for row in rows])
