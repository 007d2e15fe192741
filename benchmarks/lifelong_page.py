"""Write docs/lifelong_results.md from the lifelong JSON files under docs/results, so that no figure is typed by hand.

    python benchmarks/lifelong_page.py            # writes the page
    python benchmarks/lifelong_page.py --check    # fails where the page is not what the files say

A part whose file is not there yet is left out.
"""

# ruff: noqa: E501 - a page's sentences are longer than a line of code

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from results_page import DOCS, RESULTS, table

PAGE = DOCS / "lifelong_results.md"
CONVENTIONS = {
    "OpenLORIS convention": {
        "accuracy_openloris": "accuracy",
        "backward_openloris": "BWT",
        "forward_openloris": "FWT",
        "overall": "over-all",
    },
    "GEM convention": {"accuracy_gem": "ACC", "backward_gem": "BWT", "forward_gem": "FWT", "forgetting": "forgetting"},
}


CHOSEN = """All methods take the optimiser under which fine-tuning learns the first domain best. SDKD is reported with the paper's
constants under either reading of its norms, and with `lambda1` = 0.1. The paper's factor of 560 on the soft targets is no slip: at T = 20 it undoes the 1/T² of
softening and leaves 2 alpha / K on each score, so the term pulls with less than the task's strength. Factor transfer is another
matter: the gradient of an L1 distance has the same length however near the factors are, so with the literal norm it pulls on the
map with about the task's strength to the last step; with element means it is shorter by the length of a factor, and all but gone."""


def load(name: str) -> dict[str, Any] | None:
    """Return a result file, or nothing where it is not there yet."""
    path = RESULTS / f"{name}.json"
    return json.loads(path.read_text()) if path.exists() else None


def cell(row: dict[str, Any], key: str) -> str:
    """Return a measure with its deviation."""
    mean, deviation = row["mean"][key], row["deviation"][key]
    if mean is None:
        return "-"
    return f"{mean:.4f}" + ("" if deviation is None else f" ± {deviation:.4f}")


def measures(found: dict[str, Any]) -> list[str]:
    """Return both conventions' tables and the score sheet."""
    lines: list[str] = []
    for title, keys in CONVENTIONS.items():
        rows = [[row["label"], *(cell(row, key) for key in keys), str(len(row["seeds"]))] for row in found["rows"]]
        lines += [f"{title}:", "", *table(["", *keys.values(), "seeds"], rows), ""]
    sheet = []
    for row in found["rows"]:
        seconds = [value for run in row["seconds"] for value in run]
        sheet.append(
            [
                row["label"],
                f"{row['parameters'] / 1e6:.2f}",
                f"{row['model_bytes'] / 2**20:.2f}",
                f"{row['memory_bytes'] / 2**20:.2f}",
                str(row["memory_pictures"]),
                f"{row['method_bytes'] / 2**20:.2f}",
                f"{sum(seconds) / len(seconds):.0f}",
                f"{row['peak_bytes'] / 2**20:.0f}",
            ]
        )
    heading = [
        "",
        "parameters, M",
        "model, MiB",
        "memory, MiB",
        "kept pictures",
        "kept by the method, MiB",
        "seconds an experience",
        "peak MiB",
    ]
    lines += ["What each cost (times with other work beside it):", "", *table(heading, sheet), ""]
    if found["missing"]:
        lines += [f"Not finished yet: {'; '.join(found['missing'])}.", ""]
    return lines


def ratios(found: dict[str, Any]) -> list[str]:
    """Return how the terms' gradients are balanced."""
    rows = []
    for row in found["rows"]:
        terms: dict[str, list[list[float]]] = {}
        for run in row["norm_ratio_quartiles"]:
            for name, quartiles in run.items():
                terms.setdefault(name, []).append(quartiles)
        for name, every in terms.items():
            low, middle, high = (sum(one[at] for one in every) / len(every) for at in range(3))
            rows.append([row["label"], name.replace("_", " "), f"{low:.3f}", f"{middle:.3f}", f"{high:.3f}"])
    if not rows:
        return []
    return [
        "Norm of each term's gradient over the network's weights, beside the task's: quartiles over the logged steps, mean over seeds.",
        "",
        *table(["", "term", "25 %", "50 %", "75 %"], rows, words=2),
        "",
    ]


