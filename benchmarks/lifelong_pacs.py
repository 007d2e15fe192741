"""Every method of `standout lifelong` on PACS: four experiences, one domain each, 80/20 by hash, memory 0 or stated.

    python benchmarks/lifelong_pacs.py --data PACS --pretrained mobilenetv2_100_tf.safetensors --runs runs/pacs

One run a (row, seed), one after the other, each in a process of its own, so that its peak memory is its own; what is
finished is skipped and what was interrupted goes on, so the table may be made over many sessions. After each run
docs/results/lifelong_pacs.json is written anew with all that is there; rows that lack seeds say so.

`--choose` makes the runs that the settings were chosen by instead: they see only the training part of the first two
domains, a fifth of which is held out by hash to score on. They go to docs/results/lifelong_pacs_settings.json.
"""

from __future__ import annotations

import argparse
import json
import math
import shlex
import statistics
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from measuring import RESULTS, keep, result

from standout.files import Ledger
from standout.train.allocator import keep_freed_memory

SIDE = 96
PICTURES = 200
MEMORY = PICTURES * 3 * SIDE * SIDE
SETTINGS: dict[str, Any] = {
    "training": {"size": SIDE, "epochs": 3, "batch": 32, "threads": 1, "ratio_steps": 50, "save_minutes": 5.0},
    "network": {"options": {"ha_kernel": 9}},
    "augmentation": {"crop_keep": 0.8, "flip": 0.5},
    "optimiser": {"name": "adamw", "rate": 0.001, "weight_decay": 5e-4},
    "schedule": {"name": "cosine"},
}


@dataclass(frozen=True)
class Row:
    """A row of the table: a method with its options, the bytes of its memory, settings of its own, and where from.

    Attributes
    ----------
    saliency : whether it starts from the saliency network that `--saliency` gives.
    """

    method: str
    options: dict[str, Any] = field(default_factory=dict)
    memory: int = 0
    settings: dict[str, Any] = field(default_factory=dict)
    saliency: bool = False


KEPT = {"training": {"freeze_batch_norm": "after_first"}}
MEANS = {"ft_reduction": "mean", "st_reduction": "mean"}
ROWS = {
    "naive": Row("naive"),
    "sdkd": Row("sdkd"),
    "sdkd, lambda1 0.1": Row("sdkd", {"lambda1": 0.1}),
    "sdkd, element means": Row("sdkd", MEANS),
    "cumulative": Row("cumulative"),
    "lwf, weight 0.3": Row("lwf", {"weight": 0.3}),
    "ewc": Row("ewc"),
    "si, weight 10": Row("si", {"weight": 10.0}),
    "sdkd without saliency": Row("sdkd_without_saliency"),
    "sdkd without factor transfer": Row("sdkd_without_factors"),
    "sdkd without soft targets": Row("sdkd_without_soft_targets"),
    "naive without saliency": Row("naive", settings={"network": {"name": "mobilenetv2_100", "options": {}}}),
    "naive, first statistics": Row("naive", settings=KEPT),
    "sdkd, first statistics": Row("sdkd", settings=KEPT),
    "sdkd, element means, first statistics": Row("sdkd", MEANS, settings=KEPT),
    "sdkd, lambda1 0.1, lambda2 0.5, first statistics": Row("sdkd", {"lambda1": 0.1, "lambda2": 0.5}, settings=KEPT),
    "naive, saliency learnt before": Row("naive", saliency=True),
    "sdkd, saliency learnt before": Row("sdkd", saliency=True),
    f"replay, {PICTURES} pictures": Row("replay", memory=MEMORY),
    f"sdkd + replay, {PICTURES} pictures": Row("sdkd_replay", memory=MEMORY),
    f"sdkd + replay, element means, {PICTURES} pictures": Row("sdkd_replay", MEANS, memory=MEMORY),
    f"DER++, bytes of {PICTURES} pictures": Row("derpp", memory=MEMORY),
    f"latent replay, bytes of {PICTURES} pictures": Row("latent_replay", memory=MEMORY),
    "sdkd without saliency, first statistics": Row("sdkd_without_saliency", settings=KEPT),
    "sdkd without factor transfer, first statistics": Row("sdkd_without_factors", settings=KEPT),
    "sdkd without soft targets, first statistics": Row("sdkd_without_soft_targets", settings=KEPT),
    f"replay, {PICTURES} pictures, first statistics": Row("replay", memory=MEMORY, settings=KEPT),
    f"sdkd + replay, {PICTURES} pictures, first statistics": Row("sdkd_replay", memory=MEMORY, settings=KEPT),
}
SGD = {"name": "sgd", "rate": 0.01}
CHOICES = {
    "naive": Row("naive"),
    "naive, SGD 0.01": Row("naive", settings={"optimiser": SGD}),
    "sdkd, SGD 0.01": Row("sdkd", settings={"optimiser": SGD}),
    "naive, SGD 0.03": Row("naive", settings={"optimiser": {**SGD, "rate": 0.03}}),
    "sdkd": Row("sdkd"),
    "sdkd, lambda2 5": Row("sdkd", {"lambda2": 5.0}),
    "sdkd, lambda1 0.1": Row("sdkd", {"lambda1": 0.1}),
    "sdkd, lambda1 0.1, lambda2 2": Row("sdkd", {"lambda1": 0.1, "lambda2": 2.0}),
    "sdkd, lambda1 0.1, lambda2 0.5": Row("sdkd", {"lambda1": 0.1, "lambda2": 0.5}),
    "sdkd, element means": Row("sdkd", MEANS),
    "lwf": Row("lwf"),
    "ewc": Row("ewc"),
    "si": Row("si"),
    "ewc, weight 10000": Row("ewc", {"weight": 10000.0}),
    "si, weight 10": Row("si", {"weight": 10.0}),
    "lwf, weight 0.3": Row("lwf", {"weight": 0.3}),
    "sdkd, T 2, lambda1 0.1": Row("sdkd", {"lambda1": 0.1, "temperature": 2.0}),
    "naive, first statistics": Row("naive", settings=KEPT),
    "sdkd, first statistics": Row("sdkd", settings=KEPT),
    "sdkd, element means, first statistics": Row("sdkd", MEANS, settings=KEPT),
    "sdkd, element means, lambda2 3, first statistics": Row("sdkd", {**MEANS, "lambda2": 3.0}, settings=KEPT),
    "sdkd, lambda1 0.1, first statistics": Row("sdkd", {"lambda1": 0.1}, settings=KEPT),
    "sdkd, lambda1 0.1, lambda2 0.5, first statistics": Row("sdkd", {"lambda1": 0.1, "lambda2": 0.5}, settings=KEPT),
    "sdkd, lambda1 0.1, lambda2 2, first statistics": Row("sdkd", {"lambda1": 0.1, "lambda2": 2.0}, settings=KEPT),
}


