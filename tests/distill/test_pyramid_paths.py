"""The two paths of pyramid self-distillation as functions: published vectors, gradients, options."""

from itertools import permutations

import pytest
import torch
from torch.autograd import grad, gradcheck

from standout.distill.pyramid_paths import consistency, topdown, transfer
from standout.losses import bce_iou, bernoulli_kl, binary_cross_entropy, structural_similarity, structure


def score(*values):
    return torch.tensor(values, dtype=torch.float64).view(1, 1, 2, 2)


S = [score(1.6, -0.1, 0.7, -2.2), score(1.2, 0.3, 0.4, -2.0), score(0.8, -0.4, -0.3, -1.5), score(0.5, -0.2, 0.1, -1.0)]
T = [score(2.5, -1.2, 1.1, -3.5), score(2.0, -1.0, 0.8, -3.0), score(1.5, -0.5, 1.0, -2.5), score(1.0, -1.0, 0.5, -2.0)]

PATHS = {
    "B-t1": (consistency, {}, (0.1125481028, 0.1670180225)),
    "B-t2": (topdown, {}, (0.05471304189, 0.07077431679)),
    "B-t4": (consistency, {"form": "to_main"}, (0.07489037578, 0.1186294671)),
    "B-t5": (topdown, {"form": "branch_chain"}, (0.01994795271, 0.03146371647)),
}
SINGLES = {
    "B-c2": (0, 0, (0.05410296667, 0.0906364762)),
    "B-c3": (1, 1, (0.07032024826, 0.09362511995)),
    "B-c4": (2, 2, (0.07032719887, 0.08923554979)),
    "B-c5": (3, 3, (0.04562569839, 0.05808079116)),
    "B-d2": (0, 1, (0.02950433877, 0.04179318066)),
    "B-d3": (1, 2, (0.03347128907, 0.03883923354)),
    "B-d4": (2, 3, (0.03389223435, 0.03824607742)),
}
SLOPES = {
    1: [
        (-0.03522553192, 0.1124062468, -0.0259647606, 0.03069071858),
        (-0.0201652484, 0.06280036793, -0.02795721744, 0.01439022386),
        (-0.01054275579, 0.00975891185, -0.03140018397, 0.0106118716),
        (-0.003393726482, 0.005663268166, -0.003046254491, 0.004679328105),
    ],
    2: [
        (-0.06420473877, 0.1215604222, -0.02979404664, 0.08450353349),
        (-0.02973116634, 0.06487388069, -0.03036974917, 0.03318929503),
        (-0.01303283877, 0.01062097968, -0.03243694035, 0.01875013018),
        (-0.003767676895, 0.006092508983, -0.003104944025, 0.006787452964),
    ],
}


def learning(maps):
    return [m.clone().requires_grad_() for m in maps]


@pytest.mark.parametrize("name", PATHS)
def test_paths_meet_the_vectors(name):
    path, options, values = PATHS[name]

    for temperature, value in zip((1, 2), values, strict=True):
        assert path(S, T, temperature=temperature, **options).item() == pytest.approx(value, rel=1e-9)


def test_both_paths_together_meet_vector_t3():
    for temperature, value in ((1, 0.1672611447), (2, 0.2377923393)):
        both = consistency(S, T, temperature=temperature) + topdown(S, T, temperature=temperature)

        assert both.item() == pytest.approx(value, rel=1e-9)


def test_dense_over_the_score_maps_meets_vector_t6():
    for temperature, value in ((1, 0.03755859423), (2, 0.04545248603)):
        found = consistency(S, [], form="dense", temperature=temperature)

        assert found.item() == pytest.approx(value, rel=1e-9)


@pytest.mark.parametrize("name", SINGLES)
def test_single_transfers_meet_the_vectors(name):
    student, teacher, values = SINGLES[name]

    for temperature, value in zip((1, 2), values, strict=True):
        assert transfer(S[student], T[teacher], temperature=temperature).item() == pytest.approx(value, rel=1e-9)


@pytest.mark.parametrize("temperature", [1, 2])
def test_gradients_meet_the_vectors_and_teachers_get_none(temperature):
    students, teachers = learning(S), learning(T)

    both = consistency(students, teachers, temperature=temperature) + topdown(
        students, teachers, temperature=temperature
    )
    slopes = grad(both, students + teachers, allow_unused=True)

    for slope, expected in zip(slopes[:4], SLOPES[temperature], strict=True):
        assert slope.flatten().tolist() == pytest.approx(expected, rel=2e-9)
    assert slopes[4:] == (None,) * 4


