"""Promises T7, T8, T9, T11, T15, T16 and K7 of training: what may happen to a run from outside."""

import json
import os
import subprocess
import sys
import threading
import time

import pytest
from test_run import bit_equal, stop_after, stopped  # noqa: F401 - a fixture

from standout import checkpoint
from standout.cli import main
from standout.data import decoded
from standout.errors import StandoutError
from standout.train.contention import SETTLING, STEPS, Contention

RACE = """
import pathlib, sys, time
from standout.errors import StandoutError
from standout.files import FolderLock
folder, own, other = pathlib.Path(sys.argv[1]), sys.argv[2], sys.argv[3]
(folder / f"ready-{own}").touch()
for number in range(20):
    run = folder / str(number)
    until = time.monotonic() + 200
    while not (folder / f"go-{number}").exists() and time.monotonic() < until:
        pass
    try:
        with FolderLock(run):
            (folder / f"{number}-{own}-held").touch()
            while not list(folder.glob(f"{number}-{other}-*")) and time.monotonic() < until:
                time.sleep(0.001)
    except StandoutError as error:
        (folder / f"{number}-{own}-refused").write_text(str(error))
"""


def test_t07_of_twenty_raced_pairs_each_has_one_winner_and_names_it(tmp_path):
    racers = {
        own: subprocess.Popen([sys.executable, "-c", RACE, str(tmp_path), own, other])
        for own, other in (("a", "b"), ("b", "a"))
    }
    while not all((tmp_path / f"ready-{own}").exists() for own in racers):
        time.sleep(0.005)
    for number in range(20):
        (tmp_path / f"go-{number}").touch()
        until = time.monotonic() + 200
        while len(list(tmp_path.glob(f"{number}-*"))) < 2:
            assert time.monotonic() < until
            time.sleep(0.001)

    assert [racer.wait(200) for racer in racers.values()] == [0, 0]
    for number in range(20):
        ended = sorted(path.name.split("-")[2] for path in tmp_path.glob(f"{number}-*"))
        assert ended == ["held", "refused"]
        told = next(tmp_path.glob(f"{number}-*-refused")).read_text()
        winner = next(tmp_path.glob(f"{number}-*-held")).name.split("-")[1]
        assert f"process {racers[winner].pid} on host" in told


def test_t08_a_wall_clock_that_jumps_a_year_changes_nothing(small, warnings_of, tmp_path, monkeypatch):
    warnings_of(small(), tmp_path / "plain")
    real, calls = time.time, iter(range(10**9))
    monkeypatch.setattr(time, "time", lambda: real() + (-1) ** next(calls) * 365 * 86400)
    outcome, warned = warnings_of(small(training={"save_minutes": 5.0}), tmp_path / "jumping")

    assert (outcome.finished is not None, warned) == (True, [])
    assert bit_equal(tmp_path / "plain", tmp_path / "jumping")
    manifest = json.loads((tmp_path / "jumping" / "manifest.json").read_bytes())
    assert 0 < manifest["seconds"]["training"] < 600
    lines = [json.loads(line) for line in (tmp_path / "jumping" / "metrics.jsonl").read_text().splitlines()]
    assert all(0 < line["pictures_per_second"] < 1e5 for line in lines if line["kind"] == "step")
    saved = checkpoint.listed(tmp_path / "jumping" / "checkpoints")
    assert [path.name for path in saved] == ["step-00000005", "step-00000010"]


