"""Pretrained backbones load from the files of timm and torchvision, whole or not at all."""

import hashlib
import math

import pytest
import torch
from torch import nn

import standout.weights
from standout.networks import adapt, build_network
from standout.networks.torchvision import TORCHVISION, timm_name
from standout.weights import backbone_options, load_backbone, load_weights, safetensors_bytes
from test_weights import refusal

BACKBONES = ("mobilenetv2_100", "tf_efficientnet_lite0", "mobilenetv3_small_100", "resnet18")
PREPARATION = {"padding": "plain", "eps": 1e-5, "mean": [0.5] * 3, "std": [0.5] * 3}


def timm_file(path, name, half=False):
    """Write a file as timm would: backbone, head and classifier; return its backbone tensors."""
    torch.manual_seed(3)
    backbone = build_network(f"fusion_{name}").backbone
    tensors = {
        key: torch.rand(tensor.shape) + 0.1 if tensor.is_floating_point() else tensor
        for key, tensor in backbone.state_dict().items()
    }
    extra = (
        ("fc.weight", "fc.bias") if name == "resnet18" else ("conv_head.weight", "bn2.running_var", "classifier.weight")
    )
    more = {key: torch.rand(4, 4) for key in extra}
    stored = {key: t.half() if half and t.ndim == 4 else t for key, t in (tensors | more).items()}
    path.write_bytes(safetensors_bytes(stored, {"format": "pt"}))
    return tensors


@pytest.mark.parametrize("name", BACKBONES)
def test_timm_files_load_unchanged(tmp_path, name):
    tensors = timm_file(tmp_path / "b.safetensors", name)
    made = build_network(f"fusion_{name}")
    decoder = {key: tensor.clone() for key, tensor in made.state_dict().items() if not key.startswith("backbone.")}

    digest = load_backbone(made, tmp_path / "b.safetensors")

    assert digest == hashlib.sha256((tmp_path / "b.safetensors").read_bytes()).hexdigest()
    for key, tensor in made.backbone.state_dict().items():
        if not key.endswith("num_batches_tracked"):
            assert torch.equal(tensor, tensors[key])
    assert all(torch.equal(tensor, made.state_dict()[key]) for key, tensor in decoder.items())


def test_half_precision_backbones_without_counters_load(tmp_path):
    tensors = timm_file(tmp_path / "b", "mobilenetv2_100", half=True)
    stored, _ = load_weights(tmp_path / "b")
    kept = {key: t for key, t in stored.items() if not key.endswith("num_batches_tracked")}
    (tmp_path / "b").write_bytes(safetensors_bytes(kept))
    made = build_network("fusion_mobilenetv2_100")

    load_backbone(made, tmp_path / "b")

    assert made.backbone.conv_stem.weight.dtype == torch.float32
    assert torch.equal(made.backbone.conv_stem.weight, tensors["conv_stem.weight"].half().float())


# A few of torchvision's own names beside timm's, for each kind of block, as both publish them.
SAME_TENSOR = {
    "fusion_mobilenetv2_100": {
        "features.0.0.weight": "conv_stem.weight",
        "features.0.1.running_mean": "bn1.running_mean",
        "features.1.conv.0.0.weight": "blocks.0.0.conv_dw.weight",
        "features.1.conv.1.weight": "blocks.0.0.conv_pw.weight",
        "features.1.conv.2.bias": "blocks.0.0.bn2.bias",
        "features.2.conv.0.1.weight": "blocks.1.0.bn1.weight",
        "features.7.conv.1.0.weight": "blocks.3.0.conv_dw.weight",
        "features.17.conv.3.running_var": "blocks.6.0.bn3.running_var",
        "features.18.0.weight": "conv_head.weight",
        "features.18.1.bias": "bn2.bias",
        "classifier.1.weight": "classifier.1.weight",
    },
    "fusion_mobilenetv3_small_100": {
        "features.1.block.1.fc1.weight": "blocks.0.0.se.conv_reduce.weight",
        "features.1.block.2.0.weight": "blocks.0.0.conv_pw.weight",
        "features.3.block.2.1.weight": "blocks.1.1.bn3.weight",
        "features.4.block.2.fc2.bias": "blocks.2.0.se.conv_expand.bias",
        "features.11.block.3.0.weight": "blocks.4.2.conv_pwl.weight",
        "features.12.0.weight": "blocks.5.0.conv.weight",
        "features.12.1.bias": "blocks.5.0.bn1.bias",
        "classifier.3.bias": "classifier.3.bias",
    },
    "fusion_resnet18": {"layer1.0.bn2.weight": "layer1.0.bn2.weight", "fc.weight": "fc.weight"},
}


