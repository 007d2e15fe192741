"""Time training steps: what losses, strategies, reading pictures and the allocator cost beside a plain step.

    python benchmarks/training_cost.py --data DUTS-TR

Every round makes one step of each variant in turn on the same batch, so that what else the machine does falls on all
of them; a variant's cost is the median over the rounds of its time beside the plain step's of the same round.
`reading` gives the share of the speed of steps on pictures that lie in memory that is left when the pictures are
read and augmented; `memory_kept` compares whole processes with and without `keep_freed_memory`.

Writes docs/results/training_cost.json.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import shlex
import statistics
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from standout.data.augment import Augmentation
from standout.data.batches import Batches
from standout.data.pairs import find_pairs
from standout.files import atomic_write
from standout.networks import build_network, cost
from standout.shapes import Batch, Progress
from standout.train.allocator import keep_freed_memory
from standout.train.build import build_strategy, build_task
from standout.train.step import TrainingStep

OUTPUT = Path(__file__).resolve().parent.parent / "docs" / "results" / "training_cost.json"
NETWORKS = ("fusion_mobilenetv2_100", "pocket")
PROGRESS = Progress(10, 100, 0, 1)
PLAIN = "plain"
# name -> (task, strategies)
VARIANTS: dict[str, tuple[str, list[dict[str, Any]]]] = {
    PLAIN: ("binary_cross_entropy", []),
    "structure loss": ("structure", []),
    "virtual teacher": ("binary_cross_entropy", [{"name": "virtual_teacher"}]),
    "non-negative feedback": ("binary_cross_entropy", [{"name": "non_negative_feedback"}]),
    "dynamic dropout": (
        "binary_cross_entropy",
        [{"name": "dynamic_dropout", "inner": {"name": "virtual_teacher"}}],
    ),
    "pyramid": ("binary_cross_entropy", [{"name": "pyramid", "supervision": "bce"}]),
}


class Learner:
    """A network with a variant's loss and an optimiser."""

    def __init__(self, network: str, variant: str, samples: int) -> None:
        task, strategies = VARIANTS[variant]
        torch.manual_seed(0)
        self.step = TrainingStep(
            build_network(network),
            [build_strategy(entry, 0) for entry in strategies],
            task=build_task({"name": task}),
            samples=samples,
        ).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.optimiser = torch.optim.SGD(self.step.parameters(), lr=1e-3, momentum=0.9)

    def learn(self, batch: Batch) -> float:
        """Make one step and return its seconds."""
        began = time.perf_counter()
        torch.stack(list(self.step(batch, PROGRESS).values())).sum().backward()
        self.optimiser.step()
        self.step.after_step(PROGRESS)
        self.optimiser.zero_grad(set_to_none=True)
        return time.perf_counter() - began


def made_batch(size: int, batch: int) -> Batch:
    """Return a batch of noise with a disc for a mask."""
    rows, columns = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    disc = ((rows - size / 2) ** 2 + (columns - size / 2) ** 2 < (size / 3) ** 2).float()
    image = torch.rand(batch, 3, size, size).contiguous(memory_format=torch.channels_last)
    return Batch(image, disc.expand(batch, 1, size, size).contiguous(), torch.arange(batch), None, {})


def compare(network: str, settings: argparse.Namespace) -> list[dict[str, Any]]:
    """Return one row a variant."""
    batch = made_batch(settings.size, settings.batch)
    learners = {name: Learner(network, name, settings.batch) for name in VARIANTS}
    seconds: dict[str, list[float]] = {name: [] for name in VARIANTS}
    for number in range(settings.rounds + 2):
        for name, learner in learners.items():
            taken = learner.learn(batch)
            if number > 1:  # the first steps also choose their kernels
                seconds[name].append(taken)
    return [
        {
            "network": network,
            "variant": name,
            "milliseconds": round(1000 * statistics.median(taken), 1),
            "added": round(statistics.median(a / b for a, b in zip(taken, seconds[PLAIN], strict=True)) - 1, 4),
            "pictures_per_second": round(settings.batch / statistics.median(taken), 1),
        }
        for name, taken in seconds.items()
    ]


