"""What `standout eval` needs around its call: options checked before work starts, tables shown and written."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from standout.errors import EXIT_USAGE, StandoutError
from standout.files import atomic_write

if TYPE_CHECKING:
    from standout.evaluate.comparison import Comparison
    from standout.evaluate.costs import Cost
    from standout.evaluate.score import Scored

Text = Callable[[str], str]
"""Gives the table in a format."""


def check_outputs(output: Iterable[Path], further: Iterable[Path | None], plots: Path | None, overwrite: bool) -> None:
    """Refuse, before anything is scored, an output of no format that we write, one that exists, or plots in vain."""
    drawn: list[Path] = []
    if plots is not None:
        from standout.evaluate.plots import check_plotting, plot_names

        check_plotting()
        drawn = [plots / name for name in plot_names()]
    for path in output:
        format_of(path)
    refuse_existing((*output, *(path for path in further if path), *drawn), overwrite)


def refuse_existing(paths: Iterable[Path], overwrite: bool) -> None:
    """Refuse, before anything is scored, to write over a file that exists."""
    for path in paths:
        if path.exists() and not overwrite:
            how = "pass --overwrite or another name"
            raise StandoutError("file-exists", "file exists already", path, how, exit_code=EXIT_USAGE)


def format_of(path: Path) -> str:
    """Return the format that a file's name asks for."""
    from standout.evaluate.table import SUFFIXES

    if path.suffix.lower() not in SUFFIXES:
        raise StandoutError(
            "output-format", "no kind of table that we write", path, f"name it {', '.join(SUFFIXES)}",
            exit_code=EXIT_USAGE,
        )  # fmt: skip
    return SUFFIXES[path.suffix.lower()]


def only(context: click.Context, allowed: frozenset[str], where: str) -> None:
    """Refuse any option that was given and is not among those that mean something for this work."""
    for parameter in context.command.params:
        given = context.get_parameter_source(parameter.name or "") is click.core.ParameterSource.COMMANDLINE
        # An argument that takes any number of words counts as given even without one.
        given = given and (parameter.name != "paths" or bool(context.params["paths"]))
        if given and parameter.name not in allowed:
            name = "a path" if parameter.name == "paths" else parameter.opts[0]
            raise StandoutError(
                "usage", f"has no meaning {where}", name, "leave it out; see standout eval --help", exit_code=EXIT_USAGE
            )


def write(path: Path, text: str, overwrite: bool) -> None:
    """Give a finished text its name."""
    atomic_write(path, text.encode("utf-8", "surrogatepass"), overwrite=overwrite)


def compare_named(maps: Sequence[str], masks: Sequence[str], models: Sequence[str], **options: Any) -> Comparison:
    """Compare folders that were given as NAME=DIR; options as `standout.evaluate.compare`."""
    from standout.evaluate import compare

    methods = named(maps, "--maps")
    costs = _costs(models, [name for name, _ in methods])
    return compare(methods, named(masks, "--masks"), **options)._replace(costs=costs)


def merge(paths: Sequence[Path], models: Sequence[str]) -> Comparison:
    """Put the shards of a comparison together."""
    from standout.evaluate.shards import merge_shards

    comparison = merge_shards(paths)
    return comparison._replace(costs=_costs(models, comparison.methods))


def tell_merge(shards: Sequence[Path], written: Sequence[Path], as_json: bool) -> None:
    """Say which shards would be put together, and what would be written."""
    from standout.cli.preview import tell_plan

    comparison = merge(shards, ())  # which reads them, and refuses what does not belong together
    lines = [f"{len(shards)} shards, {len(comparison.methods)} methods on {len(comparison.sets)} sets, to merge"]
    tell_plan(lines, written, as_json, shards=len(shards), methods=len(comparison.methods), sets=len(comparison.sets))


def _costs(models: Sequence[str], methods: Sequence[str]) -> dict[str, Cost]:
    """Return what the methods' models cost, given as NAME=FILE."""
    if not models:
        return {}
    from standout.evaluate.costs import model_costs

    return model_costs(named(models, "--model"), methods)


