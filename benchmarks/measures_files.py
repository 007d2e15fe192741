"""Score folders of PNG files beside pysodmetrics 1.6.2 fed by the same reader: all measures, two processes each.

Run it where pysodmetrics is installed and standout's kernel is built:

    python -m venv peer && peer/bin/pip install pysodmetrics==1.6.2 joblib pillow
    pip install -e . && OMP_NUM_THREADS=1 PYTHONPATH=src peer/bin/python benchmarks/measures_files.py

Makes the pairs of 300 x 400 in a folder of its own, and goes through them in rounds: in each the peer and we score the
same new files, one right after the other. Ratios are medians over the rounds, of the wall's time and of the processor
time of all processes, which a busy machine lengthens less. Then one process times the parts of our way alone.
Writes docs/results/measures_files.json.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import py_sod_metrics
from joblib import Parallel, delayed
from measuring import RESULTS, keep, require_kernel, require_one_thread, result
from numpy.typing import NDArray

from standout.evaluate.score import score_maps
from standout.images import read_map, read_mask, resize, write_map
from standout.metrics import mask_weights, score_picture

HEIGHT, WIDTH, PROCESSES = 300, 400, 2
ALONE = 200
"""Pairs whose parts are timed alone."""


def pair(seed: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return a map like those of networks, smooth with an uncertain edge, and its mask."""
    random = np.random.default_rng(seed)
    rows, columns = np.mgrid[0:HEIGHT, 0:WIDTH]
    field = np.full((HEIGHT, WIDTH), -1.0)
    for _ in range(int(random.integers(1, 4))):
        row, column = random.uniform(0.2, 0.8, 2)
        tall, wide = random.uniform(0.08, 0.35, 2)
        down, right = (rows / HEIGHT - row) / tall, (columns / WIDTH - column) / wide
        wave = 1 + random.uniform(0, 0.2) * np.sin(int(random.integers(3, 12)) * np.arctan2(down, right))
        field = np.maximum(field, wave - down**2 - right**2)
    unsure = resize(random.integers(0, 256, (10, 13)).astype(np.uint8), (HEIGHT, WIDTH)) / 255 - 0.5
    found = 1 / (1 + np.exp(-12 * np.clip(field + 0.8 * unsure, -4, 4)))
    return np.rint(255 * found).astype(np.uint8), np.where(field > 0, 255, 0).astype(np.uint8)


def write_pairs(folder: Path, numbers: Sequence[int]) -> None:
    """Write pairs to `maps` and `masks` below a folder."""
    for number in numbers:
        map_, mask = pair(number)
        write_map(folder / "maps" / f"{number:05}.png", map_)
        write_map(folder / "masks" / f"{number:05}.png", mask)


def peer_part(paths: Sequence[tuple[Path, Path]]) -> dict[str, float]:
    """Score some pairs with the peer; every part has objects of its own."""
    warnings.simplefilter("ignore")
    measures = [
        py_sod_metrics.MAE(), py_sod_metrics.Fmeasure(), py_sod_metrics.Smeasure(), py_sod_metrics.Emeasure(),
        py_sod_metrics.WeightedFmeasure(),
    ]  # fmt: skip
    for map_path, mask_path in paths:
        map_, mask = read_map(map_path), read_mask(mask_path).values
        for measure in measures:
            measure.step(pred=map_, gt=mask)
    return {"mae": float(measures[0].get_results()["mae"]) * len(paths)}


def peer_score(folder: Path) -> float:
    """Score a folder of pairs with the peer in two processes; return MAE."""
    masks = sorted((folder / "masks").iterdir())
    paths = [(folder / "maps" / mask.name, mask) for mask in masks]
    parts = [paths[at :: 2 * PROCESSES] for at in range(2 * PROCESSES)]
    done = Parallel(n_jobs=PROCESSES)(delayed(peer_part)(part) for part in parts)
    return sum(part["mae"] for part in done) / len(paths)


def own_score(folder: Path, kept: Path | None = None) -> float:
    """Score a folder of pairs with standout in two processes, with kept masks where a folder is given; return MAE."""
    return score_maps(folder / "maps", folder / "masks", jobs=PROCESSES, mask_cache=kept).measures["mae"]


