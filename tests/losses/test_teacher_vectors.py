"""The test vectors of the hand-made teacher: values and gradients worked out apart from the program."""

# ruff: noqa: E501 - a vector is a line

import pytest
import torch

from standout.losses import (
    binary_cross_entropy,
    cross_entropy,
    non_negative_feedback,
    softened,
    virtual_teacher,
)

Z = torch.tensor([[2.0, -1.5, 6.0, 0.25], [-4.0, 1.0, -6.0, 3.0]], dtype=torch.float64).view(1, 1, 2, 4)
G = torch.tensor([[1.0, 1, 1, 1], [0, 0, 0, 0]], dtype=torch.float64).view(1, 1, 2, 4)
CE = [-0.01490036525, -0.1021968095, -0.0003090778946, -0.05472793739, 0.002248276245, 0.09138232233, 0.0003090778946, 0.1190717659]  # fmt: skip


def vt(confidence, temperature, **options):
    return lambda z, g: virtual_teacher(z, g, confidence=confidence, temperature=temperature, **options)


def nnf(confidence, temperature, form="split", **options):
    return lambda z, g: non_negative_feedback(
        z, g, confidence=confidence, temperature=temperature, form=form, **options
    )


def half(term):
    return lambda z, g: 0.5 * binary_cross_entropy(z, g) + 0.5 * term(z, g)


VECTORS = {
    "a-t1": (binary_cross_entropy, 0.8486538808, CE),
    "a-t2": (vt(0.99, 1), 0.8085898464, [-0.01365036525, -0.1009468095, 0.0009409221054, -0.05347793739, 0.0009982762453, 0.09013232233, -0.0009409221054, 0.1178217659]),
    "a-t3": (vt(0.99, 2), 1.559888424, [-0.04440404317, -0.1469633626, 0.01097484388, -0.09436634449, 0.006969418334, 0.1327835206, -0.01097484388, 0.1815623069]),
    "a-t4": (vt(0.99, 4), 2.131119664, [-0.06841433519, -0.1759773008, 0.02914323731, -0.1218340429, 0.01411471147, 0.1607322512, -0.02914323731, 0.2192333504]),
    "a-t5": (vt(0.9, 1), 0.6829459074, [-0.002400365253, -0.08969680952, 0.01219092211, -0.04222793739, -0.01025172375, 0.07888232233, -0.01219092211, 0.1065717659]),
    "a-t6": (vt(0.99, 20, soften="prob"), 0.933162203, [0.04606869105, -0.04122775322, 0.06065997841, 0.006241118915, -0.05872078006, 0.03041326602, -0.06065997841, 0.05810270955]),
    "a-t7": (vt(0.99, 1, form="kl1"), 0.2828134299, [-0.0147513616, -0.1011748414, -0.0003059871156, -0.05418065802, -0.001227517238, -0.0003361767767, -0.001246909221, -5.928234147e-05]),
    "a-t8": (nnf(0.99, 1), 0.8302175095, [-0.0147513616, -0.1011748414, -0.0003059871156, -0.05418065802, 0.002225793483, 0.09046849911, 0.0003059871156, 0.1178810482]),
    "a-t9": (nnf(0.99, 2), 1.915568266, [-0.0610950698, -0.1542881339, -0.01077367338, -0.1064945515, 0.02707917138, 0.1414032695, 0.01077367338, 0.185727321]),
    "a-t10": (nnf(0.99, 4), 3.812371846, [-0.14333105, -0.2250023191, -0.0692567557, -0.1838919931, 0.1021019972, 0.2134269359, 0.0692567557, 0.2578461186]),
    "a-t11": (nnf(1, 1), 0.8486538808, CE),
    "a-t12": (nnf(1, 2), 2.491162353, [-0.06723535534, -0.1697946748, -0.01185646829, -0.1171976567, 0.02980073051, 0.1556148328, 0.01185646829, 0.204393619]),
    "a-t13": (nnf(0.99, 1, "hinge"), 0.8069713087, [-0.01365036525, -0.1009468095, 0, -0.05347793739, 0.0009982762453, 0.09013232233, 0, 0.1178217659]),
    "a-t14": (nnf(0.99, 2, "hinge"), 1.542918616, [-0.04440404317, -0.1469633626, 0, -0.09436634449, 0.006969418334, 0.1327835206, 0, 0.1815623069]),
    "a-t15": (half(vt(0.99, 2)), 1.204271152, [-0.02965220421, -0.1245800861, 0.005332882991, -0.07454714094, 0.00460884729, 0.1120829215, -0.005332882991, 0.1503170364]),
    "a-t16": (half(nnf(0.99, 2)), 1.382111073, [-0.03799771752, -0.1282424717, -0.005541375637, -0.08061124445, 0.01466372381, 0.1163927959, 0.005541375637, 0.1523995434]),
    "a-t17": (half(nnf(0.99, 2, "hinge")), 1.195786248, [-0.02965220421, -0.1245800861, -0.0001545389473, -0.07454714094, 0.00460884729, 0.1120829215, 0.0001545389473, 0.1503170364]),
}  # fmt: skip


