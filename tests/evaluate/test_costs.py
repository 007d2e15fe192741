"""What a method's model costs, beside its scores."""

import csv
import io
import json
import shutil
import sys

import numpy as np
import onnx
import pytest
from eval_sets import make_methods, sources, standout_eval
from onnx import TensorProto, helper

from standout.errors import StandoutError
from standout.evaluate import Rules, compare, model_cost, model_costs, render_comparison, report_page
from standout.evaluate.costs import COST_HEADINGS, graph_multiply_adds
from standout.models import read_graph
from standout.models.protobuf import Reader
from standout.networks.costs import cost
from tiny_model import SIZE, onnx_model, tiny_network, torch_model

KEYS = ("mae", "s")


@pytest.fixture(scope="module")
def costs():
    return model_costs([("a", onnx_model()), ("b", torch_model())], ["a", "b", "c"])


@pytest.fixture(scope="module")
def comparison(tmp_path_factory, costs):
    folder = make_methods(tmp_path_factory.mktemp("costs"), {"a": 0.1, "b": 0.2, "c": 0.3})
    maps, masks = sources(folder)
    made = compare([*maps, ("a", folder / "b")], masks, rules=Rules(weighted=False))
    return made._replace(costs=costs)


def test_both_kinds_of_file_cost_what_the_network_costs(costs):
    expected = cost(tiny_network(), SIZE)
    assert costs["b"].parameters == expected.parameters
    assert costs["a"].multiply_adds == costs["b"].multiply_adds == expected.multiply_adds
    stored = [tensor for tensor in onnx.load(onnx_model()).graph.initializer if tensor.data_type == TensorProto.FLOAT]
    assert costs["a"].parameters == sum(int(np.prod(tensor.dims)) for tensor in stored if tensor.dims)
    assert (costs["a"].runtime, costs["b"].runtime) == ("onnxruntime", "torch")
    assert costs["a"].size == costs["b"].size == SIZE
    assert 0 < costs["a"].milliseconds < 1000
    assert 0 < costs["b"].milliseconds < 10_000


@pytest.mark.skipif(sys.platform != "linux", reason="measured through /proc")
def test_memory_is_that_of_a_process_that_runs_nothing_but_the_model(costs):
    held = np.ones(400 * 2**20, np.uint8)
    again = model_cost(onnx_model())
    assert held.all()
    assert 20 < again.megabytes < 300
    assert again.megabytes == pytest.approx(costs["a"].megabytes, rel=0.1)
    assert costs["b"].megabytes > costs["a"].megabytes  # torch itself


@pytest.mark.parametrize(
    ("operator", "shapes", "options", "expected"),
    [
        ("Conv", [(2, 4, 9, 8), (6, 4, 3, 3)], {}, 2 * 6 * 7 * 6 * 4 * 9),
        ("Conv", [(1, 4, 9, 8), (8, 2, 1, 1)], {"group": 2}, 8 * 9 * 8 * 2),
        ("ConvTranspose", [(1, 4, 5, 6), (4, 3, 2, 2)], {"strides": [2, 2]}, 4 * 5 * 6 * 3 * 4),
        ("MatMul", [(2, 3, 5), (2, 5, 7)], {}, 2 * 3 * 5 * 7),
        ("Gemm", [(5, 3), (7, 5)], {"transA": 1, "transB": 1}, 3 * 5 * 7),
        ("Add", [(5, 3), (5, 3)], {}, 0),
    ],
)
def test_multiply_adds_of_every_operator(operator, shapes, options, expected):
    inputs = [helper.make_tensor_value_info(f"x{at}", TensorProto.FLOAT, shape) for at, shape in enumerate(shapes)]
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    node = helper.make_node(operator, [one.name for one in inputs], ["y"], **options)
    made = helper.make_model(helper.make_graph([node], "g", inputs, [output]),
                             opset_imports=[helper.make_opsetid("", 18)], ir_version=10)  # fmt: skip
    values = {f"x{at}": np.zeros(shape, np.float32) for at, shape in enumerate(shapes)}
    assert graph_multiply_adds(made.SerializeToString(), values) == expected


def test_repeated_numbers_are_read_one_by_one_and_packed():
    for content in (b"\x08\x03\x08\xac\x02", b"\x0a\x03\x03\xac\x02"):
        reader = Reader(content)
        assert reader.numbers(reader.fields(0, len(content))) == [3, 300]


def test_costs_stand_in_every_table_once_a_method(comparison, costs):
    for format_ in ("table", "markdown", "latex"):
        text = render_comparison(comparison, format_, keys=KEYS)
        assert all(heading in text for heading in COST_HEADINGS)
        assert text.count(costs["b"].cells[3]) == (1 if format_ == "latex" else len(comparison.sets))
    rows = list(csv.reader(io.StringIO(render_comparison(comparison, "csv", keys=KEYS))))
    assert {len(row) for row in rows} == {len(rows[0])}
    at = rows[0].index("milliseconds")
    assert {row[at] for row in rows if row[1] == "a" and row[2] != "deviation"} == {repr(costs["a"].milliseconds)}
    assert {row[at] for row in rows if row[1] == "c"} == {""}
    stored = json.loads(render_comparison(comparison, "json", keys=KEYS))["costs"]
    assert stored == [{"method": name, **one._asdict()} for name, one in costs.items()]
    lines = render_comparison(comparison, keys=KEYS).splitlines()
    assert len({len(line) for line in lines[:4]}) == 1
    assert f"a: {costs['a'].told}" in lines
    page = report_page(comparison, KEYS)
    assert f'<td data-value="{costs["a"].parameters}">' in page
    assert page.count('<td data-value="">-</td>') == 4 * len(comparison.sets)


def test_without_models_there_are_no_columns(comparison):
    text = render_comparison(comparison._replace(costs={}), keys=KEYS)
    assert "MACs" not in text
    assert "params" not in text


def test_models_of_no_method_and_broken_models_are_told(tmp_path):
    with pytest.raises(StandoutError, match="no method of the comparison: x; methods are a, b") as caught:
        model_costs([("x", onnx_model())], ["a", "b"])
    assert caught.value.exit_code == 2
    with pytest.raises(StandoutError, match="two models for one method"):
        model_costs([("a", onnx_model()), ("a", torch_model())], ["a", "b"])
    broken = tmp_path / "m.onnx"
    broken.write_bytes(onnx_model().read_bytes()[:500])
    with pytest.raises(StandoutError, match=r"m\.onnx") as caught:
        model_cost(broken)
    assert caught.value.exit_code == 1
    assert read_graph(onnx_model()).parameters > 0


def test_the_command_adds_the_costs_and_checks_names_before_scoring(tmp_path):
    make_methods(tmp_path, {"a": 0.1}, {"S": 2})
    model = shutil.copy(onnx_model(), tmp_path / "m.onnx")
    given = ["--maps", f"a={tmp_path / 'a'}", "--masks", f"S={tmp_path / 'masks' / 'S'}", "--no-weighted"]
    done = standout_eval(*given, "--model", f"a={model}")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0].split()[-6:] == ["params", "(M)", "MACs", "(G)", "ms", "MB"]
    shutil.rmtree(tmp_path / "a")
    refused = standout_eval(*given, "--model", f"b={model}")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "a model for no method" in refused.stderr
