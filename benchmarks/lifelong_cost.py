"""What each method costs beside plain fine-tuning of the same network: a training step, one picture, memory.

    python benchmarks/lifelong_cost.py --size 224 --rounds 15

Every round makes one step of each method in turn on the same batch, so that what else the machine does falls on all of
them; a method's cost is the median over the rounds of its time beside the naive step's of the same round. Times are
this process's on the processor, all threads together, so waiting for a busy machine does not count. Each is in
its second experience, as most steps are. `deployed_parameters` are what is left when learning ends; the peak memory is
that of a process of its own for each method.

Writes docs/results/lifelong_cost.json.
"""

from __future__ import annotations

import argparse
import shlex
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch
from measuring import RESULTS, keep, result

from standout.lifelong import METHODS, build_recogniser
from standout.lifelong.methods import build_method
from standout.lifelong.methods.method import Meeting
from standout.lifelong.pictures import Labelled
from standout.lifelong.results import inference_milliseconds
from standout.lifelong.state import Lesson
from standout.peak import peak_memory
from standout.train.allocator import keep_freed_memory

OUTPUT = RESULTS / "lifelong_cost.json"
CLASSES = [str(number) for number in range(69)]
SHARE = 0.5
LEFT_OUT = ("cumulative",)  # its steps are the naive ones


def made_batch(size: int, batch: int) -> Labelled:
    """Return a batch of noise."""
    image = torch.rand(batch, 3, size, size).contiguous(memory_format=torch.channels_last)
    return Labelled(image, torch.arange(batch) % len(CLASSES), torch.arange(batch))


class Learner:
    """A recogniser in its second experience, by one method."""

    def __init__(self, name: str, size: int, batch: int) -> None:
        torch.manual_seed(0)
        self.method = build_method({"name": name} | ({"ft_epochs": 0} if name.startswith("sdkd") else {}))
        network = build_recogniser(METHODS[name].recogniser, CLASSES)
        self.network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        met = made_batch(size, batch)
        self.batch = met
        meeting = Meeting(0, lambda: iter([met._replace(image=met.image[:4], label=met.label[:4])]), 0)
        self.method.begin(self.network, meeting)
        self.method.freeze(self.network, 0)
        self.network.eval()
        self.method.end(self.network, meeting)
        if self.method.memory:
            count = round(SHARE * batch)
            with torch.no_grad():
                payload = self.method.payload(self.network, met._replace(image=met.image[:count]))
            remembered = () if payload is None else tuple(payload)
            image = met.image if self.method.memory == "latents" else torch.cat([met.image, met.image[:count]])
            label = torch.cat([met.label, met.label[:count]])
            self.batch = Labelled(image, label, label, replayed=count, remembered=remembered)
        self.method.begin(self.network, meeting._replace(number=1))
        self.lesson = Lesson(self.network, self.method).train()
        self.method.freeze(self.network, 1)
        self.parameters = [*self.network.parameters(), *self.method.learning()]
        self.optimiser = torch.optim.SGD(self.parameters, lr=1e-4, momentum=0.9)

    def learn(self) -> float:
        """Make one step and return its seconds on the processor."""
        began = time.process_time()
        torch.stack(list(self.lesson(self.batch).values())).sum().backward()
        self.optimiser.step()
        self.method.after_step(self.network)
        self.optimiser.zero_grad(set_to_none=True)
        return time.process_time() - began


def alone(name: str, settings: argparse.Namespace) -> None:
    """Print the peak memory of a process that makes a few steps by one method."""
    learner = Learner(name, settings.size, settings.batch)
    for _ in range(3):
        learner.learn()
    print((peak_memory() or 0) / 2**20)


def peak(name: str, settings: argparse.Namespace) -> float:
    """Return that peak in mebibytes."""
    words = [sys.executable, __file__, "--alone", name, "--size", str(settings.size), "--batch", str(settings.batch)]
    words += ["--threads", str(settings.threads)]
    return round(float(subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True).stdout), 1)


def main() -> None:
    """Time everything, print it and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--output", type=Path, default=OUTPUT)
    parser.add_argument("--alone", choices=METHODS, help=argparse.SUPPRESS)
    settings = parser.parse_args()
    keep_freed_memory()
    torch.set_num_threads(settings.threads)
    if settings.alone:
        alone(settings.alone, settings)
        return
    names = [name for name in METHODS if name not in LEFT_OUT]
    # First, while this process is small: a child is never told to have held less than its parent did when it began.
    peaks = {name: peak(name, settings) for name in names}
    learners = {name: Learner(name, settings.size, settings.batch) for name in names}
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for number in range(settings.rounds + 2):
        for name, learner in learners.items():
            taken = learner.learn()
            if number > 1:  # the first steps also choose their kernels
                seconds[name].append(taken)
    rows: list[dict[str, Any]] = []
    for name, learner in learners.items():
        beside = [a / b for a, b in zip(seconds[name], seconds["naive"], strict=True)]
        rows.append(
            {
                "method": name,
                "recogniser": learner.network.name,
                "milliseconds": round(1000 * statistics.median(seconds[name]), 1),
                "beside_naive": round(statistics.median(beside), 3),
                "parameters_that_learn": sum(p.numel() for p in learner.parameters),
                "deployed_parameters": sum(p.numel() for p in learner.network.parameters()),
                "peak_mebibytes": peaks[name],
            }
        )
        print(rows[-1], flush=True)
    inference = [
        {
            "recogniser": name,
            "size": settings.size,
            "milliseconds": inference_milliseconds(build_recogniser(name, CLASSES).eval(), settings.size, 21),
        }
        for name in ("sdkd_mobilenetv2_100", "mobilenetv2_100")
    ]
    print(inference)
    document = result(
        shlex.join(["lifelong_cost.py", *sys.argv[1:]]),
        "torch",
        "numpy",
        protocol=f"batches of {settings.batch} at {settings.size}, {len(CLASSES)} classes, second experience; "
        f"those with a memory add {SHARE:g} of a batch; time on the processor, medians over {settings.rounds} rounds",
        threads=settings.threads,
        steps=rows,
        inference=inference,
    )
    keep(settings.output, document)


if __name__ == "__main__":
    main()
