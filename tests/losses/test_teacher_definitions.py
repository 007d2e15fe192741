"""The hand-made teacher and non-negative feedback beside their definitions, written slowly."""

import itertools
import math

import pytest
import torch
from teacher_terms import FORMS, SOFT, TERMS, random_maps
from torch.autograd import gradcheck

from oracles import teachers as oracle
from standout.losses import bernoulli_kl, non_negative_feedback, virtual_teacher


@pytest.mark.parametrize("temperature", [1, 2.5, 20])
@pytest.mark.parametrize("confidence", [0.5, 0.9, 1])
def test_a14_one_channel_follows_its_definition(temperature, confidence):
    z, g = random_maps(14, soft=True, pixels=300)
    z = z.clamp(-20, 20)
    g.view(-1)[:100] = g.view(-1)[:100].round()
    pixels = list(zip(z.flatten().tolist(), g.flatten().tolist(), strict=True))

    def agree(loss, naive, names, **options):
        found = loss(z, g, temperature=temperature, confidence=confidence, reduction="none", **options)
        expected = [naive(a, b, confidence, temperature, **{k: options[k] for k in names}) for a, b in pixels]
        assert found.flatten().tolist() == pytest.approx(expected, rel=1e-10, abs=1e-10)

    for soften, t_scale in itertools.product(["logit", "prob", "none"], ["T2", "T", "none"]):
        teacher = {"soften": soften, "t_scale": t_scale}
        for form in ("kl", "kl1"):
            agree(virtual_teacher, oracle.virtual_teacher, ("form", *teacher), form=form, **teacher)
        for form, soft in itertools.product(FORMS, SOFT):
            names = ("form", "soft", "const", *teacher)
            for const in ("kl", "drop"):
                options = {"form": form, "soft": soft, "const": const}
                agree(non_negative_feedback, oracle.non_negative_feedback, names, **options, **teacher)


@pytest.mark.parametrize("classes", [2, 3, 21])
@pytest.mark.parametrize("confidence", [0.6, 0.99, 1])
def test_a14_classes_follow_their_definition(classes, confidence):
    generator = torch.Generator().manual_seed(classes)
    z = (torch.randn(40, classes, generator=generator, dtype=torch.float64) * 5).clamp(-20, 20)
    labels = torch.randint(0, classes, (40,), generator=generator)
    for soften, temperature in itertools.product(["logit", "prob", "none"], [1, 2, 20]):
        options = {"confidence": confidence, "temperature": temperature, "soften": soften}
        found = virtual_teacher(z, labels, reduction="none", **options)
        helped = non_negative_feedback(z, labels, reduction="none", **options)

        pixels = list(zip(z.tolist(), labels.tolist(), strict=True))
        expected = [oracle.class_virtual_teacher(a, b, confidence, temperature, soften) for a, b in pixels]
        assert found.tolist() == pytest.approx(expected, rel=1e-10, abs=1e-10)
        expected = [oracle.class_non_negative_feedback(a, b, confidence, temperature, soften) for a, b in pixels]
        assert helped.tolist() == pytest.approx(expected, rel=1e-10, abs=1e-10)


@pytest.mark.parametrize("reduction", ["valid", "image"])
def test_a14_the_means_follow_their_definition(reduction):
    z, g = random_maps(14, soft=True, pixels=120)
    z, g = z.view(4, 1, 5, 6), g.view(4, 1, 5, 6)
    valid = (torch.rand(4, 1, 5, 6, generator=torch.Generator().manual_seed(1)) > 0.4).double()
    valid[2] = 0
    rows = [
        oracle.mean(
            [oracle.virtual_teacher(a, b, 0.99, 2) for a, b in zip(z[i].flatten(), g[i].flatten(), strict=True)],
            valid[i].flatten().tolist(),
        )
        for i in range(4)
    ]
    sizes = [float(valid[i].sum()) for i in range(4)]
    if reduction == "image":
        expected = sum(rows) / 3
    else:
        expected = sum(a * b for a, b in zip(rows, sizes, strict=True)) / sum(sizes)

    found = virtual_teacher(z, g, temperature=2, valid=valid, reduction=reduction)

    assert float(found) == pytest.approx(float(expected), rel=1e-12)


@pytest.mark.parametrize("name", [name for name in TERMS if not name.startswith("gate_grad")])
def test_gradients_agree_with_differences(name):
    """Away from the gates; `gate_grad` has a gradient that is not its value's, on purpose."""
    z, g = random_maps(15, soft=True, pixels=40, deviation=2)
    z = z.requires_grad_()

    assert gradcheck(lambda a: TERMS[name](a, g), z)


def test_the_teacher_is_the_divergence_from_its_own_logits():
    z, g = random_maps(19, pixels=1_000)
    teacher = math.log(0.99 / 0.01) * (2 * g - 1)

    for temperature in (1, 2, 4):
        expected = float(bernoulli_kl(z, teacher, temperature=temperature))

        assert float(virtual_teacher(z, g, temperature=temperature)) == pytest.approx(expected, rel=1e-10)
