"""Each method's own terms against slow definitions, on a network small enough to follow by hand."""

import copy
import inspect

import pytest
import torch
import torch.nn.functional as F

from standout.errors import StandoutError
from standout.lifelong import build_recogniser
from standout.lifelong.methods import METHODS, build_method
from standout.lifelong.methods.method import Meeting
from standout.lifelong.network import Recognised
from standout.lifelong.pictures import Labelled
from standout.names import find


def recogniser(classes=("a", "b", "c"), name="tiny"):
    torch.manual_seed(3)
    return build_recogniser(name, classes).double().eval()


def batch_of(count=4, side=32, seed=0, classes=3):
    random = torch.Generator().manual_seed(seed)
    image = torch.rand(count, 3, side, side, generator=random, dtype=torch.float64)
    label = torch.arange(count) % classes
    return Labelled(image, label, torch.arange(count))


def meeting(batches, number=0):
    return Meeting(number, lambda: iter(batches), seed=11)


def moved(network, by=0.01):
    with torch.no_grad():
        for number, weight in enumerate(network.parameters()):
            weight += by * (1 + number % 3)


def test_lwf_is_the_divergence_from_the_scores_before_on_the_classes_known_then():
    method = build_method({"name": "lwf", "temperature": 2.0, "weight": 1.5})
    network = recogniser()
    method.begin(network, meeting([], number=1))
    taught = copy.deepcopy(network)
    network.grow(["d"], seed=1)
    network.double()
    moved(network)
    batch = batch_of()
    seen = network(batch.image)

    term = method.terms(network, seen, batch)["soft_targets"]

    with torch.no_grad():
        p = F.softmax(taught(batch.image).scores / 2, 1)
    q = F.softmax(seen.scores[:, :3] / 2, 1)
    expected = 1.5 * 4 * (p * (p.log() - q.log())).sum(1).mean()
    assert term.item() == pytest.approx(expected.item(), rel=1e-9)
    assert term.item() > 0


def test_ewc_holds_weights_by_the_squares_of_single_pictures_gradients():
    method = build_method({"name": "ewc", "weight": 3.0, "decay": 0.5, "samples": 6})
    network = recogniser()
    batches = [batch_of(seed=1), batch_of(seed=2)]

    def fisher(of):
        squares = [torch.zeros_like(w) for w in of.parameters()]
        images, labels = torch.cat([b.image for b in batches])[:6], torch.cat([b.label for b in batches])[:6]
        for image, label in zip(images, labels, strict=True):
            loss = -F.log_softmax(of(image[None]).scores.float(), 1)[0, label]
            for square, gradient in zip(squares, torch.autograd.grad(loss, list(of.parameters())), strict=True):
                square += gradient**2 / 6
        return squares

    method.end(network, meeting(batches))
    first = fisher(network)
    method.end(network, meeting(batches))
    anchor = [w.detach().clone() for w in network.parameters()]
    moved(network)

    term = method.terms(network, network(batches[0].image), batches[0])["consolidation"]

    expected = sum(
        (1.5 * 1.5 * square * (w - old) ** 2).sum()
        for square, w, old in zip(first, network.parameters(), anchor, strict=True)
    )  # decayed by a half and found again: one and a half times
    assert term.item() == pytest.approx(expected.item(), rel=1e-6)
    assert term.item() > 0


@pytest.mark.parametrize("name", ["ewc", "si"])
def test_new_rows_have_no_importance_and_old_ones_keep_theirs(name):
    method = build_method({"name": name})
    network = recogniser()
    batches = [batch_of()]
    method.freeze(network, 0)
    step(network, method, batches[0])
    method.end(network, meeting(batches))
    old = method.importance["classifier.weight"].clone()
    network.grow(["d"], seed=1)
    network.double()
    method.freeze(network, 1)
    before = method.terms(network, network(batches[0].image), batches[0])["consolidation"]
    with torch.no_grad():
        network.classifier.weight[3] += 5
        network.classifier.bias[3] += 5
    after = method.terms(network, network(batches[0].image), batches[0])["consolidation"]
    assert after.item() == before.item() == 0
    with torch.no_grad():
        network.classifier.weight[2] += 1
    assert method.terms(network, network(batches[0].image), batches[0])["consolidation"].item() > 0
    method.end(network, meeting([batch_of(classes=4)], number=1))
    assert method.importance["classifier.weight"].shape[0] == 4
    if name == "si":
        assert (method.importance["classifier.weight"][:3] >= old).all()


