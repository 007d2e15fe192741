"""ONNX files from outside: checked from their bytes (promises X2, X3, X5, C3)."""

import json
import os
import random
import time

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from standout import Segmenter
from standout.errors import StandoutError
from standout.metadata import parse_metadata
from standout.models import read_graph
from standout.models.protobuf import MOST_FIELDS
from tiny_model import onnx_model

FLOAT = TensorProto.FLOAT


def outside(location, name="w"):
    """Return a tensor whose values lie in another file."""
    tensor = TensorProto(name=name, data_type=FLOAT, dims=[1], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value=location)
    return tensor


def model(nodes=(), initializers=(), metadata=None):
    """Return a small valid model of ours that copies one channel, with more parts."""
    image = helper.make_tensor_value_info("image", FLOAT, ["n", 3, "h", "w"])
    result = helper.make_tensor_value_info("map", FLOAT, ["n", 1, "h", "w"])
    mean = helper.make_node("ReduceMean", ["image", "axes"], ["map"], keepdims=1)
    axes = numpy_helper.from_array(np.array([1]), "axes")
    graph = helper.make_graph([mean, *nodes], "g", [image], [result], [axes, *initializers])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    if metadata is None:
        metadata = onnx.load(onnx_model()).metadata_props[0].value
    made.metadata_props.add(key="standout", value=metadata)
    return made


def save(path, made):
    path.write_bytes(made.SerializeToString())
    return path


def test_a_whole_model_of_ours_is_read_and_runs(tmp_path):
    path = save(tmp_path / "m.onnx", model())

    found = Segmenter(path).predict(np.full((5, 6, 3), 51, np.uint8))

    assert np.allclose(found, 0.2)


LOCATIONS = ["../w.bin", "a/../../w.bin", "{folder}/w.bin", "link.bin", "hard.bin", "w.bin", ""]


@pytest.mark.parametrize("location", LOCATIONS)
def test_x02_weights_in_another_file_are_refused(tmp_path, location):
    folder = tmp_path / "model"
    (folder / "a").mkdir(parents=True)
    for place in (tmp_path, folder):
        (place / "w.bin").write_bytes(np.ones(1, np.float32).tobytes())
    (folder / "link.bin").symlink_to(tmp_path / "w.bin")
    os.link(tmp_path / "w.bin", folder / "hard.bin")
    tensor = outside(location.format(folder=tmp_path))
    path = save(folder / "m.onnx", model(initializers=[tensor]))

    with pytest.raises(StandoutError, match="weights in another file") as caught:
        Segmenter(path)

    assert caught.value.code == "model-external"


def test_x02_weights_in_another_file_are_found_wherever_a_tensor_may_stand():
    inner = helper.make_graph([helper.make_node("Constant", [], ["c"], value=outside("w.bin"))], "inner", [], [])
    deep = helper.make_graph(
        [helper.make_node("If", ["x"], ["y"], then_branch=inner, else_branch=inner)], "deep", [], []
    )
    sparse = onnx.SparseTensorProto(values=outside("w.bin"), dims=[1])
    places = [
        model(nodes=[helper.make_node("Constant", [], ["c"], value=outside("w.bin"))]),
        model(nodes=[helper.make_node("Loop", ["x"], ["y"], body=deep)]),
        model(nodes=[helper.make_node("Constant", [], ["c"], sparse_value=sparse)]),
        model(),
        model(),
    ]
    places[3].graph.sparse_initializer.append(sparse)
    places[4].training_info.add().algorithm.initializer.append(outside("w.bin"))

    for made in places:
        with pytest.raises(StandoutError, match="weights in another file"):
            check(made)


def check(made):
    from standout.models.graph import check_graph

    return check_graph(made.SerializeToString(), "m.onnx")


def test_x02_the_mark_alone_or_the_place_alone_is_enough():
    marked = TensorProto(name="w", data_type=FLOAT, dims=[1], data_location=TensorProto.EXTERNAL)
    placed = numpy_helper.from_array(np.ones(1, np.float32), "w")
    placed.external_data.add(key="location", value="w.bin")

    for tensor in (marked, placed):
        with pytest.raises(StandoutError, match="weights in another file"):
            check(model(initializers=[tensor]))


