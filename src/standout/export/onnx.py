"""From a run or a model file to one ONNX file that needs nothing else: no other file, no torch, no custom operator."""

from __future__ import annotations

import contextlib
import copy
import hashlib
import importlib
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from standout.errors import EXIT_USAGE, StandoutError
from standout.export.proof import Proof, prove
from standout.files import atomic_write, sha256_of
from standout.metadata import KEY, metadata_text
from standout.models.graph import INPUT, LOGITS, MAP

if TYPE_CHECKING:
    from torch import nn

    from standout.networks.network import Network

OPSET = 18
"""Of the standard operators; read by every runtime since 2023."""

_MODEL = "model.safetensors"


class Exported(NamedTuple):
    """Where the file is, how many bytes it has, its sha256, and its proof."""

    path: Path
    bytes: int
    sha256: str
    proof: Proof


def export_onnx(
    source: str | Path, output: str | Path, *, sharpness: float | None = None, overwrite: bool = False
) -> Exported:
    """Write a trained network as one ONNX file, after proving that it computes what the network does.

    The graph takes `image` (N, 3, H, W), RGB in 0..1, of any N, H and W, and gives `map` (N, 1, H, W) in 0..1 with the
    sharpness applied, and `logits` without it. Equal input gives equal bytes.

    Parameters
    ----------
    source : a run's folder or a .safetensors model file.
    output : the file; its name ends in .onnx.
    sharpness : instead of the one stored with the model; 1 switches it off.

    Raises
    ------
    StandoutError : no such model, torch or onnx are not installed, the output exists while `overwrite` is false, the
        network cannot be written as ONNX, or the graph differs from the network; then no file is left.
    ValueError : sharpness is not above 0.
    """
    if sharpness is not None and not 0 < sharpness < 65537:
        raise ValueError(f"sharpness must be above 0 and at most 65536, not {sharpness}")
    weights = find_weights(source)
    check_output(Path(output), overwrite)
    _check_installed()
    from standout.weights import read_model

    network, metadata = read_model(weights)
    if sharpness is not None:
        metadata["sharpness"] = sharpness
    return export_network(network, metadata, output, model_sha256=sha256_of(weights), overwrite=overwrite)


def export_network(
    network: Network,
    metadata: Mapping[str, Any],
    output: str | Path,
    *,
    model_sha256: str = "",
    overwrite: bool = False,
) -> Exported:
    """Write a network as `export_onnx` does, from memory.

    Parameters
    ----------
    network : any; it is not changed.
    metadata : as `standout.weights.model_metadata` gives it; its `sharpness` goes into the graph.
    model_sha256 : of the model file that the network came from.

    Raises
    ------
    StandoutError : as `export_onnx`.
    """
    output = Path(output)
    check_output(output, overwrite)
    content = onnx_bytes(network, metadata, model_sha256=model_sha256)
    proof = prove(network, content, output)
    atomic_write(output, content, overwrite=overwrite)
    return Exported(output, len(content), hashlib.sha256(content).hexdigest(), proof)


def check_output(output: Path, overwrite: bool) -> None:
    """Refuse a file that cannot be an exported model's.

    Raises
    ------
    StandoutError : exit code 2; its name does not end in .onnx, or it exists while `overwrite` is false.
    """
    if output.suffix.lower() != ".onnx":
        what = "name of an exported model must end in .onnx"
        raise StandoutError("output-name", what, output, "change --output", exit_code=EXIT_USAGE)
    if not overwrite and output.exists():
        how = "pass --overwrite or another --output"
        raise StandoutError("file-exists", "file exists already", output, how, exit_code=EXIT_USAGE)


def find_weights(source: str | Path) -> Path:
    """Return the safetensors model file of a run, or the file itself.

    Raises
    ------
    StandoutError : exit code 2; there is none, or it is of another kind.
    """
    path = Path(source)
    found = path / _MODEL if path.is_dir() else path
    if not found.exists():
        what, how = "there is no such run or model file", "check the path"
        if (path / "recipe.toml").exists():
            what, how = "run has no model yet", "finish it with `standout train --resume`"
        elif path.is_dir():
            what = f"folder is no run: it holds no {_MODEL}"
        raise StandoutError("model-missing", what, path, how, exit_code=EXIT_USAGE)
    if found.suffix.lower() != ".safetensors":
        raise StandoutError(
            "model-kind",
            "only a run or a .safetensors model can be exported",
            path,
            "check the path",
            exit_code=EXIT_USAGE,
        )
    return found


