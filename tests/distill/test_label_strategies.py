"""Virtual teacher, non-negative feedback, mean squares and label smoothing as parts of a training step."""

import math

import pytest
import torch
from torch.autograd import grad

from direct import Direct, batch_of, progress_at
from standout.distill import STRATEGIES, LabelSmoothing, MeanSquared, NonNegativeFeedback, VirtualTeacher
from standout.losses import (
    TASKS,
    binary_cross_entropy,
    cross_entropy,
    mean_squared,
    non_negative_feedback,
    soft_target_bce,
    virtual_teacher,
)
from standout.names import find
from standout.networks import build_network
from standout.train.step import TrainingStep

KINDS = {"virtual_teacher": VirtualTeacher, "non_negative_feedback": NonNegativeFeedback, "mean_squared": MeanSquared}
LOSSES = {
    "virtual_teacher": virtual_teacher, "non_negative_feedback": non_negative_feedback, "mean_squared": mean_squared,
}  # fmt: skip


def data(seed=0, soft=True):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(2, 1, 6, 8, generator=generator, dtype=torch.float64) * 4
    mask = torch.rand(2, 1, 6, 8, generator=generator, dtype=torch.float64)
    return logits, mask if soft else mask.round()


def terms_of(strategies, logits, mask, **options):
    step = TrainingStep(Direct(logits), strategies, **options)
    terms = step(batch_of(mask), progress_at())
    (pull,) = grad(sum(terms.values()), step.network.logits)
    return {name: value.detach() for name, value in terms.items()}, pull


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("alpha", [0.3, 0.5])
def test_a_convex_mixture_takes_its_share_from_the_supervised_term(name, alpha):
    logits, mask = data()

    terms, _ = terms_of([KINDS[name](alpha=alpha)], logits, mask)

    assert list(terms) == ["task", name]
    assert torch.equal(terms["task"], (1 - alpha) * binary_cross_entropy(logits, mask))
    assert torch.equal(terms[name], alpha * LOSSES[name](logits, mask))


@pytest.mark.parametrize("name", KINDS)
def test_an_additive_mixture_leaves_the_supervised_term_alone(name):
    logits, mask = data()

    terms, _ = terms_of([KINDS[name](alpha=3.0, mix="additive")], logits, mask)

    assert torch.equal(terms["task"], binary_cross_entropy(logits, mask))
    assert torch.equal(terms[name], 3.0 * LOSSES[name](logits, mask))


@pytest.mark.parametrize("kind", KINDS.values())
@pytest.mark.parametrize("mix", ["convex", "additive"])
def test_a05_alpha_zero_is_cross_entropy_to_the_bit_and_does_not_evaluate_the_term(kind, mix):
    logits, mask = data()
    plain, pull = terms_of([], logits, mask)
    evaluated = []

    class Watched(kind):
        def per_pixel(self, logits, batch):
            evaluated.append(True)
            return super().per_pixel(logits, batch)

    terms, same = terms_of([Watched(alpha=0, mix=mix)], logits, mask)
    terms_of([Watched(alpha=0.1, mix=mix)], logits, mask)

    assert list(terms) == ["task"]
    assert torch.equal(terms["task"], plain["task"])
    assert torch.equal(same, pull)
    assert evaluated == [True]


@pytest.mark.parametrize("name", KINDS)
def test_a05_alpha_one_is_the_term_alone(name):
    logits, mask = data()

    terms, _ = terms_of([KINDS[name](alpha=1)], logits, mask)

    assert list(terms) == [name]
    assert torch.equal(terms[name], LOSSES[name](logits, mask))


OPTIONS = {
    "virtual_teacher": [
        {"form": "kl1"}, {"temperature": 3.0}, {"temperature": 3.0, "t_scale": "T"},
        {"temperature": 3.0, "t_scale": "none"}, {"temperature": 3.0, "soften": "prob"}, {"multiplier": 2.0},
        {"confidence": 0.8, "soften": "none", "multiplier": 50.0},
    ],
    "non_negative_feedback": [
        {"form": "hinge"}, {"form": "gate_grad"}, {"soft": "hard_only"}, {"soft": "binarise"}, {"const": "drop"},
        {"balance": "region"}, {"temperature": 4.0, "t_scale": "T"}, {"temperature": 4.0, "t_scale": "none"},
        {"soften": "prob"}, {"soften": "none"}, {"confidence": 0.9},
    ],
    "mean_squared": [{"confidence": 0.8}],
}  # fmt: skip


