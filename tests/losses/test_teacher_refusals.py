"""Which options, shapes and logits the hand-made teacher and its feedback refuse, and in which words."""

import math

import pytest
import torch

from standout.losses import gradient_ratio, mean_squared, non_negative_feedback, virtual_teacher

Z = torch.tensor([2.0, -1.5, 6.0, 0.25, -4.0, 1.0, -6.0, 3.0], dtype=torch.float64).view(1, 1, 2, 4)
G = torch.tensor([1.0, 1, 1, 1, 0, 0, 0, 0], dtype=torch.float64).view(1, 1, 2, 4)


@pytest.mark.parametrize(
    ("loss", "options", "words"),
    [
        (virtual_teacher, {"form": "kl2"}, "unknown form 'kl2'; did you mean kl"),
        (virtual_teacher, {"soften": "logits"}, "unknown soften 'logits'; did you mean logit?"),
        (virtual_teacher, {"t_scale": "T3"}, "unknown t_scale 'T3'; did you mean T"),
        (virtual_teacher, {"reduction": "vaild"}, "unknown reduction 'vaild'; did you mean valid?"),
        (virtual_teacher, {"confidence": 0.4}, r"confidence must lie in \[0.5, 1\], got 0.4"),
        (virtual_teacher, {"confidence": 1.01}, "got 1.01"),
        (virtual_teacher, {"confidence": math.nan}, "got nan"),
        (virtual_teacher, {"temperature": 0.5}, "temperature must be a number >= 1, got 0.5"),
        (virtual_teacher, {"temperature": math.inf}, "got inf"),
        (non_negative_feedback, {"form": "spilt"}, "unknown form 'spilt'; did you mean split?"),
        (non_negative_feedback, {"soft": "gated"}, "unknown soft 'gated'; did you mean gate?"),
        (non_negative_feedback, {"const": "dropped"}, "unknown const 'dropped'; did you mean drop?"),
        (non_negative_feedback, {"balance": "regions"}, "unknown balance 'regions'; did you mean region?"),
        (mean_squared, {"confidence": 2}, "got 2"),
    ],
)
def test_a_wrong_option_is_refused_with_the_nearest(loss, options, words):
    with pytest.raises(ValueError, match=words):
        loss(Z, G, **options)


@pytest.mark.parametrize("loss", [virtual_teacher, non_negative_feedback, mean_squared])
def test_shapes_that_do_not_fit_are_refused(loss):
    with pytest.raises(ValueError, match=r"\(1, 1, 2, 4\) and mask \(1, 1, 2, 3\)"):
        loss(Z, G[..., :3])
    with pytest.raises(ValueError, match=r"\(2, 1, 2, 4\) and mask \(1, 1, 2, 4\)"):
        loss(torch.cat([Z, Z]), G)
    with pytest.raises(ValueError, match="whole-number labels"):
        loss(torch.cat([Z, Z], 1), torch.cat([G, G], 1))
    with pytest.raises(ValueError, match=r"valid \(1, 1, 2, 3\)"):
        loss(Z, G, valid=G[..., :3])


@pytest.mark.parametrize("loss", [virtual_teacher, non_negative_feedback])
def test_classes_that_do_not_fit_are_refused(loss):
    z = torch.zeros(2, 3, 4, 4)
    with pytest.raises(ValueError, match="class axis"):
        loss(torch.zeros(2, 1, 4, 4), torch.zeros(2, 4, 4, dtype=torch.long))
    with pytest.raises(ValueError, match=r"shape \(2, 4, 4\)"):
        loss(z, torch.zeros(2, 4, 5, dtype=torch.long))
    with pytest.raises(ValueError, match="go from 0 to 3, logits have 3 classes"):
        loss(z, torch.arange(32).view(2, 4, 4) % 4)
    with pytest.raises(ValueError, match=r"\[0.333"):
        loss(z, torch.zeros(2, 4, 4, dtype=torch.long), confidence=0.3)


def test_options_of_one_channel_are_refused_with_classes():
    z, labels = torch.zeros(2, 3), torch.tensor([0, 1])
    with pytest.raises(ValueError, match="one channel only"):
        virtual_teacher(z, labels, form="kl1")
    for options in ({"form": "hinge"}, {"balance": "region"}):
        with pytest.raises(ValueError, match="with classes"):
            non_negative_feedback(z, labels, **options)


def test_gradient_ratio_refuses_logits_that_teach_nothing():
    with pytest.raises(ValueError, match="no gradient"):
        gradient_ratio(virtual_teacher, torch.full((1, 1, 1, 2), 1e4), torch.ones(1, 1, 1, 2))
