import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import numpy_helper
from torch import nn

import standout
from standout.errors import StandoutError
from standout.export import export_network, export_onnx, onnx_bytes, prove
from standout.export.proof import LEAST_IOU, MOST_DIFFERENCE, PICTURES, proof_sizes, seeded_picture
from standout.files import sha256_of
from standout.models import read_graph
from standout.networks import build_network
from standout.weights import model_metadata, read_model, write_model
from tiny_model import SHARPNESS, SIZE, model_folder, onnx_model, tiny_network, torch_model


class Unlike(nn.Module):
    """A layer that computes one thing when it is exported and another when it is run: what a broken exporter does."""

    def forward(self, feature):
        return feature * 1.02 if torch.compiler.is_exporting() else feature


def broken_network():
    network = tiny_network()
    network.squeeze[1] = nn.Sequential(network.squeeze[1], Unlike())
    return network


def metadata(network):
    return model_metadata(network, size=SIZE, sharpness=SHARPNESS)


def test_x01_a_proof_compares_sixteen_pictures_of_three_sizes():
    network, _ = read_model(torch_model())

    proof = prove(network, onnx_model().read_bytes(), "m.onnx")

    assert proof.pictures == PICTURES == 16
    assert len(set(proof.sizes)) == 3
    assert {rows % 32 for rows, _ in proof.sizes} - {0}  # some sides fit no stride
    assert 0 < proof.difference <= MOST_DIFFERENCE == 1e-4
    assert LEAST_IOU == 0.999 <= proof.iou <= 1


def test_x01_the_proof_measures_what_it_says():
    network, facts = read_model(torch_model())
    proof = prove(network, onnx_model().read_bytes(), "m.onnx")
    session = onnxruntime.InferenceSession(onnx_model())

    image = seeded_picture(proof.picture, proof.size)[None]
    with torch.inference_mode():
        expected = (network(torch.from_numpy(image)).logits * facts["sharpness"]).sigmoid().numpy()
    found = session.run(["map"], {"image": image})[0]

    assert np.abs(found - expected).max() == pytest.approx(proof.difference, abs=2e-6)


def test_x01_a_broken_layer_is_caught_the_worst_picture_named_and_no_file_left(tmp_path):
    network = broken_network()

    with pytest.raises(
        StandoutError, match=r"differs from the network: .*m\.onnx, worst at picture \d+ of \d+ x"
    ) as caught:
        export_network(network, metadata(network), tmp_path / "m.onnx")

    assert caught.value.exit_code == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["score.bias", "score.weight"])
def test_x01_a_changed_weight_is_caught_also_where_only_the_logits_show_it(name):
    network, _ = read_model(torch_model())
    model = onnx.load(onnx_model())
    for tensor in model.graph.initializer:
        if tensor.name.endswith(name):
            values = numpy_helper.to_array(tensor) * np.float32(1.05) + np.float32(0.01)
            tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))

    with pytest.raises(StandoutError, match="differs from the network"):
        prove(network, model.SerializeToString(), "m.onnx")


def test_x02_an_export_is_one_file_that_needs_no_other(tmp_path):
    model = onnx.load(onnx_model(), load_external_data=False)

    assert all(not tensor.external_data for tensor in model.graph.initializer)
    assert sorted(path.name for path in model_folder().iterdir()) == ["model.onnx", "model.safetensors"]


def test_x03_metadata_name_opset_inputs_sizes_scaling_hash_and_licence():
    facts = read_graph(onnx_model()).metadata

    assert facts["graph"] == {
        "opset": 18,
        "inputs": ["image"],
        "outputs": ["map", "logits"],
        "scaling": "RGB in 0..1",
        "model_sha256": sha256_of(torch_model()),
    }
    assert facts["input"]["size"] == SIZE
    assert facts["sharpness"] == SHARPNESS
    assert facts["licence"] == "CC0-1.0"
    assert facts["measures"] == {"mae": 0.25}
    assert [entry.key for entry in onnx.load(onnx_model()).metadata_props] == ["standout"]


def test_x04_equal_input_gives_equal_bytes_in_another_process_and_nothing_leaks(tmp_path):
    command = [
        sys.executable,
        "-m",
        "standout",
        "export",
        str(model_folder()),
        "--output",
        str(tmp_path / "m.onnx"),
        "--json",
    ]

    result = subprocess.run(command, capture_output=True, text=True, check=False)

    assert (tmp_path / "m.onnx").read_bytes() == onnx_model().read_bytes()
    assert (result.returncode, result.stderr) == (0, "")
    document = json.loads(result.stdout)
    assert document["schema"] == 1
    assert document["sha256"] == sha256_of(onnx_model())
    assert document["proof"]["difference"] <= 1e-4