def test_t09_a_reader_that_hangs_stops_the_run_which_can_go_on(small, warnings_of, tmp_path, monkeypatch):
    from standout.data import batches

    warnings_of(small(), tmp_path / "whole")
    release, hung = threading.Event(), []
    read = decoded.Reading.decode

    def hang(self, pair):
        if len(hung) < 30:
            hung.append(pair.image.name)
        elif not release.is_set():
            release.wait(60)
        return read(self, pair)

    with monkeypatch.context() as patch:
        patch.setattr(decoded.Reading, "decode", hang)
        patch.setattr(batches, "PATIENCE", 0.5)
        make = batches.Batches.__init__
        patch.setattr(batches.Batches, "__init__", lambda self, *a, **k: make(self, *a, **{**k, "patience": 0.5}))
        with pytest.raises(StandoutError, match=r"reading a picture took longer than 0.5 s: .*disc\d+\.png") as caught:
            warnings_of(small(training={"save_steps": 2}), tmp_path / "run")
    assert caught.value.exit_code == 1
    release.set()
    assert checkpoint.newest(tmp_path / "run" / "checkpoints").step >= 2
    until = time.monotonic() + 10
    while any(thread.name.startswith("standout-loader") for thread in threading.enumerate()):
        assert time.monotonic() < until
        time.sleep(0.01)
    outcome, _ = warnings_of(small(), tmp_path / "run", resume=True)
    assert outcome.finished is not None
    assert bit_equal(tmp_path / "whole", tmp_path / "run")


@pytest.mark.parametrize(
    ("table", "field"),
    [("machine", name) for name in ("threads", "processes", "device")]
    + [("versions", name) for name in ("torch", "numpy", "pillow", "standout", "python", "msgspec")],
)
def test_t11_what_may_move_the_last_bits_is_said_or_refused(stopped, small, warnings_of, table, field):  # noqa: F811
    manifest = json.loads((stopped / "manifest.json").read_bytes())
    manifest[table][field] = "another"
    (stopped / "manifest.json").write_text(json.dumps(manifest))

    with pytest.raises(StandoutError, match=f"{field} was another and is now") as caught:
        warnings_of(small(), stopped, resume=True, strict=True)
    assert caught.value.exit_code == 2
    # What was refused has changed nothing.
    assert json.loads((stopped / "manifest.json").read_bytes())[table][field] == "another"
    outcome, warned = warnings_of(small(training={"epochs": 2}), stopped, resume=True)
    assert outcome.finished is not None
    assert [line for line in warned if line.startswith(f"resumed close, not bit-equal: {field} was another")]


def without_versions(manifest):
    del manifest["versions"]
    return json.dumps(manifest)


def without_pillow(manifest):
    del manifest["versions"]["pillow"]
    return json.dumps(manifest)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda manifest: json.dumps(manifest)[:-9], "manifest.json says nothing of"),
        (without_versions, "manifest.json says nothing of versions"),
        (without_pillow, "pillow was not recorded and is now"),
    ],
)
def test_t11_where_the_run_did_not_record_its_surroundings_that_is_said_or_refused(
    stopped, small, warnings_of, damage, words  # noqa: F811
):  # fmt: skip
    manifest = stopped / "manifest.json"
    manifest.write_text(damage(json.loads(manifest.read_bytes())))

    with pytest.raises(StandoutError, match=words) as caught:
        warnings_of(small(), stopped, resume=True, strict=True)
    assert (caught.value.code, caught.value.exit_code) == ("resume-not-equal", 2)
    outcome, warned = warnings_of(small(), stopped, resume=True)
    assert outcome.finished is not None
    assert [line for line in warned if line.startswith("resumed close, not bit-equal: ") and words in line]


def test_t11_a_run_that_is_only_started_or_goes_on_as_it_was_passes_the_strict_check(stopped, small, warnings_of):  # noqa: F811
    for folder in (stopped.with_name("fresh"), stopped):
        outcome, warned = warnings_of(small(), folder, resume=True, strict=True)
        assert (outcome.finished is not None, warned) == (True, [])


