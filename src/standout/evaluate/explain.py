"""Which rules yield a published figure, and on which pictures two sets of rules differ."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from standout.data.layouts import TEST
from standout.errors import EXIT_USAGE, StandoutError, printable
from standout.evaluate.comparison import picture_measures
from standout.evaluate.pairs import Item, Problem, pair_maps, refuse
from standout.evaluate.score import Loaded, Progress, Rules, in_order, loaded_or_problem, resized_map
from standout.evaluate.table import HEADINGS
from standout.images import read_map, read_mask
from standout.metrics import DEFAULT_PROTOCOL, PROTOCOLS, PictureScore, Protocol, SaliencyMeasures, score_picture
from standout.metrics.curves import THRESHOLDS, f_measure

CHOICES: Mapping[str, tuple[Any, ...]] = {
    "stretch": (True, False),
    "mask_above": (128, 127, 0),
    "resize": ("bilinear", "nearest"),
    "thresholds": (256, 255),
    "empty": ("zero", "agree", "left out"),
    "e_over": ("less one", "all"),
}
"""What tools of the field do differently, beside the measure they mean by a letter."""
_WORDS: Mapping[str, Mapping[Any, str]] = {
    "stretch": {True: "each map stretched", False: "maps as stored"},
    "mask_above": {128: "masks above 128", 127: "masks above 127", 0: "masks above 0"},
    "resize": {"bilinear": "maps resized bilinearly", "nearest": "maps resized to the nearest pixel"},
    "thresholds": {256: "256 thresholds", 255: "255 thresholds"},
    "empty": {
        "zero": "an empty mask scores 0",
        "agree": "an empty mask scores 1 where nothing is found",
        "left out": "empty masks left out",
    },
    "e_over": {"less one": "E over the pixels less one", "all": "E over all pixels"},
}
EACH = {"f_max_each": "max F of each", "e_max_each": "max E of each"}
"""The means of the pictures' own maxima, which some tools call max F and max E."""
SHOWN = 10

_Variant = tuple[bool, int, str]


class Candidate(NamedTuple):
    """One figure that the maps give: the measure, its value, and the rules.

    distance : how many rules differ from the nearest named protocol.
    """

    measure: str
    value: float
    protocol: Protocol
    distance: int


class Difference(NamedTuple):
    """One picture under two sets of rules; None where a rule leaves it out."""

    name: str
    first: float | None
    second: float | None

    @property
    def apart(self) -> float:
        """How far the two lie apart; a picture that only one rule leaves out lies farthest."""
        return math.inf if self.first is None or self.second is None else abs(self.first - self.second)


class Explanation(NamedTuple):
    """Where a figure comes from.

    found : the figures that print like it, the fewest departures from a named protocol first; empty where none does.
    nearest : the five nearest, where none does.
    pictures : those that differ, the farthest first.
    measure, first, second : what they are compared by: the best candidate's rules with the default, or with another
        named protocol where it is the default. For the maximum of a mean curve a picture's value is that at the
        threshold of the maximum.
    """

    figure: str
    scored: int
    found: tuple[Candidate, ...]
    nearest: tuple[Candidate, ...]
    measure: str
    first: Protocol
    second: Protocol
    pictures: tuple[Difference, ...]


class Sought(NamedTuple):
    """A published figure as a number in 0..1, and to how many decimals it is given."""

    value: float
    decimals: int

    @classmethod
    def parse(cls, text: str) -> Sought:
        """Return the figure; above 1 it is taken as a percentage.

        Raises
        ------
        StandoutError : exit code 2, no such number.
        """
        whole, _, decimals = text.strip().removesuffix("%").strip().partition(".")
        if not (whole.isdecimal() or (not whole and decimals)) or (decimals and not decimals.isdecimal()):
            raise StandoutError("usage", "no figure", text, "write it as published, like 0.806", exit_code=EXIT_USAGE)
        value = float(f"{whole or 0}.{decimals or 0}")
        percent = value > 1 or text.strip().endswith("%")
        if value > 100:
            raise StandoutError("usage", "no figure of a measure", text, "they lie in 0 to 1", exit_code=EXIT_USAGE)
        return cls(value / 100, len(decimals) + 2) if percent else cls(value, len(decimals))

    def matches(self, value: float) -> bool:
        """Whether the value prints like the figure, rounded or cut off."""
        unit = 10.0**-self.decimals
        return -0.5 * unit - 1e-12 <= value - self.value < unit - 1e-12