def test_x04_no_path_and_no_source_code_is_in_the_file():
    content = onnx_model().read_bytes()

    for word in (str(Path(standout.__file__).parent), sys.prefix, ".py", 'File "', "stack_trace", "pkg.torch"):
        assert word.encode() not in content, word


def test_x05_only_standard_operators_are_used():
    model = onnx.load(onnx_model())

    assert {node.domain for node in model.graph.node} == {""}
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", 18)]


def test_batch_and_size_are_free():
    session = onnxruntime.InferenceSession(onnx_model())
    network, _ = read_model(torch_model())

    for shape in ((1, 3, 32, 32), (5, 3, 33, 47), (2, 3, 100, 20), (1, 3, 1, 1)):
        image = np.random.default_rng(1).random(shape, np.float32)
        found, logits = session.run(None, {"image": image})
        with torch.inference_mode():
            expected = network(torch.from_numpy(image)).logits.numpy()
        assert found.shape == logits.shape == (shape[0], 1, *shape[2:])
        assert np.abs(logits - expected).max() <= 1e-4
        assert np.abs(found - 1 / (1 + np.exp(-SHARPNESS * expected.astype(np.float64)))).max() <= 1e-4


def test_padding_as_tensorflow_does_it_is_exported_and_sharpness_can_be_switched_off(tmp_path):
    torch.manual_seed(1)
    write_model(tmp_path / "m.safetensors", build_network("tiny", padding="same"), size=SIZE, sharpness=SHARPNESS)

    exported = export_onnx(tmp_path / "m.safetensors", tmp_path / "m.onnx", sharpness=1)
    found, logits = onnxruntime.InferenceSession(exported.path).run(None, {"image": seeded_picture(5, (41, 50))[None]})

    assert read_graph(exported.path).metadata["sharpness"] == 1
    assert np.abs(found - 1 / (1 + np.exp(-logits.astype(np.float64)))).max() <= 1e-6


def test_a_network_that_onnx_cannot_say_is_one_line():
    class Odd(type(tiny_network())):
        def forward(self, image, levels=()):
            raise NotImplementedError("first line\nsecond line")

    network = tiny_network()
    network.__class__ = Odd

    with pytest.raises(StandoutError, match="cannot be written as ONNX") as caught:
        onnx_bytes(network, metadata(network))

    assert "\n" not in str(caught.value)


def test_a_network_in_training_is_not_changed():
    network = tiny_network().train()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}

    prove(network, onnx_model().read_bytes(), "m.onnx")

    assert network.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


@pytest.mark.parametrize(
    ("source", "output", "words"),
    [
        ("no-such-run", "m.onnx", "no such run or model file"),
        (".", "m.onnx", "folder is no run: it holds no model.safetensors"),
        ("begun", "m.onnx", "run has no model yet"),
        ("other.onnx", "m.onnx", "only a run or a .safetensors model"),
        ("model.safetensors", "m.pt", "must end in .onnx"),
        ("model.safetensors", "other.onnx", "exists already"),
    ],
)
def test_wrong_paths_are_told_before_any_work(tmp_path, monkeypatch, source, output, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "other.onnx").write_bytes(b"keep")
    (tmp_path / "begun").mkdir()
    (tmp_path / "begun" / "recipe.toml").touch()
    if source == "model.safetensors":
        (tmp_path / source).write_bytes(torch_model().read_bytes())

    with pytest.raises(StandoutError, match=words) as caught:
        export_onnx(source, output)

    assert caught.value.exit_code == 2
    assert (tmp_path / "other.onnx").read_bytes() == b"keep"


@pytest.mark.parametrize("size", [32, 64, 224, 320, 352])
def test_the_proofs_sizes_are_three_and_two_of_them_fit_no_stride(size):
    sizes = proof_sizes(size)

    assert sizes[0] == (size, size)
    assert len(set(sizes)) == 3
    assert all(side % 2 for pair in sizes[1:] for side in pair)


def test_seeded_pictures_are_pictures_and_all_different():
    pictures = [seeded_picture(number, (31, 45)) for number in range(PICTURES)]

    assert all(p.shape == (3, 31, 45) and p.dtype == np.float32 and p.min() >= 0 and p.max() <= 1 for p in pictures)
    assert len({p.tobytes() for p in pictures}) == PICTURES
    assert np.array_equal(pictures[9], seeded_picture(9, (31, 45)))
