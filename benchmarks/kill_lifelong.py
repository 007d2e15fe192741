"""Kill a lifelong run in its third experience again and again, resume it, and compare its end bit for bit.

Each round runs `python -m standout lifelong run --resume` on a small generated stream of three experiences with a
checkpoint after every step, and sends SIGKILL in the third experience, a random while after a random one of its steps:
in a step, in saving or in the tests. A run that goes on must have made a step of its own before it is killed again.
The recogniser, the last checkpoint (teacher, translators, importances, memory, optimiser and random streams) and the
accuracy matrix must equal those of a run that was never killed.

    python benchmarks/kill_lifelong.py --kills 26

Writes docs/results/kill_lifelong.json.
"""

from __future__ import annotations

import argparse
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from measuring import RESULTS, keep, result

from standout import checkpoint
from standout.files import Ledger
from standout.images import write_image
from standout.lifelong import METHODS, read_results

RESULT = RESULTS / "kill_lifelong.json"
MEMORY = 8 * 3 * 32 * 32
STEPS, SECONDS = 4, 0.3
"""Most steps that a run makes before a kill, and most that passes after the last of them."""
TIMEOUT = 600.0


def write_stream(folder: Path) -> Path:
    """Write three experiences of three classes, five pictures each: colours on grounds of their own."""
    grounds, colours = ((90, 90, 90), (220, 220, 200), (20, 30, 60)), ((200, 40, 40), (40, 180, 60), (50, 60, 210))
    for place, ground in enumerate(grounds):
        for kind, colour in enumerate(colours):
            for number in range(5):
                noise = np.random.default_rng((place, kind, number))
                pixels = np.full((32, 32, 3), ground, np.float64)
                top, left = noise.integers(2, 14, 2)
                pixels[top : top + 16, left : left + 16] = colour
                pixels = (pixels + noise.normal(0, 12, pixels.shape)).clip(0, 255).astype(np.uint8)
                path = folder / f"experience_{place + 1}" / f"class_{kind}" / f"{number}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                write_image(path, pixels)
    return folder


def command(data: Path, folder: Path, method: str) -> list[str]:
    """Return the command of a run."""
    words = [sys.executable, "-m", "standout", "lifelong", "run", str(data), "--method", method]
    words += ["--output", str(folder), "--resume", "--epochs", "3", "--batch", "4", "--size", "32", "--threads", "1"]
    words += ["--memory", str(MEMORY if METHODS[method].remembers else 0)]
    name = "tiny" if method == "sdkd_without_saliency" else "sdkd_tiny"
    settings = ("training.save_steps=1", "training.save_minutes=0", "training.log_steps=1")
    return [*words, "--recogniser", name, *(word for setting in settings for word in ("--set", setting))]


def steps_of_third(folder: Path) -> int:
    """Return how many steps of the third experience are made."""
    try:
        lines = list(Ledger(folder / "metrics.jsonl").read())
    except Exception:  # none yet, or a line that is being written
        return 0
    return sum(line["kind"] == "step" and line["experience"] == 3 for line in lines)


def run(words: list[str], folder: Path, kill_at: tuple[int, float] | None = None) -> int:
    """Run to the end, or kill it that many seconds after the third experience has so many steps; return its code."""
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    if kill_at is not None:
        until = time.monotonic() + TIMEOUT
        while process.poll() is None and steps_of_third(folder) < kill_at[0] and time.monotonic() < until:
            time.sleep(0.01)
        try:
            process.wait(kill_at[1])
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
    _, said = process.communicate(timeout=TIMEOUT)
    if process.returncode not in (0, -signal.SIGKILL):
        raise SystemExit(f"the run failed: {said}")
    return process.returncode


def ends_alike(whole: Path, killed: Path) -> bool:
    """Whether two runs ended with the same bits."""
    for name in ("model.safetensors",):
        if (whole / name).read_bytes() != (killed / name).read_bytes():
            return False
    if read_results(whole)[1]["matrix"] != read_results(killed)[1]["matrix"]:
        return False
    first, second = (checkpoint.newest(folder / "checkpoints", print) for folder in (whole, killed))
    if first is None or second is None or first.step != second.step:
        return False
    (one, tree), (other, tree_of_other) = (checkpoint.flatten(found.training["state"]) for found in (first, second))
    kept = [t["memory"] for t in (tree, tree_of_other)]
    return kept[0] == kept[1] and one.keys() == other.keys() and all(torch.equal(one[n], other[n]) for n in one)


def kill_until(kills: int, methods: list[str], seed: int = 0) -> list[dict[str, Any]]:
    """Return one row a killed run: its method, how often it was killed, and whether its end was the same."""
    chance = random.Random(seed)
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as place:
        data = write_stream(Path(place) / "data")
        wholes: dict[str, Path] = {}
        while sum(row["kills"] for row in rows) < kills:
            method = methods[len(rows) % len(methods)]
            if method not in wholes:
                wholes[method] = Path(place) / f"whole-{method}"
                run(command(data, wholes[method], method), wholes[method])
            killed = Path(place) / "killed"
            row: dict[str, Any] = {"method": method, "kills": 0, "steps_at_kill": []}
            left = min(2, kills - sum(row["kills"] for row in rows))
            for _ in range(left):
                at = steps_of_third(killed) + chance.randint(1, STEPS), chance.uniform(0, SECONDS)
                code = run(command(data, killed, method), killed, at)
                if code == 0:
                    break
                row["kills"] += 1
                found = checkpoint.newest(killed / "checkpoints", print)
                row["steps_at_kill"].append(found.step if found else 0)
            run(command(data, killed, method), killed)
            row["bit_equal"] = ends_alike(wholes[method], killed)
            rows.append(row)
            print(row, flush=True)
            shutil.rmtree(killed)
    return rows


def main() -> None:
    """Kill, compare, print, and write the result."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--kills", type=int, default=26)
    asked.add_argument("--seed", type=int, default=0)
    asked.add_argument("--output", type=Path, default=RESULT)
    given = asked.parse_args()
    rows = kill_until(given.kills, list(METHODS), given.seed)
    unequal = sum(not row["bit_equal"] for row in rows)
    document = result(
        f"kill_lifelong.py --kills {given.kills} --seed {given.seed}",
        "torch",
        "numpy",
        protocol="SIGKILL in the third of three experiences, with a checkpoint after every step; recogniser, last "
        "checkpoint and matrix compared with a run never killed",
        seed=given.seed,
        kills=sum(row["kills"] for row in rows),
        not_bit_equal=unequal,
        rows=rows,
    )
    keep(given.output, document)
    sys.exit(unequal > 0)


if __name__ == "__main__":
    main()
