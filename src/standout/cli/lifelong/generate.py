"""`standout lifelong generate`: a stream like OpenLORIS-Object, of generated objects or of one's own cut-outs."""

from __future__ import annotations

import click

from standout.errors import printable


@click.command()
@click.argument("output", metavar="DIR")
@click.option(
    "--cutouts", metavar="DIR", help="Cut-outs with transparency, CLASS/cutouts, instead of generated objects."
)
@click.option("--objects", type=click.IntRange(2, 1000), default=10, show_default=True, help="Generated objects.")
@click.option("--training", type=click.IntRange(1), default=20, show_default=True, help="Pictures an object and level.")
@click.option("--test", type=click.IntRange(1), default=10, show_default=True, help="The same, to be tested on.")
@click.option("--size", type=click.IntRange(32, 2048), default=128, show_default=True, help="Side in pixels.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of everything random.")
@click.option("--dry-run", is_flag=True, help="Say what would be written, and write nothing.")
def generate(
    output: str, cutouts: str | None, objects: int, training: int, test: int, size: int, seed: int, dry_run: bool
) -> None:
    """Write twelve experiences into DIR: light, occlusion, size in pixels and clutter at three levels each.

    \b
    standout cut photos/ --model runs/mine --output cutouts
    standout lifelong generate stream --cutouts cutouts
    standout lifelong run stream --method sdkd
    """  # noqa: D301 - the backspace is click's own mark
    from standout.lifelong.generated import write_generated_stream

    names = write_generated_stream(
        output, objects=objects, training=training, test=test, seed=seed, side=size, cutouts=cutouts, dry_run=dry_run
    )
    count = 12 * len(names)
    click.echo(
        f"12 experiences of {len(names)} objects, {count * training} pictures to learn from, {count * test} to test"
    )
    click.echo(f"{'would write' if dry_run else 'next: standout lifelong run'} {printable(output)}")
