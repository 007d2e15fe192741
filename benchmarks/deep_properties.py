"""Run the measures' properties on five hundred examples each, and keep how many held.

    python benchmarks/deep_properties.py

The suite takes a hundred of each. Both paths are run, the compiled kernel (where it was built) and NumPy alone.
"""

from __future__ import annotations

import argparse
import base64
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from xml.etree import ElementTree

from measuring import RESULTS, ROOT, keep, result

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
    asked.add_argument("--output", type=Path, default=RESULTS / "measure_properties.json")
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
    figures = {
        "properties": len({row["property"].partition("[")[0] for row in rows}),
        "least_passing": min((row["passing"] for row in rows), default=0),
        "failing": sum(row["failing"] for row in rows),
        "minutes": round(seconds / 60, 1),
    }
    print(figures)
    protocol = f"{TESTS} with {EXAMPLES} examples a property, drawn from a fixed seed"
    keep(given.output, result("deep_properties.py", "hypothesis", protocol=protocol, **figures, rows=rows))
    sys.exit(ran.returncode or figures["least_passing"] < EXAMPLES)


if __name__ == "__main__":
    main()
