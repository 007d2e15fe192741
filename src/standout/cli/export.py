"""`standout export`: a run or a model file to one ONNX file."""

from __future__ import annotations

import json

import click

from standout.errors import printable


@click.command()
@click.argument("source", metavar="RUN|FILE")
@click.option("--output", "-o", metavar="FILE", required=True, help="The file to write; its name ends in .onnx.")
@click.option(
    "--sharpness",
    type=click.FloatRange(0, 65536, min_open=True),
    help="Factor on the logits inside the graph; 1 switches it off.  [default: the model's own]",
)
@click.option("--overwrite", is_flag=True, help="Replace an existing file.")
@click.option("--dry-run", is_flag=True, help="Say what would be written, and write nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def export(source: str, output: str, sharpness: float | None, overwrite: bool, dry_run: bool, as_json: bool) -> None:
    """Write a trained network as one ONNX file that runs without torch.

    The graph takes pictures of any number and size. Before the file gets its name, sixteen pictures of three sizes
    must give the same maps as the network, within 1e-4.
    """
    from standout.export.onnx import OPSET, check_output, export_onnx, find_weights

    if dry_run:
        from pathlib import Path

        from standout.cli.preview import tell_plan
        from standout.models.inspect import inspect_model

        model = inspect_model(find_weights(source))
        check_output(Path(output), overwrite)
        tell_plan(model.lines(), [output], as_json, model=model.document())
        return
    exported = export_onnx(source, output, sharpness=sharpness, overwrite=overwrite)
    proof = exported.proof
    if as_json:
        document = {
            "schema": 1,
            "output": printable(exported.path),
            "bytes": exported.bytes,
            "sha256": exported.sha256,
            "opset": OPSET,
            "proof": proof._asdict(),
        }
        click.echo(json.dumps(document))
        return
    sizes = ", ".join(f"{columns} x {rows}" for rows, columns in proof.sizes)
    click.echo(f"{printable(exported.path)}: {exported.bytes / 2**20:.1f} MiB, opset {OPSET}")
    click.echo(
        f"same as the network on {proof.pictures} pictures at {sizes}: "
        f"largest difference {proof.difference:.1e}, overlap {proof.iou:.4f}"
    )