def reading(network: str, settings: argparse.Namespace) -> dict[str, Any]:
    """Return how fast steps are on pictures that are read, beside the same steps on those that lie in memory."""
    pairs = find_pairs(settings.data, part="train", skip_unpaired=False).pairs[: settings.batch * 9]
    batches = Batches(
        pairs, size=settings.size, batch=settings.batch, augmentation=Augmentation(brightness=0.2), seed=0, workers=1
    )
    learner = Learner(network, PLAIN, len(pairs))
    kept = made_batch(settings.size, settings.batch)
    learner.learn(kept)
    ratios = []
    for epoch in range(settings.rounds):
        source = batches.epoch(epoch)
        # By then as much is read ahead as ever will be, so what a timed step takes from it is read while it runs.
        for _ in range(2):
            learner.learn(next(source))
        began = time.perf_counter()
        for _ in range(4):
            learner.learn(next(source))
        read = time.perf_counter() - began
        source.close()  # nothing is read beside the steps on the batch in memory
        began = time.perf_counter()
        for _ in range(4):
            learner.learn(kept)
        ratios.append((time.perf_counter() - began) / read)
    return {"network": network, "share_of_the_speed_in_memory": round(statistics.median(ratios), 4)}


def memory_kept(settings: argparse.Namespace) -> list[dict[str, Any]]:
    """Return the step's time in processes that keep freed memory and in those that do not, in turn."""
    found: dict[tuple[str, bool], list[dict[str, float]]] = {}
    for _ in range(3):
        for variant in (PLAIN, "pyramid"):
            for kept in (False, True):
                words = [sys.executable, __file__, "--alone", variant, "--size", str(settings.size)]
                words += ["--batch", str(settings.batch), "--rounds", str(max(4, settings.rounds // 2))]
                words += ["--threads", str(settings.threads)] + ["--keep"] * kept
                said = subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True).stdout
                found.setdefault((variant, kept), []).append(json.loads(said))
    return [
        {
            "network": NETWORKS[0],
            "variant": variant,
            "keeps_freed_memory": kept,
            **{name: round(statistics.median(one[name] for one in runs), 1) for name in runs[0]},
        }
        for (variant, kept), runs in found.items()
    ]


def alone(settings: argparse.Namespace) -> None:
    """Print the speed and the peak memory of one variant in this process."""
    if settings.keep:
        keep_freed_memory()
    torch.set_num_threads(settings.threads)
    learner, batch = Learner(NETWORKS[0], settings.alone, settings.batch), made_batch(settings.size, settings.batch)
    taken = [learner.learn(batch) for _ in range(settings.rounds + 2)][2:]
    used = resource.getrusage(resource.RUSAGE_SELF)
    print(
        json.dumps(
            {
                "milliseconds": 1000 * statistics.median(taken),
                "page_faults": used.ru_minflt,
                "peak_mebibytes": used.ru_maxrss / 1024,
            }
        )
    )


def main() -> None:
    """Time everything, print it and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="a real set; without it reading is not timed")
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--output", type=Path, default=OUTPUT)
    parser.add_argument("--alone", choices=VARIANTS, help=argparse.SUPPRESS)
    parser.add_argument("--keep", action="store_true", help=argparse.SUPPRESS)
    settings = parser.parse_args()
    if settings.alone:
        alone(settings)
        return
    # First of all: a process that is started reports its parent's peak memory where that is higher than its own.
    kept = memory_kept(settings)
    keep_freed_memory()
    torch.set_num_threads(settings.threads)
    result: dict[str, Any] = {
        "schema": 1,
        "command": shlex.join(["python", "benchmarks/training_cost.py", *sys.argv[1:]]),
        "versions": {"python": platform.python_version(), **{n: version(n) for n in ("standout", "torch", "numpy")}},
        "threads": settings.threads,
        "seed": 0,
        "machine": {"system": f"{platform.system()} {platform.machine()}", "processors": os.cpu_count()},
        "protocol": f"batches of {settings.batch} at {settings.size}; medians over {settings.rounds} rounds",
        "costs": [{"network": name, **cost(build_network(name), settings.size)._asdict()} for name in NETWORKS],
        "steps": [row for network in NETWORKS for row in compare(network, settings)],
        "memory_kept": kept,
    }
    if settings.data:
        result["reading"] = [reading(network, settings) for network in NETWORKS]
    result["peak_mebibytes"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    text = json.dumps(result, indent=1)
    print(text)
    atomic_write(settings.output, text.encode() + b"\n")


if __name__ == "__main__":
    main()
