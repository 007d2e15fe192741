"""Promise T12: what an accepted change of a setting does to the rest of the run."""

import json
import shutil

import pytest
import torch
from test_run import CHANGES, changed, stop_after

from conftest import SMALL, merged, write_discs
from standout import checkpoint
from standout.errors import StandoutError
from standout.train.loop import train
from standout.train.recipe import check_recipe

OTHERS = {
    "optimiser.name": "sgd",
    "optimiser.decay_norms": False,
    "optimiser.weight_decay": 0.1,
    "training.accumulation": 2,
    "training.freeze_batch_norm": True,
    "validation.size": 64,
    "data.mask_class": 255,
}


@pytest.fixture(scope="module")
def begun(discs, tmp_path_factory):
    """A run of two epochs of five steps that was stopped in the second."""
    run = tmp_path_factory.mktemp("begun") / "run"
    with pytest.MonkeyPatch.context() as patch:
        stop_after(patch, 7)
        train(check_recipe(merged(SMALL, {"data": {"train": str(discs)}})), run)
    return run


@pytest.fixture
def stopped(begun, tmp_path):
    return shutil.copytree(begun, tmp_path / "run")


def counters(run):
    return checkpoint.newest(run / "checkpoints").training["state"]["counters"]


ALONE = ("network.options.width", "optimiser.decay_norms", "optimiser.name", "seed", "training.ema", "training.size")
"""What touches more than its own setting; the others are changed all at once."""
TESTED_BELOW = {"strategies", "training.batch", "validation.split"}


@pytest.mark.parametrize("fields", [*([one] for one in ALONE), sorted({*CHANGES, *OTHERS} - {*ALONE, *TESTED_BELOW})])
def test_t12_every_accepted_change_ends_the_run_or_is_refused_in_words(fields, stopped, small, warnings_of):
    recipe = small()
    for field in fields:
        recipe = changed(recipe, field, {**CHANGES, **OTHERS}[field])
    if fields == ["network.options.width"]:
        with pytest.raises(StandoutError, match="does not fit the network"):
            warnings_of(recipe, stopped, resume=True, overrides=fields)
        return
    outcome, _ = warnings_of(recipe, stopped, resume=True, overrides={field.partition(".")[0] for field in fields})
    assert outcome.finished is not None
    manifest = json.loads((stopped / "manifest.json").read_bytes())
    assert {change["step"] for change in manifest["changes"]} == {7}
    for field in fields:
        assert any(change["field"].startswith(field) for change in manifest["changes"]), field


@pytest.mark.parametrize(("batch", "steps"), [(8, 7 + 2), (2, 7 + 11)])
def test_t12_with_another_batch_the_interrupted_epoch_begins_anew(batch, steps, stopped, small, warnings_of):
    recipe = changed(small(), "training.batch", batch)
    outcome, warned = warnings_of(recipe, stopped, resume=True, overrides=["training.batch"])
    assert (outcome.finished is not None, outcome.steps) == (True, steps)
    assert warned == ["begun anew under the changed settings: the epoch"]
    assert counters(stopped)["epochs_done"] == 2


def test_t12_with_other_data_the_interrupted_epoch_begins_anew(stopped, small, warnings_of, tmp_path):
    more = write_discs(tmp_path / "more", 52)
    recipe = changed(small(), "data.train", str(more))
    outcome, warned = warnings_of(recipe, stopped, resume=True, overrides=["data"])
    length = (52 - round(0.15 * 52)) // 4
    assert (outcome.finished is not None, outcome.steps) == (True, 7 + length)
    assert len(warned) == 2  # the best epoch was that of other pictures


def test_t12_other_strategies_begin_anew_and_the_optimiser_with_them(stopped, small, warnings_of, monkeypatch):
    before = checkpoint.newest(stopped / "checkpoints").network
    recipe = changed(small(), "strategies", [{"name": "pyramid"}])
    with monkeypatch.context() as patch:
        stop_after(patch, 8)
        outcome, warned = warnings_of(recipe, stopped, resume=True, overrides=["strategies"])
    assert outcome.steps == 8
    assert warned == [
        "begun anew under the changed settings: the strategies",
        "begun anew under the changed settings: the optimiser's memory",
    ]
    after = checkpoint.newest(stopped / "checkpoints")
    slots = after.training["state"]["optimiser"]
    assert {slot["step"].item() for slot in slots.values()} == {1.0}
    assert any(not torch.equal(before[name], after.network[name]) for name in before)


def test_t12_an_average_that_is_switched_on_starts_from_the_weights_so_far(small, warnings_of, tmp_path, monkeypatch):
    plain = small(training={"ema": 0.0})
    with monkeypatch.context() as patch:
        stop_after(patch, 7)
        warnings_of(plain, tmp_path / "run")
    before = checkpoint.newest(tmp_path / "run" / "checkpoints").network
    with monkeypatch.context() as patch:
        stop_after(patch, 8)
        warnings_of(small(), tmp_path / "run", resume=True, overrides=["training.ema"])
    found = checkpoint.newest(tmp_path / "run" / "checkpoints")
    average = found.training["state"]["average"]["weights"]
    for name, value in before.items():
        if value.is_floating_point():
            # After one step a tenth of the old average stays, which is the weights of before.
            assert torch.allclose(average[name], 0.1 * value + 0.9 * found.network[name], atol=1e-6), name


def test_t12_another_split_begins_epoch_and_best_anew(stopped, small, warnings_of):
    recipe = changed(small(), "validation.split", 0.3)
    outcome, warned = warnings_of(recipe, stopped, resume=True, overrides=["validation"])
    assert (outcome.steps, len(warned)) == (7 + (26 - 8) // 4, 2)


def test_t12_scores_of_another_measure_are_not_compared(stopped, small, warnings_of):
    assert counters(stopped)["best"]["epoch"] == 1
    recipe = changed(small(), "validation.score", "f_max")
    _, warned = warnings_of(recipe, stopped, resume=True, overrides=["validation"])
    assert warned == ["begun anew under the changed settings: the best epoch"]
    assert counters(stopped)["best"]["epoch"] == 2


def test_k09_an_override_of_no_setting_is_refused_with_the_nearest(stopped, small, warnings_of):
    with pytest.raises(StandoutError, match="optimiser") as caught:
        warnings_of(small(), stopped, resume=True, overrides=["optimizer.rate"])
    assert caught.value.exit_code == 2
