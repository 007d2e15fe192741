"""One pair under pysodmetrics, in our words. Needs `pip install pysodmetrics==1.6.2`; standout itself never does.

Also says which of the three documented exceptions a pair falls under: there standout has answers of its own.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import py_sod_metrics
from numpy.typing import NDArray

CURVES = ("precision", "recall", "f", "e")
NUMBERS = ("mae", "f_adaptive", "weighted_f", "s", "e_adaptive", "iou")
LIMIT = 1e-9
PEER_PROTOCOLS = ("pysodmetrics-1.6.2", "raw")
"""The protocols whose every rule the peer shares, once maps are stretched or not; `sane` has rules of its own."""


def peer_score(map_: NDArray[np.uint8], mask: NDArray[np.uint8], protocol: str) -> dict[str, Any]:
    """Return the `CURVES` as (256,) arrays and the `NUMBERS` as floats; `raw` is the peer without normalisation."""
    stretched = protocol != "raw"
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        mae, f, weighted, s, e = (
            py_sod_metrics.MAE(),
            py_sod_metrics.Fmeasure(),
            py_sod_metrics.WeightedFmeasure(),
            py_sod_metrics.Smeasure(),
            py_sod_metrics.Emeasure(),
        )
        overlap = py_sod_metrics.FmeasureV2(
            metric_handlers={"iou": py_sod_metrics.IOUHandler(with_dynamic=True, with_adaptive=False)}
        )
        for measure in (mae, f, weighted, s, e, overlap):
            if stretched:
                measure.step(pred=map_, gt=mask)
            else:
                measure.step(pred=map_ / 255, gt=mask > 128, normalize=False)
        f_results, e_results = f.get_results(), e.get_results()["em"]
        overlaps = np.asarray(overlap.get_results()["iou"]["dynamic"]).ravel()
        return {
            "precision": np.asarray(f_results["pr"]["p"]).ravel(),
            "recall": np.asarray(f_results["pr"]["r"]).ravel(),
            "f": np.asarray(f_results["fm"]["curve"]).ravel(),
            "e": np.asarray(e_results["curve"]).ravel(),
            "mae": float(mae.get_results()["mae"]),
            "f_adaptive": float(f_results["fm"]["adp"]),
            "weighted_f": float(weighted.get_results()["wfm"]),
            "s": float(s.get_results()["sm"]),
            "e_adaptive": float(e_results["adp"]),
            "iou": float(overlaps[255 - 128]),
        }


def exception(name: str, map_: NDArray[np.uint8], mask: NDArray[np.uint8], protocol: str) -> str | None:
    """Return which documented trap lets `name` differ on this pair, or None; read from the pixels alone."""
    foreground = np.argwhere(mask > 128)
    if name == "s" and 0 < len(foreground) < mask.size:
        row, column = (round(float(at)) + 1 for at in foreground.mean(axis=0))
        quadrants = (np.s_[:row, :column], np.s_[:row, column:], np.s_[row:, :column], np.s_[row:, column:])
        parts = [map_[quadrant] for quadrant in quadrants]
        if not all(part.size for part in parts):
            return "trap 6: a quadrant without pixels"
        if any(part.min() == part.max() for part in parts):
            return "trap 7: a constant quadrant"
    if name in ("f_adaptive", "e_adaptive"):
        low, high = int(map_.min()), int(map_.max())
        low, span = (low, high - low) if protocol != "raw" and low != high else (0, 255)
        levels = map_.astype(np.int64) - low
        twice_the_mean = 2 * int(levels.sum())
        if twice_the_mean <= span * levels.size and np.any(levels * levels.size == twice_the_mean):
            return "trap 13: a value on the adaptive threshold"
    return None
