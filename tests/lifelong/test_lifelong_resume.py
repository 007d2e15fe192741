"""Promise L3: stopped or killed inside an experience, a run ends as if it never had been."""

import importlib.util
import shutil
import signal
from pathlib import Path

import pytest
import torch
from stream_trees import settings_for

from standout import checkpoint
from standout.errors import StandoutError
from standout.files import Ledger
from standout.lifelong import learn, read_results
from standout.train.show import Silent

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "kill_lifelong.py"


class StopsAt(Silent):
    """Sends this process a signal after so many steps."""

    def __init__(self, step):
        self.at = step

    def step(self, done, *_):
        if done == self.at:
            signal.raise_signal(signal.SIGTERM)


def state_of(folder):
    found = checkpoint.newest(folder / "checkpoints", print)
    return found, *checkpoint.flatten(found.training["state"])


def same_end(first, second):
    (one, tensors, tree), (other, others, tree_of_other) = state_of(first), state_of(second)
    assert one.step == other.step
    assert all(torch.equal(one.network[name], other.network[name]) for name in one.network)
    assert tensors.keys() == others.keys()
    assert [name for name in tensors if not torch.equal(tensors[name], others[name])] == []
    assert tree["memory"] == tree_of_other["memory"]
    assert (first / "model.safetensors").read_bytes() == (second / "model.safetensors").read_bytes()
    assert (read_results(first)[0].values == read_results(second)[0].values).all()


@pytest.mark.parametrize("method", ["cumulative", "derpp", "ewc", "latent_replay", "lwf", "sdkd", "sdkd_replay", "si"])
def test_l03_a_run_stopped_inside_its_third_experience_ends_bit_equal(method, growing, tmp_path):
    settings = settings_for(method, training={"epochs": 1})
    learn(growing, method, tmp_path / "whole", settings=settings)
    stopped = learn(growing, method, tmp_path / "stopped", settings=settings, shown=StopsAt(5))

    assert stopped.signal == signal.SIGTERM
    _, tensors, tree = state_of(tmp_path / "stopped")
    counters = tree["counters"]
    assert (counters["experience"], counters["begun"], counters["steps_here"]) == (2, True, 1)
    if "sdkd" in method or method == "lwf":
        assert any(name.startswith("method/teacher/") for name in tensors)
    again = learn(growing, method, tmp_path / "stopped", settings=settings, resume=True)

    assert again.signal is None
    same_end(tmp_path / "whole", tmp_path / "stopped")
    steps = [line["step"] for line in Ledger(tmp_path / "stopped" / "metrics.jsonl").read()]
    assert steps == sorted(set(steps))


def test_l03_after_kill_9_in_the_third_experience_a_run_ends_bit_equal():
    spec = importlib.util.spec_from_file_location("kill_lifelong", SCRIPT)
    kill_lifelong = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(kill_lifelong)
    rows = kill_lifelong.kill_until(2, ["sdkd_replay"], seed=3)

    assert sum(row["kills"] for row in rows) >= 2
    assert [row for row in rows if not row["bit_equal"]] == []


def test_an_experience_that_is_still_to_be_learnt_may_not_be_gone(growing, tmp_path):
    root = tmp_path / "s"
    shutil.copytree(growing, root)
    settings = settings_for("naive", training={"epochs": 1})
    learn(root, "naive", tmp_path / "run", settings=settings, shown=StopsAt(3))
    root.rename(tmp_path / "elsewhere")

    with pytest.raises(StandoutError, match="still to be learnt has no pictures any more: office"):
        learn(root, "naive", tmp_path / "run", settings=settings, resume=True)
    moved = learn(tmp_path / "elsewhere", "naive", tmp_path / "run", settings=settings, resume=True)
    assert moved.matrix.holes() == []  # the same pictures under another path are the same stream


def test_a_changed_list_of_classes_is_refused_by_name_on_resume(growing, tmp_path):
    root = tmp_path / "s"
    shutil.copytree(growing, root)
    settings = settings_for("naive", training={"epochs": 1})
    learn(root, "naive", tmp_path / "run", settings=settings, shown=StopsAt(3))
    (root / "office" / "cup").rename(root / "office" / "bowl")

    with pytest.raises(StandoutError, match="setting differs from the run's: experience 2 was"):
        learn(root, "naive", tmp_path / "run", settings=settings, resume=True)


def test_l03_a_picture_in_memory_that_has_changed_is_refused_by_name(growing, tmp_path):
    root = tmp_path / "s"
    shutil.copytree(growing, root)
    settings = settings_for("replay", training={"epochs": 1})
    learn(root, "replay", tmp_path / "run", settings=settings, shown=StopsAt(3))
    _, _, tree = state_of(tmp_path / "run")
    assert len(tree["memory"]["kept"]) == 8
    for one in tree["memory"]["kept"]:
        path = Path(one["path"])
        path.write_bytes(path.read_bytes() + b"\0")  # it can still be read, and is another file

    with pytest.raises(StandoutError, match=r"remembered picture has changed: .*\.png; .* or take it out to go on"):
        learn(root, "replay", tmp_path / "run", settings=settings, resume=True)
    for one in tree["memory"]["kept"]:
        Path(one["path"]).unlink()
    again = learn(root, "replay", tmp_path / "run", settings=settings, resume=True)
    assert again.matrix.holes() == []
