"""Time training steps: what losses, strategies, reading pictures and the allocator cost beside a plain step.

    python benchmarks/training_cost.py --data DUTS-TR

A variant's cost is the median over the rounds of two of its steps beside the two plain steps that enclose them (plain,
variant, variant, plain), on the same batch, so that what else the machine does, and slow drifts, fall on both; with its
95 % interval by order statistics. The variants take their places in the round in turn.
`loss_milliseconds` times loss and strategy alone, forward and back to the logits that the network gave: the difference
of a variant's from plain's, as `loss_added` in shares of the plain step, is free of the noise of the network's time.
`reading` gives the share of the speed of steps on pictures that lie in memory that is left when the pictures are
read and augmented, from their files and from the cache of decoded ones, and what reading one takes of a processor;
`memory_kept` compares whole processes with
and without `keep_freed_memory`.

Writes docs/results/training_cost.json.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import resource
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import torch
from measuring import RESULTS, keep, result
from torch import Tensor, nn

from standout.data.augment import Augmentation
from standout.data.batches import Batches
from standout.data.cache import DecodedCache
from standout.data.pairs import find_pairs
from standout.networks import build_network, cost
from standout.networks.network import Network
from standout.peak import peak_memory
from standout.shapes import Batch, Maps, Progress
from standout.train.allocator import keep_freed_memory
from standout.train.build import build_strategy, build_task
from standout.train.pictures import readers
from standout.train.step import TrainingStep

OUTPUT = RESULTS / "training_cost.json"
NETWORKS = ("fusion_mobilenetv2_100", "pocket")
PROGRESS = Progress(10, 100, 0, 1)
UNTIMED, TIMED = 2, 4
"""Steps on pictures that are read, in a row."""
PLAIN = "plain"
# name -> (task, strategies)
VARIANTS: dict[str, tuple[str, list[dict[str, Any]]]] = {
    PLAIN: ("binary_cross_entropy", []),
    "structure loss": ("structure", []),
    "label smoothing": ("binary_cross_entropy", [{"name": "label_smoothing"}]),
    "virtual teacher": ("binary_cross_entropy", [{"name": "virtual_teacher"}]),
    "non-negative feedback": ("binary_cross_entropy", [{"name": "non_negative_feedback"}]),
    "dynamic dropout": (
        "binary_cross_entropy",
        [{"name": "dynamic_dropout", "inner": {"name": "virtual_teacher"}}],
    ),
    "pyramid": ("binary_cross_entropy", [{"name": "pyramid", "supervision": "bce"}]),
    "pyramid at native size": ("binary_cross_entropy", [{"name": "pyramid", "supervision": "bce", "kd_at": "native"}]),
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


class Given(Network):
    """A network that costs nothing: it gives the logits that it was made with, and takes their gradient."""

    channels: ClassVar[dict[str, int]] = {}

    def __init__(self, logits: Tensor) -> None:
        super().__init__()
        self.logits = nn.Parameter(logits)

    def forward(self, image: Tensor, levels: Sequence[str] = ()) -> Maps:  # noqa: ARG002 - a network's face
        """Return the logits."""
        return Maps(self.logits, {})


def compare(network: str, settings: argparse.Namespace) -> list[dict[str, Any]]:
    """Return one row a variant."""
    batch = made_batch(settings.size, settings.batch)
    learners = {name: Learner(network, name, settings.batch) for name in VARIANTS}
    plain, others = learners[PLAIN], [name for name in VARIANTS if name != PLAIN]
    for learner in learners.values():
        for _ in range(2):  # the first steps also choose their kernels
            learner.learn(batch)
    plain_seconds: list[float] = []
    seconds: dict[str, list[float]] = {name: [] for name in others}
    ratios: dict[str, list[float]] = {name: [] for name in others}
    for number in range(settings.rounds):
        turn = number % len(others)
        for name in others[turn:] + others[:turn]:
            first, *own, last = (one.learn(batch) for one in (plain, learners[name], learners[name], plain))
            plain_seconds += [first, last]
            seconds[name] += own
            ratios[name].append(sum(own) / (first + last) - 1)
    step = statistics.median(plain_seconds)
    with torch.no_grad():
        logits = plain.step.network(batch.image).logits
    alone = losses_alone(logits, [name for name, one in learners.items() if not one.step.levels], batch, settings)
    rows: list[dict[str, Any]] = []
    for name in VARIANTS:
        own = plain_seconds if name == PLAIN else seconds[name]
        row = {
            "network": network,
            "variant": name,
            "milliseconds": round(1000 * statistics.median(own), 1),
            "added": 0.0 if name == PLAIN else round(statistics.median(ratios[name]), 4),
            "pictures_per_second": round(settings.batch / statistics.median(own), 1),
        }
        if name != PLAIN:
            row["added_between"] = [round(bound, 4) for bound in interval(ratios[name])]
        if name in alone:
            row["loss_milliseconds"] = round(1000 * statistics.median(alone[name]), 2)
            more = statistics.median(a - b for a, b in zip(alone[name], alone[PLAIN], strict=True))
            row["loss_added"] = round(more / step, 4)
        rows.append(row)
    return rows


def losses_alone(
    logits: Tensor, names: Sequence[str], batch: Batch, settings: argparse.Namespace
) -> dict[str, list[float]]:
    """Return the seconds of loss and strategy of the variants that read logits alone, in turn in every round."""
    steps = {
        name: TrainingStep(
            Given(logits.clone()),
            [build_strategy(entry, 0) for entry in VARIANTS[name][1]],
            task=build_task({"name": VARIANTS[name][0]}),
            samples=settings.batch,
        )
        for name in names
    }
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for number in range(5 * settings.rounds + 2):
        for name, step in steps.items():
            began = time.perf_counter()
            torch.stack(list(step(batch, PROGRESS).values())).sum().backward()
            step.after_step(PROGRESS)
            taken = time.perf_counter() - began
            step.zero_grad(set_to_none=True)
            if number > 1:
                seconds[name].append(taken)
    return seconds


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Return between which values the median lies with 95 % confidence, whatever their distribution."""
    ordered, count = sorted(values), len(values)
    tails = itertools.accumulate(math.comb(count, below) / 2**count for below in range(count))
    beyond = max(sum(2 * tail <= 0.05 for tail in tails), 1) - 1
    return ordered[beyond], ordered[-1 - beyond]


