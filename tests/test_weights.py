import json
import math
import os
import shutil
import stat
from pathlib import Path

import pytest
import torch
from torch import nn

from standout.errors import StandoutError
from standout.metadata import KEY, metadata_text, parse_metadata
from standout.networks import adapt, build_network
from standout.weights import (
    load_weights,
    model_metadata,
    read_model,
    safetensors_bytes,
    write_model,
)

SAMPLES = Path(__file__).parent / "samples"


def network(seed=0, **options):
    torch.manual_seed(seed)
    made = build_network("tiny", **options)
    with torch.no_grad():
        for _ in range(2):  # batch norms that have seen something
            made(torch.rand(2, 3, 64, 64))
    return made


def image():
    return torch.rand(2, 3, 33, 47, generator=torch.Generator().manual_seed(5))


def write_changed(path, change):
    """Write a model file whose tensors and metadata `change` has edited, past our own writer's checks."""
    made = network()
    tensors, metadata = dict(made.state_dict()), model_metadata(made, size=64)
    change(tensors, metadata)
    path.write_bytes(safetensors_bytes(tensors, {KEY: json.dumps(metadata)}))
    return path


def refusal(function, *arguments, **options):
    with pytest.raises(StandoutError) as caught:
        function(*arguments, **options)
    assert "\n" not in str(caught.value)
    return caught.value


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"padding": "same", "eps": 1e-3, "mean": [0.1, 0.2, 0.3], "std": [0.9, 0.8, 0.7]},
        {"fusion": "concat", "width": 5},
        {"separable": False},
    ],
)
def test_a_model_comes_back_with_the_same_logits(tmp_path, options):
    made = network(**options)
    path = write_model(tmp_path / "model.safetensors", made, size=64, sharpness=1.25, training={"data": "noise"})

    got, metadata = read_model(path)

    assert not got.training
    assert (got.name, got.options) == (made.name, made.options)
    assert torch.equal(got(image()).logits, made.eval()(image()).logits)
    assert metadata == model_metadata(made, size=64, sharpness=1.25, training={"data": "noise"})
    assert metadata["input"] == {"size": 64, **{key: made.options[key] for key in ("mean", "std", "padding")}}


def test_equal_models_are_equal_files(tmp_path):
    written = {write_model(tmp_path / name, network(), size=64, licence="MIT").read_bytes() for name in "abc"}

    assert len(written) == 1


def test_reading_a_model_leaves_the_random_stream_alone(tmp_path):
    path = write_model(tmp_path / "m", network(), size=64)
    state = torch.get_rng_state()
    read_model(path)

    assert torch.equal(torch.get_rng_state(), state)


def test_half_precision_becomes_float32(tmp_path):
    def halve(tensors, metadata):
        tensors.update({key: t.half() for key, t in tensors.items() if t.is_floating_point()})

    got, _ = read_model(write_changed(tmp_path / "m", halve))

    assert {parameter.dtype for parameter in got.parameters()} == {torch.float32}
    for name, value in network().state_dict().items():
        assert torch.equal(got.state_dict()[name], value.half().float() if value.is_floating_point() else value), name


def test_c03_a_stored_file_of_format_1_is_read_for_ever():
    got, metadata = read_model(SAMPLES / "model-format-1.safetensors")
    picture = (torch.arange(3 * 32 * 32).reshape(1, 3, 32, 32) % 97) / 96
    with torch.no_grad():
        logits = got(picture).logits

    assert metadata["format"] == 1
    assert (metadata["network"], metadata["sharpness"], metadata["licence"]) == ("tiny", 1.5, "MIT")
    assert [float(logits[0, 0, 0, 0]), float(logits[0, 0, 15, 20])] == pytest.approx([-0.2800, 0.7112], abs=2e-4)
    assert [float(logits.mean()), float(logits.std())] == pytest.approx([0.1848, 1.0742], abs=2e-4)


def test_c03_a_newer_format_is_refused(tmp_path):
    error = refusal(read_model, write_changed(tmp_path / "m", lambda t, m: m.update(format=2, release="9.1.0")))

    assert error.code == "format-newer"
    assert "standout 9.1.0" in str(error)


def drop(*names):
    return lambda tensors, metadata: [tensors.pop(name) for name in names]


WRONG_MODELS = {
    "missing": (drop("score.bias"), "1 missing: score.bias"),
    "all missing": (lambda t, m: t.clear(), "missing: backbone.conv_stem.weight, backbone.bn1.weight"),
    "surplus": (lambda t, m: t.update(more=torch.zeros(1)), "1 surplus: more"),
    "path as name": (lambda t, m: t.update({"../../x\n": torch.zeros(1)}), r"../../x\n"),
    "mis-shaped": (lambda t, m: t.update({"score.bias": torch.zeros(2)}), "score.bias (2,) for (1,)"),
    "scalar": (lambda t, m: t.update({"score.bias": torch.tensor(0.0)}), "score.bias () for (1,)"),
    "integers": (lambda t, m: t.update({"score.bias": torch.zeros(1, dtype=torch.int64)}), "another kind: score.bias"),
    "renamed": (
        lambda t, m: t.update({"Score.bias": t.pop("score.bias")}),
        "1 missing: score.bias; 1 surplus: Score.bias",
    ),
    "other width": (lambda t, m: m["options"].update(width=9), "mis-shaped: squeeze.0.0.weight"),
    "huge width": (lambda t, m: m["options"].update(width=4096), "mis-shaped: squeeze.0.0.weight"),
    "impossible width": (lambda t, m: m["options"].update(width=10**9), "width must be"),
    "other fusion": (lambda t, m: m["options"].update(fusion="concat"), "surplus: fuse.1"),
    "unknown option": (lambda t, m: m["options"].update(depth=9), "unknown option of tiny: depth"),
    "unknown network": (lambda t, m: m.update(network="tinny"), "unknown network: tinny; did you mean tiny?"),
    "other network": (lambda t, m: m.update(network="pocket"), "mis-shaped"),
    "network that is a path": (lambda t, m: m.update(network="../tiny"), "unknown network"),
    "code as name": (lambda t, m: m.update(network="os:system"), "unknown network"),
    "input disagrees": (lambda t, m: m["input"].update(mean=[0.0, 0.0, 0.0]), "input and options disagree"),
    "no format": (lambda t, m: m.pop("format"), "no format number"),
    "bad sharpness": (lambda t, m: m.update(sharpness=0), "sharpness"),
}