def explain(
    maps: str | Path,
    masks: str | Path,
    figure: str,
    *,
    measures: Sequence[str] | None = None,
    rules: Rules = Rules(),  # noqa: B008 - immutable
    part: str | None = TEST,
    jobs: int = 1,
    progress: Progress | None = None,
) -> Explanation:
    """Score the maps under every combination of `CHOICES` that matters to them, and compare with a figure.

    Parameters
    ----------
    figure : as published, like "0.806" or "80.6": its decimals say how closely a value must fit.
    measures : only these, of `standout.metrics.MEASURES` or `EACH`.
    rules : how files are read; the protocol in it plays no part.

    Raises
    ------
    StandoutError : as `score_maps`; exit code 2 where the figure is none.
    """
    sought = Sought.parse(figure)
    found = pair_maps(Path(maps), Path(masks), part=part)
    outcomes = in_order(functools.partial(_variants, rules=rules), found.items, jobs)
    scored = list(outcomes if progress is None else progress(outcomes, len(found.items)))
    problems = [*found.problems, *(one for one in scored if isinstance(one, Problem))]
    if problems:
        raise refuse(problems, found.expected)
    pictures: list[dict[_Variant, PictureScore]] = scored
    candidates = [
        candidate
        for candidate in _candidates(pictures, rules.weighted)
        if measures is None or candidate.measure in measures
    ]
    fitting = tuple(candidate for candidate in candidates if sought.matches(candidate.value))
    near = sorted(candidates, key=lambda candidate: abs(candidate.value - sought.value))[:5]
    best = fitting[0] if fitting else near[0]
    other = next(
        (protocol for protocol in PROTOCOLS.values()
         if protocol != best.protocol and best.value != _figures(pictures, protocol, rules.weighted)[best.measure]),
        PROTOCOLS["raw" if best.protocol.name == DEFAULT_PROTOCOL else DEFAULT_PROTOCOL],
    )  # fmt: skip
    values = (_values(pictures, protocol, best.measure) for protocol in (best.protocol, other))
    told = [Difference(item.name, *both) for item, *both in zip(found.items, *values, strict=True)]
    apart = sorted((one for one in told if one.first != one.second), key=lambda one: -one.apart)
    nearest = () if fitting else tuple(near)
    return Explanation(
        figure, len(pictures), fitting, nearest, best.measure, best.protocol, other, tuple(apart)
    )  # fmt: skip


def _variants(item: Item, rules: Rules) -> dict[_Variant, PictureScore] | Problem:
    """Return the picture's score under each choice that changes what is counted; equal ones are made once."""
    mask = None

    def load(item: Item) -> Loaded:
        nonlocal mask
        mask = read_mask(item.mask, class_index=rules.mask_class).values
        return Loaded(read_map(item.source, scale=rules.map_scale), mask, False)

    loaded = loaded_or_problem(item, load)
    if isinstance(loaded, Problem):
        return loaded
    scores: dict[_Variant, PictureScore] = {}
    made: dict[tuple[bool, int, str], PictureScore] = {}
    same_size = loaded.map.shape == loaded.mask.shape
    if not same_size and rules.strict_size:
        return Problem("mis-sized", item.name)
    base = PROTOCOLS[DEFAULT_PROTOCOL]
    for stretch, above, rule in itertools.product(CHOICES["stretch"], CHOICES["mask_above"], CHOICES["resize"]):
        # Masks that hold as many pixels above both levels are equal above both.
        key = (stretch, int(np.count_nonzero(loaded.mask > above)), "" if same_size else rule)
        if key not in made:
            map_ = loaded.map if same_size else resized_map(loaded.map, loaded.mask.shape, rule)
            protocol = base._replace(stretch=stretch, mask_above=above)
            made[key] = score_picture(map_, loaded.mask, protocol=protocol, weighted=rules.weighted)
        scores[stretch, above, rule] = made[key]
    return scores


def _candidates(pictures: Sequence[Mapping[_Variant, PictureScore]], weighted: bool) -> list[Candidate]:
    """Return every different figure once, under the rules nearest to a named protocol, these first."""
    combined = itertools.product(*_mattering(pictures))
    conventions = [_named(dict(zip(CHOICES, chosen, strict=True))) for chosen in combined]
    order = list(PROTOCOLS)
    conventions.sort(key=lambda one: (one[1], order.index(one[0].name.partition(",")[0])))
    found: dict[tuple[str, float], Candidate] = {}
    for protocol, distance in conventions:
        for measure, value in _figures(pictures, protocol, weighted).items():
            found.setdefault((measure, value), Candidate(measure, value, protocol, distance))
    return list(found.values())


def _mattering(pictures: Sequence[Mapping[_Variant, PictureScore]]) -> list[tuple[Any, ...]]:
    """Return the choices that can change a figure of these pictures; of the others the default alone."""
    scores = [score for own in pictures for score in own.values()]
    grey = any(own[True, 128, "bilinear"] is not own[True, above, "bilinear"] for own in pictures for above in (127, 0))
    resized = any(own[True, 128, "bilinear"] is not own[True, 128, "nearest"] for own in pictures)
    matters = {"mask_above": grey, "resize": resized, "empty": any(score.foreground == 0 for score in scores)}
    return [choices if matters.get(field, True) else choices[:1] for field, choices in CHOICES.items()]


