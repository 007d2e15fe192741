"""What the network behind a method costs, for the same table as its scores: measured in a process of its own."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from standout.errors import EXIT_USAGE, StandoutError, printable
from standout.models.graph import INPUT, read_graph
from standout.models.lookup import find_model

COST_HEADINGS = ("params (M)", "MACs (G)", "ms", "MB")
PROBE = "standout.evaluate.cost_probe"
SECONDS = 600


class Cost(NamedTuple):
    """What one picture of the network's own size costs on the processor, with one thread.

    parameters : those of the network; of an ONNX file, in which batch norms are part of convolutions, the weights
        that it stores.
    multiply_adds : of convolutions and linear layers.
    milliseconds : median, from decoded pixels to the map.
    megabytes : the most memory that a fresh process held which did nothing else, its interpreter and runtime
        included, in 10^6 bytes; None where the system does not say.
    size : the side of the picture.
    runtime : "onnxruntime" or "torch".
    """

    parameters: int
    multiply_adds: int
    milliseconds: float
    megabytes: float | None
    size: int
    runtime: str

    @property
    def cells(self) -> list[str]:
        """The cost as text under `COST_HEADINGS`, to three digits."""
        values = (self.parameters / 1e6, self.multiply_adds / 1e9, self.milliseconds, self.megabytes)
        return ["-" if value is None else _three(value) for value in values]

    @property
    def told(self) -> str:
        """What the figures mean, for below a table."""
        side = f"{self.size} x {self.size}"
        return f"ms and MB of one {side} picture under {self.runtime}, one thread, MB of the whole process"


def _three(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def model_costs(models: Iterable[tuple[str, str | Path]], methods: Sequence[str]) -> dict[str, Cost]:
    """Return the cost of each method's model by the method's name.

    Raises
    ------
    StandoutError : exit code 2, a name that no method has or that is given twice, or no such model; exit code 1, a
        model that cannot be run.
    """
    found: dict[str, Path] = {}
    for name, source in models:
        if name not in methods or name in found:
            what = "two models for one method" if name in found else "a model for no method of the comparison"
            raise StandoutError("usage", what, name, f"methods are {', '.join(methods)}", exit_code=EXIT_USAGE)
        found[name] = find_model(source)
    return {name: model_cost(path) for name, path in found.items()}


def model_cost(source: str | Path) -> Cost:
    """Return what a run's or file's network costs; time and memory are those of a fresh process.

    Raises
    ------
    StandoutError : no such model, or one that cannot be run.
    """
    path = find_model(source)
    measured = _probed(path)
    size = int(measured["size"])
    if path.suffix.lower() == ".onnx":
        graph = read_graph(path)
        image = np.zeros((1, 3, size, size), np.float32)
        parameters, runtime = graph.parameters, "onnxruntime"
        multiply_adds = graph_multiply_adds(graph.content, {INPUT: image})
    else:
        from standout.networks.costs import cost
        from standout.weights import read_model

        parameters, multiply_adds = cost(read_model(path)[0], size)
        runtime = "torch"
    return Cost(parameters, multiply_adds, measured["milliseconds"], measured["megabytes"], size, runtime)


def costs_told(costs: Mapping[str, Cost]) -> list[str]:
    """Return what the columns of costs mean, one sentence a line, with the methods where they differ."""
    told: dict[str, list[str]] = {}
    for method, cost in costs.items():
        told.setdefault(cost.told, []).append(printable(method))
    return [words if len(told) == 1 else f"{', '.join(those)}: {words}" for words, those in told.items()]


def _probed(path: Path) -> dict[str, Any]:
    """Run the probe; another process, so that nothing else is in its memory."""
    try:
        done = subprocess.run(  # noqa: S603 - our own module, and a path that is passed as one argument
            [sys.executable, "-m", PROBE, str(path)], capture_output=True, text=True, check=False, timeout=SECONDS
        )
    except subprocess.TimeoutExpired as error:
        raise StandoutError(
            "model-slow", f"model took over {SECONDS} s for a few pictures", path, "leave its --model out"
        ) from error
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["its process ended"]
        raise StandoutError("model-cost", f"model could not be timed ({lines[-1][:300]})", path, "try standout predict")
    measured: dict[str, Any] = json.loads(done.stdout)
    return measured


def graph_multiply_adds(content: bytes, inputs: Mapping[str, NDArray[Any]]) -> int:
    """Return the multiply-adds of an ONNX graph, counted on the shapes of one run on these inputs.

    Convolutions and matrix products, as `standout.networks.cost` counts them.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.enable_profiling = True
    options.log_severity_level = 4
    # As stored: fused operators would hide their shapes.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    with tempfile.TemporaryDirectory(prefix="standout-") as folder:
        options.profile_file_prefix = str(Path(folder) / "shapes")
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        session.run(None, dict(inputs))
        events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    nodes = (event["args"] for event in events if event["name"].endswith("_kernel_time"))
    return sum(map(_node_multiply_adds, nodes))


def _node_multiply_adds(node: Mapping[str, Any]) -> int:
    given: list[list[int]]
    made: list[list[int]]
    given, made = ([next(iter(shape.values())) for shape in node[f"{side}_type_shape"]] for side in ("input", "output"))
    operator = node["op_name"]
    if operator in ("Conv", "ConvInteger"):
        return math.prod(made[0]) * math.prod(given[1][1:])
    if operator == "QLinearConv":
        return math.prod(made[0]) * math.prod(given[3][1:])
    if operator == "ConvTranspose":  # every input value meets one kernel per output
        return math.prod(given[0]) * math.prod(given[1][1:])
    if operator in ("MatMul", "MatMulInteger", "QLinearMatMul"):
        return math.prod(made[0]) * given[0][-1]
    if operator == "Gemm":
        return math.prod(given[0]) * made[0][-1]
    return 0
