"""`standout lifelong export`: a run to one ONNX file."""

from __future__ import annotations

import json

import click

from standout.errors import printable


@click.command()
@click.argument("source", metavar="RUN|FILE")
@click.option("--output", "-o", metavar="FILE", required=True, help="The file to write; its name ends in .onnx.")
@click.option("--overwrite", is_flag=True, help="Replace an existing file.")
@click.option("--dry-run", is_flag=True, help="Say what would be written, and write nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def export(source: str, output: str, overwrite: bool, dry_run: bool, as_json: bool) -> None:
    """Write a recogniser as one ONNX file that `standout lifelong predict` runs without torch.

    It gives scores, and the map of where it looked. Before the file gets its name, sixteen pictures of three sizes must
    have the same probabilities as in the recogniser, within 1e-4, and the same maps, within 1e-3.
    """
    if dry_run:
        from pathlib import Path

        from standout.cli.preview import tell_plan
        from standout.export.onnx import check_output, find_weights
        from standout.models.inspect import inspect_model

        model = inspect_model(find_weights(source))
        check_output(Path(output), overwrite)
        tell_plan(model.lines(), [output], as_json, model=model.document())
        return
    from standout.lifelong.export import export_recogniser

    exported = export_recogniser(source, output, overwrite=overwrite)
    if as_json:
        document = {"schema": 1, **exported._asdict(), "proof": exported.proof._asdict()}
        click.echo(json.dumps({**document, "path": printable(exported.path)}))
        return
    proof = exported.proof
    sizes = ", ".join(f"{columns} x {rows}" for rows, columns in proof.sizes)
    maps = "" if proof.map is None else f", of a map {proof.map:.1e}"
    click.echo(f"{printable(exported.path)}: {exported.bytes / 2**20:.1f} MiB")
    click.echo(
        f"same as the recogniser on {proof.pictures} pictures at {sizes}: "
        f"largest difference of a probability {proof.probability:.1e}{maps}"
    )
