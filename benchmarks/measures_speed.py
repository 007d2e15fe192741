"""Time standout's measures beside pysodmetrics 1.6.2: same arrays, one process, one thread, float64, runs in turn.

Run it where pysodmetrics is installed and standout's kernel is built:

    python -m venv peer && peer/bin/pip install pysodmetrics==1.6.2
    pip install -e . && OMP_NUM_THREADS=1 PYTHONPATH=src peer/bin/python benchmarks/measures_speed.py

Every round times the peer and each of our ways once, one right after the other; the ratio is the median over the
rounds of peer / ours, in processor time. Each call takes the pictures' arrays to the running sums of a data set: our
`update`, the peer's `step`. Writes docs/results/measures_speed.json.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import py_sod_metrics
from measuring import RESULTS, keep, require_kernel, require_one_thread, result
from numpy.typing import NDArray

from standout.metrics import SaliencyMeasures, kernel, mask_weights

SIZES = ((300, 400), (768, 1024))
Ways = dict[str, Callable[[], Any]]


def picture(height: int, width: int, seed: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return a map with noise in it, which has no flat parts, and a mask of three parts with a wavy outline."""
    random = np.random.default_rng(seed)
    rows, columns = np.mgrid[0:height, 0:width]
    field = np.full((height, width), -1.0)
    for row, column, tall, wide in ((0.45, 0.4, 0.3, 0.25), (0.75, 0.7, 0.12, 0.18), (0.2, 0.82, 0.08, 0.05)):
        down, right = (rows / height - row) / tall, (columns / width - column) / wide
        wave = 1 + 0.08 * np.sin(9 * np.arctan2(down, right)) + 0.02 * random.standard_normal((height, width))
        field = np.maximum(field, wave - down**2 - right**2)
    mask = field > 0
    map_ = np.clip(180 * mask + random.normal(30, 30, mask.shape), 0, 255)
    return map_.astype(np.uint8), np.where(mask, 255, 0).astype(np.uint8)


def peer_ways(map_: NDArray[np.uint8], mask: NDArray[np.uint8]) -> Ways:
    """Return the peer's calls: all five measures, and the four without weighted F."""
    makers = (py_sod_metrics.MAE, py_sod_metrics.Fmeasure, py_sod_metrics.Smeasure, py_sod_metrics.Emeasure)

    def step(kinds: tuple[Any, ...]) -> None:
        for kind in kinds:
            kind().step(pred=map_, gt=mask)

    return {"five": lambda: step((*makers, py_sod_metrics.WeightedFmeasure)), "four": lambda: step(makers)}


def own_ways(map_: NDArray[np.uint8], mask: NDArray[np.uint8]) -> Ways:
    """Return our calls on the path that is in use."""
    known = mask_weights(mask > 128)
    five, four = SaliencyMeasures(), SaliencyMeasures(weighted=False)
    return {
        "new mask": lambda: five.update(map_, mask),
        "known mask": lambda: five.update(map_, mask, known),
        "without weighted F": lambda: four.update(map_, mask),
        "mask's part alone": lambda: mask_weights(mask > 128),
    }


def timed(call: Callable[[], Any]) -> float:
    """Return the milliseconds of processor time that one call takes; a busy machine lengthens only the wall's time."""
    start = time.process_time()
    call()
    return 1e3 * (time.process_time() - start)


def on_path(path: str, call: Callable[[], Any]) -> Callable[[], Any]:
    """Return the call as it runs on `compiled` or `numpy`."""
    chosen = kernel.compiled if path == "compiled" else None

    def run() -> None:
        before, kernel.compiled = kernel.compiled, chosen
        try:
            call()
        finally:
            kernel.compiled = before

    return run


def compare(height: int, width: int, rounds: int, seed: int) -> list[dict[str, Any]]:
    """Return one row for each of our ways at one size."""
    map_, mask = picture(height, width, seed)
    peer = peer_ways(map_, mask)
    ours = {(path, way): on_path(path, call) for path in PATHS for way, call in own_ways(map_, mask).items()}
    both = np.concatenate([map_.ravel(), mask.ravel()])
    ours["compiled", "floor: reading two bytes a pixel"] = both.max
    times: dict[Any, list[float]] = {key: [] for key in (*peer, *ours)}
    for call in (*peer.values(), *ours.values()):
        call()  # first calls fill tables and caches
    for _ in range(rounds):
        for way, call in peer.items():
            times[way].append(timed(call))
        for key, call in ours.items():
            times[key].append(timed(call))
    rows = []
    for path, way in ours:
        against = "four" if way == "without weighted F" else "five"
        mine, theirs = times[path, way], times[against]
        rows.append(
            {
                "height": height,
                "width": width,
                "path": path,
                "way": way,
                "peer_measures": against,
                "milliseconds": round(median(mine), 4),
                "milliseconds_fastest": round(min(mine), 4),
                "peer_milliseconds": round(median(theirs), 3),
                "peer_milliseconds_fastest": round(min(theirs), 3),
                "ratio": round(median(b / a for a, b in zip(mine, theirs, strict=True)), 1),
                "ratio_of_fastest": round(min(theirs) / min(mine), 1),
            }
        )
    return rows


PATHS = ("compiled", "numpy")


def main() -> None:
    """Run the comparison and write the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--seed", type=int, default=10)
    parser.add_argument("--output", type=Path, default=RESULTS / "measures_speed.json")
    settings = parser.parse_args()
    require_one_thread()
    require_kernel()
    warnings.simplefilter("ignore")
    rows = []
    for height, width in SIZES:
        rounds = settings.rounds if height < 500 else max(settings.rounds // 3, 3)
        rows += compare(height, width, rounds, settings.seed)
    command = f"measures_speed.py --rounds {settings.rounds} --seed {settings.seed}"
    packages = ("numpy", "scipy", "pysodmetrics")
    keep(settings.output, result(command, *packages, seed=settings.seed, protocol="pysodmetrics-1.6.2", rows=rows))
    for row in rows:
        print(
            f"{row['height']}x{row['width']} {row['path']:9} {row['way']:34} {row['milliseconds']:9.3f} ms   "
            f"peer's {row['peer_measures']} {row['peer_milliseconds']:6.1f} ms   "
            f"{row['ratio']:.1f}x (fastest runs {row['ratio_of_fastest']:.1f}x)"
        )


if __name__ == "__main__":
    main()
