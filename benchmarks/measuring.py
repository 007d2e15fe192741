"""What the benchmarks share: the state that a machine must be in, and the file that keeps what was measured."""

from __future__ import annotations

import json
import os
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

import standout
from standout.files import atomic_write
from standout.metrics import kernel

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "docs" / "results"


def require_one_thread() -> None:
    """Leave where processor time would add up over threads, or two processes take more than two processors."""
    if os.environ.get("OMP_NUM_THREADS") != "1":
        raise SystemExit("set OMP_NUM_THREADS=1: processor time of several threads adds up")


def require_kernel() -> None:
    """Leave where the measures have NumPy's path alone."""
    if kernel.compiled is None:
        raise SystemExit("the compiled kernel is not built here: pip install -e . with a C compiler at hand")


def versions(*packages: str) -> dict[str, str]:
    """Return the versions of standout, Python and some packages."""
    # The environment with pysodmetrics has standout on its path and not installed.
    return {"standout": standout.__version__, "python": platform.python_version()} | {
        name: version(name) for name in packages
    }


def machine() -> dict[str, Any]:
    """Return what kind of machine this is."""
    return {"system": f"{platform.system()} {platform.machine()}", "processors": os.cpu_count()}


def result(
    command: str,
    *packages: str,
    protocol: str,
    threads: int = 1,
    seed: int | list[int] = 0,
    schema: int = 1,
    **figures: Any,
) -> dict[str, Any]:
    """Return a result as its file holds it.

    Parameters
    ----------
    command : what was typed after `python benchmarks/`.
    packages : whose versions the figures may hang on.
    """
    return {
        "schema": schema,
        "command": f"python benchmarks/{command}",
        "versions": versions(*packages),
        "threads": threads,
        "seed": seed,
        "machine": machine(),
        "load": round(os.getloadavg()[0], 1),
        "protocol": protocol,
        **figures,
    }


def keep(path: Path, document: dict[str, Any]) -> None:
    """Write a result file."""
    atomic_write(path, json.dumps(document, indent=1).encode() + b"\n")
