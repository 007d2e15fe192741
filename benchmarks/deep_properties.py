"""Run the measures' properties on five hundred examples each, and keep how many held.

    python benchmarks/deep_properties.py

The suite takes a hundred of each. Both paths are run, the compiled kernel (where it was built) and NumPy alone.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from xml.etree import ElementTree

from standout import __version__
from standout.files import atomic_write

ROOT = Path(__file__).resolve().parents[1]
RESULT = ROOT / "docs" / "results" / "measure_properties.json"
TESTS = "tests/metrics/test_measure_properties.py"
EXAMPLES = 500
"""Of the profile `deep` in tests/conftest.py."""
COUNTED = re.compile(r"(\d+) passing, (\d+) failing, and (\d+) invalid")
MARK = "hypothesis-statistics-"


def examples_of(report: bytes) -> dict[str, dict[str, int]]:
    """Return for each test how many examples held, how many did not, and how many were no example."""
    found = {}
    for one in ElementTree.fromstring(report).iter("property"):  # noqa: S314 - pytest wrote it just now
        name, value = one.get("name", ""), one.get("value", "")
        if name.startswith(MARK):
            told = base64.b64decode(value).decode()
            sums = [sum(map(int, counts)) for counts in zip(*COUNTED.findall(told), strict=True)] or [0, 0, 0]
            found[name.rpartition("::")[2]] = dict(zip(("passing", "failing", "invalid"), sums, strict=True))
    return found


def main() -> None:
    """Run, count, print, and write the result."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--output", type=Path, default=RESULT)
    given = asked.parse_args()
    with tempfile.TemporaryDirectory() as place:
        report = Path(place) / "report.xml"
        started = time.monotonic()
        ran = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", TESTS, "--junitxml", str(report), "-p", "no:cacheprovider"],
            cwd=ROOT, env={**os.environ, "HYPOTHESIS_PROFILE": "deep"}, check=False,
        )  # fmt: skip
        seconds = time.monotonic() - started
        found = examples_of(report.read_bytes())
    rows = [{"property": name.removeprefix("test_"), **counts} for name, counts in found.items()]
    result = {
        "schema": 1,
        "command": "python benchmarks/deep_properties.py",
        "versions": {"standout": __version__, "python": platform.python_version(), "hypothesis": version("hypothesis")},
        "threads": 1,
        "seed": 0,
        "machine": {"system": f"{platform.system()} {platform.machine()}", "processors": os.cpu_count()},
        "protocol": f"{TESTS} with {EXAMPLES} examples a property, drawn from a fixed seed",
        "properties": len({row["property"].partition("[")[0] for row in rows}),
        "least_passing": min((row["passing"] for row in rows), default=0),
        "failing": sum(row["failing"] for row in rows),
        "minutes": round(seconds / 60, 1),
        "rows": rows,
    }
    print({key: result[key] for key in ("properties", "least_passing", "failing", "minutes")})
    atomic_write(given.output, json.dumps(result, indent=1).encode() + b"\n")
    sys.exit(ran.returncode or result["least_passing"] < EXAMPLES)


if __name__ == "__main__":
    main()
