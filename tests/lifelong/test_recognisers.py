"""SDKD's network as wired in the design: parameter counts, shapes, attention, gate, growth, pretrained weights."""

import pytest
import torch
from torch import nn

from standout.errors import StandoutError
from standout.lifelong.build import RECOGNISERS, build_recogniser, load_pretrained
from standout.lifelong.network import HEADS, REFINEMENTS
from standout.lifelong.vgg import VGGRecogniser
from standout.networks import build_network
from standout.networks.cascade import HolisticAttention, PartialDecoder, ReceptiveField, bell, smallest_to_largest
from standout.weights import safetensors_bytes

CLASSES = ("cup", "shoe", "spoon")


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


def names(number):
    return [str(i) for i in range(number)]


def image(size, number=2, seed=0):
    return torch.rand(number, 3, size, size, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def sdkd():
    torch.manual_seed(0)
    return build_recogniser("sdkd_mobilenetv2_100", names(69)).eval()


@pytest.mark.parametrize("size", [224, 192, 160])
def test_d01_shapes(sdkd, size):
    with torch.no_grad():
        found = sdkd(image(size, 1))
        block5 = sdkd.lower(image(size, 1))

    side = size // 16
    assert block5.shape == (1, 96, side, side)
    assert found.scores.shape == (1, 69)
    for logits in (found.map, found.map_logits, found.attention_logits):
        assert logits.shape == (1, 1, side, side)
    assert found.map_feature.shape == (1, 96, side, side)


def test_d01_parameter_counts_of_the_blocks(sdkd):
    backbone = sdkd.cascade.backbone

    assert count(backbone.conv_stem) + count(backbone.bn1) == 928
    assert [count(block) for block in backbone.blocks] == [896, 13_968, 39_696, 183_872, 303_168, 795_264, 473_920]
    assert count(sdkd.cascade.detection6) + count(sdkd.cascade.detection7) == 1_269_184


def test_d01_parameter_counts_of_the_decoders(sdkd):
    assert [count(ReceptiveField(inputs, 32)) for inputs in (96, 160, 320)] == [111_552, 121_792, 147_392]
    assert count(PartialDecoder((96, 160, 320), 32)) == 658_209
    assert count(sdkd.cascade.attention_decoder) == count(sdkd.cascade.detection_decoder) == 658_209
    assert count(sdkd.cascade.attention) == 961


@pytest.mark.parametrize(("classes", "expected"), [(69, 4_404_968), (121, 4_410_012)])
def test_d01_parameter_count_of_the_whole(classes, expected):
    for refine in REFINEMENTS:
        network = build_recogniser("sdkd_mobilenetv2_100", names(classes), refine=refine)
        refined = 321 if refine == "conv" else 0
        assert count(network) == expected + refined


def test_plain_mobilenetv2_has_the_published_parameters():
    network = build_recogniser("mobilenetv2_100", names(1000))

    assert count(network) == 3_504_872
    assert count(network.head) == 412_160


def test_d02_the_detection_branch_starts_as_a_copy_with_memory_of_its_own(sdkd):
    for part, block in ((sdkd.cascade.detection6, 5), (sdkd.cascade.detection7, 6)):
        theirs = sdkd.cascade.backbone.blocks[block].state_dict()
        for name, tensor in part.state_dict().items():
            assert torch.equal(tensor, theirs[name])
            assert tensor.data_ptr() != theirs[name].data_ptr()


@pytest.mark.parametrize(
    ("size", "centre", "edge", "corner"),
    [
        (31, 0.005696508199, 0.0001044154721, 1.913907685e-06),
        (9, 0.07370308464, 0.001803291381, 4.412108149e-05),
        (3, 0.5264519897, 0.09955906193, 0.01882794064),
    ],
)
def test_d03_the_kernel_of_the_holistic_attention(size, centre, edge, corner):
    kernel, middle = bell(size), size // 2

    assert kernel.dtype == torch.float64
    found = [kernel[middle, middle].item(), kernel[0, middle].item(), kernel[0, 0].item()]
    assert found == pytest.approx([centre, edge, corner], rel=1e-9)
    assert kernel.sum().item() == pytest.approx(1, abs=1e-12)
    torch.testing.assert_close(kernel, kernel.T, rtol=0, atol=0)
    torch.testing.assert_close(kernel, kernel.flip(0), rtol=1e-9, atol=0)


SPREAD = [
    [0.01191725388, 0.01214740075, 0.01195565762],
    [0.01212820189, 0.01236242729, 0.0121672943],
    [0.01191725388, 0.01214740075, 0.01195565762],
]
ATTENTION = [[0.1, 0.5169709055, 0.1], [0.4738451877, 0.9999775373, 0.5616571067], [0.1, 0.5169709055, 0.1]]


def exact_attention(size=31):
    attention = HolisticAttention(size).double()
    attention.kernel.data = bell(size)[None, None]
    return attention


def test_d03_the_attention_of_the_worked_example():
    detected = torch.tensor([[0.1, 0.2, 0.1], [0.2, 0.9, 0.3], [0.1, 0.2, 0.1]], dtype=torch.float64)[None, None]
    attention = exact_attention()

    found = attention.spread(detected)[0, 0]
    torch.testing.assert_close(found, torch.tensor(SPREAD, dtype=torch.float64), rtol=1e-9, atol=1e-13)
    attended = attention.attention(detected)[0, 0]
    torch.testing.assert_close(attended, torch.tensor(ATTENTION, dtype=torch.float64), rtol=1e-8, atol=1e-10)
    feature = torch.randn(1, 4, 3, 3, dtype=torch.float64)
    product = attention(detected.logit(), feature)
    torch.testing.assert_close(product, feature * attended)


def test_d03_the_attention_lies_in_0_to_1_and_ignores_the_other_samples():
    attention = exact_attention(9)
    maps = torch.rand(3, 1, 14, 14, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    together = attention.attention(maps)

    assert 0 <= together.min() <= together.max() <= 1
    for number in range(3):
        torch.testing.assert_close(together[number], attention.attention(maps[number : number + 1])[0])


def test_d03_a_map_of_nothing_stays_nothing():
    found = exact_attention().attention(torch.zeros(2, 1, 5, 5, dtype=torch.float64))

    assert torch.equal(found, torch.zeros_like(found))
    assert torch.equal(smallest_to_largest(torch.full((1, 1, 2, 2), 0.5)), torch.zeros(1, 1, 2, 2))


def test_the_attentions_kernel_learns_or_is_fixed():
    assert count(HolisticAttention(9)) == 81
    fixed = HolisticAttention(9, trainable=False)
    assert count(fixed) == 0
    assert "kernel" in fixed.state_dict()


def gated(recogniser, gate, seed=0):
    """Scores of an image where the gate is `gate`."""
    block5 = recogniser.lower(image(64, seed=seed))
    return recogniser.classify(block5 * gate), block5


def test_d04_the_gate_decides_what_is_classified():
    recogniser = build_recogniser("sdkd_tiny", CLASSES).eval()
    with torch.no_grad():
        open_gate, block5 = gated(recogniser, torch.ones(2, 1, 4, 4))
        torch.testing.assert_close(open_gate, recogniser.classifier(block5.mean((2, 3))))
        closed, _ = gated(recogniser, torch.zeros(2, 1, 4, 4))
        torch.testing.assert_close(closed, recogniser.classifier.bias.expand(2, 3))
        half = torch.zeros(2, 1, 4, 4)
        half[..., :2] = 1
        changed = block5.clone()
        changed[..., 2:] += 100
        torch.testing.assert_close(recogniser.classify(block5 * half), recogniser.classify(changed * half))


@pytest.mark.parametrize("refine", REFINEMENTS)
@pytest.mark.parametrize("head", HEADS)
def test_every_gate_and_head_learns_everything(refine, head):
    torch.manual_seed(0)
    recogniser = build_recogniser("sdkd_tiny", CLASSES, refine=refine, head=head, size=64, ha_kernel=9)
    found = recogniser(image(64))
    found.scores.square().sum().backward()

    assert found.scores.shape == (2, 3)
    assert 0 <= found.map.min() <= found.map.max() <= 1
    assert [name for name, p in recogniser.named_parameters() if p.grad is None] == []
    if refine == "minmax":
        assert found.map.amin((1, 2, 3)).tolist() == [0, 0]


def test_a_refined_map_of_sigmoid_is_the_second_decoders():
    recogniser = build_recogniser("sdkd_tiny", CLASSES, refine="sigmoid").eval()
    with torch.no_grad():
        found = recogniser(image(64))

    torch.testing.assert_close(found.map, found.map_logits.sigmoid())


@pytest.mark.parametrize("name", ["sdkd_tiny", "tiny"])
def test_new_classes_leave_the_old_rows_as_they_are(name):
    torch.manual_seed(0)
    recogniser = build_recogniser(name, CLASSES).eval()
    with torch.no_grad():
        before = recogniser(image(64)).scores
    stream = torch.get_rng_state()
    recogniser.grow(["mug", "bowl"], seed=3)
    with torch.no_grad():
        after = recogniser(image(64)).scores

    assert recogniser.classes == (*CLASSES, "mug", "bowl")
    torch.testing.assert_close(after[:, :3], before)
    assert after.shape == (2, 5)
    assert torch.equal(torch.get_rng_state(), stream)
    with pytest.raises(ValueError, match="mug"):
        recogniser.grow(["mug"], seed=0)


def test_new_rows_depend_on_the_seed_alone():
    rows = []
    for start in (0, 1):
        torch.manual_seed(start)
        recogniser = build_recogniser("tiny", CLASSES)
        recogniser.grow(["mug"], seed=3)
        rows.append(recogniser.classifier.weight[3])

    assert torch.equal(*rows)


def test_plain_recognisers_have_no_map():
    found = build_recogniser("tiny", CLASSES).eval()(image(64))

    assert found.map is found.map_logits is found.attention_logits is found.map_feature is None
    assert found.scores.shape == (2, 3)


def backbone_file(folder, *, head=True):
    torch.manual_seed(7)
    carrier = build_network("fusion_mobilenetv2_100")
    tensors = carrier.backbone.state_dict()
    for name, tensor in tensors.items():
        if name.endswith("running_mean"):
            tensor.normal_()
    if head:
        tensors |= {
            "conv_head.weight": torch.randn(1280, 320, 1, 1),
            "bn2.weight": torch.rand(1280), "bn2.bias": torch.randn(1280),
            "bn2.running_mean": torch.randn(1280), "bn2.running_var": torch.rand(1280),
        }  # fmt: skip
    path = folder / "backbone.safetensors"
    path.write_bytes(safetensors_bytes(tensors))
    return path, tensors


def test_d02_pretrained_weights_reach_every_copy(tmp_path):
    path, tensors = backbone_file(tmp_path)
    recogniser = build_recogniser("sdkd_mobilenetv2_100", CLASSES, head="deep")
    digest = load_pretrained(recogniser, path)

    assert len(digest) == 64
    cascade = recogniser.cascade
    for index, copies in ((5, [cascade.detection6, recogniser.deep[0]]), (6, [cascade.detection7, recogniser.deep[1]])):
        for part in (cascade.backbone.blocks[index], *copies):
            for name, tensor in part.state_dict().items():
                assert torch.equal(tensor, tensors[f"blocks.{index}.{name}"])
    assert torch.equal(recogniser.deep_head.conv_head.weight, tensors["conv_head.weight"])
    assert torch.equal(cascade.backbone.conv_stem.weight, tensors["conv_stem.weight"])


def test_pretrained_weights_of_the_plain_recogniser(tmp_path):
    path, tensors = backbone_file(tmp_path)
    recogniser = build_recogniser("mobilenetv2_100", CLASSES)
    load_pretrained(recogniser, path)

    assert torch.equal(recogniser.head.bn2.running_var, tensors["bn2.running_var"])
    assert torch.equal(recogniser.backbone.blocks[6][0].conv_pw.weight, tensors["blocks.6.0.conv_pw.weight"])


def test_a_file_without_the_head_is_refused(tmp_path):
    path, _ = backbone_file(tmp_path, head=False)
    with pytest.raises(StandoutError, match="conv_head"):
        load_pretrained(build_recogniser("mobilenetv2_100", CLASSES), path)
    with pytest.raises(StandoutError, match="tiny starts from random weights alone") as caught:
        load_pretrained(build_recogniser("tiny", CLASSES), path)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("sdkd_mobilnetv2_100", {}, "did you mean sdkd_mobilenetv2_100"),
        ("sdkd_tiny", {"refined": "conv"}, "did you mean refine"),
        ("sdkd_tiny", {"refine": "relu"}, "conv or sigmoid or minmax"),
        ("sdkd_tiny", {"head": "wide"}, "fc or deep or flatten"),
        ("sdkd_tiny", {"ha_kernel": 8}, "odd"),
        ("sdkd_tiny", {"ha_trainable": 1}, "true or false"),
        ("sdkd_tiny", {"size": 8}, "from 32"),
        ("sdkd_tiny", {"sal_init": "masks"}, "imagenet or sod"),
        ("tiny", {"head": "fc"}, "unknown option"),
        ("tiny", {"std": [1, 0, 1]}, "above 0"),
        ("tiny", {"mean": [1, 2]}, "three numbers"),
        ("tiny", {"eps": 0}, "above 0"),
        ("tiny", {"padding": "none"}, "plain or same"),
    ],
)
def test_unknown_recognisers_and_options_are_refused(name, options, words):
    with pytest.raises(StandoutError, match=words) as caught:
        build_recogniser(name, CLASSES, **options)
    assert caught.value.exit_code == 2


