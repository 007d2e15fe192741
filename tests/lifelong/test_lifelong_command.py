"""`standout lifelong` as it is typed: a stranger's path, exit codes, one line a failure, one document with --json."""

import json
import re
import shutil
import tomllib
from pathlib import Path

import pytest
from stream_trees import COLOURS, domains, fill

from standout.cli import run
from standout.cli.lifelong.shared import words_of
from standout.lifelong import RECOGNISERS, AccuracyMatrix
from standout.lifelong.methods import build_method
from standout.lifelong.recipe import check_lifelong
from standout.train.recipe import as_toml, read_recipe, shipped_recipes


@pytest.fixture
def typed(capsys, tmp_path, monkeypatch):
    """Return a function that types a command in an empty folder and returns exit code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)

    def type_words(*words):
        with pytest.raises(SystemExit) as left:
            run(["lifelong", *map(str, words)])
        said = capsys.readouterr()
        return left.value.code, said.out, said.err

    return type_words


QUICK = ("--recogniser", "sdkd_tiny", "--size", 32, "--batch", 4, "--epochs", 1, "--threads", 1)


def test_a_strangers_path(typed, tmp_path):
    """Three folders of photos are learnt, then a fourth with a new class; a photo is recognised and shown."""
    domains(tmp_path / "photos", names=("january", "february", "march"), count=4)
    code, out, err = typed("run", "photos", "--method", "sdkd", *QUICK, "--output", "runs/mine")
    assert code == 0, err
    assert "accuracy at the end" in out
    assert "standout lifelong learn runs/mine NEW_DIR" in out
    # February comes before January and March: names sort as people read them, not by the calendar.
    assert re.findall(r"experience \d/3 (\w+)", err) == ["february", "january", "march"]

    fill(tmp_path / "april" / "cup", COLOURS["cup"], 4, seed=90)
    fill(tmp_path / "april" / "mug", COLOURS["mug"], 4, seed=91)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    code, out, err = typed("learn", "runs/mine", "april", "--dry-run")
    assert (code, out) == (0, "april: 6 to learn from, 2 to test, 1 steps, new: mug\n")
    code, out, err = typed("compare", "runs/mine", "--output", "compared", "--dry-run")
    assert code == 0
    assert "would write compared/accuracy.png" in err
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before

    code, out, err = typed("learn", "runs/mine", "april")
    assert code == 0, err
    assert "not measured: april after march" in out

    code, out, err = typed("predict", "april/mug/000.png", "--model", "runs/mine", "--output", "seen", "--top", 4)
    assert code == 0, err
    assert re.fullmatch(
        r"april/mug/000\.png: (cup|shoe|spoon|mug) 0\.\d{3}   \((\w+ 0\.\d{3}, ){2}\w+ 0\.\d{3}\)\n", out
    )
    assert (tmp_path / "seen" / "000.png").exists()

    code, out, err = typed("compare", "runs/mine", "--format", "json", "--output", "compared")
    assert code == 0, err
    assert set(json.loads(out)) == {"schema", "openloris", "gem", "sheet"}
    assert (tmp_path / "compared" / "accuracy.png").exists()


@pytest.mark.parametrize(
    ("last", "said"),
    [
        ((0.5, 1.0), "accuracy at the end 0.7500, forgetting 0.5000, accuracy over time 0.8333"),
        ((None, 0.25), "accuracy at the end on what is there to be tested on: b 0.2500"),
        ((None, None), "nothing was tested"),
    ],
)
def test_what_is_printed_first_says_what_was_tested(last, said):
    assert words_of(AccuracyMatrix([[1.0, 0.0], last], names=("a", "b"))) == said


def test_a_picture_that_cannot_be_read_is_told_and_the_rest_is_recognised(typed, tmp_path):
    domains(tmp_path / "photos", names=("one",), count=4)
    code, out, err = typed("run", "photos", *QUICK, "--output", "runs/mine", "--json")
    assert code == 0, err
    assert json.loads(out)["classes"] == ["cup", "shoe", "spoon"]
    fill(tmp_path / "new", COLOURS["cup"], 2)
    (tmp_path / "new" / "broken.png").write_bytes(b"no picture")
    code, out, err = typed("predict", "new", "--model", "runs/mine", "--json")
    assert code == 1
    assert json.loads(out)["failed"] == 1
    assert "broken.png" in err

    code, out, err = typed("run", "photos", *QUICK, "--output", "runs/mine")
    assert code == 2
    assert "folder holds a run already" in err
    code, out, err = typed("run", "--output", "runs/mine", "--resume")
    assert code == 0, err
    code, out, err = typed("run", "--output", "runs/mine", "--resume", "--seed", 4)
    assert code == 2
    assert "seed was 0 and is now 4" in err


def test_k07_a_dry_run_says_what_would_be_met_and_writes_nothing(typed, growing, tmp_path):
    (tmp_path / "photos").symlink_to(growing)
    code, out, err = typed("run", "photos", "--dry-run", "--epochs", 2, "--batch", 4)

    assert code == 0, err
    assert out.splitlines() == [
        "home: 9 to learn from, 3 to test, 4 steps, new: cup, shoe, spoon",
        "office: 9 to learn from, 3 to test, 4 steps",
        "street: 12 to learn from, 4 to test, 6 steps, new: mug",
    ]
    assert list(tmp_path.iterdir()) == [tmp_path / "photos"]
    code, out, err = typed("run", "photos", "--dry-run", "--json", "--method", "replay")
    assert json.loads(out)["experiences"][2]["new_classes"] == ["mug"]
    assert "0 bytes" in json.loads(out)["notes"][0]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("runn",), "did you mean run"),
        (("run",), "standout lifelong run STREAM"),
        (("run", "nowhere"), "no such folder"),
        (("run", "photos", "--method", "sdkdd"), "did you mean sdkd"),
        (("run", "photos", "--method", "sdkd("), "not written right"),
        (("run", "photos", "--method", "naive", "--memory", "1M"), "keeps nothing of the past"),
        (("run", "photos", "--memory", "lots"), "no number of bytes"),
        (("run", "photos", "--kind", "domain"), "did you mean domains"),
        (("run", "photos", "--set", "training.epoch=1"), "did you mean training.epochs"),
        (("run", "photos", "--recogniser", "sdkd_tini"), "did you mean sdkd_tiny"),
        (("run", "photos", "--epoch", "1"), "--epochs"),
        (("run", "photos", "--experiences", "2"), "pass --kind classes"),
        (("run", "photos", "--kind", "domains", "--experiences", "2", "--dry-run"), "pass --kind classes"),
        (("run", "photos", "--kind", "classes", "--dry-run"), "pass --experiences N"),
        (("run", "photos", "--recogniser", "sdkd_tini", "--dry-run"), "did you mean sdkd_tiny"),
        (("run", "photos", "--recogniser", "vgg16", "--dry-run"), "needs a recogniser that says where the object is"),
        (("run", "photos", "--recogniser", "sdkd_tiny", "--pretrained", "x", "--dry-run"), "random weights alone"),
        (("run", "photos", "--method", "ewc(samples=1.5)", "--dry-run"), "samples must be a whole number"),
        (("run", "--resume"), "--output"),
        (("learn", "runs/none", "photos"), "folder holds no learner"),
        (("learn", "runs/none"), "NEW_DIR"),
        (("predict", "photos", "--model", "nothing"), "no such recogniser"),
        (("compare", "runs/none"), "no such run"),
        (("export", "runs/none", "--output", "m.onnx"), "no such recogniser"),
        (("export", "runs/none", "--output", "m.txt"), ".onnx"),
    ],
)
def test_k02_a_wrong_command_starts_nothing_and_exits_2_with_one_line(words, said, typed, three, tmp_path):
    (tmp_path / "photos").symlink_to(three)
    code, out, err = typed(*words)

    assert code == 2, err
    assert out == ""
    assert said in err
    assert re.fullmatch(r"standout: error: [^\n]*\n", err)
    assert not (tmp_path / "runs" / "photos-sdkd" / "recipe.toml").exists()


def test_a_resume_names_what_is_not_the_runs(typed, tmp_path):
    domains(tmp_path / "photos", names=("one", "two"), count=4)
    domains(tmp_path / "others", names=("home", "office"), count=4)
    assert typed("run", "photos", *QUICK, "--method", "replay", "--memory", "10", "--output", "mine")[0] == 0
    (tmp_path / "trained").mkdir()
    (tmp_path / "trained" / "recipe.toml").write_text("seed = 1\n[data]\n")
    for words, said in (
        (("others", "--output", "mine"), "stream is not the run's: it has home, office; the run's has one, two"),
        (("--output", "mine", "--order", "two,one"), "it has two, one; the run's has one, two"),
        (("--output", "nothing"), "folder holds no learner: nothing"),
        (("--output", "trained"), "folder holds no learner: trained"),
    ):
        code, out, err = typed("run", "--resume", *words)
        assert (code, out) == (2, "")
        assert said in err
    code, out, err = typed("learn", "trained", "photos/one")
    assert (code, "folder holds no learner: trained" in err) == (2, True)


def test_a_memory_too_small_for_a_picture_says_so(typed, tmp_path):
    domains(tmp_path / "photos", names=("one",), count=4)
    code, _, err = typed("run", "photos", *QUICK, "--method", "replay", "--memory", 3 * 32 * 32 - 1)

    assert code == 0, err
    assert "memory: 0 pictures, 0 of 3071 bytes; one picture takes 3072" in err


def test_a_folder_that_was_tested_on_is_learnt_where_that_is_asked_for(typed, tmp_path):
    domains(tmp_path / "photos", names=("one",), count=4)
    assert typed("run", "photos", *QUICK, "--method", "naive", "--output", "mine")[0] == 0
    (tmp_path / "photos" / "one").rename(tmp_path / "again")  # another name: another fifth is held out
    fill(tmp_path / "again" / "mug", COLOURS["mug"], 4, seed=95)
    (tmp_path / "photos").rename(tmp_path / "gone")
    code, out, err = typed("learn", "mine", "again", "--dry-run")
    assert (code, out) == (0, "again: 12 to learn from, 4 to test, 3 steps, new: mug\n"), err
    (tmp_path / "gone").rename(tmp_path / "photos")
    shutil.rmtree(tmp_path / "again" / "mug")
    (tmp_path / "photos" / "one").symlink_to(tmp_path / "again")

    code, _, err = typed("learn", "mine", "again")
    assert code == 2
    assert "pictures are tested on and learnt from" in err
    assert "--allow-overlap" in err
    code, _, err = typed("learn", "mine", "again", "--allow-overlap")
    assert code == 0, err
    assert "experience 2/2 again" in err


@pytest.mark.parametrize(
    ("text", "count"), [("0", 0), ("5500000", 5500000), ("5.5M", 5500000), ("2MiB", 2 << 20), ("1.5kB", 1500)]
)
def test_bytes_are_written_as_people_write_them(text, count):
    from standout.cli.lifelong.shared import Bytes

    assert Bytes().convert(text, None, None) == count


def test_every_shipped_recipe_is_whole_and_builds_what_it_names():
    names = {path.stem for path in shipped_recipes("lifelong")}
    assert names == {"yang2019_sdkd", "yang2019_plain", "yang2019_plain_distilled", "yang2019_vgg16"}
    page = (Path(__file__).parents[2] / "docs" / "lifelong.md").read_text()
    for name in names:
        recipe = check_lifelong(read_recipe(name, "lifelong"))
        assert recipe.network.name in RECOGNISERS
        build_method(recipe.method)
        assert f"`{name}`" in page
        assert check_lifelong(tomllib.loads(as_toml(recipe))) == recipe
