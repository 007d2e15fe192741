"""The pictures of a set that are worth looking at: found best, found worst, and most disputed between methods."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from standout.errors import StandoutError
from standout.evaluate.comparison import LOWER_IS_BETTER, PICTURE_MEASURES, Comparison, Files, picture_measures
from standout.evaluate.pairs import Item
from standout.evaluate.score import Rules, at_mask_size
from standout.images import as_levels, encode_image, fit_mask, fitting, read_image, read_map, read_mask, resize
from standout.metrics import PictureScore, find_protocol, score_picture

GROUPS = ("best", "worst", "disputed")
EACH = 6
"""Pictures in a group."""
LONGEST = 320
"""Pixels of the longer side, as they are shown."""
PICTURE_QUALITY, MAP_QUALITY = 80, 90

Pixels = NDArray[np.uint8]


class Chosen(NamedTuple):
    """One picture of a set, the groups that it is in, and what each method scores on it (the mean over its runs)."""

    data: str
    name: str
    groups: tuple[str, ...]
    values: Mapping[str, float]


def deciding_measure(keys: Sequence[str]) -> str:
    """Return the measure by which pictures are chosen: S where it is shown, else the first that a picture has."""
    own = [key for key in keys if key in PICTURE_MEASURES]
    return "s" if "s" in own or not own else own[0]


def chosen_pictures(comparison: Comparison, key: str, each: int = EACH) -> list[Chosen]:
    """Return the best, worst and most disputed pictures of every set by one measure of single pictures.

    Best and worst go by the mean over the methods, disputed by the distance between the best and the worst method;
    with one method nothing is disputed. Only pictures that every series of the set has a score for take part.
    """
    chosen = []
    for data in comparison.sets:
        values = _values(comparison, data, key)
        sign = -1 if key in LOWER_IS_BETTER else 1
        mean = {name: sign * float(np.mean(list(own.values()))) for name, own in values.items()}
        apart = {name: max(own.values()) - min(own.values()) for name, own in values.items()}
        groups = {
            "best": sorted(values, key=lambda name: (-mean[name], name))[:each],
            "worst": sorted(values, key=lambda name: (mean[name], name))[:each],
            "disputed": [name for name in sorted(values, key=lambda name: (-apart[name], name)) if apart[name] > 0][
                :each
            ],
        }
        for name in dict.fromkeys(name for names in groups.values() for name in names):
            own_groups = tuple(group for group in GROUPS if name in groups[group])
            chosen.append(Chosen(data, name, own_groups, values[name]))
    return chosen


def _values(comparison: Comparison, data: str, key: str) -> dict[str, dict[str, float]]:
    """Return the measure of every picture of the set, by name and method."""
    runs: dict[str, dict[str, list[float]]] = {}
    for series in (series for series in comparison.series if series.data == data):
        for picture in series.pictures:
            value = picture_measures(picture.score)[key]
            runs.setdefault(picture.name, {}).setdefault(series.method, []).append(value)
    whole = {method: len(comparison.of(method, data)) for method in comparison.methods}
    return {
        name: {method: float(np.mean(of_runs)) for method, of_runs in own.items()}
        for name, own in runs.items()
        if {method: len(of_runs) for method, of_runs in own.items()} == whole
    }


def picture_addresses(
    files: Files, name: str, rules: Rules, scores: Mapping[str, PictureScore]
) -> dict[str, Any] | None:
    """Return a picture, its mask and each method's map (of its first run) as small data addresses.

    Maps are shown as they were scored: at the mask's size and stretched where the protocol stretches.

    Parameters
    ----------
    scores : what each method's map scored. None is returned where a file can no longer be read, or where it scores
        otherwise: a path of another machine may hold something else here.
    """
    try:
        label = read_mask(files.mask, class_index=rules.mask_class)
        size = fitting(label.size, LONGEST)
        protocol = find_protocol(rules.protocol)
        maps = {}
        for (method, _), path in (one for one in files.maps.items() if one[0][1] == 1):
            item = Item(name, path, files.mask)
            found = at_mask_size(read_map(path, scale=rules.map_scale), label.values, item, rules).map
            score = score_picture(found, label.values, protocol=rules.protocol, weighted=False)
            if score.mae != scores[method].mae:
                return None
            maps[method] = _as_scored(found, rules)
    except StandoutError:
        return None
    mask = (label.values > protocol.mask_above) * np.uint8(255)
    return {
        "size": [size[1], size[0]],
        "image": _picture(files.image, label, size),
        "mask": _address(resize(mask, size), "PNG"),
        "maps": {method: _address(resize(pixels, size), "WEBP", MAP_QUALITY) for method, pixels in maps.items()},
    }


def _as_scored(map: NDArray[Any], rules: Rules) -> Pixels:  # noqa: A002 - the field's word
    levels = as_levels(map)
    low, high = int(levels.min()), int(levels.max())
    if not find_protocol(rules.protocol).stretch or low == high:
        return levels
    return ((levels.astype(np.int64) - low) * 255 // (high - low)).astype(np.uint8)


def _picture(path: Path | None, label: Any, size: tuple[int, int]) -> str | None:
    if path is None:
        return None
    try:
        pixels = fit_mask(label, read_image(path), hard=True).picture.pixels
    except StandoutError:  # it plays no part in the scores, and the maps can be looked at without it
        return None
    return _address(resize(pixels, size), "WEBP", PICTURE_QUALITY)


def _address(pixels: Pixels, kind: str, quality: int | None = None) -> str:
    content = encode_image(pixels, kind, quality=quality)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(content).decode('ascii')}"
