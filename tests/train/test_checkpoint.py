"""Promises T2, T3, T4, C1 to C4 of checkpoint folders; no training, so thousands of faults take seconds."""

import contextlib
import errno
import json
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as some

from standout import checkpoint
from standout.errors import StandoutError
from standout.networks import build_network

TRAINING = {
    "optimiser": {0: {"exp_avg": torch.arange(6.0).reshape(2, 3), "step": torch.tensor(3.0)}, 1: {}},
    "average": None,
    "counters": {"steps_done": 3, "best": {"score": 0.25, "checkpoints": ["step-00000002", "step-00000001"]}},
    "betas": (0.9, 0.999),
    "name": "é",
    "flag": True,
}
NETWORK = {"a.weight": torch.randn(2, 3, 1, 1), "a.count": torch.tensor(7)}


def same(first, second):
    if isinstance(first, torch.Tensor):
        return isinstance(second, torch.Tensor) and first.dtype == second.dtype and torch.equal(first, second)
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(same(first[key], second[key]) for key in first)
    if isinstance(first, list | tuple):
        return type(first) is type(second) and len(first) == len(second) and all(map(same, first, second))
    return type(first) is type(second) and first == second


some_leaves = (
    some.none()
    | some.booleans()
    | some.integers(-(2**63), 2**63 - 1)
    | some.floats(allow_nan=False, allow_infinity=False)
    | some.text(max_size=5)
    | some.builds(torch.full, some.tuples(some.integers(0, 3)), some.integers(0, 9))
)
some_states = some.recursive(
    some_leaves,
    lambda inner: (
        some.lists(inner, max_size=3)
        | some.lists(inner, max_size=3).map(tuple)
        | some.dictionaries(some.text(max_size=4).filter(lambda key: not key.startswith("$")), inner, max_size=3)
        | some.dictionaries(some.integers(0, 9), inner, max_size=3)
    ),
    max_leaves=10,
)


@settings(max_examples=60)
@given(some.dictionaries(some.sampled_from("abc"), some_states, max_size=3))
def test_any_nested_state_comes_back_as_it_was(state):
    tensors, tree = checkpoint.flatten(state)
    assert same(checkpoint.unflatten(tensors, json.loads(json.dumps(tree))), state)


@pytest.mark.parametrize(
    "bad", [float("nan"), float("inf"), 2**63, object(), b"bytes", {1.5: 2}, {"$tensor": 1}, {1: 2, "a": 3}, {1, 2}]
)
def test_flatten_refuses_anything_else_by_its_place(bad):
    with pytest.raises(TypeError, match="at outer/1"):
        checkpoint.flatten({"outer": [0, bad]})


def test_two_places_never_share_a_name():
    state = {"a": {"b/c": torch.zeros(1), "b": {"c": torch.ones(1)}}}
    tensors, tree = checkpoint.flatten(state)
    assert same(checkpoint.unflatten(tensors, tree), state)


def save(folder, step=3):
    return checkpoint.save(folder, step, NETWORK, TRAINING)


def test_c01_a_checkpoint_is_safetensors_and_json_and_comes_back_whole(tmp_path):
    path = save(tmp_path)
    assert path.name == "step-00000003"
    assert sorted(p.name for p in path.iterdir()) == [
        "manifest.json",
        "network.safetensors",
        "state.json",
        "training.safetensors",
    ]
    found = checkpoint.load(path)
    assert found.step == 3
    assert same(found.network, NETWORK)
    assert same(found.training, TRAINING)


