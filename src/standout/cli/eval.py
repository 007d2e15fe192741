"""`standout eval`: maps against masks, or a model on a data set."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from standout.errors import EXIT_USAGE, StandoutError

if TYPE_CHECKING:
    from standout.evaluate.score import Outcome, Scored

# Literal, so that --help loads nothing; a test holds them to the tables in standout.metrics and standout.evaluate.
PROTOCOLS = ("pysodmetrics-1.6.2", "raw")
FORMATS = ("table", "json", "csv", "markdown", "latex")
MODELS = (".onnx", ".safetensors")


@click.command()
@click.argument("source", metavar="MAPS|RUN|MODEL", type=click.Path(path_type=Path))
@click.argument("data", metavar="MASKS|DATA", type=click.Path(path_type=Path))
@click.option("--protocol", default=PROTOCOLS[0], show_default=True, metavar="NAME", help="How maps are scaled.")
@click.option("--part", default="test", show_default=True, metavar="NAME", help="Of a data set that has parts.")
@click.option("--weighted/--no-weighted", default=True, help="Weighted F takes most of the time.")
@click.option("--sharpness", type=click.FloatRange(min=0, min_open=True), multiple=True, metavar="FACTOR",
              help="Factor on a model's logits, repeatable; by default 1 and the one stored with it.")  # fmt: skip
@click.option("--allow-missing", is_flag=True, help="Score what there is; the table is marked PARTIAL.")
@click.option("--strict-size", is_flag=True, help="Refuse maps that are not of their mask's size.")
@click.option("--map-scale", type=click.IntRange(min=1), metavar="N", help="The stored value that means 1.")
@click.option("--class", "mask_class", type=click.IntRange(0, 65535), metavar="N",
              help="The palette entry or grey value that is the object, in masks of several.")  # fmt: skip
@click.option("--jobs", type=click.IntRange(min=0), default=1, show_default=True, help="Processes; 0 for all cores.")
@click.option("--ledger", type=click.Path(path_type=Path, dir_okay=False),
              help="Keep each picture's score here, and go on from it after a stop.")  # fmt: skip
@click.option("--label", help="The row's name; by default that of the folder or file.")
@click.option("--format", "format_", type=click.Choice(FORMATS), default="table", help="What to print.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), multiple=True,
              help="Also write .json, .csv, .md, .tex or .txt; repeatable.")  # fmt: skip
@click.option("--overwrite", is_flag=True, help="Replace files that exist.")
def evaluate(
    source: Path,
    data: Path,
    protocol: str,
    part: str,
    weighted: bool,
    sharpness: tuple[float, ...],
    allow_missing: bool,
    strict_size: bool,
    map_scale: int | None,
    mask_class: int | None,
    jobs: int,
    ledger: Path | None,
    label: str | None,
    format_: str,
    as_json: bool,
    output: tuple[Path, ...],
    overwrite: bool,
) -> None:
    """Score maps against masks with the field's measures.

    MAPS is a folder of maps that are called like their masks in MASKS. A RUN or MODEL is scored on the pictures of
    DATA, at sharpness 1 and at the one stored with it.
    """
    from standout.evaluate.score import Rules, score_maps, score_model
    from standout.evaluate.table import SUFFIXES, render
    from standout.files import atomic_write
    from standout.metrics.protocols import find_protocol

    find_protocol(protocol)
    for path in output:
        if path.suffix.lower() not in SUFFIXES:
            raise StandoutError(
                "output-format", "no kind of table that we write", path, f"name it {', '.join(SUFFIXES)}",
                exit_code=EXIT_USAGE,
            )  # fmt: skip
        if path.exists() and not overwrite:
            how = "pass --overwrite or another --output"
            raise StandoutError("file-exists", "file exists already", path, how, exit_code=EXIT_USAGE)
    rules = Rules(protocol, weighted, strict_size, map_scale, mask_class)
    scores: list[Scored]
    if _is_model(source):
        scores = score_model(
            source, data, rules=rules, label=label, part=part, sharpness=sharpness or None,
            allow_missing=allow_missing, jobs=jobs, ledger=ledger, progress=_progress,
        )  # fmt: skip
    elif sharpness:
        where = "--sharpness"
        raise StandoutError(
            "usage", "maps have no logits to sharpen", where, "give a run or a model", exit_code=EXIT_USAGE
        )
    else:
        scores = [
            score_maps(
                source, data, rules=rules, label=label, part=part, allow_missing=allow_missing, jobs=jobs,
                ledger=ledger, progress=_progress,
            )
        ]  # fmt: skip
    command = shlex.join(["standout", "eval", *_told(sys.argv)])
    for path in output:
        text = render(scores, SUFFIXES[path.suffix.lower()], command=command)
        atomic_write(path, text.encode(), overwrite=overwrite)
    format_ = "json" if as_json else format_
    if format_ == "table" and sys.stdout.isatty():
        _show(scores)
    else:
        click.echo(render(scores, format_, command=command), nl=False)


def _is_model(source: Path) -> bool:
    """Whether the first argument is a run, a model file or the name of a shipped model, and no folder of maps."""
    if source.is_dir():
        return any((source / name).is_file() for name in ("recipe.toml", "model.safetensors", "model.onnx"))
    if source.exists():
        return source.suffix.lower() in MODELS
    from standout.models.lookup import shipped

    return source.suffix.lower() in MODELS or str(source) in shipped()


def _told(arguments: list[str]) -> list[str]:
    return arguments[arguments.index("eval") + 1 :] if "eval" in arguments else []


def _progress(outcomes: Iterable[Outcome], total: int) -> Iterable[Outcome]:
    if not sys.stderr.isatty():
        return outcomes
    from rich.console import Console
    from rich.progress import track

    return track(outcomes, "scoring", total=total, console=Console(stderr=True), transient=True)


def _show(scores: list[Scored]) -> None:
    """Print the table with lines and bold headings, for people."""
    from rich.console import Console
    from rich.table import Table

    from standout.evaluate.table import cells, notes

    console = Console(highlight=False, markup=False)
    told = notes(scores)
    if any(row.partial for row in scores):
        console.print(told.pop(0), style="bold red")
    heading, rows = cells(scores)
    table = Table(*heading[:1])
    for name in heading[1:]:
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(*row)
    console.print(table)
    for line in told:
        console.print(line, style="dim")
