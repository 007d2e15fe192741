"""`standout lifelong compare`: runs side by side."""

from __future__ import annotations

import json

import click

from standout.errors import printable


@click.command()
@click.argument("runs", metavar="RUN|LABEL=RUN...", nargs=-1, required=True)
@click.option("--output", "-o", metavar="DIR", help="Folder for all tables in all formats, and the plots.")
@click.option(
    "--format", type=click.Choice(["markdown", "csv", "json", "latex"]), default="markdown", show_default=True,
    help="Of the printed tables.",
)  # fmt: skip
@click.option(
    "--convention", type=click.Choice(["both", "openloris", "gem"]), default="both", show_default=True,
    help="Whose measures; each has a table of its own.",
)  # fmt: skip
@click.option("--published", is_flag=True, help="Add the curves of SDKD's paper to the plot, marked as such.")
@click.option("--dry-run", is_flag=True, help="Print the tables; say what would be written, and write nothing.")
def compare(
    runs: tuple[str, ...],
    output: str | None,
    format: str,  # noqa: A002
    convention: str,
    published: bool,
    dry_run: bool,
) -> None:
    """Print the measures of runs, and with --output write them and the plots into a folder.

    Runs of the same method and settings, but for seed and order, become one row with mean and deviation.

    \b
    standout lifelong compare runs/* --output compared
    """  # noqa: D301 - the backspace is click's own mark
    from standout.lifelong.compare import Compared, labelled
    from standout.lifelong.measures import CONVENTIONS
    from standout.lifelong.table import render

    compared = Compared(labelled(runs))
    conventions = list(CONVENTIONS) if convention == "both" else [convention]
    if format == "json":
        parts = {name: json.loads(render(compared.matrices, name, "json")) for name in conventions}
        click.echo(json.dumps({"schema": 1, **parts, "sheet": json.loads(compared.sheet("json"))}, indent=1))
    else:
        click.echo(compared.text(format, conventions), nl=False)
    for note in compared.notes:
        click.echo(f"standout: note: {note}", err=True)
    if output is not None:
        if dry_run:
            for path in compared.planned(output):
                click.echo(f"would write {printable(path)}", err=True)
            return
        written = compared.write(output, published=published)
        click.echo(f"{len(written)} files in {printable(output)}", err=True)
