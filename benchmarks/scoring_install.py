"""Weigh what scoring installs, and time its import, beside pysodmetrics 1.6.2 in an environment of its own.

    python -m venv peer && peer/bin/pip install pysodmetrics==1.6.2
    python benchmarks/scoring_install.py --peer peer/bin/python

An install's size is that of all files that a package and what it requires brought along, without extras. Import times
are whole processes in turn, less an empty interpreter. Writes docs/results/scoring_install.json.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from measuring import RESULTS, keep, require_kernel, result

import standout
from standout.metrics import kernel

SIZES = """
import json, re, sys
from importlib.metadata import PackageNotFoundError, distribution
found, todo = {}, sys.argv[1:]
while todo:
    name = re.match(r"[A-Za-z0-9._-]+", todo.pop())[0].lower().replace("_", "-")
    if name in found:
        continue
    try:
        package = distribution(name)
    except PackageNotFoundError:
        continue  # for another system or Python
    files = [file.locate() for file in package.files or ()]
    found[name] = sum(file.stat().st_size for file in files if file.is_file() and file.suffix != ".pyc")
    todo += [line for line in package.requires or () if "extra ==" not in line]
print(json.dumps(found))
"""


def sizes(python: str, *names: str) -> dict[str, int]:
    """Return the bytes of some packages and of all that they require, by name."""
    done = subprocess.run([python, "-c", SIZES, *names], check=True, capture_output=True, text=True)
    found: dict[str, int] = json.loads(done.stdout)
    return found


def import_seconds(commands: dict[str, list[str]], rounds: int) -> dict[str, list[float]]:
    """Return the processor seconds of whole processes, in turn."""
    spent: dict[str, list[float]] = {name: [] for name in commands}
    for number in range(rounds + 1):
        for name, words in commands.items():
            before, began = os.times(), time.perf_counter()
            subprocess.run(words, check=True, stderr=subprocess.DEVNULL)
            after = os.times()
            used = after.children_user + after.children_system - before.children_user - before.children_system
            if number:  # the first fills the disk's cache
                spent[name].append(min(used, time.perf_counter() - began))
    return spent


def main() -> None:
    """Measure both and write the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peer", required=True, help="the Python of an environment with pysodmetrics")
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--output", type=Path, default=RESULTS / "scoring_install.json")
    settings = parser.parse_args()
    require_kernel()
    package = Path(standout.__file__).parent
    own = sum(file.stat().st_size for file in package.rglob("*") if file.is_file() and file.suffix != ".pyc")
    alone, whole = sizes(sys.executable, "numpy", "pillow"), sizes(sys.executable, "standout")
    whole.pop("standout", None)  # an editable install has no files of its own
    peer = sizes(settings.peer, "pysodmetrics")
    commands = {
        "an empty interpreter": [sys.executable, "-c", "pass"],
        "import standout.metrics": [sys.executable, "-c", "import standout.metrics"],
        "import numpy": [sys.executable, "-c", "import numpy"],
        "the peer's empty interpreter": [settings.peer, "-c", "pass"],
        "import py_sod_metrics": [settings.peer, "-c", "import py_sod_metrics"],
    }
    spent = {name: statistics.median(values) for name, values in import_seconds(commands, settings.rounds).items()}

    def megabytes(count: int) -> float:
        return round(count / 1e6, 2)

    def less(name: str, empty: str) -> float:
        return round(spent[name] - spent[empty], 3)

    rows: list[dict[str, Any]] = [
        {"what": "compiled part", "megabytes": megabytes(Path(kernel.compiled.__file__).stat().st_size)},
        {"what": "standout itself", "megabytes": megabytes(own)},
        {"what": "scoring alone: standout, numpy, pillow", "megabytes": megabytes(own + sum(alone.values()))},
        {"what": "pip install standout", "megabytes": megabytes(own + sum(whole.values()))},
        {"what": "pip install pysodmetrics", "megabytes": megabytes(sum(peer.values()))},
        {"what": "import standout.metrics", "seconds": less("import standout.metrics", "an empty interpreter")},
        {"what": "import numpy", "seconds": less("import numpy", "an empty interpreter")},
        {"what": "import py_sod_metrics", "seconds": less("import py_sod_metrics", "the peer's empty interpreter")},
    ]
    command = f"scoring_install.py --peer peer/bin/python --rounds {settings.rounds}"
    protocol = "processor seconds of whole processes, medians; 10^6 bytes of files"
    keep(settings.output, result(command, protocol=protocol, rows=rows))
    for row in rows:
        print(row)


if __name__ == "__main__":
    main()