def _named(chosen: Mapping[str, Any]) -> tuple[Protocol, int]:
    """Return the rules as a protocol whose name says how they depart from the nearest named one, and by how many."""
    departures = {
        protocol: [field for field, value in chosen.items() if getattr(protocol, field) != value]
        for protocol in PROTOCOLS.values()
    }
    base, fields = min(departures.items(), key=lambda one: len(one[1]))
    told = "".join(f", {_WORDS[field][chosen[field]]}" for field in fields)
    return base._replace(name=base.name + told, **chosen), len(fields)


def _score(own: Mapping[_Variant, PictureScore], protocol: Protocol) -> PictureScore | None:
    score = own[protocol.stretch, protocol.mask_above, protocol.resize]
    if protocol.empty == "left out" and score.foreground == 0:
        return None
    return score._replace(protocol=protocol).agreeing()


def _figures(
    pictures: Sequence[Mapping[_Variant, PictureScore]], protocol: Protocol, weighted: bool
) -> dict[str, float]:
    """Return every measure of the set under the rules; none where they leave every picture out."""
    sums = SaliencyMeasures(protocol, weighted=weighted)
    maxima = []
    for own in pictures:
        if (score := _score(own, protocol)) is not None:
            sums.add(score)
            of_picture = picture_measures(score)
            maxima.append((of_picture["f_max"], of_picture["e_max"]))
    if not maxima:
        return {}
    columns = zip(EACH, zip(*maxima, strict=True), strict=True)
    return sums.compute() | {name: math.fsum(column) / len(maxima) for name, column in columns}


def _values(
    pictures: Sequence[Mapping[_Variant, PictureScore]], protocol: Protocol, measure: str
) -> list[float | None]:
    """Return what each picture adds to a figure, None where the rules leave it out.

    For the maximum of a mean curve that is the picture's own value at the threshold of that maximum.
    """
    scores = [_score(own, protocol) for own in pictures]
    if measure in EACH or not measure.startswith(("f_max", "e_max")):
        name = measure.removesuffix("_each")
        return [None if score is None else picture_measures(score)[name] for score in scores]
    sums = SaliencyMeasures(protocol, weighted=False)
    for score in scores:
        if score is not None:
            sums.add(score)
    curves = sums.curves()
    mean = f_measure(curves["precision"], curves["recall"]) if measure == "f_max_pr" else curves[measure[0]]
    at = int(mean.argmax())
    at += protocol.thresholds == THRESHOLDS - 1 and at == THRESHOLDS - 2  # level 1 stands before level 0
    return [None if score is None else float((score.e if measure == "e_max" else score.f)[at]) for score in scores]


def heading(measure: str) -> str:
    """Return the words for a measure."""
    return HEADINGS.get(measure) or EACH[measure]


def explanation_document(told: Explanation) -> dict[str, Any]:
    """Return the explanation as JSON."""

    def stored(candidate: Candidate) -> dict[str, Any]:
        return {**candidate._asdict(), "protocol": candidate.protocol._asdict()}

    return {
        "schema": 1,
        "figure": told.figure,
        "pictures": told.scored,
        "found": [stored(candidate) for candidate in told.found],
        "nearest": [stored(candidate) for candidate in told.nearest],
        "differences": {
            "measure": told.measure, "first": told.first.name, "second": told.second.name,
            "pictures": [{**one._asdict(), "name": printable(one.name)} for one in told.pictures],
        },
    }  # fmt: skip


def explanation_text(told: Explanation) -> str:
    """Return the explanation for a person: the rules that fit, then the pictures that decide."""
    figure = printable(told.figure)
    if told.found:
        lines = [f"{figure} over {told.scored} pictures is"]
        rest = len(told.found) - SHOWN
    else:
        lines = [f"no rules that we know give {figure} over {told.scored} pictures; the nearest are"]
        rest = 0
    for candidate in (told.found or told.nearest)[:SHOWN]:
        lines.append(f"  {heading(candidate.measure):14} {candidate.value:.6f}  {candidate.protocol.name}")
    if rest > 0:
        lines.append(f"  and {rest} more under rules farther from a named protocol (--json lists all)")
    lines.append("")
    one, other = told.first.name, told.second.name
    if not told.pictures:
        lines.append(f"{heading(told.measure)} is the same on every picture under {one} and under {other}")
        return "\n".join(lines) + "\n"
    at = " at the mean curve's best threshold" if told.measure in ("f_max", "f_max_pr", "e_max") else ""
    lines.append(f"{heading(told.measure)}{at} of single pictures, 1 under {one}, 2 under {other}; "
                 f"{len(told.pictures)} of {told.scored} differ")  # fmt: skip
    shown = told.pictures[:SHOWN]
    width = max(len(printable(one.name)) for one in shown)
    lines.append(f"  {'':{width}}  {'1':>8}  {'2':>8}")
    for difference in shown:
        values = ["left out" if value is None else f"{value:.4f}" for value in (difference.first, difference.second)]
        lines.append(f"  {printable(difference.name):{width}}  {values[0]:>8}  {values[1]:>8}")
    return "\n".join(lines) + "\n"
