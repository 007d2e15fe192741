"""The hand-made teacher's and feedback's terms under all their names, and the maps that they are tried on."""

import itertools

import torch
from torch.autograd import grad

from standout.losses import binary_cross_entropy, mean_squared, non_negative_feedback, virtual_teacher

FORMS = ("split", "hinge", "gate_grad")
SOFT = ("gate", "hard_only", "binarise")


def column(numbers):
    return torch.as_tensor(numbers, dtype=torch.float64).view(1, 1, 1, -1)


def random_maps(seed, *, soft=False, pixels=100_000, deviation=5.0):
    generator = torch.Generator().manual_seed(seed)
    z = torch.randn(1, 1, 1, pixels, generator=generator, dtype=torch.float64) * deviation
    g = torch.rand(1, 1, 1, pixels, generator=generator, dtype=torch.float64)
    return z, g if soft else (g > 0.5).double()


def slope(loss, z, g, **options):
    leaf = z.clone().requires_grad_()
    (gradient,) = grad(loss(leaf, g, **options).sum(), leaf)
    return gradient


TERMS = {
    "ce": binary_cross_entropy,
    "kl": virtual_teacher,
    "kl at 3": lambda z, g, **o: virtual_teacher(z, g, temperature=3, **o),
    "prob": lambda z, g, **o: virtual_teacher(z, g, soften="prob", temperature=10, **o),
    "none": lambda z, g, **o: virtual_teacher(z, g, soften="none", **o),
    "mean squared": mean_squared,
    **{
        f"{form}, {soft}": lambda z, g, f=form, s=soft, **o: non_negative_feedback(z, g, form=f, soft=s, **o)
        for form, soft in itertools.product(FORMS, SOFT)
    },
}