def write_shard(
    maps: Sequence[str],
    masks: Sequence[str],
    shard: str,
    output: Sequence[Path],
    overwrite: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Score one shard of a comparison, write it to the one output, and say what it holds."""
    from standout.evaluate.shards import Shard, score_shard

    part = Shard.parse(shard)
    check_shard_output(output, overwrite)
    text = score_shard(named(maps, "--maps"), named(masks, "--masks"), part, **options)
    write(output[0], text, overwrite)
    told = {"schema": 1, "shard": list(part), "maps": text.count('{"series": '), "output": str(output[0])}
    words = f"shard {part.part} of {part.parts}: {told['maps']} maps; put all together with standout eval merge"
    click.echo(json.dumps(told) if as_json else words)


def check_shard_output(output: Sequence[Path], overwrite: bool) -> None:
    """Refuse, before anything is scored, what is not one new file of JSON lines."""
    if len(output) != 1 or output[0].suffix.lower() != ".jsonl":
        where = ", ".join(map(str, output)) or "no output"
        raise StandoutError(
            "output-format", "a shard is one file of JSON lines", where, "name it --output FILE.jsonl",
            exit_code=EXIT_USAGE,
        )  # fmt: skip
    refuse_existing(output, overwrite)


def two(paths: Sequence[Path]) -> tuple[Path, Path]:
    """Return the two paths that scoring needs."""
    if len(paths) != 2:
        what, how = f"two paths are needed, not {len(paths)}", "give MAPS MASKS, or RUN DATA; see standout eval --help"
        raise StandoutError("usage", what, "", how, exit_code=EXIT_USAGE)
    return paths[0], paths[1]


def show_explanation(paths: Sequence[Path], figure: str, measures: str | None, as_json: bool, **options: Any) -> None:
    """Say which rules give the maps a published figure."""
    from standout.evaluate.explain import EACH, explain, explanation_document, explanation_text

    maps, masks = two(paths)
    keys = None
    if measures is not None and measures != "all":
        of_each = [key for key in measures.split(",") if key in EACH]
        rest = [key for key in measures.split(",") if key not in EACH]
        keys = [*(chosen_measures(",".join(rest), options["rules"].weighted) if rest else ()), *of_each]
    told = explain(maps, masks, figure, measures=keys, **options)
    if as_json:
        click.echo(json.dumps(explanation_document(told), indent=1, allow_nan=False))
    else:
        click.echo(explanation_text(told), nl=False)


def named(given: Sequence[str], option: str) -> list[tuple[str, Path]]:
    """Return name and folder of each NAME=DIR."""
    found = []
    for word in given:
        name, sign, folder = word.partition("=")
        if not (name.strip() and sign and folder):
            how = f"write {option} NAME=DIR"
            raise StandoutError("usage", "no name and folder", f"{option} {word}", how, exit_code=EXIT_USAGE)
        found.append((name.strip(), Path(folder)))
    return found


def chosen_measures(measures: str | None, weighted: bool) -> tuple[str, ...]:
    """Return the keys of the measures to show."""
    from standout.evaluate.comparison import COMPARED
    from standout.metrics import MEASURES
    from standout.names import unknown

    if measures is None or measures == "all":
        chosen = COMPARED if measures is None else MEASURES
        return tuple(key for key in chosen if weighted or key != "weighted_f")
    keys = tuple(dict.fromkeys(key.strip() for key in measures.split(",")))
    for key in keys:
        if key not in MEASURES:
            raise unknown("measure", key, MEASURES)
    if not weighted and "weighted_f" in keys:
        raise StandoutError("usage", "a measure is asked for that is left out", "weighted_f",
                            "leave weighted_f out of --measures", exit_code=EXIT_USAGE)  # fmt: skip
    return keys


def command_line() -> str:
    """Return the command that was called, for the JSON."""
    arguments = sys.argv
    return shlex.join(["standout", "eval", *(arguments[arguments.index("eval") + 1 :] if "eval" in arguments else [])])


def track(done: Iterable[Any], total: int) -> Iterable[Any]:
    """Show a bar where a person looks."""
    if not sys.stderr.isatty():
        return done
    from rich.console import Console
    from rich.progress import track as bar

    return bar(done, "scoring", total=total, console=Console(stderr=True), transient=True)


def table_of(scores: Sequence[Scored]) -> tuple[Text, Callable[[], None]]:
    """Return how to write the rows in a format, and how to show them to a person."""
    from standout.evaluate.table import cells, notes, partial_mark, render

    command = command_line()
    return (
        lambda format_: render(scores, format_, command=command),
        lambda: _show([cells(scores)], notes(scores), bool(partial_mark(scores))),
    )


def tables_of(
    comparison: Comparison,
    keys: Sequence[str],
    tested: bool,
    records: Path | None,
    plots: Path | None,
    report: Path | None,
    overwrite: bool,
) -> tuple[Text, Callable[[], None]]:
    """Write what else is asked for of a comparison; return how to write its tables, and how to show them to a person.

    `tested` adds significance.
    """
    from standout.evaluate.comparison_table import (
        blocks,
        by_attribute,
        comparison_notes,
        plain_mark,
        render_comparison,
    )
    from standout.evaluate.significance import find_significance

    command = command_line()
    significance = find_significance(comparison, keys) if tested else None
    if records is not None:
        write(records, comparison.records_text(), overwrite)
    if plots is not None:
        from standout.evaluate.plots import plot_comparison

        for name, content in plot_comparison(comparison).items():
            atomic_write(plots / name, content, overwrite=overwrite)
    if report is not None:
        from standout.evaluate.report import report_page

        write(report, report_page(comparison, keys, significance), overwrite)
    partial = any(series.scored.partial for series in comparison.series)
    return (
        lambda format_: render_comparison(comparison, format_, keys=keys, significance=significance, command=command),
        lambda: _show(
            [*blocks(comparison, keys, significance, plain_mark), *by_attribute(comparison, keys)],
            comparison_notes(comparison, significance),
            partial,
        ),
    )


def _show(blocks: Iterable[tuple[Sequence[str], Iterable[Sequence[str]]]], told: list[str], partial: bool) -> None:
    """Print tables with lines and bold headings."""
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False, markup=False)
    if partial:
        console.print(told.pop(0), style="bold red")
    for heading, rows in blocks:
        table = Table(*heading[:1])
        for name in heading[1:]:
            table.add_column(name, justify="right")
        for row in rows:
            table.add_row(*row)
        console.print(table)
    for line in told:
        console.print(line, style="dim")
