"""Remembered pictures whose files have moved, are gone, or no longer fit; replay goes on with what there is."""

import json
import shutil
from pathlib import Path

import pytest
from stream_trees import COLOURS, MEMORY, domains, fill, settings_for
from test_history import Told, ignored

from standout import checkpoint
from standout.lifelong import learn
from standout.lifelong.learner import learn_more, stored_tables


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    base = tmp_path_factory.mktemp("made")
    domains(base / "s", names=("home", "office"), count=4)
    for number, label in enumerate(("cup", "shoe")):
        fill(base / "june" / label, COLOURS[label], 4, seed=60 + number)
    learn(base / "s", "replay", base / "run", settings=settings_for("replay", training={"epochs": 1, "ratio_steps": 0}))
    return base


@pytest.fixture
def place(made, tmp_path):
    """A learner with eight pictures in memory, its stream and a new folder, all moved away from where it learnt."""
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    tables = (tmp_path / "run" / "recipe.toml").read_text().replace(str(made), str(tmp_path))
    (tmp_path / "run" / "recipe.toml").write_text(tables)
    (made / "s").rename(made / "away")
    yield tmp_path
    (made / "away").rename(made / "s")


def kept(run):
    return checkpoint.newest(run / "checkpoints").training["state"]["memory"]["kept"]


def changes_of(run):
    return json.loads((run / "manifest.json").read_text())["changes"]


def test_remembered_pictures_that_moved_are_found_by_their_content(place):
    before = {one["number"]: one["sha256"] for one in kept(place / "run")}
    assert len(before) == 8
    learn_more(place / "run", [place / "june"], warn=ignored)

    after = kept(place / "run")
    assert len(after) == 8
    assert all(Path(one["path"]).is_relative_to(place) for one in after)
    assert changes_of(place / "run") == []


def test_remembered_pictures_that_are_gone_are_forgotten_and_named(place):
    shutil.rmtree(place / "s" / "home")
    of_home = sum(one["number"] >> 32 == 0 for one in kept(place / "run"))
    told = Told()
    learnt = learn_more(place / "run", [place / "june"], warn=ignored, shown=told)

    assert learnt.signal is None
    said = [line for line in told.lines if f"memory: {of_home} of 8 pictures are gone and forgotten: " in line]
    assert len(said) == 1
    assert "home" in said[0]
    assert changes_of(place / "run")[0] == {"field": "memory", "old": 8, "new": 8 - of_home} | {
        "step": changes_of(place / "run")[0]["step"]
    }


def test_l05_another_limit_on_resume_trims_the_memory_at_once(place):
    tables = stored_tables(place / "run")
    for limit, count in ((MEMORY // 2, 4), (0, 0)):
        tables["memory"]["bytes"] = limit
        learn(None, None, place / "run", settings=tables, resume=True, overrides=["memory.bytes"], warn=ignored)
        assert len(kept(place / "run")) == count

    assert learn_more(place / "run", [place / "june"], warn=ignored).matrix.names == ("home", "office", "june")
