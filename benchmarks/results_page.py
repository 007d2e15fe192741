"""Write docs/results.md from the JSON files under docs/results, so that no figure is typed by hand.

python benchmarks/results_page.py            # writes the page
python benchmarks/results_page.py --check    # fails where the page is not what the files say
"""

# ruff: noqa: E501 - a page's sentences are longer than a line of code

from __future__ import annotations

import argparse
import sys

from results_faults import faults
from results_scoring import parity, scoring
from results_text import DOCS, blocks, load, table
from results_training import comparison, costs, light_network


def data_check() -> list[str]:
    """Return the section on the check of the three sets and on the hash that finds copies."""
    found = load("find_copies.json")
    findings = [
        [one["severity"], f"`{one['code']}`", ", ".join(one["sets"]), one["message"], str(one["count"] or "")]
        for one in found["findings"]
    ]
    hits = [row for row in found["rows"] if row["found"]]
    besides = [
        [
            ", ".join(row["sets"]),
            row["first"],
            row["second"],
            row["how"],
            str(row.get("bits", 0)),
            f"{row.get('correlation', 1):.4f}",
            f"{row['masks_iou']:.3f}" if "masks_iou" in row else "",
        ]
        for row in found["besides"]
    ]
    recall = [
        [
            str(row["quality"]),
            f"{row['scale']:g}",
            "mirrored" if row["mirrored"] else "",
            f"{row['found']} of {row['copies']}",
        ]
        for row in found["recall"]
    ]
    bits = [[str(row["bits"]), str(row["proposed"]), str(row["confirmed"])] for row in found["by_bits"]]
    return blocks(
        "## Checking DUTS-TR, ECSSD and CAMO",
        f"`{found['command']}`; {found['threads']} processes, Pillow {found['versions']['pillow']}, seed {found['seed']}; "
        f"{found['protocol']}. {found['pairs']:,} pairs in {found['seconds']:.0f} s (limit {found['limit_seconds']:.0f} s). "
        f"Of {len(found['rows'])} ECSSD pictures that were put into CAMO's training part at 224 pixels, as WebP of quality 55, "
        f"every second one mirrored, {len(hits)} are found.",
        table(["severity", "code", "sets", "finding", "files"], findings, words=4),
        "Everything else that the check takes for one picture twice:",
        table(["sets", "first", "second", "how", "bits", "correlation", "IoU of the masks"], besides, words=4),
        "Copies of ECSSD pictures, as JPEG of that quality with sides of that share, that are found:",
        table(["quality", "sides", "mirrored", "found"], recall),
        f"Pairs among all {found['pictures_compared']:,} pictures whose hashes lie so many bits apart, upright or mirrored, and "
        "those of them whose thumbnails correlate enough:",
        table(["bits", "pairs", "confirmed"], bits),
    )


def start() -> list[str]:
    """Return the section on the start."""
    found = load("start_time.json")
    rows = [
        [row["what"], f"{row['median_seconds']:.3f}", f"{row['ratio_to_empty_interpreter']:g}"] for row in found["rows"]
    ]
    return blocks(
        "## Start",
        f"`{found['command']}`; {found['protocol']}.",
        table(["process", "seconds", "times an empty interpreter"], rows),
    )


def page() -> str:
    """Return the whole page."""
    sections = [light_network(), comparison(), costs(), scoring(), parity(), faults(), data_check(), start()]
    written = "Written by `python benchmarks/results_page.py` from the files under `results/`."
    return "\n".join(blocks("# Results", written, *sections)) + "\n"


def main() -> int:
    """Write the page, or compare it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    text = page()
    path = DOCS / "results.md"
    if parser.parse_args().check:
        if path.read_text() != text:
            sys.stderr.write("docs/results.md is not what the result files say: run benchmarks/results_page.py\n")
            return 1
        return 0
    path.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