def processor_seconds() -> float:
    """Return the processor time of this process and all below it, those that ended not counted."""
    own, ticks = os.getpid(), os.sysconf("SC_CLK_TCK")
    parents, used = {}, {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:  # it ended meanwhile
                continue
            parents[int(entry.name)], used[int(entry.name)] = int(fields[1]), int(fields[11]) + int(fields[12])
    below = {own}
    while grown := {one for one, parent in parents.items() if parent in below} - below:
        below |= grown
    return sum(used[one] for one in below) / ticks


def timed(call: Callable[[], Any]) -> tuple[float, float, Any]:
    """Return the wall's seconds, the processor seconds, and what the call gives."""
    wall, processor = time.perf_counter(), processor_seconds()
    given = call()
    return time.perf_counter() - wall, processor_seconds() - processor, given


def parts_alone(folder: Path) -> dict[str, float]:
    """Return the share of each part of our way, in percent of one process's time."""
    spent = dict.fromkeys(("reading masks", "reading maps", "the masks' part", "the measures"), 0.0)

    def step(name: str, call: Callable[[], Any]) -> Any:
        began = time.process_time()
        given = call()
        spent[name] += time.process_time() - began
        return given

    for mask_path in sorted((folder / "masks").iterdir())[:ALONE]:
        mask = step("reading masks", lambda path=mask_path: read_mask(path).values)
        map_ = step("reading maps", lambda path=mask_path: read_map(folder / "maps" / path.name))
        weights = step("the masks' part", lambda mask=mask: mask_weights(mask > 128))
        step("the measures", lambda map_=map_, mask=mask, weights=weights: score_picture(map_, mask, weights=weights))
    total = sum(spent.values())
    return {name: round(100 * seconds / total, 1) for name, seconds in spent.items()}


def main() -> None:
    """Make the files, run the rounds, write the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--output", type=Path, default=RESULTS / "measures_files.json")
    settings = parser.parse_args()
    require_one_thread()
    require_kernel()
    each = settings.pairs // settings.rounds
    rounds = []
    with tempfile.TemporaryDirectory(prefix="standout-") as place:
        folders = [Path(place) / str(number) for number in range(settings.rounds)]
        Parallel(n_jobs=PROCESSES)(
            delayed(write_pairs)(folder, range(at * each + start, (at + 1) * each, PROCESSES))
            for at, folder in enumerate(folders)
            for start in range(PROCESSES)
        )
        write_pairs(Path(place) / "first", range(4 * PROCESSES))
        peer_score(Path(place) / "first")  # starts the processes and their imports
        own_score(Path(place) / "first")
        for folder in folders:
            wall, processor, expected = timed(lambda folder=folder: peer_score(folder))
            own_wall, own_processor, found = timed(lambda folder=folder: own_score(folder))
            own_score(folder, folder / "kept")  # another method has been scored before
            kept_wall, kept_processor, again = timed(lambda folder=folder: own_score(folder, folder / "kept"))
            if abs(found - expected) > 1e-9 or again != found:
                raise SystemExit(f"MAE differs: {expected}, {found} and {again}")
            rounds.append((wall, processor, own_wall, own_processor, kept_wall, kept_processor))
            told = f"{each} pairs: peer {wall:.1f} s, ours {own_wall:.1f} s, with kept masks {kept_wall:.1f} s"
            print(f"{told}; load {os.getloadavg()[0]:.1f}", flush=True)
        shares = parts_alone(folders[0])
    walls, processors, *ours = zip(*rounds, strict=True)
    rows = [
        {
            "what": what,
            "pairs": each * settings.rounds,
            "height": HEIGHT,
            "width": WIDTH,
            "processes": PROCESSES,
            "peer_seconds": round(sum(walls), 2),
            "seconds": round(sum(own_walls), 2),
            "ratio": round(median(a / b for a, b in zip(walls, own_walls, strict=True)), 1),
            "peer_processor_seconds": round(sum(processors), 2),
            "processor_seconds": round(sum(own_processors), 2),
            "processor_ratio": round(median(a / b for a, b in zip(processors, own_processors, strict=True)), 1),
        }
        for what, own_walls, own_processors in (("new masks", *ours[:2]), ("kept masks", *ours[2:]))
    ]
    command = f"measures_files.py --pairs {settings.pairs} --rounds {settings.rounds}"
    packages = ("numpy", "scipy", "pillow", "pysodmetrics")
    figures = {"percent_of_one_process": shares, "rows": rows}
    keep(settings.output, result(command, *packages, protocol="pysodmetrics-1.6.2", **figures))
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
