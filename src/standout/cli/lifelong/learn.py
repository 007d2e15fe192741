"""`standout lifelong learn`: a saved learner meets new folders."""

from __future__ import annotations

from typing import Any

import click

from standout.cli.lifelong.shared import command_line, ended, tell_experiences


@click.command()
@click.argument("run")
@click.argument("folders", metavar="NEW_DIR...", nargs=-1, required=True)
@click.option("--epochs", type=int, help="Passes over each new folder.  [default: as before]")
@click.option("--rate", type=float, help="Learning rate.  [default: as before]")
@click.option("--allow-overlap", is_flag=True, default=None, help="Learn although pictures tested on are learnt too.")
@click.option("--device", metavar="NAME", help="cpu, cuda, …")
@click.option("--dry-run", is_flag=True, help="Say what would be met, and write nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print the outcome as one JSON document.")
def learn(run: str, folders: tuple[str, ...], dry_run: bool, as_json: bool, **values: Any) -> int:
    """Let the learner of RUN meet the pictures in NEW_DIR, laid out CLASS/pictures; classes may be new.

    It goes on by its own method: what it knew teaches it, and the classifier grows by a row for each new class. Where
    an earlier call was interrupted, the same command goes on.

    \b
    standout lifelong learn runs/mine photos/march
    """  # noqa: D301 - the backspace is click's own mark
    places = {"epochs": "training.epochs", "rate": "optimiser.rate", "device": "training.device",
              "allow_overlap": "stream.allow_overlap"}  # fmt: skip
    settings = [(place, values[name]) for name, place in places.items() if values[name] is not None]
    if dry_run:
        from standout.lifelong.learner import plan_more
        from standout.models.inspect import inspect_model

        recipe, stream, met = plan_more(run, folders, settings=settings)
        # From the model: the folders of what is learnt already may be gone.
        known = inspect_model(run).metadata["classes"] if met else []
        tell_experiences(recipe, stream.experiences, stream.notes, as_json, met=met, classes=known)
        return 0

    from standout.train.allocator import keep_freed_memory

    keep_freed_memory()  # before torch starts its threads

    from standout.lifelong.learner import learn_more
    from standout.train.show import chosen_display

    with chosen_display() as shown:
        learnt = learn_more(
            run, folders, settings=settings, command=command_line(), shown=shown,
            warn=lambda line: shown.line(f"standout: warning: {line}"),
        )  # fmt: skip
    return ended(learnt, as_json)
