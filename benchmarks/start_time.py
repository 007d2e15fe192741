"""Time `standout --help` as a whole process beside an empty interpreter, in turn; write docs/results/start_time.json.

python benchmarks/start_time.py
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path

from measuring import RESULTS, keep, result

ROUNDS = 25
COMMANDS = {
    "python -c pass": [sys.executable, "-c", "pass"],
    "standout --help": [str(Path(sys.executable).with_name("standout")), "--help"],
    "standout cut --help": [str(Path(sys.executable).with_name("standout")), "cut", "--help"],
    "python -c 'import standout'": [sys.executable, "-c", "import standout"],
}


def main() -> None:
    """Run every command in turn, after one round that is not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for number in range(ROUNDS + 1):
        for name, words in COMMANDS.items():
            began = time.perf_counter()
            subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
            if number:
                seconds[name].append(time.perf_counter() - began)
    empty = statistics.median(seconds["python -c pass"])
    rows = [
        {
            "what": name,
            "median_seconds": round(statistics.median(values), 4),
            "fastest_seconds": round(min(values), 4),
            "ratio_to_empty_interpreter": round(statistics.median(values) / empty, 2),
        }
        for name, values in seconds.items()
    ]
    protocol = f"whole processes in turn, {ROUNDS} rounds, medians"
    keep(RESULTS / "start_time.json", result("start_time.py", "click", protocol=protocol, rows=rows))
    for row in rows:
        print(row)


if __name__ == "__main__":
    main()
