"""Scores by attribute: each method over the small and the large objects, the whole and the scattered ones."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from standout.errors import printable
from standout.evaluate.attributes import Attributes, Group, groups_of
from standout.evaluate.comparison import Comparison, Series
from standout.evaluate.table import DIGITS, HEADINGS
from standout.metrics import SaliencyMeasures

Block = tuple[list[str], list[list[str]]]
"""A heading and rows of text."""


class GroupScores(NamedTuple):
    """One group of a set's pictures, and each method's measures over them, the mean over its runs."""

    data: str
    group: Group
    measures: Mapping[str, Mapping[str, float]]


def scores_by_attribute(comparison: Comparison) -> list[GroupScores]:
    """Return the scores of every method over every group; a method without a picture in a group is not in it."""
    found = []
    for data in comparison.sets:
        own: dict[str, Attributes] = {
            name: value for (of_set, name), value in comparison.attributes.items() if of_set == data
        }
        for group in groups_of(own):
            measures = {}
            for method in comparison.methods:
                runs = [run for series in comparison.of(method, data) if (run := _over(series, group, comparison))]
                if runs:
                    measures[method] = {key: statistics.fmean(run[key] for run in runs) for key in runs[0]}
            found.append(GroupScores(data, group, measures))
    return found


def _over(series: Series, group: Group, comparison: Comparison) -> dict[str, float]:
    sums = SaliencyMeasures(comparison.rules.protocol, weighted=comparison.rules.weighted)
    for picture in series.pictures:
        if picture.name in group.names:
            sums.add(picture.score)
    return sums.compute() if sums.count else {}


def attribute_rows(comparison: Comparison) -> list[dict[str, Any]]:
    """Return the scores by attribute as JSON."""
    return [
        {
            "set": printable(data), "attribute": group.attribute, "group": group.words, "low": group.low,
            "high": group.high, "pictures": len(group.names), "method": printable(method), **values,
        }
        for data, group, measures in scores_by_attribute(comparison)
        for method, values in measures.items()
    ]  # fmt: skip


def attribute_blocks(comparison: Comparison, keys: Sequence[str]) -> list[Block]:
    """Return one block for each set and attribute: rows are methods, columns the groups with their pictures.

    The measure is S where it is shown at all, since it does not depend on how large the object is as MAE does; else
    the first that is shown.
    """
    key = "s" if "s" in keys else keys[0]
    scores = scores_by_attribute(comparison)
    blocks = []
    for data, attribute in dict.fromkeys((one.data, one.group.attribute) for one in scores):
        those = [one for one in scores if (one.data, one.group.attribute) == (data, attribute)]
        heading = [f"{printable(data)}: {HEADINGS[key]} by {attribute}"]
        heading += [f"{one.group.told} ({len(one.group.names)})" for one in those]
        rows = [
            [printable(method), *(_text(one.measures.get(method), key) for one in those)]
            for method in comparison.methods
        ]
        blocks.append((heading, rows))
    return blocks


def _text(measures: Mapping[str, float] | None, key: str) -> str:
    return "-" if measures is None else f"{measures[key]:.{DIGITS}f}"
