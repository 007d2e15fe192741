"""Promise C9: a model is inspected from its bytes alone."""

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from standout.errors import StandoutError
from standout.headers import read_safetensors
from standout.metadata import KEY, metadata_text
from standout.models import inspect_model
from standout.train.recipe import as_tables, check_recipe
from tiny_model import model_folder

SAMPLE = Path(__file__).parents[1] / "samples" / "model-format-1.safetensors"
GOLDEN = """\
file      model.safetensors: safetensors, 0.02 MiB, 3,292 numbers
sha256    030a28f3a9dee8dc154bbef0de31921d22abc1d22d9971809fb57c53c25a12ab
format    1, written by standout 0.1.0
network   tiny (eps 1e-05, fusion topdown, mean [0.485, 0.456, 0.406], padding plain, separable true, \
std [0.229, 0.224, 0.225], width 4)
input     64 x 64, mean [0.485, 0.456, 0.406], padding plain, std [0.229, 0.224, 0.225]
sharpness 1.5
licence   MIT
source    0000000000000000000000000000000000000000000000000000000000000000
measures  mae = 0.5
training  data = "noise"
"""
# Without torch, onnxruntime and our own networks there is nothing that a network could be built with.
WITHOUT = """
import sys
for name in ("torch", "onnxruntime", "onnx", "standout.networks", "standout.weights"):
    sys.modules[name] = None
from standout.cli import run
run(sys.argv[1:])
"""


def inspected(folder, *words):
    return subprocess.run(
        [sys.executable, "-c", WITHOUT, "models", *words], capture_output=True, text=True, check=False, cwd=folder
    )


def test_c09_inspecting_tells_all_and_builds_no_network(tmp_path):
    (tmp_path / "model.safetensors").write_bytes(SAMPLE.read_bytes())

    words = inspected(tmp_path, "inspect", "model.safetensors")
    document = inspected(tmp_path, "inspect", ".", "--json")

    assert (words.returncode, words.stderr) == (0, "")
    assert words.stdout == GOLDEN
    told = json.loads(document.stdout)
    assert told["path"] == "model.safetensors"
    assert told["numbers"] == 3292
    assert told["bytes"] == SAMPLE.stat().st_size
    assert told["metadata"]["training"] == {"data": "noise"}


def test_c09_an_onnx_file_is_inspected_without_a_runtime():
    folder = model_folder()

    ran = inspected(folder, "inspect", "model.onnx", "--json")

    assert ran.returncode == 0, ran.stderr
    graph, weights = json.loads(ran.stdout), inspect_model(folder / "model.safetensors")
    assert graph["kind"] == "ONNX, opset 18"
    assert graph["metadata"]["graph"]["model_sha256"] == weights.sha256
    assert {**graph["metadata"], "graph": None} == {**weights.metadata, "graph": None}
    # Batch norms are folded into their convolutions, so some numbers are gone, and the others are weights.
    assert 0 < graph["numbers"] < weights.numbers


def rewritten(tmp_path, **changes):
    """The sample with another statement about itself."""
    content, header = read_safetensors(SAMPLE)
    length = int.from_bytes(content[:8], "little")
    table = json.loads(content[8 : 8 + length])
    metadata = {**json.loads(header.strings[KEY]), **changes}
    said = metadata_text(metadata) if metadata["format"] == 1 else json.dumps(metadata)
    table["__metadata__"] = {KEY: said}
    start = json.dumps(table).encode()
    path = tmp_path / "other.safetensors"
    path.write_bytes(len(start).to_bytes(8, "little") + start + content[8 + length :])
    return path


def test_the_stored_recipe_is_printed_as_the_toml_that_trains_again(tmp_path):
    recipe = check_recipe({"data": {"train": "DUTS-TR"}, "strategies": [{"name": "pyramid"}]})
    path = rewritten(tmp_path, training={"fingerprints": {"data": "ab"}, "recipe": as_tables(recipe)})

    lines = inspect_model(path).lines()

    at = next(number for number, line in enumerate(lines) if line.startswith("recipe "))
    assert lines[at - 2 : at] == ["training  [fingerprints]", '          data = "ab"']
    assert check_recipe(tomllib.loads("\n".join(line[10:] for line in lines[at:]))) == recipe
    assert max(len(line) for line in lines[at:]) < 80


def test_c09_what_a_file_says_of_itself_is_printed_escaped(tmp_path):
    forged = "MIT\n\x1b[31msource    mine"
    path = rewritten(tmp_path, licence=forged, training={"a\u202eb": ["\x07"]}, classes=["cat", "d\x1bg"])

    lines = inspect_model(path).lines()

    assert all(line.isprintable() for line in lines)
    assert any(line.startswith("classes   [") and "cat" in line for line in lines)
    assert sum("source    " in line for line in lines) == 2
    assert "licence   MIT\\n\\x1b[31msource    mine" in lines
    assert lines[-1] == 'training  "a\\u202eb" = ["\\u0007"]'


@pytest.mark.parametrize("odd", [3, {"a": 1}, [[["deep"]], None], {"a": [None]}])
def test_c09_odd_statements_are_words_and_no_failure(tmp_path, odd):
    lines = inspect_model(rewritten(tmp_path, classes=odd, training={"recipe": odd})).lines()

    stored = json.dumps(odd)
    assert f"classes   {stored}" in lines
    assert lines[-1] == "recipe    " + ("a = 1" if odd == {"a": 1} else stored)


@pytest.mark.parametrize(
    ("content", "code"), [(b"PK\x03\x04torch", "pickle-refused"), (b"\x08\0\0\0\0\0\0\0{}      ", "not-a-model")]
)
def test_c09_what_is_no_model_is_refused_by_name(tmp_path, content, code):
    (tmp_path / "model.safetensors").write_bytes(content)

    with pytest.raises(StandoutError) as caught:
        inspect_model(tmp_path)

    assert caught.value.code == code
    assert "model.safetensors" in str(caught.value)


def test_c09_a_newer_format_is_refused(tmp_path):
    with pytest.raises(StandoutError, match="format 2, this release reads up to 1"):
        inspect_model(rewritten(tmp_path, format=2))


def test_shipped_models_are_listed(tmp_path):
    ran = inspected(tmp_path, "list", "--json")

    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout)["schema"] == 1