def test_t15_a_run_folder_that_is_a_link_is_used_and_nothing_beside_it_goes(small, warnings_of, tmp_path):
    real, beside = tmp_path / "real", tmp_path / "beside"
    beside.mkdir()
    (beside / "step-00000001").mkdir()
    (beside / "step-00000001" / "file").write_text("kept")
    (real / "checkpoints").mkdir(parents=True)
    (tmp_path / "run").symlink_to(real, target_is_directory=True)
    (real / "checkpoints" / "foreign").symlink_to(beside, target_is_directory=True)

    recipe = small(training={"save_steps": 1, "keep": 2})
    outcome, _ = warnings_of(recipe, tmp_path / "run")

    assert outcome.finished is not None
    assert (beside / "step-00000001" / "file").read_text() == "kept"
    names = [path.name for path in checkpoint.listed(real / "checkpoints")]
    assert names[-2:] == ["step-00000009", "step-00000010"]
    assert len(names) <= 4
    assert (real / "checkpoints" / "foreign").is_symlink()


PRUNE = """
import sys
from pathlib import Path
import torch
from standout import checkpoint
folder = Path(sys.argv[1])
print("begun", flush=True)
for step in range(1, 10**6):
    checkpoint.save(folder, step, {"w": torch.full((64, 64), float(step))}, {"step": step})
    checkpoint.prune(folder, 2, {"step-00000001"})
"""


def test_t15_a_kill_while_old_checkpoints_go_leaves_the_new_ones_whole(tmp_path):
    for number in range(3):
        folder = tmp_path / str(number)
        process = subprocess.Popen([sys.executable, "-c", PRUNE, str(folder)], stdout=subprocess.PIPE)
        process.stdout.readline()
        until = time.monotonic() + 200
        while len(checkpoint.listed(folder) if folder.is_dir() else []) < 3:
            assert time.monotonic() < until
        time.sleep(0.05 * number)
        process.kill()
        process.wait()
        process.stdout.close()
        checkpoint.remove_partial(folder)
        whole = [checkpoint.load(path) for path in checkpoint.listed(folder)]
        assert whole[0].step == 1  # the precious one
        assert 3 <= len(whole) <= 4
        assert all(float(one.network["w"][0, 0]) == one.step for one in whole)


def test_t16_the_time_limit_saves_and_ends_well_and_the_run_goes_on(small, warnings_of, tmp_path):
    warnings_of(small(), tmp_path / "whole")
    for steps in (1, 2):
        outcome, _ = warnings_of(small(training={"time_limit": 1e-9}), tmp_path / "run", resume=True)
        assert (outcome.signal, outcome.finished, outcome.steps) == (None, None, steps)
        assert json.loads((tmp_path / "run" / "manifest.json").read_bytes())["resumable"] is True
        assert checkpoint.newest(tmp_path / "run" / "checkpoints").step == steps
    outcome, warned = warnings_of(small(), tmp_path / "run", resume=True)
    assert (outcome.finished is not None, warned) == (True, [])
    assert bit_equal(tmp_path / "whole", tmp_path / "run")


def command(discs, output, *more):
    words = [
        "train",
        str(discs),
        "--network",
        "tiny",
        "--epochs",
        "2",
        "--batch",
        "4",
        "--size",
        "32",
        "--threads",
        "1",
    ]
    return [*words, "--validation", "0.15", "--output", str(output), *more]


def told(capsys, words):
    result = main.main(words, standalone_mode=False)
    said = capsys.readouterr()
    return result, said.out, said.err


def test_t16_the_command_says_so_and_exits_0(discs, tmp_path, capsys):
    result, out, err = told(capsys, command(discs, tmp_path / "run", "--time-limit", "0.000001"))

    assert result == 0
    assert out == ""
    assert "stopped after step 1 at the time limit; go on with --output" in err
    result, out, _ = told(capsys, command(discs, tmp_path / "other", "--time-limit", "0.000001", "--json"))
    assert result == 0
    assert {**json.loads(out), "run": ""} == {"schema": 1, "run": "", "steps": 1, "signal": None, "resumable": True}


