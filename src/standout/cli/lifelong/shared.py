"""What the verbs that learn share: sizes in bytes, and what is printed when learning ends."""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

import click

from standout.errors import printable

if TYPE_CHECKING:
    from standout.lifelong.measures import AccuracyMatrix
    from standout.lifelong.recipe import LifelongRecipe
    from standout.lifelong.session import Learnt
    from standout.lifelong.streams import Experience

_UNITS = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30}


class Bytes(click.ParamType[int]):
    """A number of bytes such as 5500000, 5.5M, 5.5MB or 5MiB."""

    name = "bytes"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the bytes."""
        if isinstance(value, int):
            return value
        found = re.fullmatch(r"(\d{1,15}(?:\.\d{1,6})?)\s*([kMG]i?|)B?", value.strip().replace("K", "k"))
        if found is None:
            self.fail(f"{value!r} is no number of bytes such as 0, 5.5M or 4MiB", param, ctx)
        return round(float(found[1]) * _UNITS[found[2].replace("ki", "Ki")])


def tell_experiences(
    recipe: LifelongRecipe,
    experiences: Sequence[Experience],
    notes: Sequence[str],
    as_json: bool,
    *,
    met: Collection[str] = (),
    classes: Collection[str] = (),
) -> None:
    """Say what would be met: experiences, pictures, classes and steps.

    Parameters
    ----------
    met : names of experiences that are learnt already; they are left out.
    classes : that are known already.
    """
    known = set(classes)
    rows: list[dict[str, Any]] = []
    for number, experience in enumerate(experiences):
        new = [name for name in experience.classes() if name not in known]
        known.update(new)
        if experience.name in met:
            continue
        epochs = (recipe.training.first_epochs if number == 0 else 0) or recipe.training.epochs
        count = len(experience.training)
        rows.append(
            {
                "name": printable(experience.name),
                "training": count,
                "test": len(experience.test),
                "new_classes": [printable(name) for name in new],
                "steps": epochs * (count // (min(recipe.training.batch, count) or 1)),
            }
        )
    if as_json:
        click.echo(
            json.dumps({"schema": 1, "dry_run": True, "experiences": rows, "notes": list(map(printable, notes))})
        )
        return
    for row in rows:
        more = f", new: {', '.join(row['new_classes'])}" if row["new_classes"] else ""
        click.echo(f"{row['name']}: {row['training']} to learn from, {row['test']} to test, {row['steps']} steps{more}")
    for note in notes:
        click.echo(f"standout: note: {printable(note)}", err=True)


def ended(learnt: Learnt, as_json: bool) -> int:
    """Print how learning ended and return the exit code."""
    folder = printable(learnt.folder)
    matrix = learnt.matrix
    if as_json:
        document: dict[str, Any] = {"schema": 1, "run": folder, "signal": learnt.signal}
        if matrix is not None:
            document |= {
                "experiences": [printable(name) for name in matrix.names],
                "matrix": [[None if v != v else v for v in row] for row in matrix.values.tolist()],
                "classes": [printable(name) for name in learnt.network.classes],
                **matrix.summary(),
            }
        click.echo(json.dumps(document))
    elif learnt.signal is None and matrix is not None:
        click.echo(words_of(matrix))
        for hole in matrix.holes():
            click.echo(f"not measured: {printable(hole)}")
        click.echo(f"model: {folder}/model.safetensors")
        click.echo(
            f"next: standout lifelong predict PHOTO --model {folder}, or standout lifelong learn {folder} NEW_DIR"
        )
    if learnt.signal is not None:
        click.echo(f"standout: stopped; go on with standout lifelong run --output {folder} --resume", err=True)
        return 128 + learnt.signal
    return 0


def words_of(matrix: AccuracyMatrix) -> str:
    """Return the measures of an accuracy matrix that a reader asks for first.

    Where a folder is gone none of them can be had; then it is said what the last experience left of the others.
    """
    summary = matrix.summary()
    shown = {
        "accuracy at the end": "accuracy_gem",
        "forgetting": "forgetting",
        "accuracy over time": "accuracy_openloris",
    }
    found = [f"{words} {value:.4f}" for words, key in shown.items() if (value := summary[key]) is not None]
    last = {name: value for name, value in zip(matrix.names, matrix.values[-1], strict=True) if not math.isnan(value)}
    if not found and last:
        each = ", ".join(f"{printable(name)} {value:.4f}" for name, value in last.items())
        return f"accuracy at the end on what is there to be tested on: {each}"
    return ", ".join(found) or "nothing was tested"


def command_line() -> list[str]:
    """Return the command as it goes into the manifest."""
    import shlex

    return ["standout", *(shlex.quote(word) for word in sys.argv[1:])]