def test_b02_teachers_are_detached():
    for form in ("same_level", "to_main"):
        students, teachers = learning(S), learning(T)
        assert grad(consistency(students, teachers, form=form), teachers, allow_unused=True) == (None,) * 4
    students, teachers = learning(S), learning(T)
    chain = topdown(students, teachers, form="branch_chain")
    slopes = grad(chain, students + teachers, allow_unused=True)

    assert slopes[:4] == (None,) * 4
    assert slopes[7] is None
    assert all(slope is not None and (slope != 0).any() for slope in slopes[4:7])


@pytest.mark.parametrize("distance", ["kl", "mse", "ssim", "bce"])
def test_only_students_learn_from_any_distance(distance):
    student, teacher = S[0].clone().requires_grad_(), T[0].clone().requires_grad_()

    slopes = grad(transfer(student, teacher, distance=distance), [student, teacher], allow_unused=True)

    assert (slopes[0] != 0).any()
    assert slopes[1] is None


def test_b03_a_map_teaches_itself_nothing():
    for distance in ("kl", "mse", "ssim", "bce"):
        student = S[0].clone().requires_grad_()
        loss = transfer(student, S[0], distance=distance)
        (slope,) = grad(loss, student)

        assert slope.abs().max().item() < 1e-12
        if distance != "bce":
            assert loss.item() == pytest.approx(0, abs=1e-12)


def test_b03_transfer_is_positive_symmetric_under_signs_and_blind_to_ignored_pixels():
    generator = torch.Generator().manual_seed(0)
    for _ in range(20):
        s, t = (3 * torch.randn(2, 1, 4, 5, generator=generator, dtype=torch.float64) for _ in range(2))
        value = transfer(s, t, temperature=2.0).item()

        assert value > 0
        assert transfer(-s, -t, temperature=2.0).item() == pytest.approx(value, rel=1e-12)
        wider_s, wider_t = (torch.cat([x, 9 * torch.randn(2, 1, 4, 3, generator=generator)], 3) for x in (s, t))
        valid = torch.cat([torch.ones(2, 1, 4, 5), torch.zeros(2, 1, 4, 3)], 3)
        assert transfer(wider_s, wider_t, temperature=2.0, valid=valid).item() == pytest.approx(value, rel=1e-12)


def test_b04_at_high_temperature_transfer_compares_logits():
    for s, t in zip(S, T, strict=True):
        expected = ((s - t) ** 2).mean().item() / 8

        assert transfer(s, t, temperature=1e3).item() == pytest.approx(expected, rel=1e-5)


def test_transfer_has_the_gradient_of_its_value():
    for distance in ("kl", "mse", "ssim", "bce"):
        for weighting in ("level", "entropy"):
            student = S[0].clone().requires_grad_()
            assert gradcheck(lambda s, d=distance, w=weighting: transfer(s, T[0], distance=d, weighting=w), student)


def test_transfers_slope_is_the_difference_of_the_maps():
    for temperature in (1.0, 3.0):
        student = S[0].clone().requires_grad_()
        (slope,) = grad(transfer(student, T[0], temperature=temperature), student)

        expected = temperature * ((S[0] / temperature).sigmoid() - (T[0] / temperature).sigmoid()) / 4
        assert torch.allclose(slope, expected, rtol=1e-12, atol=0)


def test_distances_follow_their_definitions():
    p, q = S[0].sigmoid(), T[0].sigmoid()

    assert transfer(S[0], T[0], distance="mse").item() == pytest.approx(((p - q) ** 2).mean().item(), rel=1e-12)
    ssim = structural_similarity(S[0], q).item()
    assert transfer(S[0], T[0], distance="ssim").item() == pytest.approx(ssim, rel=1e-12)
    for temperature in (1.0, 2.0):
        taught = (T[0] / temperature).sigmoid()
        entropy = -(taught * taught.log() + (1 - taught) * (1 - taught).log()).mean().item()
        kl = transfer(S[0], T[0], temperature=temperature).item()
        found = transfer(S[0], T[0], distance="bce", temperature=temperature).item()
        assert found == pytest.approx(kl + temperature**2 * entropy, rel=1e-12)


def test_an_undecided_teacher_is_silent_under_entropy_weighting():
    undecided = torch.zeros_like(S[0])
    assert transfer(S[0], undecided, weighting="entropy").item() == pytest.approx(0, abs=1e-15)
    q = T[0].sigmoid()
    certainty = 1 + (q * q.log2() + (1 - q) * (1 - q).log2())
    expected = (certainty * bernoulli_kl(S[0], T[0], reduction="none")).mean().item()

    assert transfer(S[0], T[0], weighting="entropy").item() == pytest.approx(expected, rel=1e-12)
    assert 0 < expected < transfer(S[0], T[0]).item()


