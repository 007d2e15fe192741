"""`standout models`: which came with the package, and what a file says of itself."""

from __future__ import annotations

import json
from typing import ClassVar

import click

from standout.cli.verbs import Table, Verbs


class _Models(Verbs):
    table: ClassVar[Table] = {
        "list": ("standout.cli.models:listed", "Name the models that came with the package."),
        "inspect": ("standout.cli.models:inspect", "Say what a model file holds; no network is built."),
    }


@click.group(cls=_Models, context_settings={"help_option_names": ["-h", "--help"]})
def models() -> None:
    """Look at trained models before they are used."""


@click.command("list", context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def listed(as_json: bool) -> None:
    """Name the models that came with the package; each may be given as --model NAME."""
    from standout.models.inspect import inspect_model
    from standout.models.lookup import GET_ONE, shipped

    found = {name: inspect_model(path) for name, path in shipped().items()}
    if as_json:
        documents = {name: model.document() for name, model in found.items()}
        click.echo(json.dumps({"schema": 1, "models": documents}))
        return
    for name, model in found.items():
        said = model.metadata
        click.echo(
            f"{name}: {said['network']}, {model.bytes / 2**20:.2f} MiB, {said['licence'] or 'no licence stated'}"
        )
    if not found:
        click.echo(f"no model came with this package; {GET_ONE}")


@click.command("inspect", context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("source", metavar="RUN|FILE|NAME")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def inspect(source: str, as_json: bool) -> None:
    """Say what a model holds: network, format, sizes, hash, licence, and what it was trained on.

    The file is read and checked as before any use, but no network is built from it and torch is not loaded.
    """
    from standout.models.inspect import inspect_model

    model = inspect_model(source)
    click.echo(json.dumps(model.document()) if as_json else "\n".join(model.lines()))
