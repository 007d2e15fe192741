"""`standout data check`: everything that is wrong with one or more data sets."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import click

from standout.cli.verbs import Table, Verbs
from standout.errors import EXIT_FAILED, printable

if TYPE_CHECKING:
    from standout.data.check import Report
    from standout.data.looks import Look


class _Data(Verbs):
    table: ClassVar[Table] = {"check": ("standout.cli.data:check", "Report everything that is wrong with data sets.")}


@click.group(cls=_Data, context_settings={"help_option_names": ["-h", "--help"]})
def data() -> None:
    """Look at data sets before they are trusted."""


@click.command(
    short_help="Report everything that is wrong with data sets.",
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.argument("folders", metavar="DIR...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--class", "mask_class", type=click.IntRange(0, 65535), metavar="N",
              help="The palette entry or grey value that is the object, in masks of several.")  # fmt: skip
@click.option("--jobs", type=click.IntRange(0, 1024), default=0, show_default=True, help="Processes; 0 for all cores.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document with every finding and file.")
def check(folders: tuple[Path, ...], mask_class: int | None, jobs: int, as_json: bool) -> int:
    """Report everything that is wrong with the data sets in DIR..., alone and together; nothing is written.

    Looks at all parts of each set: names that do not pair, files that cannot be read, masks that do not fit, are
    exchanged, inverted, grey or empty, and pictures that are trained on and tested on, under whatever name, encoding
    or mirrored. Exits with 1 where there is a fault; a note is no fault.
    """
    from standout.data.check import check_data

    report = check_data(folders, mask_class=mask_class, jobs=jobs, progress=_progress)
    click.echo(json.dumps(report.document()) if as_json else render(report))
    return EXIT_FAILED if report.faults else 0


def render(report: Report) -> str:
    """Return the report as two tables, sets and findings, and a last line that counts them."""
    parts = [[printable(part.label), part.layout, f"{len(part.pairs)} pairs"] for part in report.parts]
    rows = [
        ["FAULT" if found.is_fault else "note", found.code, printable(", ".join(found.sets)), found.line()]
        for found in report.findings
    ]
    faults, notes = len(report.faults), len(report.findings) - len(report.faults)
    pairs = sum(len(part.pairs) for part in report.parts)
    last = f"{pairs} pairs: {_counted(faults, 'fault')}, {_counted(notes, 'note')}"
    return "\n".join([*_columns(parts), "", *_columns(rows), *([""] if rows else []), last])


def _counted(count: int, word: str) -> str:
    return f"{count or 'no'} {word}{'' if count == 1 else 's'}"


def _columns(rows: list[list[str]]) -> list[str]:
    """Return the rows with all columns but the last padded to one width."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _progress(looks: Iterable[Look], total: int) -> Iterable[Look]:
    if not sys.stderr.isatty():
        return looks
    from rich.console import Console
    from rich.progress import track

    return track(looks, "checking", total=total, console=Console(stderr=True), transient=True)