def test_k07_a_dry_run_says_what_a_run_will_take_and_writes_nothing(discs, tmp_path, capsys):
    before = sorted(path.stat().st_mtime_ns for path in discs.rglob("*"))
    words = command(discs, tmp_path / "a" / "run", "--dry-run", "--cache", str(tmp_path / "cache"))

    result, out, _ = told(capsys, words)
    lines = out.splitlines()

    assert result == 0
    assert list(tmp_path.iterdir()) == []
    assert sorted(path.stat().st_mtime_ns for path in discs.rglob("*")) == before
    assert lines[0] == "22 pictures to train on, 4 held out; 10 steps of 4"
    assert [line.split(":")[0] for line in lines[1:4]] == ["time", "memory", "disk"]
    assert lines[4] == "nothing was written"
    result, out, _ = told(capsys, [*words, "--json"])
    document = json.loads(out)
    assert document["dry_run"] is True
    assert document["training_seconds"] == pytest.approx(10 * document["seconds_a_step"])
    assert document["memory_bytes"] > 2**20
    assert document["decoded_bytes"] == 22 * 4 * 40 * 48
    told(capsys, command(discs, tmp_path / "run"))
    folder = tmp_path / "run"
    checkpoints = checkpoint.listed(folder / "checkpoints")
    taken = sum(path.stat().st_size for path in checkpoints[-1].iterdir())
    assert document["checkpoint_bytes"] == pytest.approx(taken, abs=2**16)
    everything = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    assert everything <= document["disk_bytes"] + 2**20


def steps_of(threads, share, warned, count=SETTLING + STEPS):
    """Make steps of a second each, in which each thread gets a share of a processor."""
    now = {"clock": 0.0, "used": 0.0}
    watch = Contention(threads, warned.append, clock=lambda: now["clock"], used=lambda: now["used"])
    for number in range(count):
        with watch.step():
            now["clock"] += 1.0
            now["used"] += threads * (share if number >= SETTLING else 0.1)


def test_threads_that_do_not_get_their_processors_are_told_once(monkeypatch):
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    warned = []
    steps_of(2, 0.95, warned)
    steps_of(1, 0.3, warned)
    steps_of(2, 0.3, warned, SETTLING + STEPS - 1)
    assert warned == []
    steps_of(2, 0.55, warned, 3 * STEPS)
    assert len(warned) == 1
    assert "2 threads got 1.1 of them" in warned[0]
    monkeypatch.setenv("OMP_WAIT_POLICY", "PASSIVE")
    steps_of(2, 0.3, warned)
    assert len(warned) == 1


def test_real_clocks_count_a_busy_thread_as_busy():
    watch = Contention(2, pytest.fail)
    before = os.times().user
    with watch.step():
        while os.times().user - before < 0.05:
            pass
    assert watch._left == SETTLING + STEPS - 1


ECHO = """
import os, signal, sys, time
from standout.train.stop import StopOnSignal
with StopOnSignal(float(sys.argv[1])) as stop:
    os.kill(os.getpid(), signal.SIGTERM)
    os.kill(os.getpid(), signal.SIGTERM)
    print(stop.number, flush=True)
    time.sleep(float(sys.argv[2]))
    os.kill(os.getpid(), signal.SIGTERM)
    print("alive", flush=True)
"""


@pytest.mark.parametrize(("echo", "code", "said"), [("0", 143, ""), ("60", 0, "15\nalive\n"), ("0.2", 143, "15\n")])
def test_t06_a_second_signal_leaves_at_once_unless_it_is_the_first_passed_on(echo, code, said):
    ran = subprocess.run(
        [sys.executable, "-c", ECHO, echo, "0.5"], capture_output=True, text=True, check=False, timeout=300
    )

    assert (ran.returncode, ran.stdout) == (code, said)


def test_t05_a_run_that_diverges_is_told_in_one_line_and_its_record_says_so(small, warnings_of, tmp_path):
    recipe = small(optimiser={"name": "sgd", "rate": 1e30, "clip": 0.0})

    with pytest.raises(StandoutError) as caught:
        warnings_of(recipe, tmp_path / "run")

    assert caught.value.code == "nonfinite"
    assert "lower optimiser.rate" in str(caught.value)
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_bytes())
    assert manifest["status"] == "failed"
