"""One pair under pysodmetrics, in standout's words. Needs `pip install pysodmetrics==1.6.2`, which standout never does."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import py_sod_metrics
from numpy.typing import NDArray


def peer_score(map_: NDArray[np.uint8], mask: NDArray[np.uint8]) -> dict[str, Any]:
    """Return precision, recall, f, e as (256,) arrays and mae, f_adaptive, weighted_f, s, e_adaptive, iou as floats."""
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
            measure.step(pred=map_, gt=mask)
        f_results, e_results = f.get_results(), e.get_results()["em"]
        curve = np.asarray(overlap.get_results()["iou"]["dynamic"]).ravel()
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
            "iou": float(curve[255 - 128]),
        }
