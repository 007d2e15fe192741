"""`standout cut`: photos to cut-outs, overlays or maps."""

from __future__ import annotations

from typing import Any

import click

from standout.cli.pictures import picture_options, run_pictures


@click.command()
@picture_options
@click.option(
    "--as",
    "form",
    type=click.Choice(["cutout", "overlay", "map"]),
    default="cutout",
    show_default=True,
    help="RGBA cut-out, photo with the object marked, or grey map.",
)
def cut(inputs: tuple[str, ...], output: str, **settings: Any) -> int:
    """Cut the object out of photos, at their own size and orientation.

    One PHOTO goes to the FILE --output; more of them, or the tree of a DIR, go into the DIR --output, as PNG. Run it
    again to resume: what is done is skipped, and what changed is done again.

    \b
    standout cut photo.jpg --output cutout.png
    standout cut photos --output cutouts --model runs/mine
    standout cut - --output - < photo.jpg > cutout.png
    """  # noqa: D301 - the backspace is click's own mark
    return run_pictures(inputs, output, **settings)