@pytest.mark.parametrize(("name", "options"), [(name, o) for name, every in OPTIONS.items() for o in every])
def test_every_option_reaches_the_loss(name, options):
    logits, mask = data()

    terms, _ = terms_of([KINDS[name](alpha=0.5, **options)], logits, mask)
    plain, _ = terms_of([KINDS[name](alpha=0.5)], logits, mask)

    assert float(terms[name]) == pytest.approx(float(0.5 * LOSSES[name](logits, mask, **options)), rel=1e-12)
    assert float(terms[name]) != pytest.approx(float(plain[name]), rel=1e-6)


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("virtual_teacher", {"form": "nll"}, "unknown form 'nll'"),
        ("virtual_teacher", {"soften": "logits"}, "did you mean logit?"),
        ("virtual_teacher", {"t_scale": "None"}, "did you mean none?"),
        ("virtual_teacher", {"mix": "additiv"}, "did you mean additive?"),
        ("virtual_teacher", {"alpha": 1.5}, r"alpha must lie in \[0, 1\] with mix 'convex', got 1.5"),
        ("virtual_teacher", {"alpha": -0.1, "mix": "additive"}, "got -0.1"),
        ("virtual_teacher", {"confidence": 0.3}, "got 0.3"),
        ("virtual_teacher", {"temperature": 0}, "got 0"),
        ("non_negative_feedback", {"form": "hing"}, "did you mean hinge?"),
        ("non_negative_feedback", {"soft": "gates"}, "did you mean gate?"),
        ("non_negative_feedback", {"const": "kll"}, "did you mean kl?"),
        ("non_negative_feedback", {"balance": "regional"}, "did you mean region?"),
        ("mean_squared", {"confidence": 1.2}, "got 1.2"),
        ("mean_squared", {"alpha": math.nan}, "got nan"),
        ("label_smoothing", {"epsilon": 1.1}, r"epsilon must lie in \[0, 1\], got 1.1"),
    ],
)
def test_a_wrong_option_is_refused_before_training(name, options, words):
    with pytest.raises(ValueError, match=words):
        find(STRATEGIES, name, "strategy")(**options)


def test_a16_a_strategy_adds_nothing_to_the_network():
    torch.manual_seed(0)
    network = build_network("tiny").eval()
    image = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    before, keys = network(image).logits, list(network.state_dict())

    strategies = [VirtualTeacher(), NonNegativeFeedback(), MeanSquared(), LabelSmoothing()]
    step = TrainingStep(network, strategies).eval()
    step(batch_of(torch.zeros(2, 1, 32, 32))._replace(image=image), progress_at())

    assert torch.equal(network(image).logits, before)
    assert list(network.state_dict()) == keys
    assert len(list(step.parameters())) == len(list(network.parameters()))
    assert [list(s.state_dict()) for s in strategies] == [[], [], [], []]


def test_strategies_add_up():
    logits, mask = data()

    both, _ = terms_of([VirtualTeacher(alpha=0.2), NonNegativeFeedback(alpha=0.5)], logits, mask)

    assert list(both) == ["task", "virtual_teacher", "non_negative_feedback"]
    assert float(both["task"]) == pytest.approx(0.8 * 0.5 * float(binary_cross_entropy(logits, mask)), rel=1e-12)


def test_a_strategy_works_with_every_task():
    generator = torch.Generator().manual_seed(3)
    logits = torch.randn(1, 1, 16, 16, generator=generator, dtype=torch.float64)
    mask = torch.rand(1, 1, 16, 16, generator=generator, dtype=torch.float64)
    for name in TASKS:
        loss = find(TASKS, name, "task")

        terms, pull = terms_of([NonNegativeFeedback()], logits, mask, task=loss)

        assert float(terms["task"]) == pytest.approx(0.5 * float(loss(logits, mask)), rel=1e-12)
        assert torch.isfinite(pull).all()
        assert pull.abs().max() > 0


def test_class_labels_go_through_the_same_strategies():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 5, 4, 4, generator=generator, dtype=torch.float64)
    labels = torch.randint(0, 5, (2, 4, 4), generator=generator)
    labels[0, 0] = 255
    for name in ("virtual_teacher", "non_negative_feedback"):
        terms, pull = terms_of([KINDS[name](alpha=0.4)], logits, labels, task=cross_entropy)

        assert float(terms["task"]) == pytest.approx(0.6 * float(cross_entropy(logits, labels)), rel=1e-12)
        assert float(terms[name]) == pytest.approx(0.4 * float(LOSSES[name](logits, labels)), rel=1e-12)
        assert torch.equal(pull[0, :, 0], torch.zeros_like(pull[0, :, 0]))


