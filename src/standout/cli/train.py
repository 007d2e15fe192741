"""`standout train`: a network, any list of strategies, a recipe; resumable at every moment."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import Any

import click

from standout.errors import EXIT_USAGE, StandoutError


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("data", required=False)
@click.option("--network", metavar="NAME", help="What is trained, such as fusion_mobilenetv2_100 or pocket.")
@click.option(
    "--strategy",
    "strategies",
    multiple=True,
    metavar="TEXT",
    help="A strategy, with options: 'non_negative_feedback(temperature=4)', 'dynamic_dropout(virtual_teacher)'. "
    "May be given several times; 'none' trains plainly.",
)
@click.option("--recipe", metavar="FILE", help="A recipe: a path, or the name of one that is shipped.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Any setting, such as optimiser.rate=0.01.")
@click.option("--output", metavar="DIR", help="Folder of the run.  [default: runs/NETWORK-STRATEGIES]")
@click.option("--backbone-weights", metavar="FILE", help="Trained weights of the backbone, safetensors.")
@click.option("--epochs", type=int, help="Passes over the data.")
@click.option("--size", type=int, help="Side of the square views, in pixels.")
@click.option("--batch", type=int, help="Pictures a step.")
@click.option("--seed", type=int, help="Of everything random.")
@click.option("--resume", is_flag=True, help="Go on from the newest checkpoint, bit for bit.")
@click.option("--override", "overrides", multiple=True, metavar="KEY", help="Let this setting differ on --resume.")
@click.option("--strict-resume", is_flag=True, help="Refuse to go on where the last bits could differ.")
@click.option("--time-limit", type=float, metavar="MINUTES", help="Save and stop after so long, to go on later.")
@click.option("--validation", metavar="FILE|SHARE", help="Held-out names, or the share that is held out.")
@click.option(
    "--skip-unpaired", is_flag=True, default=None, help="Leave out pictures without mask and masks without picture."
)
@click.option(
    "--overlap",
    type=click.Choice(("exact", "perceptual")),
    help="How pictures are compared with held-out and test ones: by their bytes, or also by their look.",
)
@click.option(
    "--allow-overlap", is_flag=True, default=None, help="Train although held-out or test pictures are trained on too."
)
@click.option("--test", metavar="DATA", help="The set to be scored on: refuse to train on any of its pictures.")
@click.option(
    "--class",
    "mask_class",
    type=click.IntRange(0, 65535),
    metavar="N",
    help="The palette entry or grey value that is the object, in masks of several.",
)
@click.option(
    "--unknown",
    type=click.Choice(("soft", "ignore", "refuse")),
    help="What a third value over an area of a mask means: a half label, no label, or a mistake.",
)
@click.option("--cache", metavar="DIR", help="Keep decoded pictures there, for this and other runs.")
@click.option("--workers", type=int, help="Threads that read pictures.")
@click.option("--threads", type=int, help="Threads that compute.")
@click.option("--device", metavar="NAME", help="cpu, cuda, cuda:1, …; by default a graphics card where there is one.")
@click.option("--dry-run", is_flag=True, help="Say what the run will take in time, memory and disk; write nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print the outcome as one JSON document.")
def train(
    data: str | None,
    strategies: tuple[str, ...],
    recipe: str | None,
    settings: tuple[str, ...],
    output: str | None,
    resume: bool,
    overrides: tuple[str, ...],
    strict_resume: bool,
    time_limit: float | None,
    validation: str | None,
    dry_run: bool,
    as_json: bool,
    **values: Any,
) -> int:
    """Train a light network on the data set in DATA, with any list of strategies.

    The folder --output receives the resolved recipe, the metrics, checkpoints and at the end model.safetensors.
    `standout train --recipe RUN/recipe.toml --output OTHER` repeats a run.
    """
    from standout.train.recipe import check_recipe, read_recipe
    from standout.train.recipe_text import edit, parse_strategy, parse_value

    if resume and output is None:
        raise StandoutError("usage", "no run named to resume", "", "pass --output RUN", exit_code=EXIT_USAGE)
    stored = Path(output or "") / "recipe.toml"
    if resume and not (stored.is_file() or data or recipe):
        raise StandoutError("no-run", "there is no run to go on with", output, "check --output", exit_code=EXIT_USAGE)
    source = recipe or (stored if resume and stored.is_file() else "default")
    tables = read_recipe(source)
    edits = {
        "data.train": data,
        "data.skip_unpaired": values["skip_unpaired"],
        "data.overlap": values["overlap"],
        "data.allow_overlap": values["allow_overlap"],
        "data.mask_class": values["mask_class"],
        "data.unknown": values["unknown"],
        "data.test": values["test"],
        "data.cache": values["cache"],
        "network.name": values["network"],
        "network.backbone_weights": values["backbone_weights"],
        "validation.split": None if validation is None else parse_value(validation),
        "seed": values["seed"],
        "training.time_limit": time_limit,
        **{f"training.{name}": values[name] for name in ("epochs", "size", "batch", "workers", "threads", "device")},
    }
    for path, value in edits.items():
        if value is not None:
            *place, key = path.split(".")
            table = tables
            for part in place:
                table = table.setdefault(part, {})
            table[key] = value
    if strategies:
        tables["strategies"] = [] if strategies == ("none",) else [parse_strategy(text) for text in strategies]
    edit(tables, settings)
    checked = check_recipe(tables)
    if output is None:
        parts = [checked.network.name, *(entry["name"] for entry in checked.strategies)]
        output = str(Path("runs") / "-".join(parts))

    from standout.train.allocator import keep_freed_memory

    keep_freed_memory()  # before torch starts its threads

    if dry_run:
        return _estimate(checked, output, as_json, resume=resume, overrides=overrides, strict=strict_resume)

    from standout.train.loop import train as run_training
    from standout.train.show import chosen_display

    command = ["standout", *sys.argv[1:]]
    with chosen_display() as shown:
        outcome = run_training(
            checked,
            output,
            resume=resume,
            overrides=overrides,
            strict=strict_resume,
            command=[shlex.quote(word) for word in command],
            shown=shown,
            warn=lambda line: shown.line(f"standout: warning: {line}"),
        )
    if not outcome.first:
        return 0 if outcome.signal is None else 128 + outcome.signal
    if as_json:
        document: dict[str, Any] = {
            "schema": 1,
            "run": str(outcome.folder),
            "steps": outcome.steps,
            "signal": outcome.signal,
            "resumable": outcome.finished is None,
        }
        if outcome.finished:
            document |= {**outcome.finished.record(), "model": str(outcome.finished.model)}
        click.echo(json.dumps(document))
    elif outcome.finished:
        click.echo(summary(outcome.finished, outcome.folder))
    if outcome.finished is None:
        why = "" if outcome.signal is not None else " at the time limit"
        words = f"standout: stopped after step {outcome.steps}{why}; go on with --output {outcome.folder} --resume"
        click.echo(words, err=True)
    return 0 if outcome.signal is None else 128 + outcome.signal


def _estimate(recipe: Any, output: str, as_json: bool, **going_on: Any) -> int:
    from standout.train.estimate import estimate
    from standout.train.processes import launched

    number, _ = launched()
    if number > 0:  # of several processes, the first speaks
        return 0
    found = estimate(recipe, output, tell=lambda line: click.echo(line, err=True), **going_on)
    if as_json:
        click.echo(json.dumps({"schema": 1, "dry_run": True, "run": output, **found._asdict()}))
    else:
        click.echo("\n".join(found.lines(recipe.training.batch)))
    return 0


def summary(finished: Any, folder: Path) -> str:
    """Return what a finished run says last: the figures at both scales and what to type next."""
    lines = []
    if finished.scores:
        at = "held out" if finished.sharpness == 1 else f"held out, logits times {finished.sharpness:g}"
        shown = ("mae", "f_max", "weighted_f", "s", "e_max")
        lines.append(f"{at}: " + "  ".join(f"{name} {finished.scores[name]:.4f}" for name in shown))
        if finished.sharpness != 1:
            lines.append("held out, as trained: " + "  ".join(f"{n} {finished.scores_at_one[n]:.4f}" for n in shown))
    lines += [f"model: {finished.model}", f"next: standout eval {folder} DATA, or standout cut PHOTO --model {folder}"]
    return "\n".join(lines)