def rows_with(saliency: Path | None) -> dict[str, Row]:
    """Return the table's rows, without those that start from a saliency network where none is given."""
    return {label: row for label, row in ROWS.items() if saliency or not row.saliency}


def merged(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    """Return the tables with those of `second` over them; `options` of a network are taken whole."""
    both = dict(first)
    for key, value in second.items():
        inner = isinstance(value, dict) and isinstance(both.get(key), dict) and key != "options"
        both[key] = merged(both[key], value) if inner else value
    return both


def two_domains(data: Path) -> Any:
    """Return the stream of the first two domains' training parts, a fifth of each class held out to score on."""
    from standout.lifelong import domain_stream
    from standout.lifelong.streams import Experience, hash_split

    stream = domain_stream(data)
    experiences = []
    for whole in stream.experiences[:2]:
        training, test = hash_split(whole.training, data / whole.name, 0.2, [])
        experiences.append(Experience(whole.name, training, test))
    return stream._replace(experiences=tuple(experiences))


def settings_of(row: Row, seed: int, pretrained: Path, saliency: Path | None = None) -> dict[str, Any]:
    """Return a row's recipe."""
    tables = merged(SETTINGS, row.settings)
    tables["seed"] = seed
    tables["memory"] = {"bytes": row.memory}
    tables["method"] = {"name": row.method, **row.options}
    network = {**tables["network"], "pretrained": str(pretrained)}
    if row.method == "sdkd_without_saliency":
        network["options"] = {}
    if row.saliency:
        network |= {"sal_weights": str(saliency), "options": {**network["options"], "sal_init": "sod"}}
    tables["network"] = network
    return tables


def folder_of(runs: Path, label: str, seed: int) -> Path:
    """Return where a row's run of a seed lies."""
    words = "".join(c if c.isalnum() else "-" for c in label.replace("++", "pp"))
    return runs / f"{'-'.join(filter(None, words.split('-')))}-{seed}"


def is_whole(folder: Path) -> bool:
    """Whether a run has ended."""
    path = folder / "manifest.json"
    return path.is_file() and json.loads(path.read_bytes())["status"] == "finished"


def norm_ratios(folder: Path) -> dict[str, list[float]]:
    """Return for each term the quartiles of its gradient's norm beside the task's.

    The first step of an experience, which earlier versions logged, is left out: a student still is its teacher there.
    """
    ratios: dict[str, list[float]] = {}
    begun = 0  # the number that the step before an experience has
    for line in Ledger(folder / "metrics.jsonl").read():
        if line["kind"] == "experience":
            begun = line["step"]
        norms = line.get("norms") or {}
        if norms.get("task") and line["step"] > begun + 1:
            for name, norm in norms.items():
                if name != "task" and norm is not None:
                    ratios.setdefault(name, []).append(norm / norms["task"])
    return {
        name: [round(value, 4) for value in statistics.quantiles(found, n=4, method="inclusive")]
        for name, found in ratios.items()
        if len(found) > 1
    }


def row_of(label: str, row: Row, folders: list[Path]) -> dict[str, Any]:
    """Return what a row's finished runs found: mean and deviation of every measure, and each run's own."""
    from standout.lifelong import read_results

    found = [read_results(folder)[1] for folder in folders]
    summaries = [{**one["openloris"], **one["gem"], **one["further"]} for one in found]
    means, deviations = {}, {}
    for key in summaries[0]:
        values = [summary[key] for summary in summaries if summary[key] is not None]
        means[key] = math.fsum(values) / len(values) if values else None
        deviations[key] = statistics.stdev(values) if len(values) > 1 else None
    return {
        "label": label,
        "method": row.method,
        "options": {**row.options, **({"settings": row.settings} if row.settings else {})},
        "memory_bytes": max(after["memory_bytes"] for one in found for after in one["after"]),
        "memory_pictures": max(after["memory_pictures"] for one in found for after in one["after"]),
        "method_bytes": max(after["method_bytes"] for one in found for after in one["after"]),
        "parameters": found[0]["parameters"],
        "model_bytes": found[0]["model_bytes"],
        "peak_bytes": max(after["peak_bytes"] or 0 for one in found for after in one["after"]),
        "seconds": [[after["seconds"] for after in one["after"]] for one in found],
        "mean": means,
        "deviation": deviations,
        "seeds": [one["seed"] for one in found],
        "matrices": [one["matrix"] for one in found],
        "experiences": found[0]["experiences"],
        "norm_ratio_quartiles": [norm_ratios(folder) for folder in folders],
    }


def write(
    output: Path, rows: dict[str, Row], runs: Path, seeds: list[int], protocol: str, script: str = "lifelong_pacs"
) -> None:
    """Write all that is finished."""
    whole = {label: [folder for seed in seeds if is_whole(folder := folder_of(runs, label, seed))] for label in rows}
    document = result(
        shlex.join([f"{script}.py", *map(_name, sys.argv[1:])]),
        "torch",
        "numpy",
        protocol=protocol,
        seed=seeds,
        settings=SETTINGS,
        missing=[f"{label}: {len(seeds) - len(found)} of {len(seeds)} seeds"
                 for label, found in whole.items() if len(found) < len(seeds)],
        rows=[row_of(label, rows[label], found) for label, found in whole.items() if found],
    )  # fmt: skip
    keep(output, document)


def learn_apart(script: str, label: str, seed: int) -> None:
    """Make one run in a process of its own."""
    print(f"--- {label}, seed {seed}", flush=True)
    done = subprocess.run([sys.executable, script, *sys.argv[1:], "--one", label, str(seed)], check=False)
    if done.returncode:
        sys.exit(done.returncode)


def learn_one(
    row: Row, label: str, seed: int, stream: Any, pretrained: Path, runs: Path, saliency: Path | None = None
) -> None:
    """Make, or go on with, one run in this process, and leave it."""
    from standout.lifelong import learn
    from standout.train.show import Lines

    folder, tables = folder_of(runs, label, seed), settings_of(row, seed, pretrained, saliency)
    learnt = learn(stream, None, folder, settings=tables, resume=True, shown=Lines())
    sys.exit(0 if learnt.signal is None else 128 + learnt.signal)


def _name(word: str) -> str:
    return Path(word).name or word  # where things lie on this machine is nobody's business


def main() -> None:
    """Make the runs that are missing, and write the table after each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="PACS: DOMAIN/CLASS/pictures")
    parser.add_argument("--pretrained", type=Path, required=True, help="a safetensors file of MobileNetV2")
    parser.add_argument("--saliency", type=Path, help="a run of cascade_mobilenetv2_100, for two rows more")
    parser.add_argument("--runs", type=Path, required=True, help="where the runs' folders lie")
    parser.add_argument("--choose", action="store_true", help="the runs that the settings were chosen by")
    parser.add_argument("--rows", help="only these, separated by semicolons")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--no-runs", action="store_true", help="write the table of what is finished, and learn nothing")
    parser.add_argument("--output", type=Path)
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    keep_freed_memory()
    from standout.lifelong import domain_stream

    every = CHOICES if given.choose else rows_with(given.saliency)
    seeds = [0] if given.choose else [int(seed) for seed in given.seeds.split(",")]
    if given.one:
        stream = two_domains(given.data) if given.choose else domain_stream(given.data)
        label, seed = given.one
        learn_one(every[label], label, int(seed), stream, given.pretrained, given.runs, given.saliency)
    output = given.output or RESULTS / ("lifelong_pacs_settings.json" if given.choose else "lifelong_pacs.json")
    protocol = (
        "the training part of the first two domains, a fifth held out by hash and scored on"
        if given.choose
        else "PACS as four experiences (art painting, cartoon, photo, sketch), 80/20 by hash within each class"
    )
    for seed in seeds:
        for label in given.rows.split(";") if given.rows else every:
            if not (given.no_runs or is_whole(folder_of(given.runs, label, seed))):
                learn_apart(__file__, label, seed)
            write(output, every, given.runs, seeds, protocol)


if __name__ == "__main__":
    main()
