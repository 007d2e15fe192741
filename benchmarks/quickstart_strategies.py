"""Train the quickstart's network plainly and with each method over seeds, to choose what the quickstart shows.

    python benchmarks/quickstart_strategies.py --runs runs/quickstart

Each seed has training and test scenes of its own; recipe `quickstart`, one thread. Each run is scored at logit scale 1
and at the scale that is best on its own held-out scenes. Finished runs are kept, so the script goes on where it was
stopped. Writes docs/results/quickstart_strategies.json.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from pathlib import Path
from typing import Any

from compare_strategies import METHODS, run
from measuring import RESULTS, keep, result

from standout.data.scenes import write_scenes
from standout.files import atomic_write
from standout.train.quickstart import DIFFICULTY, TEST_PICTURES

OUTPUT = RESULTS / "quickstart_strategies.json"
PICTURES = 480
TRIED = {**METHODS, "pyramid and feedback": ["pyramid(supervision=bce)", "non_negative_feedback"]}


def scenes(runs: Path, part: str, seed: int, count: int) -> Path:
    """Return the folder of a seed's scenes, which are written where they are not there."""
    folder, done = runs / f"{part}-{seed}", runs / f"{part}-{seed}-is-whole"
    if not done.exists():
        write_scenes(folder, count, seed=2 * seed + (part == "test"), difficulty=DIFFICULTY)
        atomic_write(done, b"")
    return folder


def one(method: str, seed: int, runs: Path) -> list[dict[str, Any]]:
    """Return the rows of one run: at scale 1 and at the chosen scale."""
    folder = runs / f"{method.replace(' ', '_')}-{seed}"
    scores = folder / "scores.json"
    if not scores.exists():
        strategies = [word for text in TRIED[method] for word in ("--strategy", text)]
        options = [
            "--recipe",
            "quickstart",
            *strategies,
            "--seed",
            str(seed),
            "--threads",
            "1",
            "--output",
            str(folder),
        ]
        resume = ["--resume"] if (folder / "recipe.toml").exists() else []
        run(["train", str(scenes(runs, "train", seed, PICTURES)), *options, *resume])
        test = scenes(runs, "test", seed, TEST_PICTURES)
        run(["eval", str(folder), str(test), "--label", method, "--output", str(scores), "--overwrite"])
    rows = json.loads(scores.read_bytes())["rows"]
    return [
        {"method": method, "seed": seed, "at": at, **{name: value for name, value in row.items() if name != "label"}}
        for at, row in (("scale 1", rows[0]), ("best scale", rows[-1]))
    ]


def main() -> None:
    """Train and score what is missing, and write the results after each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, default=Path("runs/quickstart"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[10, 20, 30])
    parser.add_argument("--output", type=Path, default=OUTPUT)
    settings = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for seed in settings.seeds:
        for method in TRIED:
            rows += one(method, seed, settings.runs)
            document = result(
                shlex.join(["quickstart_strategies.py", *sys.argv[1:]]),
                "torch",
                "numpy",
                protocol=f"recipe quickstart on {PICTURES} generated scenes, scored on {TEST_PICTURES} others",
                seed=settings.seeds,
                rows=rows,
            )
            keep(settings.output, document)


if __name__ == "__main__":
    main()
