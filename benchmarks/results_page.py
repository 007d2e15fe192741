"""Write docs/results.md from the JSON files under docs/results, so that no figure is typed by hand.

python benchmarks/results_page.py            # writes the page
python benchmarks/results_page.py --check    # fails where the page is not what the files say
"""

# ruff: noqa: E501 - a page's sentences are longer than a line of code

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parent.parent / "docs"
RESULTS = DOCS / "results"
MEASURES = ("mae", "f_max", "f_max_pr", "f_mean", "weighted_f", "s", "e_max", "iou")


def load(name: str) -> dict[str, Any]:
    """Return a result file."""
    found: dict[str, Any] = json.loads((RESULTS / name).read_text())
    return found


def table(heading: Sequence[str], rows: Sequence[Sequence[str]], words: int = 1) -> list[str]:
    """Return a Markdown table whose first `words` columns are words and the others numbers."""
    rule = ["---" if at < words else "---:" for at in range(len(heading))]
    return [f"| {' | '.join(cells)} |" for cells in (heading, rule, *rows)]


LIGHT_RUNS = ("fusion_tf_efficientnet_lite0", "fusion_mobilenetv2_100", "fusion_mobilenetv2_100_10_epochs")


def light_network() -> list[str]:
    """Return the section on the accurate recipes' runs."""
    lines = ["## The accurate light networks on ECSSD"]
    for name in LIGHT_RUNS:
        lines += ["", *light_run(name)]
    return lines


def light_run(name: str) -> list[str]:
    """Return what is to be said of one run."""
    manifest, scored = load(f"{name}/manifest.json"), load(f"{name}/ecssd.json")
    recipe = tomllib.loads((RESULTS / name / "recipe.toml").read_text())
    network, training = recipe["network"]["name"], recipe["training"]
    rows = [[f"{row['sharpness']:g}", *(f"{row[name]:.4f}" for name in MEASURES)] for row in scored["rows"]]
    seconds = manifest["seconds"]
    return [
        f"### `{network}`, {training['epochs']} epochs at {training['size']}",
        "",
        f"`{manifest['command']}`",
        "",
        f"{manifest['data']['training']} pictures of DUTS-TR, {manifest['data']['validation']} held out; "
        f"{manifest['parameters']['network']:,} parameters; {manifest['steps']} steps, "
        f"{seconds['training'] / 3600:.2f} hours of training at {manifest['pictures_per_second']:.1f} pictures a second, "
        f"threads since the last start: {manifest['machine']['threads']}, with other work on the machine; "
        f"standout {manifest['versions']['standout']}, "
        f"torch {manifest['versions']['torch']}, seed {manifest['seed']}.",
        f"Protocol {scored['protocol']}: {scored['scaling']}. `{scored['command']}`",
        "",
        *table(["logit scale", *MEASURES], rows),
        "",
        "The scale was chosen on the held-out names, never on ECSSD. Files: "
        + ", ".join(
            f"[{words}](results/{name}/{file})"
            for words, file in (
                ("manifest", "manifest.json"),
                ("metrics", "metrics.jsonl"),
                ("recipe", "recipe.toml"),
                ("every measure", "ecssd.json"),
            )
        )
        + ".",
        "",
        f"![Loss and held-out measures](results/{name}/curves.png)",
    ]


def comparison() -> list[str]:
    """Return the section on the four methods beside plain training."""
    found = load("compare_strategies.json")
    rows = []
    for at in ("scale 1", "best scale"):
        for method in dict.fromkeys(row["method"] for row in found["rows"]):
            chosen = [row for row in found["rows"] if row["method"] == method and row["at"] == at]
            scales = ", ".join(f"{row['sharpness']:g}" for row in chosen)
            cells = [spread([row[name] for row in chosen]) for name in MEASURES]
            rows.append([method, scales, str(len(chosen)), *cells])
    return [
        "## The four methods beside plain training",
        "",
        f"`{found['command']}`",
        "",
        f"One schedule, one network, seeds {', '.join(map(str, found['seed']))}; ECSSD, protocol {found['protocol']}; mean "
        "± deviation over the seeds. The second half has each run at the logit scale that is best on its own held-out "
        "names: sharpening costs nothing, so a gain counts only where it survives there. Training is far too short "
        "for figures to be compared with published ones.",
        "",
        *table(["method", "logit scale", "seeds", *MEASURES], rows, words=2),
    ]


def spread(values: Sequence[float]) -> str:
    """Return mean and deviation."""
    mean = f"{statistics.mean(values):.4f}"
    return f"{mean} ± {statistics.stdev(values):.4f}" if len(values) > 1 else mean


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
    return [
        "## Parity with pysodmetrics",
        "",
        f"`{found['command']}`, pysodmetrics {found['versions']['pysodmetrics']}, seed {found['seed']}. Excepted pairs are "
        "those where the yardstick gives NaN or where rounding decides; [measures.md](measures.md) says what we give.",
        "",
        *table(["measure", "protocol", "pairs", "largest difference", "excepted"], rows, words=2),
    ]


