"""Train one network plainly and with each of the four methods, several seeds, and score all on ECSSD.

    python benchmarks/compare_strategies.py --data DUTS-TR --test ECSSD --backbone-weights FILE

The schedule is that of the recipe `fusion_mobilenetv2_100`, shorter and smaller: one epoch at side 128 by default, and
cross-entropy as the supervised loss, since the four methods are defined around it. Everything else is the same in
every row. Each row is scored at logit scale 1 and at the scale that is best on the validation names, since sharpening
a finished network costs nothing. Finished runs are kept, so the script goes on where it was stopped.

Writes docs/results/compare_strategies.json and prints a table.
"""

from __future__ import annotations

import argparse
import json
import shlex
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from measuring import RESULTS, keep, result

METHODS = {
    "plain": ["none"],
    "virtual teacher": ["virtual_teacher"],
    "non-negative feedback": ["non_negative_feedback"],
    "dynamic dropout": ["dynamic_dropout(virtual_teacher)"],
    # Its own supervision is cross-entropy here as well, so that an IoU term is not mistaken for the idea.
    "pyramid": ["pyramid(supervision=bce)"],
}
SHOWN = ("mae", "f_max", "f_max_pr", "weighted_f", "s", "e_max", "iou")


def run(arguments: list[str]) -> str:
    """Run one `standout` command and return what it prints."""
    done = subprocess.run([sys.executable, "-m", "standout", *arguments], stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout


def one(method: str, seed: int, settings: argparse.Namespace) -> list[dict[str, Any]]:
    """Return the rows of one run: at scale 1 and, where it differs, at the chosen scale."""
    folder = settings.runs / f"{method.replace(' ', '_')}-{settings.size}-{settings.epochs}-{seed}"
    scores = folder / "ecssd.json"
    if not scores.exists():
        strategies = [word for text in METHODS[method] for word in ("--strategy", text)]
        resume = ["--resume"] if (folder / "recipe.toml").exists() else []
        edits = ["task.name=binary_cross_entropy", f"validation.size={settings.size}", "training.ema=0.99"]
        numbers = {"size": settings.size, "epochs": settings.epochs, "seed": seed, "threads": settings.threads}
        options = [word for edit in edits for word in ("--set", edit)]
        options += [word for name, value in numbers.items() for word in (f"--{name}", str(value))]
        options += ["--backbone-weights", str(settings.backbone_weights), "--output", str(folder)]
        run(["train", str(settings.data), "--recipe", "fusion_mobilenetv2_100", *strategies, *resume, *options])
        run(["eval", str(folder), str(settings.test), "--label", method, "--output", str(scores), "--overwrite"])
    manifest = json.loads((folder / "manifest.json").read_text())
    found = json.loads(scores.read_text())
    rows = [
        {"method": method, "seed": seed, "chosen": row["sharpness"] == manifest["sharpness"], **row}
        | {"pictures_per_second": manifest["pictures_per_second"], "training_seconds": manifest["seconds"]["training"]}
        for row in found["rows"]
    ]
    if len(rows) == 1:
        rows.append(dict(rows[0]))
    for row in rows:
        row.pop("label", None)
    return [{**rows[0], "at": "scale 1"}, {**rows[-1], "at": "best scale"}]


def table(rows: list[dict[str, Any]]) -> str:
    """Return mean and deviation over the seeds as Markdown."""
    lines = [
        "| method | logit scale | seeds | " + " | ".join(SHOWN) + " |",
        "| --- | --- | ---: | " + " | ".join("---:" for _ in SHOWN) + " |",
    ]
    for at in ("scale 1", "best scale"):
        for method in METHODS:
            chosen = [row for row in rows if row["method"] == method and row["at"] == at]
            if not chosen:
                continue
            scales = "1" if at == "scale 1" else ", ".join(f"{row['sharpness']:g}" for row in chosen)
            cells = []
            for name in SHOWN:
                values = [row[name] for row in chosen]
                spread = f" ± {statistics.stdev(values):.4f}" if len(values) > 1 else ""
                cells.append(f"{statistics.mean(values):.4f}{spread}")
            lines.append(f"| {method} | {scales} | {len(chosen)} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Train, score, write the results and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--test", type=Path, required=True)
    parser.add_argument("--backbone-weights", type=Path, required=True)
    parser.add_argument("--runs", type=Path, default=Path("runs/compare"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--output", type=Path, default=RESULTS / "compare_strategies.json")
    settings = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for seed in settings.seeds:
        for method in METHODS:
            rows += one(method, seed, settings)
            document = result(
                shlex.join(["compare_strategies.py", *sys.argv[1:]]),
                *("torch", "numpy"),
                threads=settings.threads,
                seed=settings.seeds,
                protocol="pysodmetrics-1.6.2",
                rows=rows,
            )
            keep(settings.output, document)
    print(table(rows))


if __name__ == "__main__":
    main()
