"""`standout lifelong predict`: what is in a picture, how surely, and where the recogniser looked."""

from __future__ import annotations

import json
from typing import Any

import click

from standout.errors import EXIT_FAILED, EXIT_USAGE, StandoutError, printable


@click.command()
@click.argument("inputs", metavar="PHOTO|DIR...", nargs=-1, required=True)
@click.option("--model", "-m", metavar="RUN|FILE", required=True, help="A run, its .safetensors, or an .onnx file.")
@click.option("--output", "-o", metavar="DIR", help="Folder for pictures that show where the recogniser looked.")
@click.option("--top", type=click.IntRange(1), default=3, show_default=True, help="Classes that are told.")
@click.option("--overwrite", is_flag=True, help="Replace pictures that are there.")
@click.option("--dry-run", is_flag=True, help="Say what would be written, and write nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def predict(
    inputs: tuple[str, ...], model: str, output: str | None, top: int, overwrite: bool, dry_run: bool, as_json: bool
) -> int:
    """Say what is in each PHOTO, or in all pictures of a DIR: the class, its probability, and the next likely ones.

    With --output, each picture is written there with what the recogniser looked at tinted and all else dimmed.

    \b
    standout lifelong predict new.jpg --model runs/mine --output seen
    """  # noqa: D301 - the backspace is click's own mark
    from standout.cutout.plan import make_plan

    # The plan refuses what is missing, and results that would have one name.
    plan = make_plan(inputs, output or "no-output/", keep_extension=output is None)
    if output is not None and not overwrite:
        for item in plan.items:
            if item.output.exists():
                raise StandoutError(
                    "file-exists", "file exists already", item.output, "pass --overwrite or another --output",
                    exit_code=EXIT_USAGE,
                )  # fmt: skip
    if dry_run:
        from standout.cli.preview import tell_plan

        lines = [f"{len(plan.items)} pictures to recognise"]
        tell_plan(lines, [item.output for item in plan.items if output is not None], as_json, pictures=len(plan.items))
        return 0
    from standout.cutout.compose import overlay
    from standout.images import read_image, write_image
    from standout.lifelong.deployed import ObjectRecogniser

    recogniser = ObjectRecogniser(model)
    answers: list[dict[str, Any]] = []
    failed = 0
    for item in plan.items:
        name = printable(item.source)
        try:
            picture = read_image(item.source)
            answer = recogniser.answer_for(picture)
            if output is not None and answer.map is not None:
                write_image(item.output, overlay(picture, answer.map), overwrite=overwrite)
        except StandoutError as error:
            failed += 1
            answers.append({"input": name, "error": {"code": error.code, "message": str(error)}})
            click.echo(f"standout: error: {error}", err=True)
            continue
        told = list(answer.probabilities.items())[:top]
        answers.append({"input": name, "label": printable(answer.label), "confidence": answer.confidence,
                        "probabilities": {printable(label): chance for label, chance in told}})  # fmt: skip
        if not as_json:
            others = ", ".join(f"{printable(label)} {chance:.3f}" for label, chance in told[1:])
            tail = f"   ({others})" if others else ""
            click.echo(f"{name}: {printable(answer.label)} {answer.confidence:.3f}{tail}")
    if output is not None and not recogniser.looks:
        click.echo("standout: note: this recogniser has no map, so no picture was written", err=True)
    if as_json:
        click.echo(json.dumps({"schema": 1, "answers": answers, "failed": failed}))
    return EXIT_FAILED if failed else 0
