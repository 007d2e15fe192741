"""EWC beyond what SGD can follow: why it diverges, fused or not; and such a run never passes for one that learnt."""

import json

import pytest
import torch
from stream_trees import settings_for

from standout.errors import StandoutError
from standout.files import Ledger
from standout.lifelong import learn

STEEP = {"name": "ewc", "weight": 1e6}


def logged(folder):
    return [line for line in Ledger(folder / "metrics.jsonl").read() if line["kind"] == "step"]


class Told(list):
    """The lines that a run shows."""

    def line(self, text):
        self.append(text)

    def step(self, *_):
        pass


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize(("held", "stays"), [(0.9, True), (1.1, False)])
def test_a_held_weight_diverges_where_rate_times_weight_times_fisher_exceeds_two_and_twice_the_momentum(
    fused, held, stays
):
    """The bound of the docs: heavy-ball SGD on 0.5 c (x - x*)² is stable below c = 2 (1 + momentum) / rate."""
    rate, momentum = 0.01, 0.9
    curvature = held * 2 * (1 + momentum) / rate
    weight = torch.nn.Parameter(torch.tensor([1e-3]))
    optimiser = torch.optim.SGD([weight], lr=rate, momentum=momentum, fused=fused)
    for _ in range(500):
        optimiser.zero_grad()
        (0.5 * curvature * weight.square()).sum().backward()
        optimiser.step()

    assert (abs(weight.item()) < 1e-3) == stays


def test_t05_ewc_that_diverges_stops_and_says_so_however_short_its_experiences_are(three, tmp_path):
    settings = settings_for("ewc", training={"epochs": 3})  # nine steps an experience: fewer than the limit of ten
    assert settings["optimiser"]["name"] == "sgd"
    with pytest.raises(StandoutError, match=r"loss stopped being a number: .* up to step") as caught:
        learn(three, STEEP, tmp_path / "run", settings=settings)

    assert "lower optimiser.rate" in str(caught.value)
    lines = logged(tmp_path / "run")
    assert max(line["experience"] for line in lines) == 2  # it did not go on to the third one
    assert 0 < lines[-1]["skipped"] < 10
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    assert manifest["status"] == "failed"
    assert not (tmp_path / "run" / "checkpoints" / f"step-{lines[-1]['step']:08}").exists()
    report = json.loads((tmp_path / "run" / "nonfinite.json").read_text())
    assert len(report["steps"]) == lines[-1]["skipped"]


def test_adamw_follows_ewc_of_any_weight(three, tmp_path):
    settings = {**settings_for("ewc", training={"epochs": 3}), "optimiser": {"name": "adamw", "rate": 0.001}}
    learn(three, STEEP, tmp_path / "run", settings=settings)

    assert logged(tmp_path / "run")[-1]["skipped"] == 0


def test_steps_that_were_left_out_are_counted_by_experience_and_told(three, tmp_path, monkeypatch):
    from standout.lifelong.state import Lesson

    forward, calls = Lesson.forward, []

    def poisoned(self, batch):
        calls.append(len(calls) + 1)
        terms = forward(self, batch)
        return {**terms, "task": terms["task"] * float("nan")} if calls[-1] in (2, 12) else terms

    monkeypatch.setattr(Lesson, "forward", poisoned)
    told = Told()
    learn(three, "naive", tmp_path / "run", settings=settings_for("naive"), shown=told)  # six steps an experience

    document = json.loads((tmp_path / "run" / "results.json").read_text())
    assert [row["skipped"] for row in document["after"]] == [1, 1, 0]
    warnings = [line for line in told if "warning" in line]
    assert [line.split(" of ")[1].split()[0] for line in warnings] == ["home", "office"]
    assert "1 step of home left out" in warnings[0]
    assert calls[-1] == 18  # one bad batch alone, the last of its experience, ends nothing
