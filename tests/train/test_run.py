"""Promises T1, T5, T6, T10, T12, T14 and K2, K3 on runs of a few steps in this process."""

import json
import os
import signal
import threading

import pytest
import torch

from standout import checkpoint
from standout.data.batches import Batches
from standout.distill import STRATEGIES
from standout.distill.strategy import Strategy
from standout.errors import StandoutError
from standout.train import loop
from standout.train.recipe import as_tables, check_recipe, differences, read_recipe
from standout.weights import load_weights, read_model

EVERY_STRATEGY = {
    "plain": [],
    "virtual_teacher": [{"name": "virtual_teacher"}],
    "non_negative_feedback and pyramid": [{"name": "non_negative_feedback"}, {"name": "pyramid"}],
    "bernoulli dropout": [{"name": "dynamic_dropout", "rule": "bernoulli", "inner": {"name": "mean_squared"}}],
    "validated dropout": [
        {"name": "dynamic_dropout", "capability": "validation", "inner": {"name": "non_negative_feedback"}}
    ],
    "label_smoothing": [{"name": "label_smoothing"}],
    "attention_map": [{"name": "attention_map"}],
}


def weights(folder):
    return load_weights(folder / "model.safetensors")[0]


def bit_equal(first, second):
    one, other = weights(first), weights(second)
    assert one.keys() == other.keys()
    return all(torch.equal(one[name], other[name]) for name in one)


def last_state(folder):
    found = checkpoint.newest(folder / "checkpoints")
    tensors, _ = checkpoint.flatten(found.training["state"])
    return {**found.network, **{f"training {name}": value for name, value in tensors.items()}}


def stop_after(monkeypatch, steps, number=signal.SIGTERM):
    """Send this process a signal in the midst of step `steps`."""
    make = loop._Session._step

    def step(self, batch, progress):
        if progress.step + 1 == steps:
            os.kill(os.getpid(), number)
        return make(self, batch, progress)

    monkeypatch.setattr(loop._Session, "_step", step)


@pytest.mark.parametrize("name", EVERY_STRATEGY)
def test_t01_a_run_stopped_anywhere_ends_bit_equal_with_each_strategy(name, small, warnings_of, tmp_path, monkeypatch):
    network = {"name": "cascade_tiny" if name == "attention_map" else "tiny"}
    augmentation = {"rotation": 10, "brightness": 0.2, "sizes": [32, 64]}
    recipe = small(network=network, strategies=EVERY_STRATEGY[name], augmentation=augmentation)
    warnings_of(recipe, tmp_path / "whole")
    for steps in (3, 5):
        with monkeypatch.context() as patch:
            stop_after(patch, steps)
            outcome, _ = warnings_of(recipe, tmp_path / "stopped", resume=True)
        assert outcome.signal == signal.SIGTERM
        assert outcome.steps == steps
    outcome, warned = warnings_of(recipe, tmp_path / "stopped", resume=True)
    assert warned == []
    assert outcome.finished is not None
    assert bit_equal(tmp_path / "whole", tmp_path / "stopped")
    first, second = last_state(tmp_path / "whole"), last_state(tmp_path / "stopped")
    assert first.keys() == second.keys()
    assert [n for n in first if not torch.equal(first[n], second[n])] == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_t06_a_signal_finishes_the_step_and_saves(number, small, warnings_of, tmp_path, monkeypatch):
    stop_after(monkeypatch, 2, number)
    before = signal.getsignal(number)
    outcome, _ = warnings_of(small(), tmp_path / "run")
    assert (outcome.signal, outcome.steps, outcome.finished) == (number, 2, None)
    assert checkpoint.newest(tmp_path / "run" / "checkpoints").step == 2
    assert json.loads((tmp_path / "run" / "manifest.json").read_bytes())["resumable"] is True
    assert signal.getsignal(number) == before


def test_t06_a_signal_during_validation_is_made_up_for(small, warnings_of, tmp_path, monkeypatch):
    warnings_of(small(), tmp_path / "whole")
    with monkeypatch.context() as patch:
        asked = loop.score
        patch.setattr(loop, "score", lambda *a, **k: (os.kill(os.getpid(), signal.SIGTERM), asked(*a, **k))[1])
        outcome, _ = warnings_of(small(), tmp_path / "stopped")
        assert (outcome.signal, outcome.steps) == (signal.SIGTERM, 5)
    warnings_of(small(), tmp_path / "stopped", resume=True)
    assert bit_equal(tmp_path / "whole", tmp_path / "stopped")


