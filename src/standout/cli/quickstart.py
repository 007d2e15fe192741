"""`standout quickstart`: the whole path, for somebody who has no data."""

from __future__ import annotations

import json

import click


@click.command()
@click.option("--output", type=click.Path(file_okay=False), default="quickstart", show_default=True, metavar="DIR",
              help="Folder for everything that is made.")  # fmt: skip
@click.option("--pictures", type=click.IntRange(min=32), default=480, show_default=True, help="Scenes to train on.")
@click.option("--epochs", type=click.IntRange(min=1), help="Passes over them.  [default: the recipe's]")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of everything random.")
@click.option("--dry-run", is_flag=True, help="Say what would be written, and write nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def quickstart(output: str, pictures: int, epochs: int | None, seed: int, dry_run: bool, as_json: bool) -> int:
    """Try the whole path on generated pictures, in minutes.

    Generates scenes in which an object stands out or hides, trains a plain and a distilled network on them, scores
    both, and writes maps, cut-outs and one picture grid. Run again, it goes on where it was stopped.
    """
    if dry_run:
        from standout.cli.preview import tell_plan
        from standout.train.quickstart import TEST_PICTURES, planned

        lines = [f"{pictures} + {TEST_PICTURES} scenes to generate, two networks to train and score"]
        write = planned(output, pictures=pictures)
        tell_plan(lines, write, as_json, pictures=pictures, test_pictures=TEST_PICTURES)
        return 0

    from standout.train.allocator import keep_freed_memory

    keep_freed_memory()  # before torch starts its threads

    from standout.evaluate import document, render
    from standout.train.quickstart import quickstart as run
    from standout.train.show import chosen_display

    made = run(
        output, pictures=pictures, epochs=epochs, seed=seed, display=chosen_display,
        say=lambda line: click.echo(line, err=True),
    )  # fmt: skip
    if made.signal is not None:
        click.echo(f"standout: stopped; go on with standout quickstart --output {output}", err=True)
        return 128 + made.signal
    if as_json:
        click.echo(
            json.dumps({"schema": 1, "folder": str(made.folder), **document(made.scored, "standout quickstart")})
        )
        return 0
    click.echo(render(made.scored, "table"))
    folder = made.folder
    click.echo(f"""\
picture grid    {folder / "grid.png"}
maps, cut-outs  {folder / "maps"}, {folder / "cutouts"}
scenes, runs    {folder / "scenes"}, {folder / "plain"}, {folder / "distilled"}

next, on your own pictures:
  standout cut PHOTO --model {folder / "distilled"} --output cutout.png
  standout train DATA --strategy non_negative_feedback --backbone-weights FILE --output runs/mine
  standout eval runs/mine TEST_DATA
  standout export runs/mine --output mine.onnx""")
    return 0
