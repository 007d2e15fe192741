"""One model's time and memory, measured by a process that does nothing else: python -m standout.evaluate.cost_probe."""

from __future__ import annotations

import json
import statistics
import sys
import time

import numpy as np

from standout.errors import StandoutError
from standout.images import read_image
from standout.peak import peak_memory
from standout.predict import Segmenter

ROUNDS, UNCOUNTED = 15, 3
MOST_SECONDS = 20.0
"""A slow model is timed in fewer rounds, though in three at least."""


def measure(path: str) -> dict[str, float | int | None]:
    """Return the model's size, its median milliseconds for a picture of that size, and this process's memory."""
    model = Segmenter(path, threads=1)
    random = np.random.default_rng(0)
    picture = read_image(random.integers(0, 256, (model.size, model.size, 3)).astype(np.uint8))
    seconds: list[float] = []
    began = time.perf_counter()
    for number in range(ROUNDS + UNCOUNTED):
        before = time.perf_counter()
        model.map_of(picture)
        after = time.perf_counter()
        if number >= UNCOUNTED:
            seconds.append(after - before)
        if after - began > MOST_SECONDS and len(seconds) >= UNCOUNTED:
            break
    most = peak_memory()
    megabytes = None if most is None else most / 1e6
    return {"size": model.size, "milliseconds": 1000 * statistics.median(seconds), "megabytes": megabytes}


if __name__ == "__main__":
    try:
        sys.stdout.write(json.dumps(measure(sys.argv[1])))
    except StandoutError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(1)