def step(network, method, batch, rate=0.05):
    network.zero_grad()
    seen = network(batch.image)
    terms = {"task": method.task(seen, batch), **method.terms(network, seen, batch)}
    sum(terms.values()).backward()
    task = torch.autograd.grad(method.task(network(batch.image), batch), list(network.parameters()))
    with torch.no_grad():
        for weight in network.parameters():
            weight -= rate * weight.grad
    method.after_step(network)
    return task


def test_si_integrates_the_tasks_gradient_along_the_path_without_its_own():
    method = build_method({"name": "si", "weight": 0.7, "damping": 0.2})
    network = recogniser()
    importance = [torch.zeros_like(w) for w in network.parameters()]
    for experience in range(2):
        method.freeze(network, experience)
        start = [w.detach().clone() for w in network.parameters()]
        path = [torch.zeros_like(w) for w in network.parameters()]
        for seed in range(3):
            before = [w.detach().clone() for w in network.parameters()]
            task = step(network, method, batch_of(seed=10 * experience + seed))
            for total, gradient, w, old in zip(path, task, network.parameters(), before, strict=True):
                total -= gradient * (w.detach() - old)
        method.end(network, meeting([]))
        for total, brought, w, old in zip(importance, path, network.parameters(), start, strict=True):
            total += (brought / ((w.detach() - old) ** 2 + 0.2)).clamp(min=0)
    for found, expected in zip(method.importance.values(), importance, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-12)
    anchor = [w.detach().clone() for w in network.parameters()]
    moved(network)
    term = method.terms(network, network(batch_of().image), batch_of())["consolidation"]
    expected = sum(
        (0.7 * o * (w - a) ** 2).sum() for o, w, a in zip(importance, network.parameters(), anchor, strict=True)
    )
    assert term.item() == pytest.approx(expected.item(), rel=1e-5)


def test_si_counts_a_new_rows_way_from_where_the_row_began():
    method = build_method({"name": "si", "weight": 0.7, "damping": 0.2})
    network = recogniser()
    method.freeze(network, 0)
    step(network, method, batch_of(seed=1))
    method.end(network, meeting([]))
    held = method.importance["classifier.weight"].clone()
    network.grow(["d"], seed=1)
    network.double()
    method.freeze(network, 1)
    start = network.classifier.weight.detach().clone()
    path = torch.zeros_like(start)
    for seed in (2, 3):
        if seed == 3:  # a kill between the two steps
            state = copy.deepcopy(method.state())
            method = build_method({"name": "si", "weight": 0.7, "damping": 0.2})
            method.load(state, network)
            method.freeze(network, 1)
        before = network.classifier.weight.detach().clone()
        gradient = step(network, method, batch_of(seed=seed, classes=4))[-2]
        path -= gradient * (network.classifier.weight.detach() - before)
    assert method.importance["classifier.weight"].shape[0] == 3  # until the end a new row is held by nothing
    method.end(network, meeting([], number=1))

    way = network.classifier.weight.detach() - start
    expected = (path / (way**2 + 0.2)).clamp(min=0)
    expected[:3] += held
    assert (start[3].abs() > 0.01).any()  # the way from 0 is another one
    torch.testing.assert_close(method.importance["classifier.weight"], expected, rtol=1e-5, atol=1e-12)


def test_derpp_matches_the_scores_that_were_remembered_on_the_classes_of_then():
    method = build_method({"name": "derpp", "alpha": 0.25, "beta": 2.0})
    scores = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    label = torch.tensor([0, 1, 2, 1, 0])
    then = (torch.tensor([1.0, -1.0]), torch.tensor([0.5, 0.25, -2.0]))
    batch = Labelled(torch.zeros(5, 3, 2, 2), label, torch.arange(5), replayed=2, remembered=then)
    seen = Recognised(scores)

    terms = method.terms(recogniser(), seen, batch)

    apart = (((scores[3, :2] - then[0]) ** 2).mean() + ((scores[4] - then[1]) ** 2).mean()) / 2
    assert terms["scores"].item() == pytest.approx(0.25 * apart.item(), rel=1e-6)
    assert terms["replay"].item() == pytest.approx(2 * F.cross_entropy(scores[3:], label[3:]).item(), rel=1e-6)
    assert method.task(seen, batch).item() == pytest.approx(F.cross_entropy(scores[:3], label[:3]).item(), rel=1e-6)
    assert method.terms(recogniser(), seen, batch._replace(replayed=0, remembered=())) == {}


