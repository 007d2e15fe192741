"""`standout eval` as a user meets it: exits, streams, files, kills, and models."""

import json
import random
import signal
import time

import numpy as np
import pytest
from eval_sets import make_pictures, make_set, standout_eval, write
from PIL import Image

from standout.cli import eval as verb
from standout.errors import StandoutError
from standout.evaluate import FORMATS, render, score_maps, score_model
from standout.metrics import PROTOCOLS


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return make_set(tmp_path_factory.mktemp("set"), 8)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A run's folder with an untrained model of sharpness 3."""
    import torch

    from standout.networks import build_network
    from standout.weights import write_model

    torch.manual_seed(0)
    run = tmp_path_factory.mktemp("run")
    (run / "recipe.toml").write_text("seed = 0\n")
    write_model(run / "model.safetensors", build_network("tiny").eval(), size=32, sharpness=3.0)
    return run


def test_the_options_are_those_of_the_tables():
    assert tuple(PROTOCOLS) == verb.PROTOCOLS
    assert FORMATS == verb.FORMATS


def test_eval_prints_a_table_and_writes_every_format(folders, tmp_path):
    maps, masks = folders
    files = [tmp_path / f"scores{suffix}" for suffix in (".json", ".csv", ".md", ".tex", ".txt")]
    done = standout_eval(maps, masks, *(word for file in files for word in ("--output", file)))
    assert (done.returncode, done.stderr) == (0, "")
    assert "max F" in done.stdout
    assert "pysodmetrics-1.6.2" in done.stdout
    for file in files:
        assert "pysodmetrics-1.6.2" in file.read_text()
    assert files[-1].read_text() == done.stdout
    assert json.loads(files[0].read_text())["command"].startswith("standout eval ")
    again = standout_eval(maps, masks, "--output", files[0])
    assert again.returncode == 2  # nothing was started
    assert "--overwrite" in again.stderr
    assert standout_eval(maps, masks, "--no-weighted", "--output", files[0], "--overwrite").returncode == 0
    assert "weighted_f" not in files[0].read_text()


def test_k03_json_is_one_document_on_success_and_on_failure(folders, tmp_path):
    maps, masks = folders
    done = standout_eval(maps, masks, "--json")
    found = json.loads(done.stdout)
    assert found["schema"] == 1
    expected = score_maps(maps, masks).measures
    assert {key: found["rows"][0][key] for key in expected} == expected
    failed = standout_eval(tmp_path / "nowhere", masks, "--json")
    assert failed.returncode == 2
    assert json.loads(failed.stdout)["error"]["code"] == "folder-missing"


def test_m02_one_class_of_palette_masks_is_scored_against(tmp_path):
    maps, masks = make_set(tmp_path, 3)
    expected = score_maps(maps, masks).measures
    for path in masks.iterdir():
        classes = (np.asarray(Image.open(path)) > 0) * np.uint8(2)
        classes[0, :5] = 1
        coloured = Image.fromarray(classes).convert("P")
        coloured.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0])
        coloured.save(path)
    refused = standout_eval(maps, masks)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "--class 2" in refused.stderr
    chosen = standout_eval(maps, masks, "--class", "2", "--json")
    assert chosen.returncode == 0, chosen.stderr
    found = json.loads(chosen.stdout)["rows"][0]
    assert {key: found[key] for key in expected} == expected


def test_missing_maps_exit_with_1_and_print_no_table(tmp_path):
    maps, masks = make_set(tmp_path, 5)
    (maps / "p0002.png").unlink()
    done = standout_eval(maps, masks, "--output", tmp_path / "scores.json")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.count("\n") == 1
    assert "1 missing: p0002" in done.stderr
    assert not (tmp_path / "scores.json").exists()
    partial = standout_eval(maps, masks, "--allow-missing")
    assert partial.returncode == 0
    assert partial.stdout.startswith("PARTIAL 4 of 5\n")


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--protocol", "rw"], "did you mean raw"),
        (["--output", "scores.xlsx"], "name it .json"),
        (["--sharpness", "2"], "maps have no logits"),
        (["--allow-mising"], "--allow-missing"),
        (["--jobs", "-1"], "--jobs"),
    ],
)
def test_mistakes_in_options_are_usage_errors(folders, options, told):
    done = standout_eval(*folders, *options)
    assert (done.returncode, done.stdout) == (2, "")
    assert told in done.stderr
    assert done.stderr.count("\n") == 1