def reading(settings: argparse.Namespace) -> list[dict[str, Any]]:
    """Return one row a network, source of pictures and way of reading, each network from a process of its own."""
    rows = []
    for network in NETWORKS:
        words = [
            sys.executable,
            __file__,
            "--read",
            network,
            "--data",
            str(settings.data),
            "--size",
            str(settings.size),
        ]
        words += ["--batch", str(settings.batch), "--rounds", str(settings.rounds), "--threads", str(settings.threads)]
        rows += json.loads(subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True).stdout)
    return rows


def read(settings: argparse.Namespace) -> None:
    """Print how fast steps of one network are on pictures that are read, beside those on a batch in memory.

    In each round every way of reading makes `TIMED` steps, in an order that changes from round to round, each of them
    between as many steps on the batch in memory; a round's share compares the two. `standout train` reads as `readers`
    says; the other way is there to compare with.
    """
    keep_freed_memory()
    torch.set_num_threads(settings.threads)
    with tempfile.TemporaryDirectory() as folder:
        pairs = find_pairs(settings.data, part="train", skip_unpaired=False).pairs
        pairs = pairs[: settings.batch * (UNTIMED + TIMED + 3)]
        chosen = {cached: readers(1, torch.device("cpu"), decoded=cached)["ahead"] for cached in (False, True)}
        workers = {True: 1, False: max(1, settings.threads)}
        cache = DecodedCache(folder, 2**40)
        common: dict[str, Any] = {"size": settings.size, "batch": settings.batch, "seed": 0}
        common["augmentation"] = Augmentation(brightness=0.2)
        sources = {
            (cached, ahead): Batches(
                pairs, workers=workers[ahead], ahead=ahead, cache=cache if cached else None, **common
            )
            for cached in (False, True)
            for ahead in (False, True)
        }
        processor = {
            cached: _processor_seconds(Batches(pairs, cache=cache if cached else None, **common)) / len(pairs)
            for cached in (False, True)
        }
        learner, kept = Learner(settings.read, PLAIN, len(pairs)), made_batch(settings.size, settings.batch)
        for _ in range(2):
            learner.learn(kept)
        shares: dict[tuple[bool, bool], list[float]] = {way: [] for way in sources}
        in_memory = []
        for number in range(settings.rounds):
            ways = list(sources)
            for way in ways[number % len(ways) :] + ways[: number % len(ways)]:
                before = _steps(learner, itertools.repeat(kept))
                source = sources[way].epoch(number)
                # By then as much is read ahead as ever will be: what a timed step takes is read while others run.
                for _ in range(UNTIMED):
                    learner.learn(next(source))
                with_pictures = _steps(learner, source)
                source.close()  # nothing is read beside the steps on the batch in memory
                after = _steps(learner, itertools.repeat(kept))
                shares[way].append((before + after) / 2 / with_pictures)
                in_memory += [before / TIMED, after / TIMED]
    peak = (peak_memory() or 0) / 2**20
    print(
        json.dumps(
            [
                {
                    "network": settings.read,
                    "cached": cached,
                    "ahead": ahead,
                    "chosen": ahead == chosen[cached],
                    "share_of_the_speed_in_memory": round(statistics.median(found), 4),
                    "share_quartiles": [round(share, 4) for share in statistics.quantiles(found)[::2]],
                    "milliseconds_in_memory": round(1000 * statistics.median(in_memory), 1),
                    "processor_milliseconds_a_picture": round(1000 * processor[cached], 2),
                    "peak_mebibytes": round(peak),
                }
                for (cached, ahead), found in shares.items()
            ]
        )
    )


