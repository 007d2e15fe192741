"""What a run found out, as one JSON document: the matrix, both conventions' measures, and what it cost."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from standout.errors import EXIT_USAGE, StandoutError
from standout.lifelong.measures import CONVENTIONS, AccuracyMatrix
from standout.metadata import parse_json

if TYPE_CHECKING:
    from standout.lifelong.network import Recogniser

RESULTS = "results.json"


def matrix_of(
    names: Sequence[str], rows: Sequence[Mapping[str, Any]], untrained: Sequence[float | None]
) -> AccuracyMatrix:
    """Return the square matrix of the experiences learnt so far.

    A row that was measured before later experiences were known has holes there.
    """
    count = len(rows)
    values = np.full((count, count), np.nan)
    for i, row in enumerate(rows):
        for j, accuracy in enumerate(row["accuracies"][:count]):
            values[i, j] = np.nan if accuracy is None else accuracy
    before = np.full(count, np.nan)
    for j, accuracy in enumerate(untrained[:count]):
        before[j] = np.nan if accuracy is None else accuracy
    return AccuracyMatrix(values, untrained=before, names=names[:count], unlearnt=_unlearnt(rows))


def _unlearnt(rows: Sequence[Mapping[str, Any]]) -> list[list[int]]:
    """Return how many pictures tested on were of classes not learnt yet; 0 where that was not known then."""
    columns = range(len(rows))
    counts: list[list[int]] = [row.get("not_learnt_yet", []) for row in rows]
    return [[row[column] if column < len(row) else 0 for column in columns] for row in counts]


def results_of(
    matrix: AccuracyMatrix,
    rows: Sequence[Mapping[str, Any]],
    *,
    deployed: Mapping[str, Any],
    settings: Mapping[str, Any],
) -> dict[str, Any]:
    """Return the document.

    Parameters
    ----------
    rows : what was measured after each experience, and what it cost.
    deployed : `parameters`, `model_bytes` and `inference_ms` of the network; the last is None before the stream's end.
    settings : the whole recipe, as tables.
    """
    summary = matrix.summary()
    known = {key for keys in CONVENTIONS.values() for key in keys}
    return {
        "schema": 1,
        "method": settings["method"],
        "seed": settings["seed"],
        "experiences": list(matrix.names),
        "matrix": [[None if np.isnan(v) else v for v in row] for row in matrix.values.tolist()],
        "untrained": [None if np.isnan(v) else v for v in (matrix.untrained if matrix.untrained is not None else [])],
        "holes": matrix.holes(),
        **{name: {key: summary[key] for key in keys} for name, keys in CONVENTIONS.items()},
        "further": {key: value for key, value in summary.items() if key not in known},
        **deployed,
        "after": [dict(row) for row in rows],
        "recipe": dict(settings),
    }


def read_results(run: str | Path) -> tuple[AccuracyMatrix, dict[str, Any]]:
    """Return a run's matrix and its whole document.

    Raises
    ------
    StandoutError : exit code 2, no such folder, or it holds no results of a lifelong run.
    """
    path = Path(run) / RESULTS
    if not path.parent.is_dir():
        raise StandoutError(
            "run-missing", "there is no such run", run, "make one with standout lifelong run", exit_code=EXIT_USAGE
        )
    if not path.is_file():
        raise StandoutError(
            "results-missing", "run has no results yet", path, "finish it with --resume", exit_code=EXIT_USAGE
        )
    found = parse_json(path.read_bytes(), path)
    try:
        matrix = AccuracyMatrix(
            found["matrix"], untrained=found["untrained"], names=found["experiences"],
            unlearnt=_unlearnt(found["after"]),
        )  # fmt: skip
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise StandoutError(
            "results-damaged", "results are damaged", path, "resume the run to write them again"
        ) from error
    return matrix, found


def as_bytes(document: Mapping[str, Any]) -> bytes:
    """Return the document as it is stored."""
    return json.dumps(document, indent=1, allow_nan=False).encode() + b"\n"


def inference_milliseconds(network: Recogniser, size: int, rounds: int = 9) -> float:
    """Return the median time of one picture through a network in eval mode, with the process' threads."""
    import torch

    device = next(network.parameters()).device
    picture = torch.rand(1, 3, size, size, generator=torch.Generator().manual_seed(0)).to(device)
    taken = []
    with torch.inference_mode():
        for _ in range(rounds + 2):
            began = time.perf_counter()
            network(picture).scores.sum().item()  # waits for a graphics card
            taken.append(time.perf_counter() - began)
    return round(1000 * statistics.median(taken[2:]), 3)  # the first ones choose their kernels


def tensor_bytes(state: Mapping[str, Any]) -> int:
    """Return how many bytes the tensors of a nested state take."""
    from standout.checkpoint import flatten

    return sum(tensor.numel() * tensor.element_size() for tensor in flatten(state)[0].values())
