"""Write docs/lifelong_results.md from the lifelong JSON files under docs/results, so that no figure is typed by hand.

    python benchmarks/lifelong_page.py            # writes the page
    python benchmarks/lifelong_page.py --check    # fails where the page is not what the files say

A part whose file is not there yet is left out.
"""

# ruff: noqa: E501 - a page's sentences are longer than a line of code

from __future__ import annotations

import argparse
import json
import statistics
import sys
from typing import Any

from measuring import RESULTS
from results_text import DOCS, table

from standout.lifelong import AccuracyMatrix

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

OLDER = """The paraphraser of these runs with SDKD met an experience's pictures class by class, as they lie; today it meets them in
mixed order. EWC, which for the same reason had weighed one class or two, was run, and its setting chosen, anew."""

FIRST = ", first statistics"
PARTS = ("saliency", "factor transfer", "soft targets")

CHOSEN = """All methods take the optimiser under which fine-tuning learns the first domain best; each takes the settings with the best
mean of both domains at the end: LwF a weight of 0.3, SI one of 10, EWC its default, SDKD element means. SDKD is reported
with the paper's constants too, and with `lambda1` = 0.1. The paper's factor of 560 on the soft targets is no slip: at T = 20
it undoes the 1/T² of softening and leaves 2 alpha / K on each score, so the term pulls with less than the task's strength.
Factor transfer is another matter: the gradient of an L1 distance has the same length however near the factors are, so with
the literal norm it pulls on the map with about the task's strength to the last step; with element means it is shorter by the
length of a factor, and all but gone. Read so, the paper's constants hold too much: SDKD keeps the first domain best and
learns the second worst. That running statistics are kept after the first experience ("first statistics") was seen on the
whole stream and is no choice of these runs; given that, SDKD's weights were chosen by them too: `lambda1` 0.1 with `lambda2` 0.5."""


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


def at_the_end(row: dict[str, Any], key: str) -> dict[int, float]:
    """Return a measure of each seed's matrix."""
    found = (AccuracyMatrix(matrix).summary()[key] for matrix in row["matrices"])
    return {seed: value for seed, value in zip(row["seeds"], found, strict=True) if value is not None}


def beside(row: dict[str, Any], other: dict[str, Any], key: str) -> tuple[float, float | None, int] | None:
    """Return how much more of a measure a row has than another: mean and deviation over the seeds that both have."""
    ours, theirs = at_the_end(row, key), at_the_end(other, key)
    differences = [value - theirs[seed] for seed, value in ours.items() if seed in theirs]
    if not differences:
        return None
    spread = statistics.stdev(differences) if len(differences) > 1 else None
    return statistics.fmean(differences), spread, len(differences)


def goals(found: dict[str, Any]) -> list[str]:
    """Return what the goals came to, and what each part of SDKD gives."""
    rows = {row["label"]: row for row in found["rows"]}
    alone = [label for label in rows if label.startswith("sdkd") and "replay" not in label and "without" not in label]
    pairs = [(label, "naive") for label in alone]
    pairs += [(label, f"naive{FIRST}") for label in alone if label.endswith(FIRST)]
    for label in rows:
        if label.startswith("sdkd + replay"):
            kept = FIRST if label.endswith(FIRST) else ""
            pairs += [
                (label, other) for other in rows if other.startswith("replay") and other.endswith(FIRST) == bool(kept)
            ]
    parts = [(f"sdkd{kept}", f"sdkd without {part}{kept}") for kept in ("", FIRST) for part in PARTS]
    parts += [
        ("naive", "naive without saliency"),
        ("sdkd, saliency learnt before", "sdkd"),
        ("naive, saliency learnt before", "naive"),
        *((f"{label}{FIRST}", label) for label in rows if f"{label}{FIRST}" in rows),
    ]
    lines: list[str] = []
    for title, chosen in (("What the goals came to", pairs), ("What each part gives", parts)):
        cells = []
        for label, other in chosen:
            if label not in rows or other not in rows:
                continue
            gain = beside(rows[label], rows[other], "accuracy_gem")
            kept = beside(rows[label], rows[other], "forgetting")
            if gain is None or kept is None:
                continue
            forgotten = at_the_end(rows[other], "forgetting")
            share = 1 + kept[0] / statistics.fmean(
                forgotten[s] for s in at_the_end(rows[label], "forgetting") if s in forgotten
            )
            cells.append([label, other, signed(gain), signed(kept), f"{share:.2f}", str(gain[2])])
        if cells:
            heading = ["", "beside", "accuracy at the end", "forgetting", "forgetting, times the other's", "seeds"]
            lines += [f"{title} (GEM convention; differences over the seeds that both have, ± their deviation):", ""]
            lines += [*table(heading, cells, words=2), ""]
    return lines


def signed(found: tuple[float, float | None, int]) -> str:
    """Return a difference with its sign, and its deviation."""
    return f"{found[0]:+.4f}" + ("" if found[1] is None else f" ± {found[1]:.4f}")


def pacs() -> list[str]:
    """Return the section on PACS, and on how its settings were chosen."""
    lines: list[str] = []
    if found := load("lifelong_pacs"):
        lines += ["## PACS, four domains one after another", "", f"`{found['command']}`", ""]
        lines += [
            f"{found['protocol']}; pretrained MobileNetV2, seeds {', '.join(map(str, found['seed']))}, one thread.",
            "",
            OLDER,
            "",
        ]
        lines += [*measures(found), *goals(found), *ratios(found), *statistics_kept()]
    if found := load("lifelong_pacs_settings"):
        rows = [
            [row["label"], *(f"{value:.4f}" for value in (first[0], *second, statistics.fmean(second)))]
            for row in found["rows"]
            for first, second in [row["matrices"][0]]
        ]
        lines += [
            "### How the settings were chosen",
            "",
            f"`{found['command']}`: {found['protocol']}; seed 0.",
            "",
            CHOSEN,
            "",
        ]
        lines += [
            *table(["", "first, then", "first, at the end", "second, at the end", "mean at the end"], rows),
            "",
            *ratios(found),
        ]
    return lines


def statistics_kept() -> list[str]:
    """Return how much of the forgetting is only the batch norms' statistics."""
    found = load("lifelong_statistics")
    if found is None:
        return []
    names = list(found["rows"][0]["experiences"])
    cells = [
        [row["run"], *(f"{one['as_it_is']:.3f} / {one['own_statistics']:.3f}" for one in row["experiences"].values())]
        for row in found["rows"]
    ]
    return [
        "### Weights or statistics",
        "",
        f"`{found['command']}`: accuracy at the end of a run, as it is / with running means and variances taken anew over that",
        "experience's own test pictures, weights as they are and no label seen. What the second gives back, the weights had not",
        "forgotten: batch norms carry the last experience's statistics.",
        "",
        *table(["run", *names], cells),
        "",
    ]


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
        "The two dips are the third levels of illumination, a light of 0.22 with noise, and of size, objects a tenth of the frame",
        "long: what has just been learnt there serves the other experiences badly, and the one after gives most of it back.",
        "",
        *measures(found),
        *goals(found),
        *ratios(found),
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