def test_e07_killed_evaluations_resume_to_the_same_table(tmp_path):
    maps, masks = make_set(tmp_path, 40, size=(90, 120))
    whole = standout_eval(maps, masks, "--json").stdout
    ledger, moments = tmp_path / "ledger.jsonl", random.Random(7)
    kills = 0
    for _ in range(10):
        before = ledger.read_bytes().count(b"\n") if ledger.exists() else 0
        running = standout_eval(maps, masks, "--ledger", ledger, "--json", wait=False)
        until = before + moments.randint(0, 6)
        while running.poll() is None and (not ledger.exists() or ledger.read_bytes().count(b"\n") <= until):
            time.sleep(0.001)
        if running.poll() is None:
            running.send_signal(signal.SIGKILL)
            kills += 1
        running.wait()
    assert kills >= 5
    done = standout_eval(maps, masks, "--ledger", ledger, "--json")
    assert done.returncode == 0
    found, expected = json.loads(done.stdout), json.loads(whole)
    assert found["rows"] == expected["rows"]
    assert ledger.read_bytes().count(b"\n") == 40


def test_a_run_is_scored_at_sharpness_1_and_at_its_own(model, tmp_path):
    data = make_pictures(tmp_path, 6)
    one, own = score_model(model, data)
    assert (one.sharpness, own.sharpness) == (1.0, 3.0)
    assert one.measures != own.measures
    assert one.label == own.label == model.name
    done = standout_eval(model, data, "--json")
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)["rows"]
    assert [row["sharpness"] for row in rows] == [1.0, 3.0]
    assert {key: rows[1][key] for key in own.measures} == own.measures
    file = score_model(model / "model.safetensors", data)
    assert [row.measures for row in file] == [one.measures, own.measures]
    assert "model.safetensors (sharpness 3)" in render(file)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_scoring_a_run_and_scoring_its_stored_maps_give_the_same_digits(model, tmp_path, protocol):
    from standout.evaluate import Rules
    from standout.images import write_map
    from standout.predict import Segmenter

    data = make_pictures(tmp_path, 5)
    segmenter = Segmenter(model)
    for picture in sorted((data / "images").iterdir()):
        write_map(tmp_path / "maps" / picture.name, segmenter.predict(picture))
    rules = Rules(protocol)
    stored = score_maps(tmp_path / "maps", data, rules=rules)
    (predicted,) = score_model(model, data, rules=rules, sharpness=[3.0])
    assert stored.measures == predicted.measures
    assert stored.list_sha256 == predicted.list_sha256


def test_m09_a_picture_turned_by_its_camera_is_scored_as_its_mask_lies(model, tmp_path):
    from PIL import Image

    data = make_pictures(tmp_path, 2)
    expected = score_model(model, data, sharpness=[1.0])[0]
    picture = data / "images" / "p0001.png"
    with Image.open(picture) as opened:
        pixels = opened.copy()
    # Stored as the mask lies, with a mark that turns it by 90 degrees: upright it has another size.
    exif = Image.Exif()
    exif[274] = 6
    pixels.save(picture, exif=exif)
    assert score_model(model, data, sharpness=[1.0])[0].measures == expected.measures


def test_a_mask_of_another_shape_is_told_by_name(model, tmp_path):
    data = make_pictures(tmp_path, 3)
    write(data / "masks" / "p0001.png", np.zeros((60, 10), np.uint8))
    with pytest.raises(StandoutError, match="1 mis-sized: p0001"):
        score_model(model, data)


def test_a_model_resumes_from_its_ledger_and_another_sharpness_is_scored_anew(model, tmp_path):
    data = make_pictures(tmp_path, 4)
    ledger = tmp_path / "ledger.jsonl"
    first = score_model(model, data, ledger=ledger)
    assert ledger.read_bytes().count(b"\n") == 8
    again = score_model(model, data, ledger=ledger)
    assert [row.measures for row in again] == [row.measures for row in first]
    assert ledger.read_bytes().count(b"\n") == 8


def test_scoring_maps_loads_no_torch_and_no_onnxruntime(folders):
    import subprocess
    import sys

    code = (
        "import sys; from standout.evaluate import score_maps; score_maps(*sys.argv[1:]);"
        "print([n for n in ('torch', 'onnxruntime', 'rich', 'matplotlib') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code, *map(str, folders)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_k08_the_help_of_eval_loads_no_numpy():
    import subprocess
    import sys

    code = (
        "import sys, contextlib, io, standout.cli\n"
        "with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()):\n"
        "    standout.cli.run(['eval', '--help'])\n"
        "print([n for n in ('torch', 'numpy', 'onnxruntime', 'rich') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
