"""Kill a training run again and again, resume it, and compare its end with a run that was never killed, bit for bit.

Each round runs `standout train --resume` on generated pictures, with reading threads, augmentation, a running average
and a checkpoint every second step, and sends SIGKILL: five of ten at a random moment after a random step, four while a
checkpoint is being saved, one at any moment from the start on. After `per_run` kills a run ends by itself; then the
next setting's turn comes: every strategy, in one process and in two. Of two processes one is killed, either as often
as the other; the one that is left must notice it within its own time limit, and end.

The run that is never killed is `python -m standout train`, a fresh process, and made once for each setting. Those to
be killed are forked from a process that has loaded the libraries and has not used them: loading takes longer than all
their steps, and a kill in the midst of it shows nothing.

    python benchmarks/kill_training.py --kills 100

Each run's row is kept as soon as it has ended. Fewer kills than are asked for, of the same settings, are gone on with;
else all starts anew. `pieces` says which rows were made when, and by which source.
"""

from __future__ import annotations

import argparse
import atexit
import contextlib
import datetime
import hashlib
import itertools
import json
import multiprocessing
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
from collections.abc import Iterable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

from standout import __version__, checkpoint
from standout.files import Ledger, atomic_write, is_temporary
from standout.images import write_image, write_map

ROOT = Path(__file__).resolve().parents[1]
RESULT = ROOT / "docs" / "results" / "kill_training.json"
STEPS = 18
STRATEGIES = {
    "plain": [],
    "non_negative_feedback + pyramid": ["non_negative_feedback", "pyramid"],
    "virtual_teacher": ["virtual_teacher"],
    "dynamic_dropout": ["dynamic_dropout(virtual_teacher, rule=bernoulli)"],
    "label_smoothing": ["label_smoothing"],
    "mean_squared": ["mean_squared"],
}
"""Every strategy at least once."""
RUNS = [(name, processes) for name in STRATEGIES for processes in (1, 2)]
PER_RUN = 4
"""Kills of one run: a hundred go twice through all settings."""
LEFT_SECONDS = 240.0
"""What the process that is left has to end by itself: each of two waits in turn takes `training.process_minutes`."""
HUNG = -signal.SIGALRM
"""Stands for the exit status of a process that did not end by itself."""
SETTINGS = (
    "training.ema=0.9", "training.save_steps=2", "training.save_minutes=0", "training.log_steps=1",
    "training.process_minutes=1",
    "augmentation.rotation=10", "augmentation.brightness=0.2", "augmentation.sizes=[32, 64]",
    "validation.split=0.2", "optimiser.name=adamw", "optimiser.rate=0.005",
)  # fmt: skip
LOADED = [
    "accelerate.state", "matplotlib.backends.backend_agg", "matplotlib.figure", "safetensors.torch", "standout.cli",
    "standout.train.loop", "standout.train.prepare", "torch._dynamo",
]  # fmt: skip
"""What the process that is forked has loaded."""


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
    """Return what is typed after `standout` for a short run: three epochs of six steps."""
    words = ["train", str(data), "--network", "tiny", "--output", str(output)]
    words += ["--resume", "--epochs", "3", "--batch", "4", "--size", "32", "--workers", "2", "--threads", "1"]
    for strategy in strategies:
        words += ["--strategy", strategy]
    for setting in SETTINGS:
        words += ["--set", setting]
    return words


class Kill(NamedTuple):
    """When a process is killed.

    kind : "start", so many seconds after it began; "step", so many after a step was logged; "save", at the next
        temporary folder of a checkpoint after that.
    """

    kind: str
    step: int
    seconds: float


class Watched(NamedTuple):
    """How a run's process ended: its exit status, what it said, and where a kill found it.

    training : whether the process had opened its run.
    saving : how many temporary folders of checkpoints were there and stayed.
    opening, seconds : from the start to opening the run, and from there to the end.
    """

    code: int
    said: str
    training: bool
    saving: int
    opening: float
    seconds: float