def onnx_bytes(network: Network, metadata: Mapping[str, Any], *, model_sha256: str = "") -> bytes:
    """Return the bytes of the ONNX file of a network; not yet proven.

    Parameters
    ----------
    network : any; it is not changed.
    metadata : as `standout.weights.model_metadata` gives it; its `sharpness` goes into the graph.
    model_sha256 : of the model file that the network came from.

    Raises
    ------
    StandoutError : the network does something that ONNX's standard operators cannot.
    """
    _check_installed()
    from torch import Tensor, nn

    class Graph(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
            logits = self.network(image).logits
            return (logits * float(metadata["sharpness"])).sigmoid(), logits

    name = network.name or type(network).__name__
    return graph_bytes(Graph(), [MAP, LOGITS], metadata, name=name, model_sha256=model_sha256)


def graph_bytes(
    module: nn.Module,
    outputs: Sequence[str],
    metadata: Mapping[str, Any],
    *,
    name: str,
    model_sha256: str = "",
    side: int | None = None,
) -> bytes:
    """Return the bytes of the ONNX file of any module that takes `image` (N, 3, H, W), RGB in 0..1; not yet proven.

    Parameters
    ----------
    module : it is not changed.
    outputs : names of the tensors that it gives, in order.
    metadata : goes into the file.
    name : of the module, for messages.
    side : H and W, where the module takes no other; by default any.

    Raises
    ------
    StandoutError : the module does something that ONNX's standard operators cannot.
    """
    _check_installed()
    import onnx
    import torch

    sizes = {0: torch.export.Dim("batch", min=1)}
    # Sides that no stride divides, and two pictures: nothing about the example may become a constant of the graph.
    rows, columns = 75, 107
    if side is None:
        sizes |= {2: torch.export.Dim("height", min=1), 3: torch.export.Dim("width", min=1)}
    else:
        rows = columns = side
    example = torch.rand(2, 3, rows, columns, generator=torch.Generator().manual_seed(0))
    exported = copy.deepcopy(module).cpu().float().eval()
    try:
        with _quiet():
            program = torch.onnx.export(
                exported, (example,), dynamo=True, dynamic_shapes={"image": sizes}, input_names=[INPUT],
                output_names=list(outputs), opset_version=OPSET, external_data=False, verbose=False,
            )  # fmt: skip
            model = program.model_proto if program is not None else None
    except Exception as error:  # the exporter's kinds of error are many and no public names
        why = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise _not_written(name, f"network cannot be written as ONNX ({why[:200]})") from error
    if model is None:
        raise _not_written(name, "the exporter gave no graph")
    _strip(model)
    facts = {
        "opset": OPSET,
        "inputs": [INPUT],
        "outputs": list(outputs),
        "scaling": "RGB in 0..1",
        "model_sha256": model_sha256,
    }
    entry = model.metadata_props.add()
    entry.key, entry.value = KEY, metadata_text({**metadata, "graph": facts})
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString(deterministic=True))


def _not_written(name: str, why: str) -> StandoutError:
    return StandoutError(
        "export-failed",
        why,
        name,
        "a network with fixed shapes or untraceable branches has no graph; report it if this network is standout's own",
    )


def _strip(model: Any) -> None:
    """Remove what the exporter notes about the machine and the source code: paths, stack traces, symbol names."""
    import standout

    model.producer_name, model.producer_version, model.doc_string = "standout", standout.__version__, ""
    graph = model.graph
    graph.name, graph.doc_string = "standout", ""
    for part in (model, graph, *graph.node, *graph.input, *graph.output, *graph.initializer):
        for field in ("metadata_props", "doc_string"):
            with contextlib.suppress(ValueError):  # not every message has both
                part.ClearField(field)
    graph.ClearField("value_info")


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporter's own warnings from the user; what matters is raised or found by the proof."""
    logger = logging.getLogger("torch.onnx")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(before)


def _check_installed() -> None:
    try:
        for module in ("torch", "onnx", "onnxscript"):
            importlib.import_module(module)
    except ImportError as error:
        raise StandoutError(
            "export-missing", f"export needs {error.name}", "", "install standout[train,export]", exit_code=EXIT_USAGE
        ) from error
