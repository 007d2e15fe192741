"""The classes that pysodmetrics and its twin share, built alike from either module, and their results as one table."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

HANDLERS = (
    "IOUHandler", "SpecificityHandler", "TNRHandler", "DICEHandler", "OverallAccuracyHandler", "PrecisionHandler",
    "RecallHandler", "TPRHandler", "SensitivityHandler", "FPRHandler", "BERHandler", "FmeasureHandler",
)  # fmt: skip
"""All but KappaHandler, whose figure in the peer is not Cohen's kappa."""


def step_classes(module: Any) -> dict[str, Any]:
    """Return one object of each class that the peer and its twin share, also with other settings than the default."""
    modes = {"with_dynamic": True, "with_adaptive": True, "with_binary": True}
    found = {
        "MAE": module.MAE(),
        "Smeasure": module.Smeasure(),
        "Smeasure alpha 0.3": module.Smeasure(alpha=0.3),
        "Emeasure": module.Emeasure(),
        "Fmeasure": module.Fmeasure(),
        "Fmeasure beta 1": module.Fmeasure(beta=1),
        "WeightedFmeasure": module.WeightedFmeasure(),
        "WeightedFmeasure beta 0.3": module.WeightedFmeasure(beta=0.3),
    }
    for by_sample in (True, False):
        handlers = {name: getattr(module, name)(**modes, sample_based=by_sample) for name in HANDLERS}
        handlers["FmeasureHandler beta 1"] = module.FmeasureHandler(**modes, sample_based=by_sample, beta=1)
        found[f"FmeasureV2 {'by picture' if by_sample else 'of all'}"] = module.FmeasureV2(handlers)
    return found


def flattened(results: dict[str, Any], before: str = "") -> dict[str, NDArray[np.float64]]:
    """Return nested results as one table of arrays."""
    flat: dict[str, NDArray[np.float64]] = {}
    for name, value in results.items():
        whole = f"{before} {name}".strip()
        flat.update(flattened(value, whole) if isinstance(value, dict) else {whole: np.asarray(value)})
    return flat