def test_x05_operators_that_are_not_standard_are_refused_by_name():
    foreign = model(nodes=[helper.make_node("Evil", ["image"], ["e"], domain="com.example")])
    declared = model()
    declared.opset_import.append(helper.make_opsetid("ai.onnx.ml", 3))
    function = model()
    function.functions.append(
        helper.make_function(
            "", "F", ["a"], ["b"], [helper.make_node("Relu", ["a"], ["b"])], [helper.make_opsetid("", 18)]
        )
    )

    for made, name in ((foreign, "'com.example' 'Evil'"), (declared, "'ai.onnx.ml'"), (function, "function")):
        with pytest.raises(StandoutError, match=name) as caught:
            check(made)
        assert caught.value.code == "model-operator"


def test_c03_a_newer_format_says_which_release_reads_it():
    metadata = json.loads(onnx.load(onnx_model()).metadata_props[0].value)

    with pytest.raises(StandoutError, match=r"format 2.*9\.1"):
        check(model(metadata=json.dumps({**metadata, "format": 2, "release": "9.1"})))


def test_a_model_that_is_not_ours_is_refused():
    bare = model()
    del bare.metadata_props[:]
    twice = model()
    twice.metadata_props.add(key="standout", value="{}")
    renamed = model()
    renamed.graph.input[0].name = "x"

    for made, words in ((bare, "no standout metadata"), (twice, "twice"), (renamed, "one input image")):
        with pytest.raises(StandoutError, match=words):
            check(made)


def test_an_exported_model_passes_and_shows_its_facts():
    graph = read_graph(onnx_model())

    assert graph.opset == 18
    assert graph.inputs == ("image",)
    assert graph.outputs == ("map", "logits")
    properties = {p.key: p.value for p in onnx.load(onnx_model()).metadata_props}
    assert graph.metadata == parse_metadata(properties, "m")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0",
        b"not a model at all",
        b"\x08",
        b"\x0b\x0c",
        b"\x3a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
        b"\xff" * 40,
        b"ORTM" * 8,
    ],
)
def test_files_that_are_no_onnx_are_one_line(tmp_path, content):
    path = tmp_path / "m.onnx"
    path.write_bytes(content)

    with pytest.raises(StandoutError, match=r"model file .*m\.onnx"):
        Segmenter(path)


def test_a_fifo_is_refused_without_waiting(tmp_path):
    os.mkfifo(tmp_path / "m.onnx")

    with pytest.raises(StandoutError, match="not a regular file"):
        read_graph(tmp_path / "m.onnx")


def test_mutated_models_raise_nothing_but_our_error():
    content = onnx_model().read_bytes()
    draw = random.Random(7)
    from standout.models.graph import check_graph

    refused = 0
    for _ in range(1000):
        mutant = bytearray(content)
        for _ in range(draw.choice((1, 1, 3, 20))):
            mutant[draw.randrange(len(mutant))] = draw.randrange(256)
        if draw.random() < 0.3:
            del mutant[draw.randrange(len(mutant)) :]
        try:
            check_graph(bytes(mutant), "m.onnx")
        except StandoutError:
            refused += 1

    assert refused > 200


def test_nested_and_countless_fields_cost_bounded_work():
    from standout.models.graph import check_graph

    nested = b""
    for _ in range(3000):  # graph in attribute in node in graph …; the last one lies 9,000 messages deep
        nested = wrap(1, wrap(5, wrap(6, nested)))
    countless = b"\x08\x01" * (MOST_FIELDS + 1)

    begun = time.monotonic()
    for content in (wrap(7, nested), countless):
        with pytest.raises(StandoutError):
            check_graph(content, "m.onnx")
    assert time.monotonic() - begun < 60


def wrap(number, content):
    length, size = b"", len(content)
    while True:
        length += bytes([size & 127 | (128 if size > 127 else 0)])
        size >>= 7
        if not size:
            return bytes([number << 3 | 2]) + length + content