@pytest.mark.parametrize("optimiser", [{"name": "adamw"}, {"name": "sgd", "rate": 0.05, "clip": 1.0}])
def test_t10_worker_counts_and_repeats_change_no_bit(optimiser, small, warnings_of, tmp_path):
    tables = {
        "optimiser": optimiser,
        "augmentation": {"rotation": 5},
        "strategies": EVERY_STRATEGY["bernoulli dropout"],
    }
    for number, workers in enumerate((0, 0, 1, 4)):
        torch.manual_seed(number)  # what came before must not matter
        warnings_of(small(**tables, training={"epochs": 1, "workers": workers}), tmp_path / str(number))
        assert bit_equal(tmp_path / "0", tmp_path / str(number))
    warnings_of(small(**tables, seed=1, training={"epochs": 1}), tmp_path / "other")
    assert not bit_equal(tmp_path / "0", tmp_path / "other")


class Poison(Strategy):
    """Adds a term that is not a number at chosen steps: in its value, or in its gradient alone."""

    at: tuple = ()
    where = "loss"

    def forward(self, maps, batch, network, progress):
        if progress.step not in self.at:
            return {"poison": 0 * maps.logits.mean()}
        if self.where == "loss":
            return {"poison": maps.logits.mean() * float("nan")}
        # sqrt has an infinite slope at 0, and its value is 0
        return {"poison": (maps.logits - maps.logits.detach()).abs().sqrt().mean()}

    def after_step(self, maps, batch, network, progress):
        if progress.step in self.at:
            raise AssertionError("a skipped step must not be remembered")


@pytest.fixture
def poison(monkeypatch):
    monkeypatch.setitem(STRATEGIES, "poison", f"{__name__}:Poison")

    def choose(at, where):
        monkeypatch.setattr(Poison, "at", tuple(at))
        monkeypatch.setattr(Poison, "where", where)

    return choose


def poison_pictures(monkeypatch, at, part):
    epoch = Batches.epoch

    def poisoned(self, number, start=0):
        for place, batch in enumerate(epoch(self, number, start), start):
            if number * len(self) + place in at:
                getattr(batch, part)[0, 0, 3, 4] = float("nan")
            yield batch

    monkeypatch.setattr(Batches, "epoch", poisoned)


@pytest.mark.parametrize("where", ["image", "mask", "loss", "gradient"])
def test_t05_what_is_not_a_number_never_reaches_the_weights(where, small, warnings_of, tmp_path, monkeypatch, poison):
    at = (2, 6)
    poison(at if where in ("loss", "gradient") else (), where)
    if where in ("image", "mask"):
        poison_pictures(monkeypatch, at, where)
    recipe = small(strategies=[{"name": "poison"}, {"name": "pyramid"}])
    outcome, _ = warnings_of(recipe, tmp_path / "run")
    assert outcome.finished is not None
    state = last_state(tmp_path / "run")
    assert all(value.isfinite().all() for value in state.values() if value.is_floating_point())
    counters = checkpoint.newest(tmp_path / "run" / "checkpoints").training["state"]["counters"]
    assert (counters["skipped"], counters["skipped_in_a_row"], counters["steps_done"]) == (2, 0, 10)
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    steps = [line for line in lines if line["kind"] == "step"]
    assert [line["step"] for line in steps if line["total"] is None or line["norm"] is None] == [3, 7]


def test_t05_too_many_in_a_row_stop_the_run_naming_step_and_files(small, warnings_of, tmp_path, poison):
    poison(range(6, 10), "loss")
    recipe = small(strategies=[{"name": "poison"}], training={"nonfinite_limit": 3})
    with pytest.raises(StandoutError, match="3 steps in a row up to step 9") as caught:
        warnings_of(recipe, tmp_path / "run")
    assert caught.value.exit_code == 1
    report = json.loads((tmp_path / "run" / "nonfinite.json").read_bytes())
    assert [entry["step"] for entry in report["steps"]] == [7, 8, 9]
    assert all(entry["not finite"] == ["gradient norm", "poison"] for entry in report["steps"])
    assert all(name.startswith("disc") for entry in report["steps"] for name in entry["files"])
    assert report["steps"][-1]["files"][0] in str(caught.value)
    found = checkpoint.newest(tmp_path / "run" / "checkpoints")
    assert found.step == 5
    assert json.loads((tmp_path / "run" / "manifest.json").read_bytes())["status"] == "failed"


