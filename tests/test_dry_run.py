"""Promise K7: whatever writes says beforehand what it would write, and then writes nothing."""

import json
import shutil

import click
import numpy as np
import pytest
from click.testing import CliRunner

from standout.cli import VERBS, main
from standout.images import write_image, write_map
from tiny_model import model_folder

READ_ONLY = {"data check", "models list", "models inspect"}


def commands():
    """Every command, by the words that call it."""
    found = {}
    todo = [(verb, main.get_command(None, verb)) for verb in VERBS]
    while todo:
        words, command = todo.pop()
        if isinstance(command, click.Group):
            todo += [(f"{words} {name}", command.get_command(None, name)) for name in command.list_commands(None)]
        else:
            found[words] = command
    return found


def test_k07_every_command_that_writes_has_a_dry_run():
    without = {
        words for words, command in commands().items() if "--dry-run" not in {o for p in command.params for o in p.opts}
    }

    assert without == READ_ONLY


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A data set, maps of it, a folder of classes and a run, in the working folder."""
    rng = np.random.default_rng(0)
    for number in range(4):
        pixels = rng.integers(0, 256, (40, 40, 3), dtype=np.uint8)
        write_image(tmp_path / "set" / "images" / f"{number}.png", pixels)
        for folder in ("set/masks", "maps"):
            write_map(tmp_path / folder / f"{number}.png", (pixels[..., 0] > 128).astype(np.uint8) * np.uint8(255))
    for number in range(24):  # enough that both parts of the split by name have some of each class
        pixels = rng.integers(0, 256, (40, 40, 3), dtype=np.uint8)
        write_image(tmp_path / "classes" / "day" / "ab"[number % 2] / f"{number}.png", pixels)
    (tmp_path / "run").mkdir()
    for file in model_folder().glob("model.*"):
        (tmp_path / "run" / file.name).write_bytes(file.read_bytes())
    monkeypatch.chdir(tmp_path)
    return tmp_path


CALLS = {
    "cut": (["set/images", "--model", "run", "--output", "out"], "4 to write"),
    "predict": (["set/images", "--model", "run", "--output", "out"], "4 to write"),
    "train": (["set", "--network", "tiny", "--size", "32", "--batch", "2", "--output", "out"], "step"),
    "export": (["run", "--output", "out.onnx"], "would write out.onnx"),
    "quickstart": (["--output", "out"], "would write out/scenes/train"),
    "eval": (["maps", "set/masks", "--output", "out.csv", "--ledger", "out.jsonl"], "maps: 4 of 4 pictures to score"),
    "eval of a model": (["run/model.onnx", "set", "--output", "out.json"], "would write out.json"),
    "eval of many": (["--maps", "A=maps", "--masks", "S=set/masks", "--report", "out.html"], "A on S: 4 of 4"),
    "eval of a shard": (
        ["--maps", "A=maps", "--masks", "S=set/masks", "--shard", "1/2", "--output", "out.jsonl"],
        "would write out.jsonl",
    ),
    "lifelong run": (["classes", "--method", "naive", "--output", "out"], "to learn from"),
    "lifelong generate": (["out", "--objects", "2"], "would write out"),
    "lifelong predict": (["set/images", "--model", "run", "--output", "out"], "would write out/3.png"),
    "lifelong export": (["run", "--output", "out.onnx"], "would write out.onnx"),
}


def tree(folder):
    return {path: path.lstat().st_mtime_ns for path in folder.rglob("*")}


@pytest.mark.parametrize("call", CALLS)
def test_k07_a_dry_run_tells_and_writes_nothing(call, place):
    words, told = CALLS[call]
    before = tree(place)

    ran = CliRunner().invoke(main, [*call.partition(" of ")[0].split(), *words, "--dry-run"], standalone_mode=False)

    assert ran.exception is None, ran.exception
    assert told in ran.output
    assert tree(place) == before


def test_k07_a_dry_run_refuses_what_the_run_would(place):
    (place / "out.onnx").write_bytes(b"mine")
    (place / "maps" / "1.png").unlink()
    refused = [
        (["export", "run", "--output", "out.onnx", "--dry-run"], "file exists already"),
        (["lifelong", "export", "run", "--output", "out.onnx", "--dry-run"], "file exists already"),
        (["eval", "maps", "set/masks", "--dry-run"], "1 problem with 4 pictures"),
        (["quickstart", "--output", "q", "--dry-run"], "folder holds 4 scenes, not 480"),
    ]
    shutil.copytree(place / "set", place / "q" / "scenes" / "train")
    for words, why in refused:
        ran = CliRunner().invoke(main, words, standalone_mode=False)
        assert why in str(ran.exception), words


def test_k07_a_dry_run_is_one_document_under_json(place):
    ran = CliRunner().invoke(main, ["export", "run", "--output", "new.onnx", "--dry-run", "--json"])

    document = json.loads(ran.output)
    assert (document["schema"], document["dry_run"], document["write"]) == (1, True, ["new.onnx"])
    assert document["model"]["metadata"]["network"] == "tiny"
