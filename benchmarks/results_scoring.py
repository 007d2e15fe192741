"""The sections on the measures: their speed and weight, and their parity with pysodmetrics."""

# ruff: noqa: E501 - a page's sentences are longer than a line of code

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from results_text import RESULTS, blocks, load, table


def scoring() -> list[str]:
    """Return the section on the time and weight of scoring; a script that was not run yet has no table."""
    parts = (
        ("measures_speed.json", arrays_scored),
        ("measures_files.json", files_scored),
        ("scoring_install.json", install_weighed),
        ("validation_cost.json", validation_timed),
    )
    made = [told(load(name)) for name, told in parts if (RESULTS / name).exists()]
    return blocks("## Scoring beside pysodmetrics", *made)


def arrays_scored(found: dict[str, Any]) -> list[str]:
    """Return the lines on pictures in memory."""
    rows = [
        [
            row["way"], row["path"], f"{row['height']} x {row['width']}", f"{row['milliseconds']:.3f}",
            f"{row['peer_milliseconds']:.1f}", f"{row['ratio']:g}", f"{row['ratio_of_fastest']:g}",
        ]
        for row in found["rows"]
        if not row["way"].startswith(("floor", "mask's"))
    ]  # fmt: skip
    return blocks(
        f"`{found['command']}`: one picture in memory, processor time, one thread, medians of paired runs, and beside them the "
        f"ratio of the fastest runs; the load of the machine was {found['load']:g}. Without weighted F, pysodmetrics leaves it out too.",
        table(["way", "path", "picture", "ms", "pysodmetrics ms", "times faster", "of the fastest"], rows, words=3),
        distances_to_the_floor(found["rows"]),
    )


def distances_to_the_floor(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Return a line for each size: what the exact distances take, and how far from reading alone each way is."""
    sizes: dict[str, dict[str, float]] = {}
    for row in rows:
        if row["path"] == "compiled":
            sizes.setdefault(f"{row['height']} x {row['width']}", {})[row["way"]] = row["milliseconds_fastest"]
    return [
        f"- {size}: exact distances take {100 * distances / new:.0f} % of a new mask's time. Reading two bytes a pixel takes "
        f"{1000 * floor:.0f} microseconds; without weighted F {four / floor:.0f} times that, a known mask {known / floor:.0f}, a new one {new / floor:.0f}."
        for size, (new, known, four, distances, floor) in ((size, ways.values()) for size, ways in sizes.items())
    ]


def files_scored(found: dict[str, Any]) -> list[str]:
    """Return the lines on folders of files."""
    rows = [
        [
            row["what"], f"{row['pairs']:,}", f"{row['peer_seconds']:.1f}", f"{row['seconds']:.1f}", f"{row['ratio']:g}",
            f"{row['processor_ratio']:g}",
        ]
        for row in found["rows"]
    ]  # fmt: skip
    shares = ", ".join(f"{name} {share:g} %" for name, share in found["percent_of_one_process"].items())
    return blocks(
        f"`{found['command']}`: PNG files of 300 x 400, all measures, the same reader and two processes for both; the load "
        f"was {found['load']:g}. Kept masks: `--mask-cache`. Of one process's time with new masks: {shares}.",
        table(["masks", "pairs", "pysodmetrics s", "standout s", "times faster", "by processor time"], rows),
    )


def install_weighed(found: dict[str, Any]) -> list[str]:
    """Return the lines on the install and the import."""
    rows = [
        [row["what"], f"{row['megabytes']:g} MB" if "megabytes" in row else f"{row['seconds']:g} s"]
        for row in found["rows"]
    ]
    return blocks(
        f"`{found['command']}`: what an install weighs (without compiled Python) and what an import takes.",
        table(["what", "figure"], rows),
    )


def validation_timed(found: dict[str, Any]) -> list[str]:
    """Return the lines on validation."""
    rows = [
        [
            row["network"], f"{row['size']}", f"{row['forward_milliseconds']:.1f}", f"{row['measures_milliseconds']:.2f}",
            f"{100 * row['measures_share_of_forward']:.1f} %",
        ]
        for row in found["rows"]
    ]  # fmt: skip
    return blocks(
        f"`{found['command']}`: what the measures cost in validation beside the network's own passes.",
        table(["network", "size", "forward ms", "measures ms", "share"], rows),
    )


def parity() -> list[str]:
    """Return the section on pysodmetrics."""
    found = load("measures_parity.json")
    rows = [
        [
            row["measure"],
            row["protocol"],
            str(row["pairs"]),
            f"{row['largest_difference']:.1e}",
            str(sum(row["excepted"].values())),
        ]
        for row in found["rows"]
        if "excepted" in row
    ]
    return blocks(
        "## Parity with pysodmetrics",
        f"`{found['command']}`, pysodmetrics {found['versions']['pysodmetrics']}, seed {found['seed']}. Excepted pairs are "
        "those where the yardstick gives NaN or where rounding decides; [measures.md](measures.md) says what we give.",
        table(["measure", "protocol", "pairs", "largest difference", "excepted"], rows, words=2),
    )
