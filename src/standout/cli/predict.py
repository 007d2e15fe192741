"""`standout predict`: pictures to grey maps, as `standout eval` reads them."""

from __future__ import annotations

from typing import Any

import click

from standout.cli.pictures import picture_options, run_pictures


@click.command()
@picture_options
def predict(inputs: tuple[str, ...], output: str, **settings: Any) -> int:
    """Turn pictures into maps: 8-bit grey PNG at the picture's own size, white where the object is.

    One PHOTO goes to the FILE --output; more of them, or the tree of a DIR, go into the DIR --output. Run it again to
    resume: what is done is skipped, and what changed is done again.

    \b
    standout predict ECSSD/images --model runs/mine --output maps
    standout eval maps ECSSD/masks
    """  # noqa: D301 - the backspace is click's own mark
    return run_pictures(inputs, output, "map", **settings)
