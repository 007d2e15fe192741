"""Running `standout` in one process or two, to its end or until a kill, and what the run's folder shows of it."""

from __future__ import annotations

import atexit
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from standout.files import Ledger, is_temporary

LEFT_SECONDS = 240.0
"""What the process that is left has to end by itself: each of two waits in turn takes `training.process_minutes`."""
HUNG = -signal.SIGALRM
"""Stands for the exit status of a process that did not end by itself."""
LOADED = [
    "accelerate.state", "matplotlib.backends.backend_agg", "matplotlib.figure", "safetensors.torch", "standout.cli",
    "standout.train.loop", "standout.train.prepare", "torch._dynamo",
]  # fmt: skip
"""What the process that is forked has loaded."""


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
