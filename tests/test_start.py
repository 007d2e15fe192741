"""The start: names, errors, light imports, exits (promises K1, K2, K5, K8)."""

import json
import os
import pickle
import re
import subprocess
import sys
from pathlib import Path

import pytest

import standout
from standout import names
from standout.errors import StandoutError, printable

QUIETLY = (
    "import contextlib, io, standout.cli\n"
    "with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()):\n"
    "    standout.cli.run({arguments})"
)
HEAVY = ("torch", "numpy", "onnxruntime", "PIL", "rich", "matplotlib", "msgspec")


def standout_command(*arguments, **options):
    return subprocess.run(
        [sys.executable, "-m", "standout", *arguments], capture_output=True, text=True, check=False, **options
    )


def loaded_after(code):
    report = f"{code}\nimport sys; print(*[m for m in {HEAVY!r} if m in sys.modules])"
    return subprocess.run([sys.executable, "-c", report], capture_output=True, text=True, check=True).stdout.split()


def test_k08_import_loads_nothing_heavy():
    assert loaded_after("import standout") == []


def test_k08_help_loads_nothing_heavy():
    code = QUIETLY.format(arguments=["--help"])

    assert loaded_after(code) == []


@pytest.mark.parametrize("verb", ["cut", "predict", "eval"])
def test_k08_a_users_verbs_do_not_load_torch(verb):
    code = QUIETLY.format(arguments=[verb, "--help"])

    assert "torch" not in loaded_after(code)


@pytest.mark.parametrize(
    "module",
    [
        "errors",
        "names",
        "files",
        "images",
        "metrics",
        "models",
        "data.layouts",
        "data.pairs",
        "data.check",
        "predict",
        "evaluate",
        "cutout",
    ],
)
def test_rooms_of_a_user_load_without_torch(module):
    assert "torch" not in loaded_after(f"import standout.{module}")


def test_every_public_name_is_found():
    for name in standout.__all__:
        assert getattr(standout, name) is not None


def test_every_verb_has_help_and_is_found():
    from standout.cli import VERBS

    for verb in VERBS:
        result = standout_command(verb, "--help")
        assert result.returncode == 0, result.stderr
        assert result.stdout.startswith("Usage: standout " + verb)


def test_unknown_attribute_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        standout.nothing  # noqa: B018


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ([], "standout: error: no verb given; see standout --help"),
        (["trian"], "standout: error: unknown verb: trian; did you mean train?"),
        (["train", "--netwrok", "x"], "standout: error: unknown option: --netwrok; did you mean --network?"),
        (["models", "list", "--jso"], "standout: error: unknown option: --jso; did you mean --json?"),
        (["models", "list", "--thread"], "standout: error: unknown option: --thread; known are --help, --json"),
        (["data"], "standout: error: no verb given; see standout data --help"),
        (["data", "chek"], "standout: error: unknown verb: data chek; did you mean check?"),
        (["export"], None),
        (["cut"], None),
    ],
)
def test_k01_k02_wrong_usage_is_one_line_and_exit_2(arguments, line):
    result = standout_command(*arguments)

    assert result.returncode == 2
    assert result.stdout == ""
    assert len(result.stderr.splitlines()) == 1
    assert result.stderr.startswith("standout: error: ")
    if line:
        assert result.stderr.strip() == line


def test_k02_a_closed_pipe_is_quiet():
    reader, writer = os.pipe()
    os.close(reader)
    process = subprocess.Popen(
        [sys.executable, "-m", "standout", "--help"], stdout=writer, stderr=subprocess.PIPE, text=True
    )
    os.close(writer)
    _, errors = process.communicate()

    assert process.returncode == 141
    assert errors == ""


@pytest.mark.parametrize("asked", [["--json"], ["--format", "json"]])
def test_k03_json_failures_are_one_document_on_stdout(asked):
    result = standout_command("eval", "no-such-folder", "neither-this", *asked)

    document = json.loads(result.stdout)
    assert document["schema"] == 1
    assert set(document["error"]) == {"code", "message", "item", "hint"}
    assert result.returncode == 2
    assert len(result.stderr.splitlines()) == 1


def test_k05_names_from_outside_are_printed_escaped():
    assert printable("a\nb\x1b[31m\u202e\udcff") == "a\\nb\\x1b[31m\\u202e\\udcff"
    assert printable("café 図.png") == "café 図.png"
    result = standout_command("cut", "evil\x1b[2J.png", "--output", "x.png")
    assert "\x1b" not in result.stderr


def test_k05_works_in_the_c_locale():
    result = standout_command("cut", "café.png", "--output", "x.png", env={**os.environ, "LC_ALL": "C"})

    assert result.returncode in (1, 2)
    assert result.stderr.startswith("standout: error: ")
    assert "Traceback" not in result.stderr


def test_version_names_the_libraries():
    result = standout_command("--version")

    assert re.match(r"standout \d+\.\d+\.\d+\n", result.stdout)
    assert "\ntorch " in result.stdout
    assert "\npillow " in result.stdout


def test_an_error_survives_the_way_home_from_a_worker():
    error = StandoutError("code", "what", "where", "how", exit_code=2)

    again = pickle.loads(pickle.dumps(error))

    assert (str(again), again.exit_code, again.code) == ("what: where; how", 2, "code")


def test_an_unknown_name_says_the_nearest_or_all():
    with pytest.raises(StandoutError, match="did you mean pyramid"):
        names.find({"pyramid": "x:y", "other": "x:z"}, "pyramdi", "strategy")
    with pytest.raises(StandoutError, match="known are other, pyramid"):
        names.find({"pyramid": "x:y", "other": "x:z"}, "qqqq", "strategy")


LONG = "a" * 300


@pytest.mark.parametrize(
    "arguments",
    [
        ["eval", LONG, "masks"],
        ["eval", "maps", "masks", "--output", f"{LONG}.json"],
        ["predict", LONG, "--output", "x.png"],
        ["data", "check", LONG],
        ["train", LONG],
        ["export", LONG, "--output", "x.onnx"],
    ],
)
def test_k02_what_the_system_refuses_of_a_path_is_no_bug(arguments):
    result = standout_command(*arguments)

    assert result.returncode in (1, 2)
    assert result.stderr.startswith("standout: error: file name too long: aaa")
    assert result.stderr.endswith("; choose a shorter one\n")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no full device here")
def test_k02_output_that_goes_to_a_full_disk_is_no_bug():
    with Path("/dev/full").open("w") as full:
        ran = subprocess.run(
            [sys.executable, "-m", "standout", "models", "list"], stdout=full, stderr=subprocess.PIPE, text=True,
            check=False,
        )  # fmt: skip

    assert ran.returncode == 1
    assert ran.stderr == "standout: error: no space left on device: standard output; free some space and run again\n"


def test_numbers_that_are_none_are_told_in_words():
    for arguments in (["quickstart", "--epochs", "x"], ["train", "--epochs", "x"]):
        assert "'x' is not a whole number" in standout_command(*arguments).stderr
    assert "'x' is not a number" in standout_command("train", "--time-limit", "x").stderr


def test_a_bug_is_told_in_one_line_and_whole_with_debug(monkeypatch, capsys):
    from standout import cli

    def broken(**_):
        raise KeyError("lost")

    monkeypatch.setattr(cli.main, "main", broken)
    with pytest.raises(SystemExit) as left:
        cli.run([])
    line = capsys.readouterr().err

    assert left.value.code == 1
    assert line.count("\n") == 1
    assert "bug of standout" in line
    with pytest.raises(KeyError):
        cli.run(["--debug"])