def _steps(learner: Learner, source: Iterator[Batch]) -> float:
    """Return the seconds of some steps, and of what they wait for."""
    began = time.perf_counter()
    for _ in range(TIMED):
        learner.learn(next(source))
    return time.perf_counter() - began


def _processor_seconds(batches: Batches) -> float:
    """Return what an epoch's batches take of one processor: the least of three epochs, after one that fills a cache."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # others would wait busily
    taken = []
    for epoch in range(4):
        began = time.thread_time()
        for _ in batches.epoch(epoch):
            pass
        taken.append(time.thread_time() - began)
    torch.set_num_threads(threads)
    return min(taken[1:])


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
    print(
        json.dumps(
            {
                "milliseconds": 1000 * statistics.median(taken),
                "page_faults": resource.getrusage(resource.RUSAGE_SELF).ru_minflt,
                "peak_mebibytes": (peak_memory() or 0) / 2**20,
            }
        )
    )


def main() -> None:
    """Time everything, print it and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="a real set; without it reading is not timed")
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=24)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--output", type=Path, default=OUTPUT)
    parser.add_argument("--alone", choices=VARIANTS, help=argparse.SUPPRESS)
    parser.add_argument("--read", choices=NETWORKS, help=argparse.SUPPRESS)
    parser.add_argument("--reading-only", action="store_true", help="time reading alone, and print it")
    parser.add_argument("--keep", action="store_true", help=argparse.SUPPRESS)
    settings = parser.parse_args()
    if settings.alone:
        alone(settings)
        return
    if settings.read:
        read(settings)
        return
    if settings.reading_only:
        print(json.dumps(reading(settings), indent=1))
        return
    kept = memory_kept(settings)
    read_rows = reading(settings) if settings.data else []
    keep_freed_memory()
    torch.set_num_threads(settings.threads)
    document = result(
        shlex.join(["training_cost.py", *sys.argv[1:]]),
        "torch",
        "numpy",
        protocol=f"batches of {settings.batch} at {settings.size}; medians over {settings.rounds} rounds of plain, "
        f"variant, variant, plain; of {5 * settings.rounds} for the loss alone",
        threads=settings.threads,
        costs=[{"network": name, **cost(build_network(name), settings.size)._asdict()} for name in NETWORKS],
        steps=[row for network in NETWORKS for row in compare(network, settings)],
        memory_kept=kept,
    )
    if settings.data:
        document["reading"] = read_rows
    document["peak_mebibytes"] = round((peak_memory() or 0) / 2**20)
    print(json.dumps(document, indent=1))
    keep(settings.output, document)


if __name__ == "__main__":
    main()