def scoring() -> list[str]:
    """Return the section on the time and weight of scoring; a script that was not run yet has no table."""
    parts = (
        ("measures_speed.json", arrays_scored),
        ("measures_files.json", files_scored),
        ("scoring_install.json", install_weighed),
        ("validation_cost.json", validation_timed),
    )
    lines = ["## Scoring beside pysodmetrics"]
    for name, told in parts:
        if (RESULTS / name).exists():
            lines += ["", *told(load(name))]
    return lines


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
    return [
        f"`{found['command']}`: one picture in memory, processor time, one thread, medians of paired runs, and beside them the "
        f"ratio of the fastest runs; the load of the machine was {found['load']:g}. Without weighted F, pysodmetrics leaves it out too.",
        "",
        *table(["way", "path", "picture", "ms", "pysodmetrics ms", "times faster", "of the fastest"], rows, words=3),
        "",
        *distances_to_the_floor(found["rows"]),
    ]


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
    return [
        f"`{found['command']}`: PNG files of 300 x 400, all measures, the same reader and two processes for both; the load "
        f"was {found['load']:g}. Kept masks: `--mask-cache`. Of one process's time with new masks: {shares}.",
        "",
        *table(["masks", "pairs", "pysodmetrics s", "standout s", "times faster", "by processor time"], rows),
    ]


def install_weighed(found: dict[str, Any]) -> list[str]:
    """Return the lines on the install and the import."""
    rows = [
        [row["what"], f"{row['megabytes']:g} MB" if "megabytes" in row else f"{row['seconds']:g} s"]
        for row in found["rows"]
    ]
    return [
        f"`{found['command']}`: what an install weighs (without compiled Python) and what an import takes.",
        "",
        *table(["what", "figure"], rows),
    ]


def validation_timed(found: dict[str, Any]) -> list[str]:
    """Return the lines on validation."""
    rows = [
        [
            row["network"], f"{row['size']}", f"{row['forward_milliseconds']:.1f}", f"{row['measures_milliseconds']:.2f}",
            f"{100 * row['measures_share_of_forward']:.1f} %",
        ]
        for row in found["rows"]
    ]  # fmt: skip
    return [
        f"`{found['command']}`: what the measures cost in validation beside the network's own passes.",
        "",
        *table(["network", "size", "forward ms", "measures ms", "share"], rows),
    ]


def faults() -> list[str]:
    """Return the section on kills and mutations."""
    kills, pictures = load("kill_training.json"), load("mutated_pictures.json")
    damage = load("damaged_checkpoints.json")
    rows = [[words(row[name]) for name in KILLS] for row in kills["rows"]]
    return [
        "## Faults",
        "",
        f"Killed training runs: `{kills['command']}`. {kills['protocol']}",
        f"{kills['kills']} kills, {kills['kills_in_training']} between the first step and the last, "
        f"{kills['kills_in_a_save']} in the midst of a save, {kills['kills_of_one_of_two']} of one of two processes: "
        f"{kills['not_bit_equal']} of {len(kills['rows'])} runs ended other than the one never killed.",
        "",
        *table([name.replace("_", " ") for name in KILLS], rows),
        "",
        f"Mutated files: `{pictures['command']}`: {pictures['pictures']:,} pictures and {pictures['masks']:,} masks, "
        f"{pictures['foreign_exceptions']} exceptions other than a named refusal, {pictures['over_limit']} over two seconds, "
        f"slowest {pictures['slowest_ms']:.0f} ms, peak memory {pictures['peak_mib']:.0f} MiB.",
        "",
        *properties(),
        *folder_memory(),
        f"Damaged checkpoints: `{damage['command']}`: of {damage['flips']} flipped bits {damage['flips_refused']} are found, "
        f"and after {damage['fell_back']} the checkpoint before is taken; of {damage['refusals']} saves that the disk refused "
        f"in their midst {damage['kept']} left the one before whole and nothing half written, and {damage['made_up_for']} "
        "were made up for by the next.",
    ]


def properties() -> list[str]:
    """Return the paragraph on the measures' properties."""
    found = load("measure_properties.json")
    return [
        f"Properties of the measures: `{found['command']}`: {found['properties']} properties on the compiled kernel and in "
        f"NumPy, at least {found['least_passing']} examples each, {found['failing']} failed.",
        "",
    ]


def folder_memory() -> list[str]:
    """Return the paragraph on the memory of a job over many files."""
    found = load("folder_memory.json")
    return [
        f"Memory over many files: `{found['command']}`: {found['made']:,} of {found['files']:,} maps made; "
        f"{found['mib_at_a_tenth']:.0f} MiB resident after a tenth of them, at most {100 * found['growth']:.1f} % more later.",
        "",
    ]


