"""Kill a training run again and again, resume it, and compare its end with a run that was never killed, bit for bit.

Each round runs `python -m standout train --resume` on generated pictures, with reading threads, augmentation, a
running average and a checkpoint every few steps, and sends SIGKILL. The clock of a kill starts when this process has
opened its run, so that loading libraries does not count: five kills of ten come at a random moment of what is left
of the training, four while a checkpoint is being saved, one at any moment from the process's start on. After
`per_run` kills a run may end by itself; then the next strategy's turn comes. Of a run in two processes one is killed,
either as often as the other; the one that is left has a minute to end by itself.

    python benchmarks/kill_training.py --kills 30
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

from standout import __version__, checkpoint
from standout.files import Ledger, atomic_write, is_temporary
from standout.images import write_image, write_map

RESULT = Path(__file__).parents[1] / "docs" / "results" / "kill_training.json"
STEPS = 18
STRATEGIES = {
    "plain": [],
    "dynamic_dropout, two processes": ["dynamic_dropout(virtual_teacher, rule=bernoulli)"],
    "virtual_teacher": ["virtual_teacher"],
    "non_negative_feedback + pyramid": ["non_negative_feedback", "pyramid"],
    "dynamic_dropout": ["dynamic_dropout(virtual_teacher, rule=bernoulli)"],
    "label_smoothing": ["label_smoothing"],
    "plain, two processes": [],
}
TWO = "two processes"
LEFT_SECONDS = 60.0
"""What the process that is left has to notice that the other one is lost."""
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


class Watched(NamedTuple):
    """How a run's process ended: its exit status, what it said, and where a kill found it.

    training : whether the process had opened its run.
    saving : whether a checkpoint's temporary folder was there and stayed.
    seconds : from opening the run to the end.
    """

    code: int
    said: str
    training: bool
    saving: int
    seconds: float


def start(words: list[str], said: Any, processes: int) -> list[subprocess.Popen[bytes]]:
    """Start the command once, or in many processes that find each other as torchrun's do."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    if processes > 1:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            port = taken.getsockname()[1]
        environment |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
        environment |= {"WORLD_SIZE": str(processes), "LOCAL_WORLD_SIZE": str(processes)}
    ranks = [{"RANK": str(rank), "LOCAL_RANK": str(rank)} if processes > 1 else {} for rank in range(processes)]
    return [
        subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=said, env={**environment, **rank}) for rank in ranks
    ]


def run(
    words: list[str], output: Path, kill: tuple[str, float] | None = None, *, processes: int = 1, which: int = 0
) -> Watched:
    """Run a command to its end, or kill it.

    Parameters
    ----------
    processes, which : how many there are, and which of them is killed; the others must then end by themselves.
    kill : ("start", seconds after the process began), ("training", seconds after it opened its run), or ("save",
        the same: the kill waits for the next temporary folder of a checkpoint).
    """
    manifest, inside = output / "manifest.json", output / "checkpoints"
    before, opened = stamp(manifest), None
    with tempfile.TemporaryFile() as said:
        started = start(words, said, processes)
        process = started[which]
        began = time.monotonic()
        while process.poll() is None:
            now = time.monotonic()
            if opened is None and stamp(manifest) != before:
                opened = now
            if kill is not None:
                since = began if kill[0] == "start" else opened
                if since is not None and now - since >= kill[1] and (kill[0] != "save" or temporary_in(inside)):
                    process.send_signal(signal.SIGKILL)
                    process.wait()
                    break
            time.sleep(0.0005 if opened is not None and kill is not None else 0.01)
        code = process.returncode
        for other in started:
            try:
                ended = other.wait(LEFT_SECONDS)
            except subprocess.TimeoutExpired:
                other.kill()
                code = ended = -signal.SIGALRM  # it hung: a failure of its own
            if code == 0 and ended != 0:
                code = ended
        said.seek(0)
        seconds = time.monotonic() - (began if opened is None else opened)
        words_said = said.read().decode(errors="replace")
    return Watched(code, words_said, opened is not None, temporary_in(inside), seconds)


