"""`standout eval`: maps against masks, a model on a data set, or many methods over many sets."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from standout.cli.tables import (
    check_outputs,
    check_shard_output,
    chosen_measures,
    compare_named,
    format_of,
    merge,
    named,
    only,
    show_explanation,
    table_of,
    tables_of,
    tell_merge,
    track,
    two,
    write,
    write_shard,
)
from standout.errors import EXIT_USAGE, StandoutError

if TYPE_CHECKING:
    from standout.evaluate.comparison import Comparison
    from standout.evaluate.score import Scored

# Literal, so that --help loads nothing; a test holds them to the tables in standout.metrics and standout.evaluate.
PROTOCOLS = ("pysodmetrics-1.6.2", "raw", "sane")
FORMATS = ("table", "json", "csv", "markdown", "latex")
MODELS = (".onnx", ".safetensors")

# Which options have a meaning for which work; any other is refused, never ignored.
SCORED = frozenset({"protocol", "part", "weighted", "allow_missing", "strict_size", "map_scale", "mask_class", "jobs"})
SHOWN = frozenset({"format_", "as_json", "output", "overwrite", "dry_run"})
COMPARED = frozenset({"maps", "masks", "attributes", "cache", "mask_cache"})
SHARDED = frozenset({"shard", "output", "overwrite", "as_json", "dry_run"})
EXPLAINED = frozenset({
    "paths", "explain", "measures", "as_json", "part", "weighted", "strict_size", "map_scale", "mask_class", "jobs",
})  # fmt: skip
TABLES = frozenset({"measures", "significance", "records", "plots", "report", "models"})


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
@click.option("--mask-cache", type=click.Path(path_type=Path, file_okay=False),
              help="Keep masks here decoded and with their distances, for further methods.")  # fmt: skip
@click.option("--records", type=click.Path(path_type=Path, dir_okay=False),
              help="Of a comparison: write every picture's measures as JSON lines.")  # fmt: skip
@click.option("--model", "models", multiple=True, metavar="NAME=FILE",
              help="Of a comparison: a method's run or model file; adds what it costs to the table.")  # fmt: skip
@click.option("--plots", type=click.Path(path_type=Path, file_okay=False),
              help="Of a comparison: draw PR, F and E curves and thresholds here, as PDF, PNG and SVG.")  # fmt: skip
@click.option("--report", type=click.Path(path_type=Path, dir_okay=False),
              help="Of a comparison: write one HTML file with table, curves, pictures and errors.")  # fmt: skip
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
@click.option("--jobs", type=click.IntRange(0, 1024), default=1, show_default=True, help="Processes; 0 for all cores.")
@click.option("--ledger", type=click.Path(path_type=Path, dir_okay=False),
              help="Keep each picture's score here, and go on from it after a stop.")  # fmt: skip
@click.option("--label", help="The row's name; by default that of the folder or file.")
@click.option("--format", "format_", type=click.Choice(FORMATS), default="table", help="What to print.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), multiple=True,
              help="Also write .json, .csv, .md, .tex or .txt; repeatable.")  # fmt: skip
@click.option("--overwrite", is_flag=True, help="Replace files that exist.")
@click.option("--dry-run", is_flag=True, help="Say what would be scored and written; do neither.")
@click.pass_context
def evaluate(
    context: click.Context,
    paths: tuple[Path, ...],
    maps: tuple[str, ...],
    masks: tuple[str, ...],
    measures: str | None,
    significance: bool,
    attributes: bool,
    models: tuple[str, ...],
    plots: Path | None,
    report: Path | None,
    shard: str | None,
    explain: str | None,
    cache: Path | None,
    mask_cache: Path | None,
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
    dry_run: bool,
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
    caches = {"cache": cache, "mask_cache": mask_cache}
    format_ = "json" if as_json else format_
    show: Callable[[], None]
    if explain is not None:
        only(context, EXPLAINED, "beside --explain")
        show_explanation(paths, explain, measures, as_json, rules=rules, part=part, jobs=jobs, progress=track)
        return
    if shard is not None:
        only(context, COMPARED | SCORED | SHARDED, "beside --shard")
        if dry_run:
            check_shard_output(output, overwrite)
            _tell(maps, masks, None, part, [*output, *filter(None, caches.values())], allow_missing, as_json)
            return
        write_shard(maps, masks, shard, output, overwrite, as_json, **scoring, attributes=attributes, **caches)
        return
    check_outputs(output, (records, report), plots, overwrite)
    written = [*output, *(path for path in (records, plots, report, cache, mask_cache, ledger) if path is not None)]
    comparison: Comparison | None = None
    # A folder of maps may be called merge; then the other path is a folder too, which no shard is.
    if paths[:1] == (Path("merge"),) and not (len(paths) == 2 and paths[1].is_dir()):
        only(context, TABLES | SHOWN | {"paths"}, "to merge")
        if dry_run:
            tell_merge(paths[1:], written, as_json)
            return
        comparison = merge(paths[1:], models)
        keys = chosen_measures(measures, comparison.rules.weighted)
    elif maps or masks:
        only(context, COMPARED | SCORED | TABLES | SHOWN, "beside --maps and --masks")
        keys = chosen_measures(measures, weighted)
        if dry_run:
            _tell(maps, masks, None, part, written, allow_missing, as_json)
            return
        comparison = compare_named(maps, masks, models, attributes=attributes, **caches, **scoring)
    else:
        only(
            context,
            SCORED | SHOWN | {"paths", "sharpness", "ledger", "label", "mask_cache"},
            "without --maps and --masks",
        )
        source, data = two(paths)
        if dry_run:
            _tell((), (), (source, data), part, written, allow_missing, as_json)
            return
        scores = _scores(source, data, sharpness, {**scoring, "label": label, "ledger": ledger}, mask_cache)
        text, show = table_of(scores)
    if comparison is not None:
        text, show = tables_of(comparison, keys, significance, records, plots, report, overwrite)
    for path in output:
        write(path, text(format_of(path)), overwrite)
    if format_ == "table" and sys.stdout.isatty():
        show()
    else:
        click.echo(text(format_), nl=False)


def _tell(
    maps: Sequence[str],
    masks: Sequence[str],
    paths: tuple[Path, Path] | None,
    part: str,
    written: Sequence[Path],
    allow_missing: bool,
    as_json: bool,
) -> None:
    """Say what would be scored and written."""
    from standout.cli.eval_plan import named_series, one_series, tell_series

    if paths is not None:
        series = one_series(paths[0], paths[1], part, is_model=_is_model(paths[0]))
    else:
        series = named_series(named(maps, "--maps"), named(masks, "--masks"), part)
    tell_series(series, written, allow_missing=allow_missing, as_json=as_json)


def _scores(
    source: Path, data: Path, sharpness: tuple[float, ...], options: Mapping[str, Any], mask_cache: Path | None
) -> list[Scored]:
    """Score a folder of maps, or a model, whichever the first path is."""
    from standout.evaluate.score import score_maps, score_model

    if _is_model(source):
        if mask_cache is not None:
            where, how = "--mask-cache", "leave it out; it serves folders of maps"
            raise StandoutError("usage", "a model's own time is far longer", where, how, exit_code=EXIT_USAGE)
        return score_model(source, data, sharpness=sharpness or None, **options)
    if sharpness:
        where, how = "--sharpness", "give a run or a model"
        raise StandoutError("usage", "maps have no logits to sharpen", where, how, exit_code=EXIT_USAGE)
    return [score_maps(source, data, mask_cache=mask_cache, **options)]


def _is_model(source: Path) -> bool:
    """Whether the first argument is a run, a model file or the name of a shipped model, and no folder of maps."""
    if source.is_dir():
        return any((source / name).is_file() for name in ("recipe.toml", "model.safetensors", "model.onnx"))
    if source.exists():
        return source.suffix.lower() in MODELS
    from standout.models.lookup import shipped

    return source.suffix.lower() in MODELS or str(source) in shipped()