class Fault:
    """Lets the n-th system call of a kind fail as a full or broken disk does."""

    def __init__(self, monkeypatch, at, number):
        self.calls, self.at, self.number = 0, at, number
        for owner, name in ((os, "fsync"), (Path, "rename"), (Path, "mkdir"), (Path, "open"), (os, "open")):
            monkeypatch.setattr(owner, name, self.wrap(getattr(owner, name)))

    def wrap(self, call):
        def faulty(*arguments, **options):
            self.calls += 1
            if self.calls == self.at:
                raise OSError(self.number, os.strerror(self.number))
            return call(*arguments, **options)

        return faulty


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
def test_t02_whichever_system_call_fails_a_whole_checkpoint_stays(tmp_path, monkeypatch, number):
    save(tmp_path, 1)
    at, failed = 1, 0
    while True:
        with monkeypatch.context() as patch:
            fault = Fault(patch, at, number)
            with contextlib.suppress(StandoutError):
                save(tmp_path, 2)
        failed += not (tmp_path / "step-00000002").exists()
        if fault.calls < at:
            break
        found = checkpoint.newest(tmp_path)
        assert found.step in (1, 2)
        assert same(found.training, TRAINING)
        assert {p.name for p in tmp_path.iterdir()} <= {"step-00000001", "step-00000002"}
        shutil.rmtree(tmp_path / "step-00000002", ignore_errors=True)
        at += 1
    assert failed >= 9


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
def test_t02_whichever_system_call_fails_a_step_that_is_saved_again_stays(tmp_path, monkeypatch, number):
    at, kept = 1, 0
    while True:
        shutil.rmtree(tmp_path)
        save(tmp_path, 1)
        with monkeypatch.context() as patch:
            fault = Fault(patch, at, number)
            with contextlib.suppress(StandoutError):
                checkpoint.save(tmp_path, 1, NETWORK, {"again": True})
        if fault.calls < at:
            break
        kept += checkpoint.newest(tmp_path, pytest.fail).training != {"again": True}
        checkpoint.remove_partial(tmp_path)
        assert [p.name for p in tmp_path.iterdir()] == ["step-00000001"]
        at += 1
    assert kept >= 9
    assert checkpoint.newest(tmp_path, pytest.fail).training == {"again": True}


def test_t02_a_kill_at_any_change_of_a_name_leaves_a_whole_checkpoint_of_a_step_that_is_saved_again(tmp_path):
    script = """
import os, sys
from pathlib import Path
import torch
from standout import checkpoint
at, rename = int(sys.argv[2]), Path.rename
def deadly(*arguments):
    global at
    at -= 1
    if at < 0:
        os._exit(9)
    return rename(*arguments)
Path.rename = deadly
checkpoint.save(Path(sys.argv[1]), 1, {"a": torch.zeros(2)}, {"again": True})
"""
    found = []
    for at in range(4):
        folder = tmp_path / str(at)
        save(folder, 1)
        done = subprocess.run([sys.executable, "-c", script, str(folder), str(at)], check=False)
        assert done.returncode == (9 if at < 3 else 0)
        found.append(checkpoint.newest(folder, pytest.fail).training == {"again": True})
        checkpoint.remove_partial(folder)
        assert [p.name for p in folder.iterdir()] == ["step-00000001"]
    assert found == [False, False, True, True]


