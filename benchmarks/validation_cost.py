"""Time what the measures cost beside the forward passes of validation, picture by picture in turn, one thread.

    OMP_NUM_THREADS=1 python benchmarks/validation_cost.py

The pictures are generated and 300 x 400; the network sees them at its training size, the map is resized to the mask's
own size, rounded to 8 bits and measured, as `standout train` does after every epoch. Writes
docs/results/validation_cost.json.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from measuring import RESULTS, keep, require_one_thread, result

from standout.data.scenes import generate_scene
from standout.images import as_levels, resize, resize_map
from standout.metrics import KERNEL, SaliencyMeasures
from standout.networks import build_network

NETWORKS = ("fusion_mobilenetv2_100", "pocket")
SIZE = (300, 400)


def timed(spent: list[float], call: Callable[[], Any]) -> Any:
    """Return what the call gives, and note its milliseconds of processor time."""
    began = time.process_time()
    given = call()
    spent.append(1e3 * (time.process_time() - began))
    return given


@torch.no_grad()
def compare(name: str, side: int, pictures: int) -> dict[str, Any]:
    """Return the row of one network."""
    network = build_network(name).eval()
    forward: list[float] = []
    resizing: list[float] = []
    measuring: list[float] = []
    measures = SaliencyMeasures(weighted=False)
    for number in range(pictures + 3):
        picture, mask = generate_scene(0, number, size=SIZE)
        image = torch.from_numpy(resize(picture, (side, side)).transpose(2, 0, 1)[None].copy()).float() / 255
        small = timed(forward, lambda image=image: torch.sigmoid(network(image).logits).numpy()[0, 0])
        found = timed(resizing, lambda small=small: as_levels(np.clip(resize_map(small, SIZE), 0, 1)))
        timed(measuring, lambda found=found, mask=mask: measures.update(found, mask))
    shares = [made / passed for made, passed in zip(measuring[3:], forward[3:], strict=True)]
    return {
        "network": name,
        "size": side,
        "height": SIZE[0],
        "width": SIZE[1],
        "pictures": pictures,
        "forward_milliseconds": round(median(forward[3:]), 3),
        "resizing_milliseconds": round(median(resizing[3:]), 3),
        "measures_milliseconds": round(median(measuring[3:]), 3),
        "measures_share_of_forward": round(median(shares), 4),
    }


def main() -> None:
    """Run the comparison and write the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pictures", type=int, default=60)
    parser.add_argument("--size", type=int, default=352)
    parser.add_argument("--output", type=Path, default=RESULTS / "validation_cost.json")
    settings = parser.parse_args()
    require_one_thread()
    torch.manual_seed(0)
    rows = [compare(name, settings.size, settings.pictures) for name in NETWORKS]
    command = f"validation_cost.py --pictures {settings.pictures} --size {settings.size}"
    protocol = f"processor time, medians over the pictures; the measures' {KERNEL} path"
    keep(settings.output, result(command, "numpy", "torch", protocol=protocol, rows=rows))
    for row in rows:
        print(row)


if __name__ == "__main__":
    main()
