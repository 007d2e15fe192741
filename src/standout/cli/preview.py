"""What `--dry-run` prints: what would be done, and which files and folders would be written."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import click

from standout.errors import printable


def tell_plan(lines: Iterable[str], write: Sequence[str | Path], as_json: bool, **facts: Any) -> None:
    """Print the plan of a call that writes nothing.

    Parameters
    ----------
    lines : what would be done, as words.
    write : files and folders that would be written.
    facts : the same as `lines`, for the JSON document.
    """
    if as_json:
        click.echo(json.dumps({"schema": 1, "dry_run": True, **facts, "write": [printable(path) for path in write]}))
        return
    for line in lines:
        click.echo(line)
    for path in write:
        click.echo(f"would write {printable(path)}")
    if not write:
        click.echo("would write nothing")