def value_and_gradient(loss, logits, label):
    leaf = logits.clone().requires_grad_()
    value = loss(leaf, label)
    (gradient,) = torch.autograd.grad(value, leaf)
    return float(value.detach()), gradient.flatten().tolist()


@pytest.mark.parametrize("name", VECTORS)
def test_vector(name):
    loss, expected, gradient = VECTORS[name]

    value, slope = value_and_gradient(loss, Z, G)

    assert value == pytest.approx(expected, rel=1e-9)
    assert slope == pytest.approx(gradient, rel=1e-9, abs=1e-15)


@pytest.mark.parametrize("name", VECTORS)
def test_vector_in_float32(name):
    loss, expected, gradient = VECTORS[name]

    value, slope = value_and_gradient(loss, Z.float(), G.float())

    assert value == pytest.approx(expected, rel=2e-5)
    assert slope == pytest.approx(gradient, rel=2e-5, abs=2e-6)


@pytest.mark.parametrize("name", ["a-t13", "a-t14"])
def test_gate_grad_has_the_value_of_the_divergence_and_the_gradient_of_hinge(name):
    temperature = {"a-t13": 1, "a-t14": 2}[name]

    value, slope = value_and_gradient(nnf(0.99, temperature, "gate_grad"), Z, G)

    assert value == pytest.approx(VECTORS[{"a-t13": "a-t2", "a-t14": "a-t3"}[name]][1], rel=1e-9)
    assert slope == pytest.approx(VECTORS[name][2], rel=1e-9, abs=1e-15)


def test_region_balance_and_dropped_constant():
    assert float(nnf(0.99, 2, balance="region")(Z, G)) == pytest.approx(3.831136531, rel=1e-9)
    assert float(nnf(0.99, 2, valid=G)(Z, G)) == pytest.approx(1.58858777, rel=1e-9)
    assert float(nnf(0.99, 2, valid=1 - G)(Z, G)) == pytest.approx(2.242548761, rel=1e-9)
    assert float(nnf(0.99, 2, const="drop")(Z, G)) == pytest.approx(2.263656331, rel=1e-9)


def test_a_mask_without_object():
    nothing = torch.zeros_like(G)

    assert float(binary_cross_entropy(Z, nothing)) == pytest.approx(1.692403881, rel=1e-9)
    assert float(nnf(0.99, 2)(Z, nothing)) == pytest.approx(3.448956908, rel=1e-9)
    assert float(vt(0.99, 2)(Z, nothing)) == pytest.approx(2.93916571, rel=1e-9)


SOFT_Z = torch.tensor([1.2, -0.3, 0.5, 2.5], dtype=torch.float64).view(1, 1, 1, 4)
SOFT_G = torch.tensor([0.7, 0.3, 0.6, 1.0], dtype=torch.float64).view(1, 1, 1, 4)
SOFT_V = torch.tensor([1.0, 1, 1, 0], dtype=torch.float64).view(1, 1, 1, 4)
SOFT = {
    "a-s1": (lambda z, g: binary_cross_entropy(z, g, valid=SOFT_V), 0.647238232, [0.0228415945, 0.0418524944, 0.007486443734, 0]),
    "a-s2": (vt(0.99, 2, valid=SOFT_V), 0.04561113318, [-0.01187572953, 0.08402670346, -0.01303896625, 0]),
    "a-s3": (nnf(0.99, 1, valid=SOFT_V), 0.6308160172, [0.02261317855, 0.04143396945, 0.007411579297, 0]),
    "a-s4": (nnf(0.99, 2, valid=SOFT_V), 0.6908217845, [0, 0.09848226324, 0, 0]),
}  # fmt: skip


@pytest.mark.parametrize("name", SOFT)
def test_soft_vector(name):
    loss, expected, gradient = SOFT[name]

    value, slope = value_and_gradient(loss, SOFT_Z, SOFT_G)

    assert value == pytest.approx(expected, rel=1e-9)
    assert slope == pytest.approx(gradient, rel=1e-9, abs=1e-15)
    assert slope[3] == 0


CLASS_Z = torch.tensor([[2.0, 0, -1], [0.1, -1, 1.5], [1, 2, 0.3]], dtype=torch.float64)
CLASS_Y = torch.tensor([0, 2, 255])
CLASSES = {
    "a-k1": (cross_entropy, 0.2270167324, [-0.07810263276, 0.05709759969, 0.02100503307, 0.09279758847, 0.03088963384, -0.1236872223]),
    "a-k2": (vt(0.99, 1), 0.1863337263, [-0.07310263276, 0.05459759969, 0.01850503307, 0.09029758847, 0.02838963384, -0.1186872223]),
    "a-k3": (vt(0.99, 2), 0.7914184746, [-0.2470224325, 0.1690009735, 0.07802145905, 0.2162741095, 0.09845588664, -0.3147299962]),
    "a-k4": (nnf(0.99, 1), 0.2147967326, [-0.07732160643, 0.0565266237, 0.02079498274, 0.09186961259, 0.0305807375, -0.1224503501]),
    "a-k5": (nnf(0.99, 2), 1.360471241, [-0.3252405955, 0.2024490435, 0.1227915519, 0.2438392341, 0.1406829999, -0.3845222339]),
    "a-k6": (vt(0.99, 20, soften="prob"), 0.5874622532, [0.249714313, -0.1068108732, -0.1429034398, -0.0711108844, -0.133018839, 0.2041297234]),
}  # fmt: skip


