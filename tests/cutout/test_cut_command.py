"""`standout cut` and `standout predict` as a user runs them: promises B10, K1 to K3, K8, P12."""

import io
import json
import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from standout import Segmenter
from standout.images import encode_image, read_image
from tiny_model import onnx_model


def standout(*arguments, content=None):
    command = [sys.executable, "-m", "standout", *map(str, arguments)]
    return subprocess.run(command, input=content or b"", capture_output=True, check=False)


def photo(path, seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (30, 40, 3), dtype=np.uint8)
    path.write_bytes(encode_image(pixels))
    return path


def in_process(capsys, *arguments):
    """Run the command without a new interpreter; return its exit code, output and errors."""
    from standout import cli

    with pytest.raises(SystemExit) as left:
        cli.run([str(argument) for argument in arguments])
    found = capsys.readouterr()
    return left.value.code, found.out, found.err


def test_cut_file_output_file(tmp_path):
    photo(tmp_path / "a.png")

    result = standout("cut", tmp_path / "a.png", "--output", tmp_path / "b.png", "--model", onnx_model())

    assert (result.returncode, result.stdout, result.stderr) == (0, b"", b"")
    with Image.open(tmp_path / "b.png") as image:
        assert (image.mode, image.size) == ("RGBA", (40, 30))


def test_k08_cut_loads_no_torch_and_help_no_numpy(tmp_path):
    photo(tmp_path / "a.png")
    code = (
        "import contextlib, sys\nfrom standout import cli\n"
        "with contextlib.suppress(SystemExit): cli.run(sys.argv[1:])\n"
        "heavy = 'torch', 'onnx', 'numpy', 'onnxruntime', 'rich', 'joblib'\n"
        "print(*(name for name in heavy if name in sys.modules), file=sys.stderr)"
    )

    def loaded(*arguments):
        command = [sys.executable, "-c", code, *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, check=True).stderr.split()

    cut = ("cut", tmp_path / "a.png", "--output", tmp_path / "b.png", "--model", onnx_model())
    assert loaded(*cut) == ["numpy", "onnxruntime"]
    assert (tmp_path / "b.png").exists()
    assert loaded("cut", "--help") == loaded("predict", "--help") == loaded("export", "--help") == []


def test_b10_a_picture_goes_through_pipes_and_nothing_else_does(tmp_path):
    path = photo(tmp_path / "a.png")

    result = standout("cut", "-", "--output", "-", "--model", onnx_model(), "--as", "map", content=path.read_bytes())

    assert result.returncode == 0, result.stderr
    with Image.open(io.BytesIO(result.stdout)) as image:
        found = np.asarray(image)
    assert np.array_equal(found, np.rint(Segmenter(onnx_model()).predict(path) * 255))
    assert result.stderr == b""


def test_b10_a_bad_picture_through_pipes_prints_nothing_to_stdout():
    result = standout("cut", "-", "--output", "-", "--model", onnx_model(), content=b"no picture")

    assert (result.returncode, result.stdout) == (1, b"")
    assert len(result.stderr.splitlines()) == 1


def test_b10_binary_to_a_terminal_is_refused(tmp_path):
    path = photo(tmp_path / "a.png")
    leader, follower = os.openpty()

    process = subprocess.run(
        [sys.executable, "-m", "standout", "cut", str(path), "--output", "-", "--model", str(onnx_model())],
        stdout=follower, stderr=subprocess.PIPE, check=False,
    )  # fmt: skip
    os.close(follower)
    os.close(leader)

    assert process.returncode == 2
    assert b"not for a terminal" in process.stderr


def test_b06_the_summary_names_the_failures_and_the_exit_code_is_1(tmp_path, capsys):
    for number in range(3):
        photo(tmp_path / f"in/{number}.png", number)
    (tmp_path / "in/bad.jpg").write_bytes(b"no picture")
    (tmp_path / "in/worse\x1b.png").write_bytes(b"")
    command = ("cut", tmp_path / "in", "--output", tmp_path / "out", "--model", onnx_model())

    code, out, err = in_process(capsys, *command)

    assert code == 1
    assert out == "3 done, 2 failed\n"
    lines = sorted(line for line in err.splitlines() if "error" in line)
    assert len(lines) == 2
    assert "bad.jpg" in "".join(lines)
    assert "worse\\x1b.png" in "".join(lines)
    assert "\x1b" not in err
    (tmp_path / "in/bad.jpg").unlink()
    (tmp_path / "in/worse\x1b.png").unlink()
    assert in_process(capsys, *command)[:2] == (0, "0 done, 3 done already\n")