def stamp(path: Path) -> tuple[int, int] | None:
    """Return what tells one version of a file from the next; None where there is none."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_mtime_ns


def temporary_in(folder: Path) -> int:
    """Return how many half-written or half-deleted checkpoints a folder holds."""
    return sum(is_temporary(path) for path in folder.iterdir()) if folder.is_dir() else 0


def steps_of(folder: Path) -> list[int]:
    """Return the steps of the log, in order; a torn last line is left out."""
    return [line["step"] for line in Ledger(folder / "metrics.jsonl").read() if line["kind"] == "step"]


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
    kills: int, seed: int = 0, strategies: dict[str, list[str]] = STRATEGIES, per_run: int = 6
) -> list[dict[str, Any]]:
    """Return one row a run: its strategy, how often it was killed, where, and what came of it.

    Parameters
    ----------
    kills : in all, at least, unless a run is never still running when its kill is due.
    per_run : kills after which a run may end by itself.
    """
    chance = random.Random(seed)
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as place:
        data = write_pictures(Path(place) / "data", 30)
        whole_runs: dict[str, Watched] = {}
        while sum(row["kills"] for row in rows) < kills:
            for name, chosen in strategies.items():
                left = kills - sum(row["kills"] for row in rows)
                if left <= 0:
                    break
                whole = Path(place) / f"whole {name}"
                processes = 2 if TWO in name else 1
                if name not in whole_runs:
                    whole_runs[name] = run(command(data, whole, chosen), whole, processes=processes)
                    if whole_runs[name].code != 0:
                        raise SystemExit(f"the unkilled run failed: {whole_runs[name].said}")
                killed = Path(place) / "killed"
                row = killed_run(
                    command(data, killed, chosen),
                    killed,
                    min(left, per_run),
                    whole_runs[name].seconds,
                    chance,
                    processes,
                )
                row["bit_equal"] = not row["failures"] and ends_alike(whole, killed)
                rows.append({"strategy": name, **row})
                print(rows[-1], flush=True)
                shutil.rmtree(killed, ignore_errors=True)
    return rows


def killed_run(
    words: list[str], folder: Path, kills: int, seconds: float, chance: random.Random, processes: int = 1
) -> dict[str, Any]:
    """Kill a run so often, let it end, and return what was seen.

    Parameters
    ----------
    seconds : that the whole run takes from opening its folder to its end.
    """
    row: dict[str, Any] = {
        "kills": 0, "kills_in_training": 0, "kills_in_a_save": 0, "partial_folders": 0, "failures": 0,
        "steps_at_kill": [],
    }  # fmt: skip
    while True:
        done = (steps_of(folder) or [0])[-1]
        left = seconds * (1 - done / STEPS)
        # Half of what is left, so that not every kill comes at the end.
        kill = chance.choice(
            [("start", chance.uniform(0, 2 * seconds))]
            + [("training", chance.uniform(0, 0.5 * left))] * 5
            + [("save", chance.uniform(0, 0.4 * left))] * 4
        )
        which = chance.randrange(processes)
        ended = run(words, folder, kill if row["kills"] < kills else None, processes=processes, which=which)
        row["partial_folders"] += ended.saving
        if ended.code != -signal.SIGKILL:
            if ended.code != 0:
                row["failures"], row["said"] = 1, ended.said.strip().splitlines()[-1]
            return row
        reached = (steps_of(folder) or [0])[-1]
        row["kills"] += 1
        row["kills_in_training"] += ended.training and reached < STEPS
        row["kills_in_a_save"] += ended.saving > 0
        row["steps_at_kill"].append(reached)


def main() -> None:
    """Kill, compare, print, and write the result."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--kills", type=int, default=30)
    asked.add_argument("--seed", type=int, default=0)
    asked.add_argument("--output", type=Path, default=RESULT)
    given = asked.parse_args()
    rows = kill_until(given.kills, given.seed)
    kills, training, saving = (
        sum(row[key] for row in rows) for key in ("kills", "kills_in_training", "kills_in_a_save")
    )
    unequal = sum(not row["bit_equal"] for row in rows)
    print(f"{kills} kills over {len(rows)} runs, {training} in training, {saving} in a save; {unequal} not bit-equal")
    result = {
        "schema": 1,
        "command": f"python benchmarks/kill_training.py --kills {given.kills} --seed {given.seed}",
        "versions": {"standout": __version__, "python": platform.python_version(), "torch": version("torch")},
        "threads": 1,
        "seed": given.seed,
        "machine": {"system": f"{platform.system()} {platform.machine()}", "processors": os.cpu_count()},
        "protocol": f"SIGKILL inside runs of {STEPS} steps with a checkpoint every second; model, last checkpoint and "
        "log compared with a run never killed. A partial folder is a checkpoint half written or deleted at a kill.",
        "kills": kills,
        "kills_in_training": training,
        "kills_in_a_save": saving,
        "not_bit_equal": unequal,
        "rows": rows,
    }
    atomic_write(given.output, json.dumps(result, indent=1).encode() + b"\n")
    if 2 * training <= kills or saving == 0:
        sys.exit("too few kills fell inside training or none inside a save: the result says little")
    sys.exit(unequal > 0)


if __name__ == "__main__":
    main()
