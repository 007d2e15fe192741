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
import contextlib
import datetime
import hashlib
import itertools
import json
import random
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from killed_processes import HUNG, Kill, Watched, run_forked, run_whole, steps_of
from measuring import RESULTS, ROOT, keep, machine, versions

from standout import checkpoint
from standout.images import write_image, write_map

STEPS = 18
STRATEGIES = {
    "plain": [],
    "non_negative_feedback + pyramid": ["non_negative_feedback", "pyramid"],
    "virtual_teacher": ["virtual_teacher"],
    "dynamic_dropout": ["dynamic_dropout(virtual_teacher, rule=bernoulli)"],
    "dynamic_dropout by threshold": ["dynamic_dropout(virtual_teacher, rule=threshold)"],
    "label_smoothing": ["label_smoothing"],
    "mean_squared": ["mean_squared"],
    "attention_map": ["attention_map"],
}
"""Every strategy at least once, the one that draws and carries a running mean in both its forms."""
RUNS = [(name, processes) for name in STRATEGIES for processes in (1, 2)]
PER_RUN = 4
"""Kills of one run: sixty-four go once through all settings."""
SETTINGS = (
    "training.ema=0.9", "training.save_steps=2", "training.save_minutes=0", "training.log_steps=1",
    "training.process_minutes=1",
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
    """Return what is typed after `standout` for a short run: three epochs of six steps."""
    network = "cascade_tiny" if "attention_map" in strategies else "tiny"  # the only ones with such a map
    words = ["train", str(data), "--network", network, "--output", str(output)]
    words += ["--resume", "--epochs", "3", "--batch", "4", "--size", "32", "--workers", "2", "--threads", "1"]
    for strategy in strategies:
        words += ["--strategy", strategy]
    for setting in SETTINGS:
        words += ["--set", setting]
    return words


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
    asked.add_argument("--output", type=Path, default=RESULTS / "kill_training.json")
    given = asked.parse_args()
    settings = {
        "schema": 2,
        "threads": 1,
        "seed": given.seed,
        "protocol": f"SIGKILL inside runs of {STEPS} steps with a checkpoint every second, two reading threads, "
        "augmentation and a running average; of two processes one is killed. Model, last checkpoint and log compared "
        "with a run never killed. A partial folder is a checkpoint half written or deleted at a kill.",
        "settings": list(SETTINGS),
        "strategies": STRATEGIES,
    }
    kept = kept_before(given.output, settings, given.kills)
    kept["command"] = f"python benchmarks/kill_training.py --kills {given.kills} --seed {given.seed}"
    rows, left = kept["rows"], given.kills - sum(row["kills"] for row in kept["rows"])
    piece = {
        "begun": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "first_row": len(rows),
        "versions": versions("torch"),
        "machine": machine(),
        "source_sha256": source_sha256(),
    }
    turns = itertools.islice(itertools.cycle(RUNS), len(rows), None)
    for row in kill_runs(left, turns, given.seed, first=len(rows)):
        if piece not in kept["pieces"]:
            kept["pieces"].append(piece)
        rows.append(row)
        print(row, flush=True)
        keep(given.output, summed(kept))
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