def test_k03_json_is_one_document(tmp_path, capsys):
    photo(tmp_path / "in/a.png")
    (tmp_path / "in/bad.jpg").write_bytes(b"no picture")
    common = ("--output", tmp_path / "out", "--model", onnx_model(), "--json")

    code, out, err = in_process(capsys, "cut", tmp_path / "in", *common)

    document = json.loads(out)
    assert (code, err) == (1, "")
    assert (document["schema"], document["done"], document["skipped"]) == (1, 1, 0)
    assert [set(failure) for failure in document["failed"]] == [{"code", "message", "item", "hint"}]
    code, out, _ = in_process(capsys, "cut", tmp_path / "in", *common, "--dry-run")
    assert json.loads(out)["skipped"] == 1
    code, out, _ = in_process(capsys, "cut", tmp_path / "none", *common)
    assert (code, json.loads(out)["error"]["code"]) == (2, "input-missing")


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["a.png", "--output", "a.png"], 2, "would overwrite an input"),
        (["a.png", "--output", "old.png"], 2, "file exists already"),
        (["a.png", "--output", "b.jpg"], 2, "holds no transparency"),
        (["a.png", "--output", "b.jpg", "--as", "map"], 2, "changes a map's values"),
        (["a.png", "--output", "b.png", "--model", "nothing"], 2, "there is no such model"),
        (["a.png", "--output", "b.png", "--model", "a.png"], 2, "no kind of model"),
        (["none.png", "--output", "b.png"], 2, "there is no such picture"),
        (["bad.jpg", "--output", "b.png"], 1, "bad.jpg"),
        (["a.png", "bad.jpg", "--output", "old.png"], 2, "output is a file"),
        (["-", "a.png", "--output", "-"], 2, "takes one picture"),
        (["a.png", "--output", "-", "--json"], 2, "do not go with"),
        (["a.png", "--output", "b.png", "--max-pixels", "1K"], 1, "too many pixels"),
        (["a.png", "--output", "b.png", "--max-pixels", "many"], 2, "no number of pixels"),
        (["a.png", "--output", "b.png", "--as", "hologram"], 2, "hologram"),
        (["a.png"], 2, "--output"),
    ],
)
def test_k01_k02_failures_are_one_line_with_the_right_exit_code(tmp_path, monkeypatch, capsys, arguments, code, words):
    monkeypatch.chdir(tmp_path)
    photo(tmp_path / "a.png")
    (tmp_path / "bad.jpg").write_bytes(b"no picture")
    (tmp_path / "old.png").write_bytes(b"old")
    if "--model" not in arguments:
        arguments = [*arguments, "--model", str(onnx_model())]

    found, _, err = in_process(capsys, "cut", *arguments)

    assert found == code
    lines = [line for line in err.splitlines() if line.startswith("standout: error: ")]
    assert len(lines) == 1 == len(err.splitlines())
    assert words in lines[0]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "bad.jpg", "old.png"]
    assert (tmp_path / "old.png").read_bytes() == b"old"


def test_without_a_model_the_error_says_how_to_get_one(tmp_path, capsys, monkeypatch):
    from standout.models import lookup

    monkeypatch.setattr(lookup, "_SHIPPED", tmp_path)
    photo(tmp_path / "a.png")

    code, _, err = in_process(capsys, "cut", tmp_path / "a.png", "--output", tmp_path / "b.png")

    assert code == 2
    assert "no model came with this package" in err
    assert "standout quickstart" in err
    assert "--model" in err


def test_predict_writes_maps_that_can_be_scored(tmp_path, capsys):
    photo(tmp_path / "in/sub/a.png")

    code, out, _ = in_process(
        capsys, "predict", tmp_path / "in", "--model", onnx_model(), "--output", tmp_path / "maps"
    )

    assert (code, out) == (0, "1 done\n")
    with Image.open(tmp_path / "maps/sub/a.png") as image:
        assert (image.mode, image.size) == ("L", (40, 30))
        expected = Segmenter(onnx_model()).predict(tmp_path / "in/sub/a.png")
        assert np.abs(np.asarray(image) / 255 - expected).max() <= 0.5 / 255 + 1e-6


def test_an_overlay_may_be_a_jpeg(tmp_path, capsys):
    photo(tmp_path / "a.png")
    command = ("cut", tmp_path / "a.png", "--as", "overlay", "--model", onnx_model())

    assert in_process(capsys, *command, "--output", tmp_path / "b.jpg")[0] == 0

    assert read_image(tmp_path / "b.jpg").size == (30, 40)


def test_dry_run_says_what_would_be_written(tmp_path, capsys):
    photo(tmp_path / "in/a.png")

    code, out, _ = in_process(
        capsys, "cut", tmp_path / "in", "--output", tmp_path / "out", "--model", onnx_model(), "--dry-run"
    )

    assert code == 0
    assert out.splitlines()[-1] == "1 to write, 0 done already"
    assert not (tmp_path / "out").exists()
