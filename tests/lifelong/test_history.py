"""Going on with a learner whose past has moved, changed or gone: what is learnt is history, and is not asked for."""

import json
import shutil
import signal

import pytest
from stream_trees import COLOURS, domains, fill, settings_for

from standout.errors import StandoutError
from standout.lifelong import learn, read_results
from standout.lifelong.learner import learn_more, plan_more, stored_tables
from standout.train.show import Silent

QUICK = {"epochs": 1, "ratio_steps": 0}


class Told(Silent):
    """Keeps the lines that a run shows, and stops it by a signal after so many steps."""

    def __init__(self, stop_at=0):
        self.lines, self.at = [], stop_at

    def line(self, text):
        self.lines.append(text)

    def step(self, done, *_):
        if done == self.at:
            signal.raise_signal(signal.SIGTERM)


def ignored(_):
    """Let a warning go."""


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A stream of two experiences, a learner of it that learnt one folder more, and two new folders."""
    base = tmp_path_factory.mktemp("made")
    domains(base / "s", names=("home", "office"), count=4)
    for number, name in enumerate(("april", "june")):
        fill(base / name / "cup", COLOURS["cup"], 4, seed=60 + number)
        fill(base / name / "shoe", COLOURS["shoe"], 4, seed=70 + number)
    return base


@pytest.fixture
def place(made, tmp_path):
    """The same in a folder of the test's own."""
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    return tmp_path


def begun(place, method="naive", shown=None):
    learn(place / "s", method, place / "run", settings=settings_for(method, training=QUICK), warn=ignored,
          shown=shown)  # fmt: skip
    return place / "run"


def more(run, *folders, shown=None, **options):
    return learn_more(run, folders, warn=ignored, shown=shown, **options)


def changes_of(run):
    return json.loads((run / "manifest.json").read_text())["changes"]


def test_l04_a_folder_learnt_before_that_is_gone_is_a_hole(place):
    run = begun(place)
    more(run, place / "april")
    (place / "april").rename(place / "moved")
    shutil.rmtree(place / "s" / "home")
    told = Told()
    learnt = more(run, place / "june", shown=told)

    assert learnt.matrix.names == ("home", "office", "april", "june")
    gone = [hole for hole in learnt.matrix.holes() if hole.endswith("after june")]
    assert gone == ["home after june", "april after june"]
    assert learnt.matrix.values[3, 1] >= 0
    assert [line.split(": ")[0] for line in told.lines if "is not there" in line] == [
        f"{place / 's' / 'home'} is not there", f"{place / 'april'} is not there"
    ]  # fmt: skip
    _, stream, met = plan_more(run, [place / "moved"])
    assert met == ["home", "office", "april", "june"]
    assert [len(e.test) > 0 for e in stream.experiences] == [False, True, False, True, True]


def test_an_experience_whose_folder_is_empty_now_is_a_hole_too(place):
    run = begun(place)
    for picture in (place / "s" / "home").rglob("*.png"):
        picture.unlink()

    assert "home after june" in more(run, place / "june").matrix.holes()


def test_a_past_folder_that_has_changed_is_tested_on_as_it_is_and_recorded_once(place):
    run = begun(place)
    more(run, place / "april")
    next((place / "april" / "cup").iterdir()).unlink()
    fill(place / "s" / "office" / "cup" / "more", COLOURS["cup"], 2, seed=90)
    told = Told()
    more(run, place / "june", shown=told)

    changed = [line.split(")")[0] for line in told.lines if "its pictures have changed" in line]
    assert changed == ["experience 2 (office", "experience 3 (april"]
    assert [change["field"] for change in changes_of(run)] == ["experience 2", "experience 3"]
    told = Told()
    learn(None, None, run, settings=stored_tables(run), resume=True, shown=told, warn=ignored)
    assert [line for line in told.lines if "changed" in line] == []
    assert len(changes_of(run)) == 2


def test_what_is_being_learnt_may_not_change_and_the_remedy_can_be_followed(place):
    run = begun(place, shown=Told(stop_at=3))
    fill(place / "s" / "office" / "cup" / "more", COLOURS["cup"], 2, seed=90)
    with pytest.raises(StandoutError, match=r"experience 2 was .*lifelong run --resume --output .* takes --override"):
        more(run, place / "june")
    tables = stored_tables(run)
    with pytest.raises(StandoutError, match="or pass --override 'experience 2'"):
        learn(None, None, run, settings=tables, resume=True, warn=ignored)
    learn(None, None, run, settings=tables, resume=True, overrides=["experience 2"], warn=ignored)

    assert more(run, place / "june").matrix.names == ("home", "office", "june")


def test_all_damaged_pictures_are_named_before_anything_is_learnt(place):
    bad = sorted((place / "s" / "office" / "shoe").iterdir())[:2] + sorted((place / "s" / "home" / "cup").iterdir())[:1]
    whole = {path: path.read_bytes() for path in bad}
    for path in bad:
        path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(StandoutError, match="3 pictures cannot be read") as caught:
        begun(place)
    assert all(str(path) in str(caught.value) for path in bad)
    assert not (place / "run" / "recipe.toml").exists()

    for path, content in whole.items():
        path.write_bytes(content)
    assert begun(place).exists()


def test_a_learn_that_was_refused_or_failed_can_be_abandoned(place):
    run = begun(place)
    bad = sorted((place / "april" / "cup").iterdir())[0]
    whole = bad.read_bytes()
    bad.write_bytes(whole[:60])
    with pytest.raises(StandoutError, match=bad.name):
        more(run, place / "april")
    tables = stored_tables(run)
    assert tables["stream"].get("more", []) == []

    # As a call that failed after it had written the recipe leaves the run.
    text = (run / "recipe.toml").read_text()
    (run / "recipe.toml").write_text(text.replace("more = []", f'more = ["{place / "april"}"]'))
    manifest = json.loads((run / "manifest.json").read_text())
    (run / "manifest.json").write_text(json.dumps({**manifest, "status": "failed"}))
    assert stored_tables(run)["stream"]["more"] == [str(place / "april")]
    (place / "april").rename(place / "moved")
    assert more(run, place / "june").matrix.names == ("home", "office", "june")
    (place / "moved" / "cup" / bad.name).write_bytes(whole)
    assert more(run, place / "moved").matrix.names == ("home", "office", "june", "moved")


def test_an_interrupted_learn_goes_on_with_the_same_call_and_is_met_once(place):
    run = begun(place)
    stopped = more(run, place / "april", place / "june", shown=Told(stop_at=5))
    assert stopped.signal == signal.SIGTERM
    learnt = more(run, place / "april", place / "june")

    assert learnt.matrix.names == ("home", "office", "april", "june")


def test_a_past_test_picture_that_is_damaged_is_told_before_learning(place):
    run = begun(place)
    pictures = sorted((place / "s" / "home").rglob("*.png"))
    before = read_results(run)[0]
    for path in pictures:
        path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(StandoutError, match="3 pictures cannot be read"):
        more(run, place / "june")

    assert (read_results(run)[0].values == before.values).all()
