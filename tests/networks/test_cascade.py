"""The cascade as a saliency network: levels, both maps' supervision, its start from a backbone file, model files."""

import pytest
import torch
import torch.nn.functional as F
from every_strategy import learns_by_every_strategy

from standout.distill import STRATEGIES, AttentionMap
from standout.errors import StandoutError
from standout.losses import binary_cross_entropy
from standout.networks import build_network
from standout.networks.torchvision import TORCHVISION
from standout.shapes import Batch, Progress
from standout.train.step import TrainingStep
from standout.weights import load_backbone, read_model, safetensors_bytes, write_model

LEVELS = ("encoder4", "encoder8", "encoder16", "decoder16", "attention16")
PROGRESS = Progress(0, 2, 0, 1)


@pytest.fixture
def tiny():
    torch.manual_seed(0)
    return build_network("cascade_tiny")


@pytest.mark.parametrize("size", [(64, 96), (33, 47), (1, 5)])
def test_any_size_gives_logits_of_that_size_and_levels_of_their_strides(tiny, size):
    with torch.no_grad():
        maps = tiny.eval()(torch.rand(2, 3, *size), LEVELS)

    assert maps.logits.shape == (2, 1, *size)
    assert tuple(tiny.channels) == tuple(maps.features) == LEVELS
    for level, feature in maps.features.items():
        stride = int(level.lstrip("abcdefghijklmnopqrstuvwxyz"))
        assert feature.shape == (2, tiny.channels[level], *(-(-side // stride) for side in size))


def test_the_head_reads_the_map_from_the_last_level(tiny):
    with torch.no_grad():
        maps = tiny.eval()(torch.rand(1, 3, 48, 64), ("decoder16",))
        assert torch.equal(tiny.head(maps.features["decoder16"], (48, 64)), maps.logits)
    with pytest.raises(ValueError, match=r"no level decoder4; this network has encoder4.*attention16"):
        tiny(torch.rand(1, 3, 32, 32), ("decoder4",))


def test_it_learns_by_every_strategy():
    assert learns_by_every_strategy(lambda: build_network("cascade_tiny"), strategies=STRATEGIES) == list(STRATEGIES)


def test_both_maps_learn_from_the_mask_and_the_terms_are_their_cross_entropies(tiny):
    torch.manual_seed(1)
    batch = Batch(torch.rand(2, 3, 64, 64), (torch.rand(2, 1, 64, 64) > 0.5).float())
    step = TrainingStep(tiny, [AttentionMap(weight=0.5)]).eval()
    terms = step(batch, PROGRESS)

    block5 = tiny(batch.image, ("encoder16",)).features["encoder16"]
    detected = tiny.detect(block5)
    for name, logits, weight in (("task", detected.second, 1.0), ("attention_map", detected.first, 0.5)):
        full = F.interpolate(logits, size=(64, 64), mode="bilinear", align_corners=False)
        expected = weight * F.binary_cross_entropy_with_logits(full.double(), batch.mask.double())
        assert terms[name].item() == pytest.approx(expected.item(), rel=1e-5)
        assert terms[name].item() == pytest.approx(weight * binary_cross_entropy(full, batch.mask).item(), rel=1e-5)
    # At the first decoder's bias that is the mean of what the map has too much.
    (gradient,) = torch.autograd.grad(terms["attention_map"], tiny.attention_decoder.head.bias)
    first = F.interpolate(detected.first, size=(64, 64), mode="bilinear", align_corners=False)
    assert gradient.item() == pytest.approx(0.5 * (first.sigmoid() - batch.mask).mean().item(), rel=1e-3)


def test_both_maps_learn_to_find_a_bright_square(tiny):
    image, mask = torch.rand(4, 3, 64, 64) * 0.4, torch.zeros(4, 1, 64, 64)
    for number, (top, left) in enumerate(((0, 16), (24, 0), (32, 32), (8, 24))):
        image[number, :, top : top + 32, left : left + 32] += 0.5
        mask[number, :, top : top + 32, left : left + 32] = 1
    step = TrainingStep(tiny, [AttentionMap()])
    optimiser = torch.optim.AdamW(step.parameters(), lr=0.003)
    told = []
    for _ in range(40):
        terms = step(Batch(image, mask), PROGRESS)
        sum(terms.values()).backward()
        optimiser.step()
        optimiser.zero_grad()
        told.append({name: term.item() for name, term in terms.items()})

    for name in ("task", "attention_map"):
        assert told[-1][name] < 0.5 * told[0][name]


def test_other_networks_are_refused_the_second_map_in_one_line():
    with pytest.raises(StandoutError, match="attention_map needs a cascade") as caught:
        TrainingStep(build_network("tiny"), [AttentionMap()])
    assert caught.value.exit_code == 2
    assert "cascade_mobilenetv2_100" in str(caught.value)
    with pytest.raises(ValueError, match="weight"):
        AttentionMap(weight=-1.0)


@pytest.mark.parametrize("names", ["timm", "torchvision"])
def test_a_backbone_file_starts_both_branches(tmp_path, names):
    torch.manual_seed(5)
    tensors = build_network("fusion_mobilenetv2_100").backbone.state_dict()
    stored = dict(tensors)
    if names == "torchvision":
        theirs = {timm: torchvision for torchvision, timm in TORCHVISION["cascade_mobilenetv2_100"].items()}
        split = {name: name.rpartition(".") for name in tensors}
        stored = {f"{theirs[split[name][0]]}.{split[name][2]}": tensor for name, tensor in tensors.items()}
    path = tmp_path / "backbone.safetensors"
    path.write_bytes(safetensors_bytes(stored))
    network = build_network("cascade_mobilenetv2_100")
    load_backbone(network, path)

    parts = ((network.backbone.blocks[5], 5), (network.detection6, 5), (network.backbone.blocks[6], 6))
    for part, index in (*parts, (network.detection7, 6)):
        for name, tensor in part.state_dict().items():
            if not name.endswith("num_batches_tracked"):
                assert torch.equal(tensor, tensors[f"blocks.{index}.{name}"])


def test_a_model_file_brings_the_network_back(tiny, tmp_path):
    path = write_model(tmp_path / "model.safetensors", tiny, size=64)
    again, metadata = read_model(path)

    assert metadata["network"] == "cascade_tiny"
    assert metadata["options"]["ha_kernel"] == 3
    image = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(again(image).logits, tiny.eval()(image).logits)


@pytest.mark.parametrize(
    ("options", "words"),
    [({"ha_kernel": 4}, "odd whole number"), ({"ha_trainable": "no"}, "true or false"), ({"fusion": "concat"}, "unkn")],
)
def test_wrong_options_are_refused(options, words):
    with pytest.raises(StandoutError, match=words):
        build_network("cascade_tiny", **options)