def test_weightings_of_levels():
    each = [transfer(s, t).item() for s, t in zip(S, T, strict=True)]
    down = [transfer(s, t).item() for s, t in zip(S[:3], T[1:], strict=True)]
    weights = (1, 1 / 2, 1 / 4, 1 / 8)

    expected = sum(w * e for w, e in zip(weights, each, strict=True))
    assert consistency(S, T).item() == pytest.approx(expected, rel=1e-12)
    assert consistency(S, T, weighting="uniform").item() == pytest.approx(sum(each), rel=1e-12)
    assert topdown(S, T, weighting="uniform").item() == pytest.approx(sum(down), rel=1e-12)


def test_the_deepest_branch_teaches_every_score_map():
    expected = sum(0.5**i * transfer(s, T[3]).item() for i, s in enumerate(S))

    assert topdown(S, T, form="deepest").item() == pytest.approx(expected, rel=1e-12)


def test_dense_is_the_mean_over_all_ordered_pairs():
    maps = [*S, *T]
    expected = sum(transfer(a, b).item() for a, b in permutations(maps, 2)) / 56

    assert consistency(S, T, form="dense").item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("path", [consistency, topdown])
def test_a_path_switched_off_is_exactly_nothing(path):
    assert path(S, T, form="none").item() == 0


def test_students_are_resized_to_their_teacher():
    large = torch.nn.functional.interpolate(S[0], size=(6, 6), mode="bilinear", align_corners=False)

    back = torch.nn.functional.interpolate(large, size=(2, 2), mode="bilinear", align_corners=False)
    assert transfer(large, T[0]).item() == pytest.approx(transfer(back, T[0]).item(), rel=1e-12)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"distance": "l2"}, "distance 'l2'"),
        ({"weighting": "levels"}, "did you mean level"),
        ({"temperature": 0.0}, "temperature"),
        ({"temperature": 2.0, "distance": "mse"}, "'mse'"),
    ],
)
def test_transfer_refuses_wrong_options(options, words):
    with pytest.raises(ValueError, match=words):
        transfer(S[0], T[0], **options)


def test_paths_refuse_wrong_forms_and_lists():
    with pytest.raises(ValueError, match="same_level"):
        consistency(S, T, form="same_levels")
    with pytest.raises(ValueError, match="to_student"):
        topdown(S, T, form="to_students")
    with pytest.raises(ValueError, match="4 score maps and 3 branch maps"):
        topdown(S, T[:3])


MASK = torch.zeros(1, 1, 4, 4, dtype=torch.float64)
MASK[..., 1:3, 1:3] = 1
LOGITS = torch.tensor(
    [[-2, -1, -1, -2], [-1, 1, 0.5, -1], [-1, 2, -0.5, -1], [-2, -1, -1, -2]], dtype=torch.float64
).view(1, 1, 4, 4)


def test_structure_meets_vectors_p1_to_p7():
    logits = LOGITS.clone().requires_grad_()
    intended = structure(logits, MASK)
    released = structure(LOGITS, MASK, weight_bce=False).item()
    plain = binary_cross_entropy(LOGITS, MASK).item()

    assert intended.item() == pytest.approx(0.7951925996, rel=1e-9)
    assert released == pytest.approx(0.7043227548, rel=1e-9)
    assert plain == pytest.approx(0.3063843257, rel=1e-9)
    assert released - plain == pytest.approx(0.3979384291, rel=1e-9)
    assert intended.item() - (released - plain) == pytest.approx(0.3972541705, rel=1e-9)
    (slope,) = grad(intended, logits)
    expected = (0.01196911251, -0.08705624841, -0.1133274585, 0.01196911251)
    assert slope[0, 0, 1].tolist() == pytest.approx(expected, rel=1e-9)
    assert bce_iou(LOGITS, MASK).item() == pytest.approx(0.832905927, rel=1e-9)


def test_b10_the_released_structure_loss_does_not_weigh_cross_entropy():
    generator = torch.Generator().manual_seed(1)
    logits, mask = (torch.rand(3, 1, 40, 40, generator=generator, dtype=torch.float64) for _ in range(2))
    released = structure(logits, mask, weight_bce=False) - binary_cross_entropy(logits, mask)
    overlap = structure(500 * (2 * (mask > 0.5).double() - 1), (mask > 0.5).double(), weight_bce=False)

    assert 0 < released.item() < 1  # what is left is one overlap loss per image
    assert overlap.item() == pytest.approx(0, abs=1e-12)
    for level in (0.0, 1.0):
        for weight_bce in (True, False):
            z = logits.clone().requires_grad_()
            loss = structure(z, torch.full_like(mask, level), weight_bce=weight_bce)
            assert torch.isfinite(loss)
            assert torch.isfinite(grad(loss, z)[0]).all()
