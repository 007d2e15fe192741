"""Write docs/scorecard.md: each promise of reliability with its score, from the names of the tests.

A test that holds a promise is named after it: `test_t07_…`, or `test_d02_d03_…` for two. Tests of losses and strategies
number the properties of methods in the same way; their folders do not count.

    python benchmarks/scorecard.py [--check]

0: no test. 1: tests, with fewer cases than the promise states, or for a part of it: `FEWER` says what is missing, or
the result that `make reliability` keeps has not the figure of `FIGURES`. 2: tested as stated.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections import defaultdict
from pathlib import Path

from promises import FAULTS, FEWER, FIGURES, GROUPS, PROMISES

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "scorecard.md"
METHODS = {"distill": "", "losses": "", "networks": "", "lifelong": "LK"}
"""Folders whose tests number the properties of methods, with the letters that are promises' all the same."""
TEST = re.compile(r"^def test_((?:[a-z]\d\d_)+)", re.MULTILINE)


def tests_by_promise() -> dict[str, int]:
    """Return how many tests name each promise, such as T7."""
    found: defaultdict[str, int] = defaultdict(int)
    for path in (ROOT / "tests").rglob("test_*.py"):
        letters = METHODS.get(path.relative_to(ROOT / "tests").parts[0], "".join(GROUPS))
        for names in TEST.findall(path.read_text(encoding="utf-8")):
            for name in names.upper().strip("_").split("_"):
                if name[0] in letters:
                    found[f"{name[0]}{int(name[1:])}"] += 1
    return found


def short_of(promise: str) -> str:
    """Return what the kept results lack for a promise; empty where they have it or none is asked for."""
    lacking = []
    for file, key, least in FIGURES.get(promise, ()):
        path = ROOT / "docs" / "results" / file
        kept = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        value = kept.get(key, 0)
        if value < least:
            lacking.append(f"`{file}` has {value:,} of {least:,} {key}")
        lacking += [f"`{file}` has {kept[fault]:,} {fault}" for fault in FAULTS.get(file, ()) if kept.get(fault)]
    return "; ".join(lacking)


def scores() -> dict[str, tuple[int, str]]:
    """Return the score and what is missing, for each promise."""
    tests = tests_by_promise()
    unknown = sorted(set(tests) - set(PROMISES))
    if unknown:
        raise SystemExit(f"tests name promises that are not in the table: {', '.join(unknown)}")
    found = {}
    for promise in PROMISES:
        missing = "; ".join(part for part in (FEWER.get(promise, ""), short_of(promise)) if part)
        count = tests.get(promise, 0)
        found[promise] = (0 if not count else 1 if missing else 2, missing if count else FEWER.get(promise, ""))
    return found


def page() -> str:
    """Return the page."""
    found = scores()
    points, most = sum(score for score, _ in found.values()), 2 * len(found)
    starred = [promise for promise, (_, star) in PROMISES.items() if star]
    whole = sum(found[promise][0] == 2 for promise in starred)
    lines = [
        "# Scorecard",
        "",
        "What a user may rely on when the input is odd, the disk is full, the power goes or the caller is hostile.",
        "Each line is one promise; ★ is one that a first release must keep. 2: tested as stated; 1: tested with fewer",
        "cases, or in part; 0: not tested. `python benchmarks/scorecard.py` makes this page from the names of tests",
        "(`test_t07_…` holds T7) and from what `make reliability` keeps under `docs/results/`.",
        "",
        f"{points} of {most} points ({100 * points / most:.0f} %); {whole} of {len(starred)} ★ promises at 2.",
    ]
    for letter, title in GROUPS.items():
        lines += [
            "",
            f"## {letter}. {title}",
            "",
            "| # | promise | score | missing |",
            "| --- | --- | ---: | --- |",
        ]
        for promise, (sentence, star) in PROMISES.items():
            if promise[0] == letter:
                score, missing = found[promise]
                lines.append(f"| {promise}{'★' * star} | {sentence} | {score} | {missing} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Write the page, or say that it is not what it would be."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--check", action="store_true", help="write nothing; fail where the page is out of date")
    made = page()
    if asked.parse_args().check:
        if not PAGE.is_file() or PAGE.read_text(encoding="utf-8") != made:
            sys.exit("docs/scorecard.md is out of date: run python benchmarks/scorecard.py")
        return
    PAGE.write_text(made, encoding="utf-8")


if __name__ == "__main__":
    main()
