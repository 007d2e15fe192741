"""Pyramid self-distillation in a training step: what it builds, what it trains, what it leaves behind."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.autograd import grad

from direct import Direct, progress_at
from standout.distill import Pyramid
from standout.distill.pyramid_branches import Attention, Branch, PyramidPooling
from standout.distill.pyramid_paths import consistency, topdown
from standout.errors import StandoutError
from standout.losses import bce_iou, binary_cross_entropy, structure
from standout.networks import build_network
from standout.networks.network import Network
from standout.shapes import Batch, Maps
from standout.train.step import TrainingStep

ALL = ("task", "pyramid.side", "pyramid.branch", "pyramid.topdown", "pyramid.consistency")


def batch_of_pictures(count=2, size=(64, 64), seed=0):
    generator = torch.Generator().manual_seed(seed)
    image = torch.rand(count, 3, *size, generator=generator)
    coarse = torch.rand(count, 1, 5, 5, generator=generator)
    mask = (F.interpolate(coarse, size=size, mode="bilinear", align_corners=False) > 0.5).float()
    return Batch(image, mask)


def bound(network=None, **options):
    torch.manual_seed(0)
    network = network or build_network("tiny")
    return TrainingStep(network, [Pyramid(**options)], task=bce_iou)


class Encoder(Network):
    """A network that shows encoder levels only, as an adapter may."""

    def __init__(self, width=(8, 80)):
        super().__init__()
        self.channels = {"encoder8": width[1], "encoder4": width[0]}
        self.first = nn.Conv2d(3, width[0], 4, 4)
        self.second = nn.Conv2d(width[0], width[1], 2, 2)
        self.score = nn.Conv2d(width[0], 1, 1)

    def forward(self, image, levels=()):
        four = self.first(image)
        found = {"encoder4": four, "encoder8": self.second(four.relu())}
        logits = F.interpolate(self.score(four), size=image.shape[-2:], mode="bilinear", align_corners=False)
        return Maps(logits, {level: found[level] for level in levels})


def test_b01_the_network_is_left_as_it_was():
    network = build_network("tiny").eval()
    image = batch_of_pictures().image
    keys, before = list(network.state_dict()), network(image).logits
    step = TrainingStep(network, [Pyramid()])

    after = step.eval().network(image).logits

    assert torch.equal(before, after)
    assert list(network.state_dict()) == keys
    inside = set(network.parameters())
    assert not any(parameter in inside for parameter in step.strategies.parameters())


def test_b01_the_default_network_has_the_published_count():
    network = build_network("fusion_resnet50")

    assert sum(p.numel() for p in network.parameters()) == 23_865_857


def test_b02_branches_get_no_gradient_from_the_default_paths():
    step = bound()
    terms = step(batch_of_pictures(), progress_at())
    branches = list(step.strategies[0].branches.parameters())

    slopes = grad(terms["pyramid.topdown"] + terms["pyramid.consistency"], branches, allow_unused=True)

    assert all(slope is None for slope in slopes)


def test_b05_without_paths_only_deep_supervision_is_left():
    data = batch_of_pictures()
    found = []
    for options in (
        {"topdown_weight": 0.0, "consistency_weight": 0.0},
        {"topdown": "none", "consistency": "none"},
        {"warmup_epochs": 3},
    ):
        step = bound(**options)
        terms = step(data, progress_at(epoch=2, epochs=9))
        sum(terms.values()).backward()
        found.append([p.grad.clone() for p in step.network.parameters()])

    step = bound()
    terms = step(data, progress_at())
    (terms["task"] + terms["pyramid.side"] + terms["pyramid.branch"]).backward()
    expected = [p.grad for p in step.network.parameters()]
    for slopes in found:
        assert all(torch.equal(a, b) for a, b in zip(slopes, expected, strict=True))


def test_b05_without_branches_it_is_the_plain_network():
    data = batch_of_pictures()
    slopes = []
    for strategies in ([], [Pyramid()]):
        torch.manual_seed(0)
        step = TrainingStep(build_network("tiny"), strategies)
        step(data, progress_at())["task"].backward()
        slopes.append([p.grad for p in step.network.parameters()])

    assert all(torch.equal(a, b) for a, b in zip(*slopes, strict=True))


def test_b06_the_paths_reach_the_trunk():
    step = bound()
    terms = step(batch_of_pictures(), progress_at())
    trunk = [p for name, p in step.network.named_parameters() if name.startswith("squeeze") and p.ndim == 4]

    for name in ("pyramid.topdown", "pyramid.consistency"):
        slopes = grad(terms[name], trunk, retain_graph=True)
        assert all((slope != 0).any() for slope in slopes)


def test_terms_are_made_of_the_maps_as_documented():
    data = batch_of_pictures(size=(64, 96))
    step = bound(supervision="structure", topdown_weight=0.5, consistency_weight=2.0, temperature=2.0).eval()
    pyramid = step.strategies[0]
    terms = step(data, progress_at())
    maps = step.network(data.image, pyramid.levels)
    features = [maps.features[f"decoder{stride}"] for stride in (4, 8, 16, 32)]

    def full(logits):
        return F.interpolate(logits, size=(64, 96), mode="bilinear", align_corners=False)

    sides = [full(side(feature)) for side, feature in zip(pyramid.sides, features[1:], strict=True)]
    branches = [full(branch(feature)) for branch, feature in zip(pyramid.branches, features, strict=True)]
    students = [maps.logits, *sides]
    expected = {
        "task": bce_iou(maps.logits, data.mask),
        "pyramid.side": sum(w * structure(s, data.mask) for w, s in zip((1 / 2, 1 / 4, 1 / 8), sides, strict=True)),
        "pyramid.branch": sum(
            w * structure(t, data.mask) for w, t in zip((1, 1 / 2, 1 / 4, 1 / 8), branches, strict=True)
        ),
        "pyramid.topdown": 0.5 * topdown(students, branches, temperature=2.0),
        "pyramid.consistency": 2.0 * consistency(students, branches, temperature=2.0),
    }

    assert tuple(terms) == ALL
    for name, term in terms.items():
        assert term.item() == pytest.approx(expected[name].item(), rel=1e-6)


@pytest.mark.parametrize("size", [(224, 256), (288, 320), (352, 352), (225, 97)])
def test_b07_any_size_gives_maps_of_the_masks_size(size):
    data = batch_of_pictures(size=size)
    for place in ("full", "native"):
        terms = bound(kd_at=place)(data, progress_at())

        assert all(torch.isfinite(term) and term.ndim == 0 for term in terms.values())


def test_b08_pooling_keeps_a_constant_picture_constant():
    torch.manual_seed(0)
    pooling = PyramidPooling(16)
    feature = torch.randn(2, 16, 1, 1).expand(2, 16, 9, 13)

    for mode in (True, False):
        grids = pooling.train(mode)(feature)
        assert [grid.shape for grid in grids] == [(2, 4, cells, cells) for cells in (1, 2, 3, 6)]
        assert all(torch.allclose(grid, grid[..., :1, :1].expand_as(grid), atol=1e-5) for grid in grids)


def test_pooling_takes_a_single_picture_in_training():
    grids = PyramidPooling(16).train()(torch.randn(1, 16, 7, 7, generator=torch.Generator().manual_seed(0)))

    assert all(torch.isfinite(grid).all() for grid in grids)


def test_b09_attention_without_weights_quarters_its_input():
    attention = Attention(32).eval()
    for parameter in attention.parameters():
        nn.init.zeros_(parameter)
    feature = torch.randn(2, 32, 5, 6, generator=torch.Generator().manual_seed(0))

    assert torch.equal(attention(feature), 0.25 * feature)


def test_b09_gates_lie_between_nothing_and_all():
    torch.manual_seed(0)
    feature = torch.randn(2, 32, 5, 6)
    gates = Attention(32)(feature) / feature

    assert (gates > 0).all()
    assert (gates < 1).all()


def test_b09_attention_follows_a_change_of_the_channels_order():
    torch.manual_seed(0)
    attention = Attention(32).eval()
    feature, order = torch.randn(2, 32, 5, 6), torch.randperm(32)
    expected = attention(feature)[:, order]

    with torch.no_grad():
        first, last = attention.channel[0], attention.channel[2]
        first.weight.copy_(first.weight[:, order])
        last.weight.copy_(last.weight[order])
        last.bias.copy_(last.bias[order])

    assert torch.allclose(attention(feature[:, order]), expected, atol=1e-6)


def test_b11_the_branches_have_the_published_count():
    step = TrainingStep(build_network("fusion_resnet50"), [Pyramid()])
    pyramid = step.strategies[0]

    assert sum(p.numel() for p in pyramid.branches.parameters()) == 317_348
    branch = pyramid.branches[0]
    parts = [sum(p.numel() for p in part.parameters()) for part in (branch.attention, branch.score)]
    assert parts == [680, 577]
    assert [sum(p.numel() for p in side.parameters()) for side in pyramid.sides] == [577] * 3


def test_b11_a_light_decoder_keeps_two_attention_channels():
    assert Branch(32).attention.channel[0].out_features == 2
    assert Branch(8).attention.channel[0].out_features == 1


def test_b12_half_precision_loses_little():
    data = batch_of_pictures(4)
    plain = bound()(data, progress_at())
    step = bound()
    with torch.autocast("cpu", torch.bfloat16):
        terms = step(data, progress_at())
    sum(terms.values()).backward()

    assert {term.dtype for term in terms.values()} == {torch.float32}
    assert sum(terms.values()).item() == pytest.approx(sum(plain.values()).item(), rel=0.02)
    assert all(torch.isfinite(p.grad).all() for p in step.parameters())


@pytest.mark.parametrize(
    "options",
    [
        *({"supervision": value} for value in ("bce_iou", "structure", "bce")),
        *({"distance": value} for value in ("kl", "mse", "ssim", "bce")),
        *({"topdown": value} for value in ("to_student", "branch_chain", "deepest", "none")),
        *({"consistency": value} for value in ("same_level", "to_main", "dense", "none")),
        *({"teacher_weighting": value} for value in ("level", "uniform", "entropy")),
        {"kd_at": "native"},
        {"topdown": "none", "consistency": "none"},
    ],
    ids=str,
)
def test_every_option_trains(options):
    step = bound(**options)
    terms = step(batch_of_pictures(size=(32, 32)), progress_at())
    sum(terms.values()).backward()

    off = {f"pyramid.{name}" for name in ("topdown", "consistency") if options.get(name) == "none"}
    assert set(terms) == set(ALL) - off
    assert all(term.item() > 0 for term in terms.values())
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in step.parameters())


def test_options_change_what_is_learnt():
    data = batch_of_pictures()
    plain = bound()(data, progress_at())
    for name, options in {
        "pyramid.side": {"supervision": "bce"},
        "pyramid.topdown": {"topdown": "deepest"},
        "pyramid.consistency": {"consistency": "to_main"},
    }.items():
        changed = bound(**options)(data, progress_at())
        assert changed[name].item() != pytest.approx(plain[name].item(), rel=1e-3)
    native = bound(kd_at="native")(data, progress_at())
    assert native["pyramid.consistency"].item() != plain["pyramid.consistency"].item()
    assert native["pyramid.side"].item() == plain["pyramid.side"].item()


def test_the_paths_wait_and_grow_by_epochs():
    pyramid = Pyramid(warmup_epochs=2, ramp_epochs=5)

    strengths = [pyramid.strength(progress_at(epoch=epoch, epochs=9)) for epoch in range(7)]

    assert strengths == pytest.approx([0, 0, 0.4, 0.6, 0.8, 1, 1])
    data, step = batch_of_pictures(), bound(ramp_epochs=5).eval()
    late, early = (step(data, progress_at(epoch=epoch, epochs=9)) for epoch in (5, 1))
    assert early["pyramid.consistency"].item() == pytest.approx(late["pyramid.consistency"].item() / 5, rel=1e-6)
    assert step(data, progress_at(epoch=0, epochs=9))["pyramid.topdown"].item() == 0


def test_a_network_without_decoder_levels_uses_its_encoder():
    network = Encoder()
    step = TrainingStep(network, [Pyramid()])
    pyramid = step.strategies[0]
    terms = step(batch_of_pictures(), progress_at())

    assert tuple(step.levels) == ("encoder4", "encoder8")
    assert tuple(terms) == ALL
    # A deep level of many channels is squeezed first: its branch is a helper, not a second network.
    assert [branch.score.in_channels for branch in pyramid.branches] == [8, 64]


def test_a_decoder_of_one_level_has_one_branch_and_no_side_maps():
    step = bound(build_network("tiny", fusion="concat"))
    terms = step(batch_of_pictures(), progress_at())

    assert tuple(step.levels) == ("decoder4",)
    assert "pyramid.side" not in terms
    assert terms["pyramid.consistency"].item() > 0
    assert terms["pyramid.topdown"].item() == 0


def test_a_network_without_levels_is_refused_by_name():
    with pytest.raises(StandoutError, match=r"pyramid.*Direct") as caught:
        TrainingStep(Direct(torch.zeros(1, 1, 4, 4)), [Pyramid()])

    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    "options",
    [
        {"supervision": "bce_io"},
        {"distance": "l1"},
        {"topdown": "up"},
        {"consistency": "all"},
        {"teacher_weighting": "equal"},
        {"kd_at": "half"},
        {"temperature": -1.0},
        {"topdown_weight": -0.5},
        {"consistency_weight": float("nan")},
        {"warmup_epochs": -1},
        {"ramp_epochs": -1},
    ],
    ids=str,
)
def test_wrong_options_are_refused_by_name(options):
    (name,) = options
    with pytest.raises(ValueError, match=name):
        Pyramid(**options)


def test_training_with_pyramid_learns():
    torch.manual_seed(0)
    data = batch_of_pictures(4, (32, 32))
    data = data._replace(image=0.5 * data.image + 0.5 * data.mask)
    step = TrainingStep(build_network("tiny"), [Pyramid(kd_at="native")], task=binary_cross_entropy)
    optimiser = torch.optim.AdamW(step.parameters(), 1e-2)
    losses = []
    for number in range(20):
        terms = step(data, progress_at(step=number, steps=20))
        losses.append(terms["task"].item())
        optimiser.zero_grad()
        sum(terms.values()).backward()
        optimiser.step()

    assert losses[-1] < 0.8 * losses[0]
