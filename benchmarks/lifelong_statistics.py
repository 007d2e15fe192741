"""How much of what was forgotten is only the batch norms' statistics: each experience with statistics of its own.

    python benchmarks/lifelong_statistics.py --data PACS --runs runs/pacs/naive-0 runs/pacs/sdkd-0

The recogniser at the end of a run is tested on each experience twice: as it is, and after its running means and
variances were taken anew over that experience's own test pictures, weights as they are and no label seen. What the
second gives back was not forgotten by the weights. Writes docs/results/lifelong_statistics.json.
"""

from __future__ import annotations

import argparse
import copy
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from measuring import RESULTS, keep, result

from standout.lifelong import domain_stream, read_recogniser, read_results
from standout.lifelong.network import Recogniser
from standout.lifelong.pictures import Reader, chunks
from standout.lifelong.prepare import named
from standout.lifelong.streams import Example

OUTPUT = RESULTS / "lifelong_statistics.json"
BATCH = 32


@torch.no_grad()
def accuracy(network: Recogniser, examples: Sequence[Example], reader: Reader, *, own: bool) -> float:
    """Return the share of pictures whose class is found, with statistics of these very pictures where `own`."""
    rows = {name: row for row, name in enumerate(network.classes)}
    network = copy.deepcopy(network).eval()
    if own:
        for module in network.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.reset_running_stats()
                module.momentum = None  # a plain mean over all batches
                module.train()
        for batch in reader.groups(chunks(named(examples), BATCH), rows):
            network(batch.image)
        network.eval()
    right = sum(
        int((network(batch.image).scores.argmax(1) == batch.label).sum())
        for batch in reader.groups(chunks(named(examples), BATCH), rows)
    )
    return right / len(examples)


def main() -> None:
    """Test every run and write what came out."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the stream that the runs met: DOMAIN/CLASS/pictures")
    parser.add_argument("--runs", type=Path, nargs="+", required=True, help="finished runs")
    parser.add_argument("--output", type=Path, default=OUTPUT)
    given = parser.parse_args()
    torch.set_num_threads(1)
    stream, rows = domain_stream(given.data), []
    for run in given.runs:
        network, _ = read_recogniser(run)
        _, results = read_results(run)
        reader = Reader(
            augmentation=None,
            size=results["recipe"]["training"]["size"],
            seed=0,
            workers=1,
            channels_last=True,
            cache_bytes=0,
        )
        row: dict[str, Any] = {"run": run.name, "method": results["method"], "seed": results["seed"], "experiences": {}}
        for experience in stream.experiences:
            found = [round(accuracy(network, experience.test, reader, own=own), 4) for own in (False, True)]
            row["experiences"][experience.name] = dict(zip(("as_it_is", "own_statistics"), found, strict=True))
            print(run.name, experience.name, *found, flush=True)
        rows.append(row)
    words = [Path(word).name or word for word in sys.argv[1:]]
    document = result(
        shlex.join(["lifelong_statistics.py", *words]),
        "torch",
        "numpy",
        protocol="accuracy at the end of the run, with the statistics it has and with those of the test pictures",
        seed=sorted({row["seed"] for row in rows}),
        rows=rows,
    )
    keep(given.output, document)


if __name__ == "__main__":
    main()