def goals(found: dict[str, Any]) -> list[str]:
    """Return what the issue's goals came to."""
    rows = {row["label"]: row for row in found["rows"]}
    lines = []
    if {"naive", "sdkd"} <= set(rows):
        for label in [
            name for name in rows if name.startswith("sdkd") and "replay" not in name and "without" not in name
        ]:
            gain = rows[label]["mean"]["accuracy_gem"] - rows["naive"]["mean"]["accuracy_gem"]
            spread = max(rows[name]["deviation"]["accuracy_gem"] or 0.0 for name in (label, "naive"))
            share = rows[label]["mean"]["forgetting"] / rows["naive"]["mean"]["forgetting"]
            lines.append(
                f"- `{label}`: accuracy at the end {gain:+.4f} beside naive (deviation {spread:.4f}): "
                f"{'above it by more than the deviation' if gain > spread else 'not above it by more than the deviation'}; "
                f"forgetting {share:.2f} of naive's: {'at most half' if share <= 0.5 else 'more than half'}."
            )
    alone = next((row for name, row in rows.items() if name.startswith("replay")), None)
    both = next((row for name, row in rows.items() if name.startswith("sdkd + replay")), None)
    if alone and both:
        gain = both["mean"]["accuracy_gem"] - alone["mean"]["accuracy_gem"]
        lines.append(f"- `{both['label']}` beside `{alone['label']}`: accuracy at the end {gain:+.4f}.")
    return ["What the goals came to:", "", *lines, ""] if lines else []


def pacs() -> list[str]:
    """Return the section on PACS, and on how its settings were chosen."""
    lines: list[str] = []
    if found := load("lifelong_pacs"):
        lines += ["## PACS, four domains one after another", "", f"`{found['command']}`", ""]
        lines += [
            f"{found['protocol']}; pretrained MobileNetV2, seeds {', '.join(map(str, found['seed']))}, one thread.",
            "",
        ]
        lines += [*measures(found), *goals(found), *ratios(found)]
    if found := load("lifelong_pacs_settings"):
        rows = [
            [row["label"], *(f"{value:.4f}" for value in (row["matrices"][0][0][0], *row["matrices"][0][1]))]
            for row in found["rows"]
        ]
        lines += [
            "### How the settings were chosen",
            "",
            f"`{found['command']}`: {found['protocol']}; seed 0.",
            "",
            CHOSEN,
            "",
        ]
        lines += [*table(["", "first, then", "first, at the end", "second, at the end"], rows), "", *ratios(found)]
    return lines


def generated() -> list[str]:
    """Return the section on the generated stream."""
    found = load("lifelong_generated")
    if found is None:
        return []
    return [
        "## The generated stream of twelve experiences",
        "",
        f"`{found['command']}`",
        "",
        f"{found['protocol']}.",
        "",
        "![Mean accuracy after each experience](images/lifelong_generated.png)",
        "",
        *measures(found),
    ]


def costs() -> list[str]:
    """Return the section on cost."""
    found = load("lifelong_cost")
    if found is None:
        return []
    rows = [
        [
            row["method"],
            row["recogniser"],
            f"{row['milliseconds']:.0f}",
            f"{row['beside_naive']:.2f}",
            f"{row['parameters_that_learn']:,}",
            f"{row['deployed_parameters']:,}",
            f"{row['peak_mebibytes']:.0f}",
        ]
        for row in found["steps"]
    ]
    heading = ["method", "recogniser", "milliseconds", "times naive", "parameters that learn", "deployed", "peak MiB"]
    one = "; ".join(f"`{row['recogniser']}` {row['milliseconds']:.1f} ms" for row in found["inference"])
    return [
        "## What a training step costs",
        "",
        f"`{found['command']}`; threads: {found['threads']}, torch {found['versions']['torch']}; {found['protocol']}.",
        "",
        *table(heading, rows, words=2),
        "",
        f"One picture of {found['inference'][0]['size']} x {found['inference'][0]['size']}: {one}.",
        "",
    ]


def kills() -> list[str]:
    """Return the section on kills."""
    found = load("kill_lifelong")
    if found is None:
        return []
    words = f"{found['kills']} kills over {len(found['rows'])} runs of {len({row['method'] for row in found['rows']})} methods, {found['not_bit_equal']} not bit-equal"
    return ["## Kills in the third experience", "", f"`{found['command']}`: {words}. {found['protocol']}.", ""]


def page() -> str:
    """Return the whole page."""
    lines = [
        "# Lifelong recognition: results",
        "",
        "Written by `python benchmarks/lifelong_page.py` from the files under `results/`. What the methods are stands in [lifelong.md](lifelong.md).",
        "",
    ]
    lines += [*pacs(), *generated(), *costs(), *kills()]
    return "\n".join(lines).rstrip("\n") + "\n"


def main() -> int:
    """Write the page, or compare it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    text = page()
    if parser.parse_args().check:
        if PAGE.read_text() != text:
            sys.stderr.write(
                "docs/lifelong_results.md is not what the result files say: run benchmarks/lifelong_page.py\n"
            )
            return 1
        return 0
    PAGE.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
