"""A run's folder: what it was made from, what happened in it, and which checkpoint is which."""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from standout import __version__
from standout import checkpoint as checkpoints
from standout.errors import EXIT_USAGE, StandoutError
from standout.files import Ledger, atomic_write, disk_error, remove_leftovers

RECIPE, MANIFEST, METRICS, CURVES, MODEL = (
    "recipe.toml",
    "manifest.json",
    "metrics.jsonl",
    "curves.png",
    "model.safetensors",
)
_LIBRARIES = ("torch", "numpy", "pillow", "safetensors", "msgspec", "click")


class Run:
    """The folder of one run; used while its lock is held.

    Parameters
    ----------
    folder : made where missing.
    keep : newest checkpoints that stay, besides the best.
    writes : whether this process writes; of several, one does.
    """

    def __init__(self, folder: Path, *, keep: int = 3, writes: bool = True) -> None:
        self.folder = folder
        self.keep = keep
        self.writes = writes
        self.checkpoints = folder / "checkpoints"
        self.metrics = Ledger(folder / METRICS)

    def begin(self, resume: bool) -> None:
        """Refuse a folder that holds a run already, unless it shall go on; clear what killed processes left half.

        Raises
        ------
        StandoutError : as `check_new`.
        """
        if not self.writes:
            return
        self.check_new(resume)
        remove_leftovers(self.folder)
        checkpoints.remove_partial(self.checkpoints)
        if self.checkpoints.is_dir():
            remove_leftovers(self.checkpoints)

    def check_new(self, resume: bool) -> None:
        """Refuse a folder that holds a run already, unless it shall go on; nothing is written.

        Raises
        ------
        StandoutError : exit code 2, the folder holds a run and `resume` is false.
        """
        if not resume and ((self.folder / RECIPE).exists() or checkpoints.listed(self.checkpoints)):
            raise StandoutError(
                "run-exists", "folder holds a run already", self.folder, "pass --resume or another --output",
                exit_code=EXIT_USAGE,
            )  # fmt: skip

    def save(self, step: int, network: Mapping[str, Any], training: Mapping[str, Any], best: Sequence[str]) -> None:
        """Commit a checkpoint, name it as the last, and let go of older ones.

        Parameters
        ----------
        best : names of checkpoints that stay whatever their age, the best one first.
        """
        if not self.writes:
            return
        path = checkpoints.save(self.checkpoints, step, network, training)
        self.point("last", path.name)
        if best:
            self.point("best", best[0])
        checkpoints.prune(self.checkpoints, self.keep, set(best))

    def point(self, label: str, name: str) -> None:
        """Let the text file `best` or `last` name a checkpoint."""
        if not self.writes:
            return
        atomic_write(self.folder / label, f"{name}\n".encode())

    def log(self, kind: str, **values: Any) -> None:
        """Add a line to the metrics."""
        if not self.writes:
            return
        self.metrics.append({"kind": kind, **values})

    def rewind_log(self, step: int) -> None:
        """Drop a torn last line and every line after `step`, so that no step occurs twice."""
        if not self.writes:
            return
        self.metrics.repair()
        if not self.metrics.path.exists():
            return
        kept = [line for line in self.metrics.read() if line.get("step", 0) <= step]
        atomic_write(self.metrics.path, b"".join(json.dumps(line).encode() + b"\n" for line in kept))

    def write_manifest(self, values: Mapping[str, Any]) -> None:
        """Replace the manifest."""
        if not self.writes:
            return
        atomic_write(
            self.folder / MANIFEST, json.dumps({"schema": 1, **values}, indent=1, default=str).encode() + b"\n"
        )

    def update_manifest(self, **values: Any) -> None:
        """Change some of the manifest's values."""
        if not self.writes:
            return
        kept = {key: value for key, value in self.read_manifest().items() if key != "schema"}
        self.write_manifest({**kept, **values})

    def read_manifest(self) -> dict[str, Any]:
        """Return the manifest of the run so far; empty where there is none that can be read."""
        with contextlib.suppress(OSError, ValueError):
            found = json.loads((self.folder / MANIFEST).read_bytes())
            if isinstance(found, dict):
                return found
        return {}

    def check_space(self, needed: int, what: str) -> None:
        """Refuse to go on where the disk has less than `needed` bytes free.

        Raises
        ------
        StandoutError : names both numbers.
        """
        if not self.writes:
            return
        try:
            free = shutil.disk_usage(self.folder).free
        except OSError as error:
            raise disk_error(error, self.folder) from error
        if free < needed:
            raise StandoutError(
                "disk-full", "not enough free space",
                f"{self.folder} has {_mebibytes(free)}, {what} need {_mebibytes(needed)}",
                "free some space or choose another --output",
            )  # fmt: skip


def _mebibytes(count: int) -> str:
    return f"{count / 2**20:.1f} MiB"


def surroundings(command: Sequence[str], threads: int, device: str, processes: int = 1) -> dict[str, Any]:
    """Return what a run's results may depend on beyond its recipe: versions, machine, git state, command."""
    versions = {"standout": __version__, "python": platform.python_version()}
    for name in _LIBRARIES:
        with contextlib.suppress(PackageNotFoundError):
            versions[name] = version(name)
    return {
        "command": " ".join(command),
        "started": datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
        "versions": versions,
        "machine": {
            "system": f"{platform.system()} {platform.machine()}",
            "processors": os.cpu_count(),
            "threads": threads,
            "processes": processes,
            "device": device,
        },
        "git": git_state(),
    }


def git_state(folder: Path | None = None) -> dict[str, Any] | None:
    """Return the commit of the checkout that standout runs from and whether it has changes; None outside of one."""
    folder = folder or Path(__file__).parent
    git = shutil.which("git")
    if git is None:
        return None

    def ask(*arguments: str) -> str | None:
        done = subprocess.run(  # noqa: S603 - a fixed program and fixed words
            [git, "-C", str(folder), *arguments], capture_output=True, text=True, timeout=20, check=False
        )
        return done.stdout.strip() if done.returncode == 0 else None

    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        # A package installed inside somebody else's checkout must not borrow that project's commit.
        if ask("ls-files", "--error-unmatch", str(Path(__file__).resolve())) is None:
            return None
        commit = ask("rev-parse", "HEAD")
        if commit:
            return {"commit": commit, "changed": bool(ask("status", "--porcelain", "--untracked-files=no"))}
    return None


def told(message: str, warn: Callable[[str], object] | None = None) -> None:
    """Say a warning in one line on stderr, or to `warn`."""
    if warn is not None:
        warn(message)
    else:
        sys.stderr.write(f"standout: warning: {message}\n")
