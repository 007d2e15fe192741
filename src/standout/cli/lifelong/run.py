"""`standout lifelong run`: one method on one stream; resumable at every moment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from standout.cli.lifelong.shared import Bytes, command_line, ended, tell_experiences
from standout.errors import EXIT_USAGE, StandoutError


@click.command()
@click.argument("stream", required=False)
@click.option("--method", metavar="TEXT", help="How not to forget, with options: 'sdkd', 'lwf(temperature=4)'.")
@click.option("--memory", type=Bytes(), help="Bytes that may be kept of the past, such as 0 or 5.5MB.")
@click.option("--kind", metavar="NAME", help="How the stream lies on disk.  [default: found by the folders' names]")
@click.option("--experiences", type=click.IntRange(1), help="Their number, for --kind classes.")
@click.option("--order", metavar="NAME,NAME", help="The experiences in another order.")
@click.option("--recogniser", metavar="NAME", help="What learns.  [default: the method's own]")
@click.option("--pretrained", metavar="FILE", help="Trained weights of MobileNetV2 or VGG-16, safetensors.")
@click.option("--saliency", metavar="FILE", help="Start where objects are from a cascade of your own: sal_init=sod.")
@click.option("--recipe", metavar="FILE", help="A recipe: a path, or the name of one that is shipped.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Any setting, such as optimiser.rate=0.01.")
@click.option("--output", metavar="DIR", help="Folder of the run.  [default: runs/STREAM-METHOD]")
@click.option("--epochs", type=int, help="Passes over each experience.")
@click.option("--size", type=int, help="Side of the square views, in pixels.")
@click.option("--batch", type=int, help="Pictures a step.")
@click.option("--seed", type=int, help="Of everything random.")
@click.option("--resume", is_flag=True, help="Go on from the newest checkpoint, bit for bit.")
@click.option("--override", "overrides", multiple=True, metavar="KEY", help="Let this setting differ on --resume.")
@click.option("--allow-overlap", is_flag=True, default=None, help="Learn although pictures tested on are learnt too.")
@click.option("--workers", type=int, help="Threads that read pictures ahead.")
@click.option("--threads", type=int, help="Threads that compute.")
@click.option("--device", metavar="NAME", help="cpu, cuda, …; by default a graphics card where there is one.")
@click.option("--dry-run", is_flag=True, help="Say what would be met, and write nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print the outcome as one JSON document.")
def run(
    stream: str | None,
    method: str | None,
    recipe: str | None,
    settings: tuple[str, ...],
    output: str | None,
    resume: bool,
    overrides: tuple[str, ...],
    dry_run: bool,
    as_json: bool,
    order: str | None,
    **values: Any,
) -> int:
    """Let a recogniser meet the experiences in STREAM, one after another, by one method.

    STREAM holds EXPERIENCE/CLASS/pictures, or is laid out as OpenLORIS-Object or CORe50. The folder --output receives
    the recipe, the metrics, checkpoints, results.json and model.safetensors.

    \b
    standout lifelong run photos --method sdkd --pretrained mobilenetv2.safetensors --output runs/mine
    standout lifelong predict new.jpg --model runs/mine
    """  # noqa: D301 - the backspace is click's own mark
    from standout.train.recipe import read_recipe
    from standout.train.recipe_text import edit, parse_strategy

    if resume and output is None:
        raise StandoutError("usage", "no run named to resume", "", "pass --output RUN", exit_code=EXIT_USAGE)
    tables: dict[str, Any] = {}
    if recipe:
        tables = read_recipe(recipe, "lifelong")
    elif output is not None and resume and (stream is None or (Path(output) / "recipe.toml").is_file()):
        from standout.lifelong.learner import stored_tables

        tables = stored_tables(output)
    if method is not None:
        tables["method"] = parse_strategy(method)
    edits = {
        "stream.path": None if stream is None else str(Path(stream).resolve()),
        "stream.kind": values["kind"],
        "stream.experiences": values["experiences"],
        "stream.order": None if order is None else [name.strip() for name in order.split(",")],
        "stream.allow_overlap": values["allow_overlap"],
        "network.name": values["recogniser"],
        "network.pretrained": values["pretrained"],
        "network.sal_weights": values["saliency"],
        "memory.bytes": values["memory"],
        "seed": values["seed"],
        **{f"training.{name}": values[name] for name in ("epochs", "size", "batch", "workers", "threads", "device")},
    }
    for path, value in edits.items():
        if value is not None:
            place, _, key = path.rpartition(".")
            (tables.setdefault(place, {}) if place else tables)[key] = value
    if values["saliency"] is not None:
        tables["network"]["options"] = {**tables["network"].get("options", {}), "sal_init": "sod"}
    edit(tables, settings)
    path = str(tables.get("stream", {}).get("path", ""))
    if not path and not resume:
        raise StandoutError(
            "usage", "no stream given", "", "name a folder: standout lifelong run STREAM", exit_code=EXIT_USAGE
        )
    if dry_run:
        preview(tables, as_json)
        return 0
    name = tables.get("method", {}).get("name", "sdkd")
    folder = output or str(Path("runs") / f"{Path(path).name}-{name}")

    from standout.train.allocator import keep_freed_memory

    keep_freed_memory()  # before torch starts its threads

    from standout.lifelong.learner import learn
    from standout.train.show import chosen_display

    with chosen_display() as shown:
        learnt = learn(
            None, None, folder, settings=tables, resume=resume, overrides=overrides, command=command_line(),
            shown=shown, warn=lambda line: shown.line(f"standout: warning: {line}"),
        )  # fmt: skip
    return ended(learnt, as_json)


def preview(tables: dict[str, Any], as_json: bool) -> None:
    """Say what a run would meet: experiences, pictures, classes and steps."""
    from standout.lifelong.methods import build_method
    from standout.lifelong.prepare import check_memory, check_start, open_recipe
    from standout.lifelong.recipe import check_lifelong

    recipe = check_lifelong(tables)
    notes: list[str] = []
    method = build_method(recipe.method)
    check_memory(recipe, method, notes.append)
    check_start(recipe, method, fresh=True)
    stream = open_recipe(recipe.stream)
    tell_experiences(recipe, stream.experiences, [*notes, *stream.notes], as_json)
