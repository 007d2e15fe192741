"""Kill a training run again and again, resume it, and compare its end with a run that was never killed, bit for bit.

Each round runs `python -m standout train --resume` on generated pictures, with reading threads, augmentation, a
running average and a checkpoint every few steps, and sends SIGKILL at a random moment: within start, step, save,
validation or the making of the model. Rounds go on until a run ends by itself; then the next strategy's turn comes.

    python benchmarks/kill_training.py --kills 30 --output docs/results/kill_training.json
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from standout import __version__, checkpoint
from standout.files import is_temporary
from standout.images import write_image, write_map

STRATEGIES = {
    "plain": [],
    "virtual_teacher": ["virtual_teacher"],
    "non_negative_feedback + pyramid": ["non_negative_feedback", "pyramid"],
    "dynamic_dropout": ["dynamic_dropout(virtual_teacher, rule=bernoulli)"],
    "label_smoothing": ["label_smoothing"],
}
SETTINGS = (
    "training.ema=0.9", "training.save_steps=2", "training.save_minutes=0", "training.log_steps=1",
    "augmentation.rotation=10", "augmentation.brightness=0.2", "augmentation.sizes=[32, 64]",
    "validation.split=0.2", "optimiser.name=adamw", "optimiser.rate=0.005",
)  # fmt: skip


def write_pictures(folder: Path, count: int, seed: int = 0) -> Path:
    """Write pairs of a bright disc on dark, noisy ground."""
    import numpy as np

    draws = np.random.default_rng(seed)
    rows, columns = np.mgrid[:40, :48]
    for number in range(count):
        row, column, radius = draws.uniform(12, 28), draws.uniform(12, 36), draws.uniform(6, 12)
        mask = np.clip(radius - np.hypot(rows - row, columns - column) + 0.5, 0, 1)
        image = 40 + 160 * mask[..., None] + draws.normal(0, 12, (40, 48, 3))
        write_image(folder / "images" / f"{number:03}.png", np.clip(image, 0, 255).astype(np.uint8))
        write_map(folder / "masks" / f"{number:03}.png", np.rint(mask * 255).astype(np.uint8))
    return folder


def command(data: Path, output: Path, strategies: list[str]) -> list[str]:
    """Return the command of a short run: three epochs of six steps."""
    words = [sys.executable, "-m", "standout", "train", str(data), "--network", "tiny", "--output", str(output)]
    words += ["--resume", "--epochs", "3", "--batch", "4", "--size", "32", "--workers", "2", "--threads", "1"]
    for strategy in strategies:
        words += ["--strategy", strategy]
    for setting in SETTINGS:
        words += ["--set", setting]
    return words


def run(words: list[str], kill_after: float | None = None) -> tuple[int, str]:
    """Run a command, killed after so many seconds; return its exit status and what it said on stderr."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=said, env=environment)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(kill_after)
        if process.returncode is None:
            process.send_signal(signal.SIGKILL)
            process.wait()
        said.seek(0)
        return process.returncode, said.read().decode(errors="replace")


def steps_of(folder: Path) -> list[int]:
    """Return the steps of the log, in order."""
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [line["step"] for line in lines if line["kind"] == "step"]


def ends_alike(whole: Path, killed: Path) -> bool:
    """Whether models, last checkpoints (network, optimiser, average, strategies) and logged steps are the same."""
    import torch

    if (whole / "model.safetensors").read_bytes() != (killed / "model.safetensors").read_bytes():
        return False
    first, second = (checkpoint.newest(folder / "checkpoints") for folder in (whole, killed))
    if first is None or second is None or first.step != second.step or steps_of(whole) != steps_of(killed):
        return False
    for one, other in ((first.network, second.network), (first.training["state"], second.training["state"])):
        tensors, others = checkpoint.flatten(one)[0], checkpoint.flatten(other)[0]
        if tensors.keys() != others.keys() or not all(torch.equal(tensors[name], others[name]) for name in tensors):
            return False
    return True


def kill_until(
    kills: int, seed: int = 0, strategies: dict[str, list[str]] = STRATEGIES, per_run: int = 0
) -> list[dict[str, object]]:
    """Return one row a run: its strategy, how often it was killed and what came of it.

    Parameters
    ----------
    kills : in all, at least.
    per_run : kills after which a run may end by itself; 0 leaves it to chance.
    """
    chance = random.Random(seed)
    rows: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory() as place:
        data = write_pictures(Path(place) / "data", 30)
        seconds, total = {}, 0
        while total < kills:
            for name, chosen in strategies.items():
                whole = Path(place) / f"whole {name}"
                if name not in seconds:
                    began = time.monotonic()
                    code, said = run(command(data, whole, chosen))
                    seconds[name] = time.monotonic() - began
                    if code != 0:
                        raise SystemExit(f"the unkilled run failed: {said}")
                killed = Path(place) / "killed"
                row: dict[str, object] = {"strategy": name, "kills": 0, "partial_folders": 0, "failures": 0}
                code = -9
                while code == -9:
                    enough = total >= kills or (per_run and int(str(row["kills"])) >= per_run)
                    code, said = run(
                        command(data, killed, chosen), None if enough else chance.uniform(0.3, 1.0) * seconds[name]
                    )
                    if code == -9:
                        total += 1
                        row["kills"] = int(str(row["kills"])) + 1
                        inside = killed / "checkpoints"
                        left = [p for p in inside.iterdir() if is_temporary(p)] if inside.is_dir() else []
                        row["partial_folders"] = int(str(row["partial_folders"])) + len(left)
                    elif code != 0:
                        row["failures"] = 1
                        row["said"] = said.strip().splitlines()[-1]
                row["bit_equal"] = code == 0 and ends_alike(whole, killed)
                rows.append(row)
                shutil.rmtree(killed, ignore_errors=True)
                if total >= kills:
                    break
    return rows


def main() -> None:
    """Kill, compare, print, and write the result."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--kills", type=int, default=30)
    asked.add_argument("--seed", type=int, default=0)
    asked.add_argument("--output", type=Path)
    given = asked.parse_args()
    rows = kill_until(given.kills, given.seed)
    kills = sum(int(str(row["kills"])) for row in rows)
    unequal = sum(not row["bit_equal"] for row in rows)
    print(f"{kills} kills over {len(rows)} runs, {unequal} runs not bit-equal")
    if given.output:
        from importlib.metadata import version

        from standout.files import atomic_write

        result = {
            "schema": 1,
            "command": f"python benchmarks/kill_training.py --kills {given.kills} --seed {given.seed}",
            "versions": {"standout": __version__, "python": platform.python_version(), "torch": version("torch")},
            "threads": 1,
            "seed": given.seed,
            "machine": {"system": f"{platform.system()} {platform.machine()}", "processors": os.cpu_count()},
            "protocol": "SIGKILL at random moments of runs of 18 steps; model, checkpoint and log compared",
            "kills": kills,
            "not_bit_equal": unequal,
            "rows": rows,
        }
        atomic_write(given.output, json.dumps(result, indent=1).encode() + b"\n")
    sys.exit(unequal > 0)


if __name__ == "__main__":
    main()