KILLS = ("strategy", "processes", "kills", "kills_in_training", "kills_in_a_save", "partial_folders", "bit_equal")


def words(value: object) -> str:
    """Return a cell's text."""
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


def costs() -> list[str]:
    """Return the section on what a training step costs."""
    found = load("training_cost.json")
    steps = [
        [
            row["network"],
            row["variant"],
            f"{row['milliseconds']:.0f}",
            f"{row['pictures_per_second']:.1f}",
            f"{100 * row['added']:+.1f} %"
            + (f" ({100 * median[0]:+.1f} to {100 * median[1]:+.1f})" if (median := row.get("added_between")) else ""),
            f"{100 * row['loss_added']:+.2f} %" if "loss_added" in row else "",
        ]
        for row in found["steps"]
    ]
    memory = [
        [
            row["variant"],
            words(row["keeps_freed_memory"]),
            f"{row['milliseconds']:.0f}",
            f"{row['page_faults']:,.0f}",
            f"{row['peak_mebibytes']:,.0f}",
        ]
        for row in found["memory_kept"]
    ]
    read = [
        [
            row["network"],
            "the cache" if row["cached"] else "their files",
            "" if "ahead" not in row else "beside steps" if row["ahead"] else "between steps",
            f"{100 * row['share_of_the_speed_in_memory']:.0f} %",
            *(f"{row[key]:,}" if key in row else "" for key in ("processor_milliseconds_a_picture", "peak_mebibytes")),
        ]
        for row in found.get("reading", [])
        if row.get("chosen", True)
    ]
    return [
        "## What a training step costs",
        "",
        f"`{found['command']}`; threads: {found['threads']}, torch {found['versions']['torch']}; {found['protocol']}.",
        "What a strategy adds exists in training alone. In brackets between which figures the median lies with 95 % "
        "confidence; the last column is what loss and strategy take alone, more than plain's, in shares of the plain step.",
        "",
        *table(["network", "step", "milliseconds", "pictures a second", "beside plain", "loss alone"], steps, words=2),
        "",
        "Speed with pictures read and augmented, as `standout train` reads them, beside the speed on pictures in memory; what",
        "one picture takes of a processor; the most memory that the process had:",
        "",
        *table(["network", "pictures from", "read", "share of the speed", "ms a picture", "peak MiB"], read, words=3),
        "",
        "The same steps in processes of their own, with and without keeping freed memory (`standout train` keeps it):",
        "",
        *table(["step", "keeps memory", "milliseconds", "page faults", "peak MiB"], memory, words=2),
    ]


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
    return [
        "## Checking DUTS-TR, ECSSD and CAMO",
        "",
        f"`{found['command']}`; {found['threads']} processes, Pillow {found['versions']['pillow']}, seed {found['seed']}; "
        f"{found['protocol']}. {found['pairs']:,} pairs in {found['seconds']:.0f} s (limit {found['limit_seconds']:.0f} s). "
        f"Of {len(found['rows'])} ECSSD pictures that were put into CAMO's training part at 224 pixels, as WebP of quality 55, "
        f"every second one mirrored, {len(hits)} are found.",
        "",
        *table(["severity", "code", "sets", "finding", "files"], findings, words=4),
        "",
        "Everything else that the check takes for one picture twice:",
        "",
        *table(["sets", "first", "second", "how", "bits", "correlation", "IoU of the masks"], besides, words=4),
        "",
        "Copies of ECSSD pictures, as JPEG of that quality with sides of that share, that are found:",
        "",
        *table(["quality", "sides", "mirrored", "found"], recall),
        "",
        f"Pairs among all {found['pictures_compared']:,} pictures whose hashes lie so many bits apart, upright or mirrored, and "
        "those of them whose thumbnails correlate enough:",
        "",
        *table(["bits", "pairs", "confirmed"], bits),
    ]


def start() -> list[str]:
    """Return the section on the start."""
    found = load("start_time.json")
    rows = [
        [row["what"], f"{row['median_seconds']:.3f}", f"{row['ratio_to_empty_interpreter']:g}"] for row in found["rows"]
    ]
    return [
        "## Start",
        "",
        f"`{found['command']}`; {found['protocol']}.",
        "",
        *table(["process", "seconds", "times an empty interpreter"], rows),
    ]


def page() -> str:
    """Return the whole page."""
    sections = [light_network(), comparison(), costs(), scoring(), parity(), faults(), data_check(), start()]
    lines = ["# Results", "", "Written by `python benchmarks/results_page.py` from the files under `results/`."]
    for section in sections:
        lines += ["", *section]
    return "\n".join(lines) + "\n"


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