def test_t05_a_run_does_not_end_as_finished_on_steps_that_were_left_out(small, warnings_of, tmp_path, poison):
    poison((8, 9), "loss")
    with pytest.raises(StandoutError, match="2 steps in a row up to step 10"):
        warnings_of(small(strategies=[{"name": "poison"}]), tmp_path / "run")
    assert json.loads((tmp_path / "run" / "manifest.json").read_bytes())["status"] == "failed"
    assert not (tmp_path / "run" / "model.safetensors").exists()


CHANGES = {
    "seed": 1,
    "network.options.width": 4,
    "strategies": [{"name": "virtual_teacher"}],
    "task": {"name": "dice"},
    "optimiser.rate": 0.02,
    "schedule.name": "poly",
    "augmentation.flip": 0.1,
    "training.size": 64,
    "training.batch": 2,
    "training.epochs": 3,
    "training.ema": 0.5,
    "validation.split": 0.3,
}


def changed(recipe, field, value):
    tables = as_tables(recipe)
    place = tables
    *path, key = field.split(".")
    for part in path:
        place = place[part]
    place[key] = value
    return check_recipe(tables)


@pytest.fixture
def stopped(small, warnings_of, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        stop_after(patch, 2)
        warnings_of(small(), tmp_path / "run")
    return tmp_path / "run"


def test_t12_changed_settings_are_refused_by_name_with_old_and_new(stopped, small, warnings_of):
    for field, value in CHANGES.items():
        with pytest.raises(StandoutError) as caught:
            warnings_of(changed(small(), field, value), stopped, resume=True)
        assert caught.value.exit_code == 2
        assert field in str(caught.value), field
        assert f"--override {field}" in str(caught.value)


def test_t12_an_override_is_taken_and_recorded(stopped, small, warnings_of):
    recipe = changed(small(), "optimiser.rate", 0.02)
    outcome, _ = warnings_of(recipe, stopped, resume=True, overrides=["optimiser"])
    assert outcome.finished is not None
    manifest = json.loads((stopped / "manifest.json").read_bytes())
    assert manifest["changes"] == [{"field": "optimiser.rate", "old": 0.01, "new": 0.02, "step": 2}]


def test_t12_changed_data_are_refused_and_moved_data_are_not(stopped, small, warnings_of, discs, tmp_path):
    import shutil

    moved = shutil.copytree(discs, tmp_path / "moved")
    recipe = changed(small(), "data.train", str(moved))
    picture = sorted((moved / "images").iterdir())[3]
    content = picture.read_bytes()
    picture.write_bytes(content + b"\0")
    with pytest.raises(StandoutError, match="data was"):
        warnings_of(recipe, stopped, resume=True)
    picture.write_bytes(content)
    assert warnings_of(recipe, stopped, resume=True)[0].finished is not None


def test_t14_no_step_occurs_twice_after_a_resume_and_a_torn_line_is_dropped(stopped, small, warnings_of):
    log = stopped / "metrics.jsonl"
    with log.open("ab") as file:
        # What a run that was killed after its last checkpoint leaves: steps that will be made again, and half a line.
        file.write(b'{"schema": 1, "kind": "step", "step": 3, "terms": {}, "total": 1.0}\n{"schema": 1, "ki')
    warnings_of(small(), stopped, resume=True)
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [line["step"] for line in lines if line["kind"] == "step"] == list(range(1, 11))
    assert [line["epoch"] for line in lines if line["kind"] == "epoch"] == [1, 2]


def test_t03_a_damaged_newest_checkpoint_costs_one_line_and_no_bit(small, warnings_of, tmp_path):
    recipe = small(training={"save_steps": 2})
    warnings_of(recipe, tmp_path / "whole")
    warnings_of(recipe, tmp_path / "damaged")
    newest = tmp_path / "damaged" / "checkpoints" / "step-00000010"
    content = bytearray((newest / "training.safetensors").read_bytes())
    content[len(content) // 2] ^= 4
    (newest / "training.safetensors").write_bytes(content)
    _, warned = warnings_of(recipe, tmp_path / "damaged", resume=True)
    assert len(warned) == 1
    assert "step-00000010" in warned[0]
    assert bit_equal(tmp_path / "whole", tmp_path / "damaged")
    assert newest.with_name("bad-step-00000010").is_dir()


def test_t04_a_failing_save_is_said_and_made_up_for(small, warnings_of, tmp_path, monkeypatch):
    save, calls = checkpoint.save, []

    def faulty(*arguments):
        calls.append(arguments[1])
        if len(calls) in self_failing:
            raise StandoutError("disk", "no space left on device", "somewhere")
        return save(*arguments)

    monkeypatch.setattr(checkpoint, "save", faulty)
    self_failing = {1, 2}
    outcome, warned = warnings_of(small(training={"save_steps": 2}), tmp_path / "run")
    assert outcome.finished is not None
    assert [("checkpoint not written" in line) for line in warned] == [True, True]
    calls.clear()
    self_failing = {1, 2, 3}
    with pytest.raises(StandoutError, match="no space left"):
        warnings_of(small(training={"save_steps": 2}), tmp_path / "other")
    assert len(calls) == 3


def test_t07_two_runs_in_one_folder_the_second_is_refused(small, warnings_of, tmp_path):
    warnings_of(small(training={"epochs": 1}), tmp_path / "run")
    with pytest.raises(StandoutError, match="holds a run already") as caught:
        warnings_of(small(training={"epochs": 1}), tmp_path / "run")
    assert caught.value.exit_code == 2


def test_everything_that_changes_in_a_step_is_stored(small, warnings_of, tmp_path, monkeypatch):
    seen = []
    make = loop._Session._step

    def step(self, batch, progress):
        before = dict(vars(self.state))
        made = make(self, batch, progress)
        counted = set(self.state._COUNTERS) | {"step", "optimiser", "average"}
        seen.append({name for name, value in vars(self.state).items() if value is not before.get(name)} - counted)
        assert set(vars(self.state)) == counted
        return made

    monkeypatch.setattr(loop._Session, "_step", step)
    warnings_of(small(), tmp_path / "run")
    assert seen == [set()] * 10


def test_a_finished_run_holds_what_it_promises_and_can_be_repeated(small, warnings_of, tmp_path):
    recipe = small(strategies=[{"name": "pyramid"}])
    outcome, _ = warnings_of(recipe, tmp_path / "run", command=["standout", "train"])
    run = tmp_path / "run"
    manifest = json.loads((run / "manifest.json").read_bytes())
    assert manifest["status"] == "finished"
    assert manifest["data"]["training"], manifest["data"]["validation"] == (22, 4)
    assert manifest["parameters"]["while_training"] > manifest["parameters"]["network"]
    assert {"command", "versions", "machine", "git", "seed", "fingerprints", "seconds", "pictures_per_second"} <= set(
        manifest
    )
    assert manifest["mae_by_scale"]["1"] == pytest.approx(manifest["scores_at_one"]["mae"])
    assert manifest["scores"]["mae"] == pytest.approx(min(manifest["mae_by_scale"].values()))
    assert (run / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert (run / "last").read_text().strip() == "step-00000010"
    assert (run / "best").read_text().strip() == outcome.finished.checkpoint
    network, metadata = read_model(run / "model.safetensors")
    assert metadata["sharpness"] == outcome.finished.sharpness
    assert metadata["measures"] == outcome.finished.scores
    assert not any("strategies" in name for name in network.state_dict())
    again = check_recipe(read_recipe(run / "recipe.toml"))
    assert differences(again, recipe) == {}
    warnings_of(again, tmp_path / "again")
    assert bit_equal(run, tmp_path / "again")


def test_the_network_learns_the_discs_and_sharpness_can_be_fixed(small, warnings_of, tmp_path):
    recipe = small(training={"epochs": 12, "log_steps": 5, "ema": 0.0}, validation={"sharpness": 1.0})
    outcome, _ = warnings_of(recipe, tmp_path / "run")
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    first = next(line for line in lines if line["kind"] == "epoch")
    assert outcome.finished.sharpness == 1
    assert outcome.finished.scores == outcome.finished.scores_at_one
    assert outcome.finished.mae_by_scale == {}
    assert outcome.finished.scores["mae"] < 0.5 * first["mae"]


def test_without_held_out_pictures_the_last_checkpoint_becomes_the_model(small, warnings_of, tmp_path):
    outcome, _ = warnings_of(small(training={"epochs": 1}, validation={"split": 0}), tmp_path / "run")
    assert (outcome.finished.scores, outcome.finished.sharpness) == ({}, 1.0)
    assert outcome.finished.checkpoint == "step-00000006"
    assert not (tmp_path / "run" / "best").exists()


def test_only_the_main_thread_takes_signals(small, tmp_path):
    # Where a library user trains in a thread of a server, the signals are the server's own.
    failures = []

    def work():
        try:
            loop.train(small(training={"epochs": 1}), tmp_path / "run", warn=failures.append)
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert failures == []
