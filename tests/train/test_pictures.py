"""Where pictures come from moves no bit of what is learnt."""

import pytest
import torch
from test_run import bit_equal

from standout.data.batches import Batches
from standout.data.resident import ResidentBatches
from standout.errors import StandoutError
from standout.train import pictures
from standout.train.pictures import training_batches
from standout.weights import read_model

CPU = torch.device("cpu")


def test_t10_the_cache_and_a_resident_set_change_no_bit_of_the_model(small, warnings_of, tmp_path):
    plain = small()
    warnings_of(plain, tmp_path / "plain")
    cache = str(tmp_path / "cache")

    for name, data in {
        "cold": {"cache": cache},
        "warm": {"cache": cache},
        "resident": {"resident": "yes", "cache": cache},
    }.items():
        recipe = small(data={"train": plain.data.train, **data})
        warnings_of(recipe, tmp_path / name)
        assert bit_equal(tmp_path / "plain", tmp_path / name)

    assert len(list((tmp_path / "cache").glob("*/*.levels"))) == 22
    _, metadata = read_model(tmp_path / "warm" / "model.safetensors")
    assert metadata["training"]["recipe"]["data"]["cache"] == "cache"


def test_t12_where_pictures_lie_may_change_on_resume(small, warnings_of, tmp_path, monkeypatch):
    from test_run import stop_after

    plain = small()
    warnings_of(plain, tmp_path / "whole")
    with monkeypatch.context() as patch:
        stop_after(patch, 3)
        warnings_of(plain, tmp_path / "stopped")
    moved = small(data={"train": plain.data.train, "resident": "yes", "cache": str(tmp_path / "cache")})
    outcome, warned = warnings_of(moved, tmp_path / "stopped", resume=True)

    assert (outcome.signal, warned) == (None, [])
    assert bit_equal(tmp_path / "whole", tmp_path / "stopped")


def made(small, monkeypatch, resident, free, device=CPU):
    from standout.data.pairs import find_pairs

    monkeypatch.setattr(pictures, "free_memory", lambda device: free)
    recipe = small()
    recipe = small(data={"train": recipe.data.train, "resident": resident})
    pairs = find_pairs(recipe.data.train).pairs
    return training_batches(recipe, pairs, views=(), device=device, warn=print)


def test_a_resident_set_has_half_of_the_free_memory(small, monkeypatch):
    one = 4 * 40 * 48

    assert type(made(small, monkeypatch, "auto", 2**30)) is Batches
    assert type(made(small, monkeypatch, "no", 2**30)) is Batches
    assert type(made(small, monkeypatch, "yes", 52.0 * one)) is ResidentBatches
    with pytest.raises(StandoutError, match=r"26 of 26 take") as caught:
        made(small, monkeypatch, "yes", 51.9 * one)
    assert "--set data.resident=no" in str(caught.value)


def test_the_memory_of_this_machine_is_known():
    assert 2**20 < pictures.free_memory(CPU) < 2**60


@pytest.mark.parametrize(
    ("device", "threads", "processes", "ahead"),
    [("cpu", 1, 1, True), ("cpu", 2, 1, True), ("cpu", 4, 1, False), ("cpu", 2, 2, False), ("cuda", 4, 1, True)],
)
def test_pictures_are_read_between_steps_only_where_these_leave_no_processor_idle(
    monkeypatch, device, threads, processes, ahead
):
    monkeypatch.setattr(pictures, "free_processors", lambda: 4)
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)

    found = pictures.readers(1, torch.device(device), processes=processes)

    assert found == {"workers": 1 if ahead else threads, "ahead": ahead}
    assert pictures.readers(0, torch.device(device), processes=processes)["workers"] == 0
    # Reading what is decoded already takes little: beside the steps, always.
    assert pictures.readers(1, torch.device(device), processes=processes, decoded=True) == {"workers": 1, "ahead": True}