@pytest.mark.parametrize("dense", [False, True])
@pytest.mark.parametrize("name", CLASSES)
def test_class_vector(name, dense):
    loss, expected, gradient = CLASSES[name]
    logits, labels = CLASS_Z, CLASS_Y
    if dense:
        logits, labels = CLASS_Z.T.reshape(1, 3, 1, 3), CLASS_Y.view(1, 1, 3)

    leaf = logits.clone().requires_grad_()
    value = loss(leaf, labels)
    (slope,) = torch.autograd.grad(value, leaf)
    slope = slope.reshape(3, 3).T if dense else slope

    assert float(value.detach()) == pytest.approx(expected, rel=1e-9)
    assert slope[:2].flatten().tolist() == pytest.approx(gradient, rel=1e-9, abs=1e-15)
    assert slope[2].tolist() == [0, 0, 0]


EXTREMES = {
    "a-e1": (60.0, 1.0, [8.756510763e-27, 0.5439984656, 9.736656683, -0.009949832495, -0.3480880658, 0]),
    "a-e2": (-60.0, 1.0, [60, 59.34399847, 107.818597, 59.39005017, 108.6928821, 59.34399847]),
    "a-e3": (60.0, 0.0, [60, 59.34399847, 107.818597, 59.39005017, 108.6928821, 59.34399847]),
    "a-e4": (-60.0, 0.0, [8.756510763e-27, 0.5439984656, 9.736656683, -0.009949832495, -0.3480880658, 0]),
    "a-e5": (0.0, 1.0, [0.6931471806, 0.6371456462, 1.550215563, 0.6762658763, 2.171293302, 0.6371456462]),
}
EXTREME_LOSSES = [binary_cross_entropy, vt(0.99, 1), vt(0.99, 2), nnf(0.99, 1), nnf(0.99, 2), nnf(0.99, 1, "hinge")]


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", EXTREMES)
def test_a15_extremes_in_every_precision(name, dtype):
    z, g, expected = EXTREMES[name]
    relative = 1e-9 if dtype == torch.float64 else 2e-5
    for number, (loss, value) in enumerate(zip(EXTREME_LOSSES, expected, strict=True)):
        leaf = torch.full((1, 1, 1, 1), z, dtype=dtype, requires_grad=True)

        found = loss(leaf, torch.full((1, 1, 1, 1), g, dtype=dtype))

        scale = 4 if number in (2, 4) else 1
        assert found.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
        assert float(found.detach()) == pytest.approx(value, rel=relative, abs=0 if number == 0 else 1e-6 * scale)
        (gradient,) = torch.autograd.grad(found, leaf)
        assert torch.isfinite(gradient).all()


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("z", [1e4, -1e4, 65504.0, -65504.0])
def test_a15_gradients_are_finite_at_ten_thousand(z, dtype):
    for loss in [*EXTREME_LOSSES, vt(0.99, 20, soften="prob"), vt(0.99, 1, form="kl1"), nnf(1, 4, "gate_grad")]:
        for g in (0.0, 0.3, 1.0):
            leaf = torch.full((1, 1, 1, 1), z, dtype=dtype, requires_grad=True)

            value = loss(leaf, torch.full_like(leaf, g))
            (gradient,) = torch.autograd.grad(value, leaf)

            assert torch.isfinite(value)
            assert torch.isfinite(gradient).all()


def test_losses_leave_autocast_for_full_precision():
    logits = torch.randn(2, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    mask = (logits > 0.2).float()

    for loss in EXTREME_LOSSES:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            inside = loss(logits, mask)

        assert inside.dtype == torch.float32
        assert torch.equal(inside, loss(logits, mask))


@pytest.mark.parametrize(
    ("soften", "temperature", "expected"),
    [
        ("logit", 2, 0.9086747513), ("logit", 4, 0.7592880016), ("logit", 10, 0.612898399),
        ("logit", 20, 0.5571876516), ("logit", 40, 0.5286879565),
        ("prob", 1, 0.7271082163), ("prob", 10, 0.5244804106), ("prob", 20, 0.5122475496), ("prob", 40, 0.5061246936),
    ],
)  # fmt: skip
def test_softened_confidences(soften, temperature, expected):
    assert softened(0.99, temperature, soften=soften).confidence == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(
    ("classes", "temperature", "expected"),
    [(21, 1, 0.1185501246), (21, 20, 0.04991370165), (100, 1, 0.02646216118), (100, 20, 0.01050207407)],
)
def test_softened_confidences_of_many_classes(classes, temperature, expected):
    found = softened(0.99, temperature, soften="prob", classes=classes)

    assert found.confidence == pytest.approx(expected, rel=1e-9)
