"""`standout eval`: maps against masks, a model on a data set, or many methods over many sets."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from standout.cli.tables import (
    check_outputs,
    chosen_measures,
    compare_named,
    format_of,
    merge,
    only,
    show_explanation,
    table_of,
    tables_of,
    track,
    two,
    write,
    write_shard,
)
from standout.errors import EXIT_USAGE, StandoutError

if TYPE_CHECKING:
    from standout.evaluate.score import Scored

# Literal, so that --help loads nothing; a test holds them to the tables in standout.metrics and standout.evaluate.
PROTOCOLS = ("pysodmetrics-1.6.2", "raw", "sane")
FORMATS = ("table", "json", "csv", "markdown", "latex")
MODELS = (".onnx", ".safetensors")

# Which options have a meaning for which work; any other is refused, never ignored.
SCORED = frozenset({"protocol", "part", "weighted", "allow_missing", "strict_size", "map_scale", "mask_class", "jobs"})
SHOWN = frozenset({"format_", "as_json", "output", "overwrite"})
COMPARED = frozenset({"maps", "masks", "attributes", "cache"})
SHARDED = frozenset({"shard", "output", "overwrite", "as_json"})
EXPLAINED = frozenset({
    "paths", "explain", "measures", "as_json", "part", "weighted", "strict_size", "map_scale", "mask_class", "jobs",
})  # fmt: skip
TABLES = frozenset({"measures", "significance", "records"})


@click.command()
@click.argument("paths", metavar="[MAPS MASKS | RUN|MODEL DATA | merge SHARD...]", nargs=-1,
                type=click.Path(path_type=Path))  # fmt: skip
@click.option("--maps", multiple=True, metavar="NAME=DIR",
              help="A method and its maps, repeatable; for several sets they lie in DIR/SET.")  # fmt: skip
@click.option("--masks", multiple=True, metavar="NAME=DIR", help="A set and its masks, repeatable.")
@click.option("--measures", metavar="KEY,KEY", help="The columns of a comparison; all, or some of docs/measures.md.")
@click.option("--significance", is_flag=True,
              help="Of a comparison: a star where a method is better than all others beyond doubt.")  # fmt: skip
@click.option("--attributes", is_flag=True,
              help="Of a comparison: scores by size, parts, border, contrast, complexity, concavity.")  # fmt: skip
@click.option("--cache", type=click.Path(path_type=Path, dir_okay=False),
              help="Of a comparison: keep scores by content; a new method scores only itself.")  # fmt: skip
@click.option("--records", type=click.Path(path_type=Path, dir_okay=False),
              help="Of a comparison: write every picture's measures as JSON lines.")  # fmt: skip
@click.option("--shard", metavar="I/N",
              help="Of a comparison: score every N-th mask and write a part for `standout eval merge`.")  # fmt: skip
@click.option("--explain", metavar="FIGURE", help="Say which rules give MAPS a published figure, like 0.806.")
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
@click.pass_context
def evaluate(
    context: click.Context,
    paths: tuple[Path, ...],
    maps: tuple[str, ...],
    masks: tuple[str, ...],
    measures: str | None,
    significance: bool,
    attributes: bool,
    shard: str | None,
    explain: str | None,
    cache: Path | None,
    records: Path | None,
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
    DATA, at sharpness 1 and at the one stored with it. --maps and --masks compare many methods over many sets;
    parts of such a comparison that --shard wrote are put together by merge.
    """
    from standout.evaluate.score import Rules
    from standout.metrics.protocols import find_protocol

    find_protocol(protocol)
    rules = Rules(protocol, weighted, strict_size, map_scale, mask_class)
    scoring = {"rules": rules, "part": part, "allow_missing": allow_missing, "jobs": jobs, "progress": track}
    format_ = "json" if as_json else format_
    show: Callable[[], None]
    if explain is not None:
        only(context, EXPLAINED, "beside --explain")
        show_explanation(paths, explain, measures, as_json, rules=rules, part=part, jobs=jobs, progress=track)
        return
    if shard is not None:
        only(context, COMPARED | SCORED | SHARDED, "beside --shard")
        write_shard(maps, masks, shard, output, overwrite, as_json, **scoring, attributes=attributes, cache=cache)
        return
    check_outputs(output, records, overwrite)
    # A folder of maps may be called merge; then the other path is a folder too, which no shard is.
    if paths[:1] == (Path("merge"),) and not (len(paths) == 2 and paths[1].is_dir()):
        only(context, TABLES | SHOWN | {"paths"}, "to merge")
        comparison = merge(paths[1:])
        text, show = tables_of(comparison, chosen_measures(measures, comparison.rules.weighted), significance)
    elif maps or masks:
        only(context, COMPARED | SCORED | TABLES | SHOWN, "beside --maps and --masks")
        keys = chosen_measures(measures, weighted)
        comparison = compare_named(maps, masks, attributes=attributes, cache=cache, **scoring)
        text, show = tables_of(comparison, keys, significance)
    else:
        only(context, SCORED | SHOWN | {"paths", "sharpness", "ledger", "label"}, "without --maps and --masks")
        source, data = two(paths)
        scores = _scores(source, data, sharpness, {**scoring, "label": label, "ledger": ledger})
        text, show = table_of(scores)
    if records is not None:
        write(records, comparison.records_text(), overwrite)
    for path in output:
        write(path, text(format_of(path)), overwrite)
    if format_ == "table" and sys.stdout.isatty():
        show()
    else:
        click.echo(text(format_), nl=False)


def _scores(source: Path, data: Path, sharpness: tuple[float, ...], options: Mapping[str, Any]) -> list[Scored]:
    """Score a folder of maps, or a model, whichever the first path is."""
    from standout.evaluate.score import score_maps, score_model

    if _is_model(source):
        return score_model(source, data, sharpness=sharpness or None, **options)
    if sharpness:
        where, how = "--sharpness", "give a run or a model"
        raise StandoutError("usage", "maps have no logits to sharpen", where, how, exit_code=EXIT_USAGE)
    return [score_maps(source, data, **options)]


def _is_model(source: Path) -> bool:
    """Whether the first argument is a run, a model file or the name of a shipped model, and no folder of maps."""
    if source.is_dir():
        return any((source / name).is_file() for name in ("recipe.toml", "model.safetensors", "model.onnx"))
    if source.exists():
        return source.suffix.lower() in MODELS
    from standout.models.lookup import shipped

    return source.suffix.lower() in MODELS or str(source) in shipped()