def test_derpp_counts_pictures_and_scores():
    method = build_method({"name": "derpp"})

    assert method.item_bytes(recogniser(), 32) == 3 * 32 * 32 + 4 * 3


@pytest.mark.parametrize("name", ["tiny", "sdkd_tiny"])
def test_latent_replay_freezes_the_lower_half_and_mixes_features_in(name):
    method = build_method({"name": "latent_replay"})
    network = recogniser(name=name).float().train()
    batch = batch_of()
    image = batch.image.float()
    kept = method.payload(network.eval(), batch._replace(image=image))
    assert kept.dtype == torch.float16
    assert method.item_bytes(network, 32) == kept[0].numel() * 2
    network.train()
    method.freeze(network, 1)
    before = lower_tensors(network)
    both = batch._replace(
        image=image, label=torch.cat([batch.label, batch.label[:2]]), replayed=2, remembered=tuple(kept[:2])
    )
    seen = method.look(network, both)
    assert seen.scores.shape == (6, 3)
    method.task(seen, both).backward()

    lower = {id(p) for part in network.lower_parts() for p in part.parameters()}
    assert all((p.grad is None) == (id(p) in lower) for p in network.parameters() if id(p) in lower)
    assert network.classifier.weight.grad is not None
    after = lower_tensors(network)
    assert len(before) > 10
    assert all(torch.equal(one, other) for one, other in zip(before, after, strict=True))  # batch norms too


def lower_tensors(network):
    return [tensor.clone() for part in network.lower_parts() for tensor in part.state_dict().values()]


def test_latent_replay_learns_everything_in_the_first_experience():
    method = build_method({"name": "latent_replay"})
    network = recogniser().float().train()
    method.freeze(network, 0)
    batch = batch_of()
    method.look(network, batch._replace(image=batch.image.float())).scores.sum().backward()

    assert all(p.grad is not None for p in network.parameters())


def test_without_features_in_memory_the_halves_are_the_whole():
    network = recogniser(name="sdkd_tiny")
    image = batch_of().image
    with torch.no_grad():
        assert torch.equal(network(image).scores, network.upper(network.lower(image)).scores)


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"name": "ewc", "weight": -1}, "out of range"),
        ({"name": "ewc", "decay": 1.5}, "out of range"),
        ({"name": "ewc", "samples": 0}, "out of range"),
        ({"name": "si", "damping": 0}, "out of range"),
        ({"name": "derpp", "alpha": -0.1}, "must be at least 0"),
        ({"name": "lwf", "temperature": 0}, "above 0"),
        ({"name": "sdkd", "ft_on": "maps"}, "ft_on"),
        ({"name": "sdkd", "temperature": 0}, "above 0"),
        ({"name": "sdkd", "lambda1": "abc"}, "lambda1 must be a number, not 'abc'"),
        ({"name": "sdkd", "lambda1": float("inf")}, "lambda1 must be a number"),
        ({"name": "sdkd", "ft_planes": 2.5}, "ft_planes must be a whole number"),
        ({"name": "sdkd", "ft_reset": 1}, "ft_reset must be true or false"),
        ({"name": "sdkd", "ft_on": 3}, "ft_on must be a word"),
        ({"name": "ewc", "samples": 1.5}, "samples must be a whole number"),
        ({"name": "ewc", "weight": True}, "weight must be a number"),
    ],
)
def test_numbers_out_of_range_are_refused(entry, words):
    with pytest.raises(StandoutError, match=words) as caught:
        build_method(entry)
    assert caught.value.exit_code == 2


def test_the_kind_of_every_option_of_every_method_is_checked():
    for name, entry in METHODS.items():
        known = inspect.signature(find({name: entry.place}, name, "method")).parameters
        for option in set(known) - set(entry.options):
            with pytest.raises(StandoutError, match=f"{option} must be "):
                build_method({"name": name, option: [1]})


def test_every_method_says_in_the_table_whether_it_remembers():
    for name, entry in METHODS.items():
        assert bool(build_method({"name": name}).memory) == entry.remembers, name
        assert entry.about