def test_classes_are_named_once():
    for classes in ([], ["a", "a"]):
        with pytest.raises(ValueError, match="class"):
            build_recogniser("tiny", classes)


def test_a_recogniser_can_be_built_again_from_what_stays_with_it():
    for name in RECOGNISERS:
        if name.endswith("100") or name == "vgg16":
            continue
        first = build_recogniser(name, CLASSES, padding="same")
        again = build_recogniser(first.name, first.classes, **first.options)
        again.load_state_dict(first.state_dict())
        with torch.no_grad():
            torch.testing.assert_close(again.eval()(image(64)).scores, first.eval()(image(64)).scores)
        assert isinstance(again, nn.Module)


def test_vgg_16_has_the_published_parameters():
    with torch.device("meta"):
        network = build_recogniser("vgg16", [str(number) for number in range(1000)])

    assert sum(p.numel() for p in network.parameters()) == 138_357_544


def test_vgg_starts_from_a_file_of_torchvisions_names(tmp_path):
    def small():
        network = VGGRecogniser(CLASSES, stages=((4, 4), (6,), (8,)), hidden=10, mean=[0.5] * 3, std=[0.5] * 3)
        network.name = "vgg16"
        return network

    source = small()
    theirs = {name.replace("hidden.", "classifier."): v for name, v in source.state_dict().items() if "hidden" in name}
    theirs |= {name: v for name, v in source.state_dict().items() if name.startswith("features.")}
    theirs |= {"classifier.6.weight": torch.zeros(1000, 10), "classifier.6.bias": torch.zeros(1000)}
    path = tmp_path / "vgg.safetensors"
    path.write_bytes(safetensors_bytes(theirs))
    network = small()
    assert len(load_pretrained(network, path)) == 64
    image = torch.rand(2, 3, 40, 48)
    network.classifier.load_state_dict(source.classifier.state_dict())
    with torch.no_grad():
        assert torch.equal(network.eval()(image).scores, source.eval()(image).scores)
        assert torch.equal(network(image).scores, network.upper(network.lower(image)).scores)
        assert network.lower(image).shape == (2, 6, 10, 12)
    del theirs["features.0.weight"]
    path.write_bytes(safetensors_bytes(theirs))
    with pytest.raises(StandoutError, match=r"no fitting features\.0\.weight"):
        load_pretrained(small(), path)
