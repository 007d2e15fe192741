"""Scoring a network on held-out pictures, and choosing the scale of its logits there."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from standout.errors import StandoutError
from standout.images import as_levels, resize_map
from standout.metrics import SaliencyMeasures
from standout.networks.network import Network
from standout.train.held_out import HeldOut

SCALES = (1.0, 1.25, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0)
"""Logit scales that are tried; the smallest wins among equals."""
LOWER_IS_BETTER = frozenset({"mae"})


@torch.no_grad()
def maps_of(network: Network, held_out: HeldOut, scale: float = 1.0) -> list[NDArray[np.float32]]:
    """Return the maps (H, W) in 0..1 of some pictures, each at its mask's own size.

    As in use, the sigmoid comes before the resizing. Where a mask says nothing, both are background.

    Raises
    ------
    StandoutError : the network gives what is no number.
    """
    maps = torch.sigmoid(scale * network(held_out.image).logits.float()).cpu().numpy()
    if not np.isfinite(maps).all():
        raise StandoutError(
            "nonfinite", "maps of held-out pictures stopped being numbers", "",
            "lower optimiser.rate or set optimiser.clip; the last good checkpoint stays",
        )  # fmt: skip
    found: list[NDArray[np.float32]] = []
    for map_, mask, known in zip(maps, held_out.masks, held_out.known, strict=True):
        own = np.clip(resize_map(map_[0], mask.shape), 0, 1)
        found.append(own if known is None else np.where(known, own, np.float32(0)))
    return found


def score(
    network: Network, pictures: Iterable[HeldOut], *, scale: float = 1.0, weighted: bool = False
) -> dict[str, float]:
    """Return the measures of the network's 8-bit maps over held-out pictures; the network's mode is left as it was.

    Parameters
    ----------
    scale : factor on the logits before the sigmoid.
    weighted : whether to compute weighted F too, which takes most of the time.
    """
    return _score(network, pictures, (scale,), weighted)[0]


def choose_sharpness(network: Network, pictures: Iterable[HeldOut]) -> tuple[float, dict[str, float]]:
    """Return the logit scale with the lowest MAE on the held-out pictures, and the MAE at every one tried.

    `pictures` is gone through once.
    """
    found = _score(network, pictures, SCALES, weighted=False)
    mae = {f"{scale:g}": scores["mae"] for scale, scores in zip(SCALES, found, strict=True)}
    at = min(range(len(SCALES)), key=lambda i: (found[i]["mae"], SCALES[i]))
    return SCALES[at], mae


def _score(
    network: Network, pictures: Iterable[HeldOut], scales: Sequence[float], weighted: bool
) -> list[dict[str, float]]:
    measures = [SaliencyMeasures(weighted=weighted) for _ in scales]
    was_training = network.training
    network.eval()
    try:
        for held_out in pictures:
            for scale, sums in zip(scales, measures, strict=True):
                for map_, mask in zip(maps_of(network, held_out, scale), held_out.masks, strict=True):
                    sums.update(as_levels(map_), mask)
    finally:
        network.train(was_training)
    return [sums.compute() for sums in measures]


def better(new: float, old: float | None, measure: str) -> bool:
    """Whether `new` is a better value of the measure than `old`, which may be missing."""
    if old is None:
        return True
    return new < old if measure in LOWER_IS_BETTER else new > old