def environments(processes: int) -> list[dict[str, str]]:
    """Return what each process finds in its environment, as torchrun sets it."""
    threads = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    if processes == 1:
        return [threads]
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    common = {**threads, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    common |= {"WORLD_SIZE": str(processes), "LOCAL_WORLD_SIZE": str(processes)}
    return [{**common, "RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(processes)]


def run_whole(words: list[str], processes: int) -> Watched:
    """Run a command to its end, in fresh processes."""
    with tempfile.TemporaryFile() as said:
        began = time.monotonic()
        started = [
            subprocess.Popen(
                [sys.executable, "-m", "standout", *words],
                stdout=subprocess.DEVNULL, stderr=said, env={**os.environ, **around},
            )
            for around in environments(processes)
        ]  # fmt: skip
        codes = [one.wait() for one in started]
        seconds = time.monotonic() - began
        said.seek(0)
        return Watched(max(codes, key=abs), said.read().decode(errors="replace"), True, 0, 0.0, seconds)


def forked(words: list[str], around: dict[str, str], said: str) -> None:
    """Be `standout` with these words; runs in a process of its own."""
    os.environ.update(around)
    sys.argv = ["standout", *words]
    with Path(said).open("ab", buffering=0) as told, Path(os.devnull).open("wb") as nothing:
        os.dup2(told.fileno(), sys.stderr.fileno())
        os.dup2(nothing.fileno(), sys.stdout.fileno())
    from standout.cli import run

    try:
        run(words)
    finally:
        atexit._run_exitfuncs()  # which a process of multiprocessing leaves out


def run_forked(
    words: list[str], output: Path, kill: Kill | None = None, *, processes: int = 1, which: int = 0
) -> Watched:
    """Run a command to its end, or kill it, in processes forked from one that has loaded the libraries.

    Parameters
    ----------
    processes, which : how many there are, and which of them is killed; the others must then end by themselves.
    """
    os.environ.update(environments(1)[0])  # what the process that is forked starts with
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(LOADED)
    manifest, inside = output / "manifest.json", output / "checkpoints"
    before, opened = stamp(manifest), None
    with tempfile.TemporaryDirectory() as place:
        said = Path(place) / "said"
        started = [
            context.Process(target=forked, args=(words, around, str(said))) for around in environments(processes)
        ]
        for one in started:
            one.start()
        process, began = started[which], time.monotonic()
        log, reached = Log(output / "metrics.jsonl"), None
        while process.is_alive():
            now = time.monotonic()
            if opened is None and stamp(manifest) != before:
                opened = now
            if kill is not None:
                if kill.kind == "start":
                    since: float | None = began
                else:
                    reached = now if reached is None and opened is not None and log.step() >= kill.step else reached
                    since = reached
                if since is not None and now - since >= kill.seconds and (kill.kind != "save" or temporary_in(inside)):
                    process.kill()
                    break
            process.join(0.001 if kill is not None else 0.02)
        for one in started:
            one.join(LEFT_SECONDS if kill is not None else None)
        code = process.exitcode or 0
        for other in started:
            if other.is_alive():
                other.kill()
                other.join()
                code = HUNG
            elif code == 0:
                code = other.exitcode or 0
        ended = time.monotonic()
        told = said.read_text(errors="replace") if said.exists() else ""
    at = ended if opened is None else opened
    return Watched(code, told, opened is not None, temporary_in(inside), at - began, ended - at)


class Log:
    """A run's log that is looked at again and again while it is written."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.seen: tuple[int, int] | None = None
        self.last = 0

    def step(self) -> int:
        """Return the last step that is logged; 0 before the first."""
        found = stamp(self.path)
        if found != self.seen:
            self.seen, self.last = found, (steps_of(self.path.parent) or [0])[-1]
        return self.last


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


def kill_runs(
    kills: int, runs: Iterable[tuple[str, int]], seed: int = 0, *, first: int = 0, per_run: int = PER_RUN
) -> Iterator[dict[str, Any]]:
    """Yield one row a run: its strategies and processes, how often it was killed, where, and what came of it.

    Parameters
    ----------
    kills : in all, at least, unless a run is never still running when its kill is due.
    runs : strategies, by their name in `STRATEGIES`, and processes; one after the other.
    first : the number of the first row, which the kills' moments hang on.
    per_run : kills after which a run ends by itself.
    """
    with tempfile.TemporaryDirectory() as place:
        data = write_pictures(Path(place) / "data", 30)
        whole_runs: dict[tuple[str, int], Watched] = {}
        for number, (name, processes) in enumerate(runs, first):
            if kills <= 0:
                return
            whole, killed = Path(place) / f"whole {processes} {name}", Path(place) / "killed"
            if (name, processes) not in whole_runs:
                whole_runs[name, processes] = run_whole(command(data, whole, STRATEGIES[name]), processes)
                if whole_runs[name, processes].code != 0:
                    raise SystemExit(f"the unkilled run failed: {whole_runs[name, processes].said}")
            words, chance = command(data, killed, STRATEGIES[name]), random.Random(f"{seed} {number}")
            row = killed_run(words, killed, min(kills, per_run), chance, processes)
            row["bit_equal"] = not row["failures"] and ends_alike(whole, killed)
            kills -= row["kills"]
            yield {"strategy": name, "processes": processes, **row}
            shutil.rmtree(killed, ignore_errors=True)


def killed_run(words: list[str], folder: Path, kills: int, chance: random.Random, processes: int) -> dict[str, Any]:
    """Kill a run so often, let it end, and return what was seen."""
    row: dict[str, Any] = {
        "kills": 0, "kills_in_training": 0, "kills_in_a_save": 0, "partial_folders": 0, "failures": 0,
        "steps_at_kill": [],
    }  # fmt: skip
    opening = step_seconds = 0.2  # until they are seen
    while True:
        done = (steps_of(folder) or [0])[-1]
        # A third of what is left, so that not every kill comes at the end.
        step = done + chance.randint(0, max(1, (STEPS - done) // 3))
        kind = chance.choice(["start"] + ["step"] * 5 + ["save"] * 4)
        # After the last step are the scores and the model: kills there are few, and come early or late.
        spread = 2 * opening if kind == "start" else step_seconds * (10 if step >= STEPS else 1)
        kill = Kill(kind, min(step, STEPS), chance.uniform(0, spread))
        which = chance.randrange(processes)
        ended = run_forked(words, folder, kill if row["kills"] < kills else None, processes=processes, which=which)
        row["partial_folders"] += ended.saving
        if ended.code != -signal.SIGKILL:
            if ended.code != 0:
                row["failures"], row["exit"] = 1, "none: it hung" if ended.code == HUNG else ended.code
                row["said"] = (ended.said.strip().splitlines() or ["nothing"])[-1]
            return row
        reached = (steps_of(folder) or [0])[-1]
        opening = ended.opening
        step_seconds = ended.seconds / (reached - done) if reached > done else step_seconds
        row["kills"] += 1
        row["kills_in_training"] += ended.training and reached < STEPS
        row["kills_in_a_save"] += ended.saving > 0
        row["steps_at_kill"].append(reached)


def source_sha256() -> str:
    """Return one sha256 over the package's Python files."""
    digest = hashlib.sha256()
    for path in sorted((ROOT / "src" / "standout").rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def kept_before(path: Path, settings: dict[str, Any], kills: int) -> dict[str, Any]:
    """Return the result that is kept, if it has fewer kills, of the same settings; else an empty one."""
    with contextlib.suppress(FileNotFoundError, ValueError):
        kept: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if {key: kept.get(key) for key in settings} == settings and kept["kills"] < kills:
            return kept
    return {**settings, "pieces": [], "rows": []}


def summed(kept: dict[str, Any]) -> dict[str, Any]:
    """Return the result with its totals."""
    rows = kept["rows"]
    kept |= {key: sum(row[key] for row in rows) for key in ("kills", "kills_in_training", "kills_in_a_save")}
    kept["kills_of_one_of_two"] = sum(row["kills"] for row in rows if row["processes"] == 2)
    kept["not_bit_equal"] = sum(not row["bit_equal"] for row in rows)
    return {key: kept[key] for key in sorted(kept, key=("pieces", "rows").__contains__)}


def main() -> None:
    """Kill, compare, print, and write the result after each run."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--kills", type=int, default=100, help="in all, those that are kept counted in")
    asked.add_argument("--seed", type=int, default=0)
    asked.add_argument("--output", type=Path, default=RESULT)
    given = asked.parse_args()
    settings = {
        "schema": 2,
        "threads": 1,
        "seed": given.seed,
        "protocol": f"SIGKILL inside runs of {STEPS} steps with a checkpoint every second, two reading threads, "
        "augmentation and a running average; of two processes one is killed. Model, last checkpoint and log compared "
        "with a run never killed. A partial folder is a checkpoint half written or deleted at a kill.",
        "settings": list(SETTINGS),
    }
    kept = kept_before(given.output, settings, given.kills)
    kept["command"] = f"python benchmarks/kill_training.py --kills {given.kills} --seed {given.seed}"
    rows, left = kept["rows"], given.kills - sum(row["kills"] for row in kept["rows"])
    piece = {
        "begun": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "first_row": len(rows),
        "versions": {"standout": __version__, "python": platform.python_version(), "torch": version("torch")},
        "machine": {"system": f"{platform.system()} {platform.machine()}", "processors": os.cpu_count()},
        "source_sha256": source_sha256(),
    }
    turns = itertools.islice(itertools.cycle(RUNS), len(rows), None)
    for row in kill_runs(left, turns, given.seed, first=len(rows)):
        if piece not in kept["pieces"]:
            kept["pieces"].append(piece)
        rows.append(row)
        print(row, flush=True)
        atomic_write(given.output, json.dumps(summed(kept), indent=1).encode() + b"\n")
    kept = summed(kept)
    kills, training, saving = kept["kills"], kept["kills_in_training"], kept["kills_in_a_save"]
    print(
        f"{kills} kills over {len(rows)} runs, {training} in training, {saving} in a save, "
        f"{kept['kills_of_one_of_two']} of one of two processes; {kept['not_bit_equal']} not bit-equal"
    )
    if 2 * training <= kills or saving == 0:
        sys.exit("too few kills fell inside training or none inside a save: the result says little")
    sys.exit(kept["not_bit_equal"] > 0)


if __name__ == "__main__":
    main()