def test_the_teacher_at_temperature_one():
    _, mask = data()

    for strategy in (VirtualTeacher(confidence=0.9, temperature=4), NonNegativeFeedback(confidence=0.9)):
        teacher = strategy.teacher(batch_of(mask.requires_grad_()))

        assert torch.allclose(teacher, 0.1 + 0.8 * mask)
        assert not teacher.requires_grad


# Label smoothing, and what is label smoothing under another name


@pytest.mark.parametrize("epsilon", [0.0, 0.1, 1.0])
def test_label_smoothing_changes_the_label_alone(epsilon):
    logits, mask = data()

    terms, _ = terms_of([LabelSmoothing(epsilon)], logits, mask)

    assert list(terms) == ["task"]
    expected = soft_target_bce(logits, (1 - epsilon) * mask + epsilon / 2)
    assert float(terms["task"]) == pytest.approx(float(expected), rel=1e-12)


def test_label_smoothing_at_its_limits():
    logits, mask = data()
    plain, _ = terms_of([], logits, mask)
    unsmoothed, _ = terms_of([LabelSmoothing(0)], logits, mask)
    undecided, pull = terms_of([LabelSmoothing(1)], torch.zeros_like(logits), mask)
    best = torch.full_like(logits, math.log(0.95 / 0.05))
    _, at_rest = terms_of([LabelSmoothing(0.1)], best, torch.ones_like(mask))

    assert torch.equal(unsmoothed["task"], plain["task"])
    assert float(undecided["task"]) == pytest.approx(math.log(2))
    assert pull.abs().max() == 0
    assert at_rest.abs().max() < 1e-17


@pytest.mark.parametrize(
    ("options", "alpha", "share", "epsilon"),
    [
        ({"confidence": 0.99}, 0.5, 0.99, 0.01),
        ({"confidence": 0.9}, 0.3, 0.9, 0.06),
        ({"soften": "prob", "temperature": 20.0}, 0.1, 0.5122475496, 0.0976),
        ({"soften": "prob", "temperature": 20.0}, 0.95, 0.5122475496, 0.9267),
        ({"soften": "prob", "temperature": 40.0}, 0.9, 0.5061246936, 0.8890),
    ],
)
@pytest.mark.parametrize("soft", [False, True])
def test_a_teacher_made_of_the_label_at_temperature_one_is_label_smoothing(options, alpha, share, epsilon, soft):
    logits, mask = data(soft=soft)
    exact = 2 * alpha * (1 - share)

    teacher, pull = terms_of([VirtualTeacher(alpha=alpha, **options)], logits, mask)
    smoothed, same = terms_of([LabelSmoothing(exact)], logits, mask)

    assert exact == pytest.approx(epsilon, abs=5e-5)
    assert torch.allclose(pull, same, rtol=0, atol=1e-11)
    q = (1 - share) + (2 * share - 1) * mask
    entropy = float(binary_cross_entropy(torch.logit(q), q))
    assert float(sum(teacher.values())) == pytest.approx(float(smoothed["task"]) - alpha * entropy, rel=1e-9)


def test_a_hot_student_is_not_label_smoothing():
    logits, mask = data(soft=False)
    _, pull = terms_of([VirtualTeacher(temperature=2.0)], logits, mask)
    smoothed = (pull * logits.numel() - (logits.sigmoid() - mask)).flatten()

    # Label smoothing would move every pixel of a side by the same amount.
    assert smoothed[mask.flatten() == 1].std() > 0.01


# The controls: what temperature alone and what the learning rate alone do


def test_control_cross_entropy_times_a_factor():
    logits, mask = data()

    terms, pull = terms_of(
        [VirtualTeacher(alpha=0.7, mix="additive", confidence=1, temperature=1)], logits, mask.round()
    )
    _, plain = terms_of([], logits, mask.round())

    assert torch.allclose(pull, 1.7 * plain, rtol=1e-12)
    assert float(sum(terms.values())) == pytest.approx(1.7 * float(binary_cross_entropy(logits, mask.round())))


def test_control_cross_entropy_at_a_temperature():
    logits, mask = data(soft=False)

    terms, pull = terms_of([VirtualTeacher(alpha=1, confidence=1, temperature=4)], logits, mask)

    assert float(terms["virtual_teacher"]) == pytest.approx(16 * float(binary_cross_entropy(logits / 4, mask)))
    assert torch.allclose(pull, 4 * ((logits / 4).sigmoid() - mask) / logits.numel(), rtol=1e-10)
