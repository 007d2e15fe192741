"""`standout train` as it is typed: exit codes, one line a failure, one document with --json."""

import json
import re

import pytest

from standout.cli import run
from standout.images import write_image


def typed(capsys, *words):
    """Return exit code, stdout and stderr of a command."""
    with pytest.raises(SystemExit) as left:
        run(["train", *map(str, words)])
    said = capsys.readouterr()
    return left.value.code, said.out, said.err


QUICK = ("--network", "tiny", "--size", 32, "--batch", 8, "--epochs", 1, "--threads", 1)


@pytest.fixture
def no_masks(tmp_path):
    import numpy as np

    write_image(tmp_path / "unlabelled" / "images" / "a.png", np.zeros((8, 8, 3), np.uint8))
    return tmp_path / "unlabelled"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("nowhere",), "no such folder"),
        (("UNLABELLED",), "masks"),
        (("DISCS", "--strategy", "virtal_teacher"), "did you mean virtual_teacher"),
        (("DISCS", "--strategy", "pyramid("), "strategy is not written right"),
        (("DISCS", "--strategy", "pyramid", "--strategy", "pyramid"), "pyramid"),
        (("DISCS", "--network", "tin"), "did you mean tiny"),
        (("DISCS", "--recipe", "defalt"), "did you mean default"),
        (("DISCS", "--set", "optimizer.rate=1"), "did you mean optimiser"),
        (("DISCS", "--set", "training.epochs=many"), "training.epochs"),
        (("DISCS", "--epoch", "3"), "--epochs"),
        (("DISCS", "--batch", "1000"), "smaller --batch"),
        (("DISCS", "--device", "abacus"), "abacus"),
        (("DISCS", "--backbone-weights", "nowhere.safetensors"), "nowhere.safetensors"),
        (("DISCS", "--validation", "nowhere.txt"), "nowhere.txt"),
        (("--epochs", "1"), "standout train DATA"),
        (("--resume",), "--output"),
    ],
)
def test_k02_a_wrong_command_starts_nothing_and_exits_2_with_one_line(
    words, said, discs, no_masks, tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    places = {"DISCS": discs, "UNLABELLED": no_masks}
    code, out, err = typed(
        capsys, *(places.get(word, word) for word in words), *([] if "--resume" in words else ["--output", "run"])
    )
    assert code == 2, err
    assert out == ""
    lines = err.strip().splitlines()
    assert len(lines) == 1
    assert re.fullmatch(r"standout: error: .*", lines[0])
    assert said in lines[0]
    left = [path for path in tmp_path.rglob("*") if path not in before and path.name not in ("run", "lock")]
    assert left == []


def test_k03_with_json_stdout_is_one_document_on_success_and_failure(discs, tmp_path, capsys):
    code, out, err = typed(capsys, discs, *QUICK, "--output", tmp_path / "run", "--json")
    assert code == 0, err
    document = json.loads(out)
    assert document["schema"] == 1
    assert document["steps"] == 3
    assert set(document["scores"]) == set(document["scores_at_one"])
    assert (tmp_path / "run" / "model.safetensors").samefile(document["model"])
    code, out, err = typed(capsys, discs, *QUICK, "--output", tmp_path / "run", "--json")
    assert code == 2
    failure = json.loads(out)
    assert failure["schema"] == 1
    assert failure["error"]["code"] == "run-exists"
    assert "--resume" in failure["error"]["hint"]


def test_a_finished_run_says_its_figures_and_what_to_type_next(discs, tmp_path, capsys):
    code, out, err = typed(capsys, discs, *QUICK, "--output", tmp_path / "run", "--strategy", "pyramid")
    assert code == 0, err
    assert "held out" in out
    assert "standout eval" in out
    assert "step 1/3" in err
    assert "pyramid" in err
    assert "\x1b" not in err
    # A run's own recipe repeats it.
    code, out, err = typed(capsys, "--recipe", tmp_path / "run" / "recipe.toml", "--output", tmp_path / "again")
    assert code == 0, err
    first, second = (tmp_path / name / "model.safetensors" for name in ("run", "again"))
    assert first.read_bytes() == second.read_bytes()


def test_a_corrupt_picture_in_mid_epoch_is_named(discs, tmp_path, capsys):
    import shutil

    broken = shutil.copytree(discs, tmp_path / "broken")
    pictures = sorted((broken / "images").iterdir())[2:6]
    for picture in pictures:
        picture.write_bytes(picture.read_bytes()[:200])
    code, _, err = typed(capsys, broken, *QUICK, "--output", tmp_path / "run")
    assert code == 1
    assert any(picture.stem in err.splitlines()[-1] for picture in pictures)