def test_t04_a_full_disk_at_any_byte_leaves_the_previous_checkpoint_and_no_part(tmp_path):
    # A limit on the size of files is what a full disk looks like to the writer: part of the bytes, then an error.
    resource = pytest.importorskip("resource")
    save(tmp_path, 1)
    largest = max(p.stat().st_size for p in (tmp_path / "step-00000001").iterdir())
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        for number in range(20):
            resource.setrlimit(resource.RLIMIT_FSIZE, (largest * number // 20, before[1]))
            with pytest.raises(StandoutError):
                save(tmp_path, 2)
            assert [p.name for p in tmp_path.iterdir()] == ["step-00000001"]
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert save(tmp_path, 2).exists()
    assert checkpoint.newest(tmp_path).step == 2


def test_t03_every_flipped_bit_is_found_and_the_previous_checkpoint_is_used(tmp_path):
    save(tmp_path, 1)
    path = save(tmp_path, 2)
    files = {p: p.read_bytes() for p in path.iterdir()}
    chance = random.Random(0)
    spots = [(p, i) for p, content in files.items() for i in range(8 * len(content))]
    manifest = [(p, i) for p, i in spots if p.name == "manifest.json"]
    for damaged, bit in [*chance.sample(spots, 200), *chance.sample(manifest, 200)]:
        content = bytearray(files[damaged])
        content[bit // 8] ^= 1 << bit % 8
        damaged.write_bytes(content)
        with pytest.raises(StandoutError) as caught:
            checkpoint.load(path)
        assert caught.value.code == "checkpoint-damaged", (damaged.name, bit)
        damaged.write_bytes(files[damaged])
    assert checkpoint.load(path).step == 2


@pytest.mark.parametrize("name", ["network.safetensors", "training.safetensors", "state.json", "manifest.json"])
@pytest.mark.parametrize("how", ["missing", "empty", "cut", "longer", "link", "folder"])
def test_t03_a_damaged_newest_is_moved_aside_and_its_step_can_be_made_again(tmp_path, name, how):
    save(tmp_path, 1)
    damaged = save(tmp_path, 2) / name
    content = damaged.read_bytes()
    damaged.unlink()
    if how == "link":
        damaged.symlink_to(tmp_path / "step-00000001" / name)
    elif how == "folder":
        damaged.mkdir()
    elif how != "missing":
        damaged.write_bytes({"empty": b"", "cut": content[:-1], "longer": content + b" "}[how])
    said = []
    assert checkpoint.newest(tmp_path, said.append).step == 1
    assert len(said) == 1
    assert "step-00000002" in said[0]
    assert (tmp_path / "bad-step-00000002").is_dir()
    save(tmp_path, 2)
    assert checkpoint.newest(tmp_path).step == 2


def test_c03_a_newer_format_is_refused_and_stays(tmp_path):
    path = save(tmp_path)
    manifest = json.loads((path / "manifest.json").read_bytes())
    del manifest["sha256"]
    manifest["format"] = 2
    manifest["sha256"] = checkpoint._own_digest(manifest)
    # In the one form that `load` takes: a manifest in any other is damaged.
    (path / "manifest.json").write_bytes(checkpoint._json(manifest))
    with pytest.raises(StandoutError, match="newer release") as caught:
        checkpoint.newest(tmp_path)
    assert "format 2" in str(caught.value)
    assert "reads up to 1" in str(caught.value)
    assert path.exists()


def test_c03_the_stored_sample_of_format_1_is_still_read():
    found = checkpoint.load(Path(__file__).parent / "samples" / "format-1" / "step-00000003")
    assert found.step == 3
    assert same(found.training, TRAINING)
    assert same(found.network["a.count"], torch.tensor(7))


def test_c04_missing_surplus_and_misshaped_tensors_are_named_and_nothing_is_loaded():
    network = build_network("tiny")
    before = {name: value.clone() for name, value in network.state_dict().items()}
    names = list(before)
    for tensors, said in (
        ({n: v + 1 for n, v in before.items() if n != names[0]}, f"{names[0]} is missing"),
        ({**{n: v + 1 for n, v in before.items()}, "extra": torch.zeros(1)}, "extra is surplus"),
        ({**{n: v + 1 for n, v in before.items()}, names[0]: torch.zeros(3)}, f"{names[0]} has shape (3,)"),
        ({}, ", …"),
    ):
        with pytest.raises(StandoutError) as caught:
            checkpoint.load_tensors(network, tensors, "checkpoint")
        assert said in str(caught.value)
        assert same(dict(network.state_dict()), before)


def test_t15_pruning_keeps_the_newest_and_the_precious_and_touches_nothing_else(tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_text("x")
    folder = tmp_path / "checkpoints"
    for step in range(1, 7):
        save(folder, step)
    (folder / "step-00000000").symlink_to(outside, target_is_directory=True)
    (folder / "notes").mkdir()
    checkpoint.prune(folder, 3, {"step-00000002"})
    left = sorted(p.name for p in folder.iterdir())
    assert left == ["notes", "step-00000000", *(f"step-{step:08d}" for step in (2, 4, 5, 6))]
    assert (outside / "file").exists()


def test_t02_what_a_killed_writer_left_is_cleared_and_links_are_not_followed(tmp_path):
    save(tmp_path, 1)
    partial = checkpoint.temporary_path(tmp_path / "step-00000002")
    partial.mkdir()
    (partial / "network.safetensors").write_bytes(b"half")
    assert checkpoint.newest(tmp_path).step == 1
    checkpoint.remove_partial(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["step-00000001"]


def test_channels_last_and_shared_tensors_are_stored(tmp_path):
    weight = torch.randn(4, 3, 3, 3).to(memory_format=torch.channels_last)
    path = checkpoint.save(tmp_path, 1, {"a": weight, "b": weight}, {})
    found = checkpoint.load(path).network
    assert torch.equal(found["a"], weight)
    assert torch.equal(found["b"], weight)