@pytest.mark.parametrize("name", SAME_TENSOR)
def test_torchvision_names_are_known(name):
    for theirs, timms in SAME_TENSOR[name].items():
        assert timm_name(name, theirs) == timms


@pytest.mark.parametrize("name", TORCHVISION)
def test_torchvision_files_load_unchanged(tmp_path, name):
    tensors = timm_file(tmp_path / "b", name.partition("_")[2])
    theirs = {timms: module for module, timms in TORCHVISION[name].items()}
    stored = {}
    for key, tensor in tensors.items():
        module, _, leaf = key.rpartition(".")
        stored[f"{theirs[module]}.{leaf}"] = tensor
    (tmp_path / "b").write_bytes(safetensors_bytes(stored | {"classifier.1.weight": torch.zeros(3)}))
    made = build_network(name)

    load_backbone(made, tmp_path / "b")

    for key, tensor in made.backbone.state_dict().items():
        assert torch.equal(tensor, tensors[key]) or key.endswith("num_batches_tracked")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: t.pop("blocks.3.1.conv_dw.weight"), "1 missing: blocks.3.1.conv_dw.weight"),
        (lambda t: t.update({"blocks.3.1.conv_dw.weight": torch.zeros(1)}), "blocks.3.1.conv_dw.weight (1,) for"),
        (lambda t: t.update({"blocks.9.0.conv.weight": torch.zeros(1)}), "1 surplus: blocks.9.0.conv.weight"),
        (lambda t: t.update({"head.fc.weight": torch.zeros(1)}), "1 surplus: head.fc.weight"),
        (lambda t: t.update({"conv_stem.weight": torch.full((32, 3, 3, 3), math.nan)}), "NaN or infinity in conv_stem"),
        (lambda t: t.clear(), "missing: conv_stem.weight"),
    ],
)
def test_c04_a_backbone_file_that_does_not_fit_changes_nothing(tmp_path, change, words):
    tensors = timm_file(tmp_path / "b", "mobilenetv2_100")
    change(tensors)
    (tmp_path / "b").write_bytes(safetensors_bytes(tensors))
    made = build_network("fusion_mobilenetv2_100")
    before = {key: tensor.clone() for key, tensor in made.state_dict().items()}

    assert words in str(refusal(load_backbone, made, tmp_path / "b"))
    assert all(torch.equal(tensor, before[key]) for key, tensor in made.state_dict().items())


def test_c04_a_file_of_another_backbone_is_refused(tmp_path):
    timm_file(tmp_path / "b", "resnet18")

    assert refusal(load_backbone, build_network("fusion_mobilenetv2_100"), tmp_path / "b").code == "weights-do-not-fit"


def test_a_network_without_backbone_takes_no_backbone_file(tmp_path):
    with pytest.raises(ValueError, match="AdaptedModule has no backbone"):
        load_backbone(adapt(nn.Conv2d(3, 1, 1)), tmp_path / "b")


def test_an_unknown_file_needs_its_preparation_stated(tmp_path):
    timm_file(tmp_path / "b", "resnet18")

    error = refusal(backbone_options, tmp_path / "b", {"mean": [0.5] * 3, "width": 8})

    assert error.exit_code == 2
    assert "state padding, eps, std, such as --set network.options.padding=…" in str(error)
    assert backbone_options(tmp_path / "b", {**PREPARATION, "width": 8}) == PREPARATION


def test_a_known_file_brings_its_own_preparation(tmp_path, monkeypatch):
    timm_file(tmp_path / "b", "mobilenetv2_100")
    digest = hashlib.sha256((tmp_path / "b").read_bytes()).hexdigest()
    monkeypatch.setattr(standout.weights, "BACKBONE_FILES", {digest: {**PREPARATION, "padding": "same"}})

    options = backbone_options(tmp_path / "b")

    assert options == {**PREPARATION, "padding": "same"}
    assert backbone_options(tmp_path / "b", {"padding": "plain"}) == PREPARATION
    assert load_backbone(build_network("fusion_mobilenetv2_100", **options), tmp_path / "b") == digest
    wrong = build_network("fusion_mobilenetv2_100", **PREPARATION)
    assert "trained with padding same" in str(refusal(load_backbone, wrong, tmp_path / "b"))
    assert load_backbone(wrong, tmp_path / "b", allow_mismatch=True) == digest


def test_the_table_of_known_files_builds_networks():
    for digest, options in standout.weights.BACKBONE_FILES.items():
        assert len(digest) == 64
        assert build_network("tiny", **options).options.items() >= dict(options).items()