@pytest.mark.parametrize("case", WRONG_MODELS)
def test_c04_what_does_not_fit_is_refused_whole(tmp_path, case):
    change, words = WRONG_MODELS[case]

    assert words in str(refusal(read_model, write_changed(tmp_path / "m.safetensors", change)))


def test_c04_only_the_first_five_are_named(tmp_path):
    error = refusal(
        read_model, write_changed(tmp_path / "m", lambda t, m: t.update({f"x{i}": torch.zeros(1) for i in range(9)}))
    )

    assert "9 surplus: x0, x1, x2, x3, x4 …" in str(error)


def test_c04_a_backbone_file_is_no_model(tmp_path):
    (tmp_path / "b").write_bytes(safetensors_bytes(network().backbone.state_dict(), {"format": "pt"}))

    assert refusal(read_model, tmp_path / "b").code == "not-a-model"


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_c07_nonfinite_weights_are_refused_unless_allowed(tmp_path, value):
    path = write_changed(tmp_path / "m", lambda t, m: t["score.bias"].fill_(value))

    assert "score.bias" in str(refusal(read_model, path))
    assert refusal(load_weights, path).code == "weights-nonfinite"
    got, _ = read_model(path, allow_nonfinite=True)
    assert not got.score.bias.isfinite().all()


def test_c07_nonfinite_weights_are_never_written(tmp_path):
    made = network()
    nn.init.constant_(made.score.weight, math.nan)

    assert "score.weight" in str(refusal(write_model, tmp_path / "m", made, size=64))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("mask", [0o022, 0o077])
def test_c10_files_have_the_umasks_permissions(tmp_path, mask):
    before = os.umask(mask)
    try:
        path = write_model(tmp_path / "m", network(), size=64)
    finally:
        os.umask(before)

    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~mask


def test_c10_only_a_regular_file_is_replaced(tmp_path):
    made = network()
    (tmp_path / "folder").mkdir()
    (tmp_path / "aim").write_text("kept")
    (tmp_path / "link").symlink_to(tmp_path / "aim")
    os.mkfifo(tmp_path / "fifo")
    for name in ("folder", "link", "fifo"):
        assert refusal(write_model, tmp_path / name, made, size=64).code == "not-a-file"
    assert refusal(write_model, tmp_path / "aim", made, size=64, overwrite=False).code == "file-exists"

    assert (tmp_path / "aim").read_text() == "kept"
    assert (tmp_path / "link").is_symlink()


def test_a_network_made_by_hand_cannot_be_written(tmp_path):
    with pytest.raises(ValueError, match="AdaptedModule was not made by build_network"):
        write_model(tmp_path / "m", adapt(nn.Conv2d(3, 1, 1)), size=64)


@pytest.mark.parametrize("wrong", [{"size": 0}, {"size": 64, "sharpness": 0.0}, {"size": 64, "source_sha256": "x"}])
def test_metadata_that_could_not_be_read_is_not_written(tmp_path, wrong):
    assert refusal(write_model, tmp_path / "m", network(), **wrong).code == "metadata-damaged"
    assert list(tmp_path.iterdir()) == []


def test_the_same_metadata_serves_an_onnx_file(tmp_path):
    made = network()
    path = write_model(tmp_path / "m", made, size=64, measures={"mae": 0.1})
    text = metadata_text(model_metadata(made, size=64, measures={"mae": 0.1}))

    assert load_weights(path)[1] == {"standout": text}
    assert parse_metadata({"standout": text}, "model.onnx") == read_model(path)[1]


# Tensors


def test_tensors_come_back_as_stored(tmp_path):
    shared = torch.arange(6.0)
    tensors = {
        "half": torch.rand(3).half(),
        "bytes": torch.arange(5, dtype=torch.uint8),
        "turned": torch.rand(3, 4).T,
        "empty": torch.zeros(0, 3),
        "scalar": torch.tensor(7),
        "yes": torch.tensor([True, False]),
        "one": shared,
        "part of one": shared[:3],
        "brain": torch.rand(2).bfloat16(),
    }
    (tmp_path / "t").write_bytes(safetensors_bytes(tensors, {"note": "x"}))

    got, strings = load_weights(tmp_path / "t")

    assert strings == {"note": "x"}
    assert got.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert got[name].dtype == tensor.dtype
        assert torch.equal(got[name], tensor)


def test_two_metadata_strings_are_refused():
    with pytest.raises(ValueError, match="one metadata string only, not a, b"):
        safetensors_bytes({}, {"a": "1", "b": "2"})


def test_a_damaged_file_is_refused_in_one_line(tmp_path):
    shutil.copy(SAMPLES / "model-format-1.safetensors", tmp_path / "m")
    whole = (tmp_path / "m").read_bytes()
    for length in (0, 7, 9, 100, len(whole) // 2, len(whole) - 1):
        (tmp_path / "m").write_bytes(whole[:length])
        assert refusal(read_model, tmp_path / "m").code in ("weights-damaged", "json-refused")
