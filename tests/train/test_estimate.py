"""Promise K7 of training: a dry run refuses what the run would, counts what is left, and writes nothing."""

import json
import shutil

import pytest
from test_run import changed, stop_after, stopped  # noqa: F401 - a fixture

from standout.cli import main
from standout.errors import StandoutError
from standout.train.estimate import estimate
from standout.train.loop import train


def tree(folder):
    return {path: path.lstat().st_mtime_ns for path in folder.rglob("*")}


def refusal_of(call, *arguments, **options):
    with pytest.raises(StandoutError) as caught:
        call(*arguments, **options)
    return caught.value


def test_k07_a_dry_run_refuses_a_folder_that_the_run_could_not_use(small, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("mine")
    (tmp_path / "link").symlink_to("nowhere")
    before = tree(tmp_path)
    for output in ("file", "file/run", "link"):
        refused = refusal_of(estimate, small(), tmp_path / output, tell=print)
        assert (refused.code, refused.exit_code) == ("not-a-folder", 2)
    refused = refusal_of(estimate, small(data={"cache": str(tmp_path / "file")}), tmp_path / "run", tell=print)
    assert "choose another --cache" in str(refused)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9, 0))
    refused = refusal_of(estimate, small(), tmp_path / "a" / "run", tell=print)
    assert (refused.code, str(tmp_path) in str(refused)) == ("disk-full", True)
    assert tree(tmp_path) == before


def test_k07_a_dry_run_refuses_to_go_on_where_the_run_would_and_counts_the_steps_left(
    stopped, small, tmp_path  # noqa: F811
):  # fmt: skip
    manifest = json.loads((stopped / "manifest.json").read_bytes())
    manifest["versions"]["pillow"] = "9.0.0"
    (stopped / "manifest.json").write_text(json.dumps(manifest))
    before, faster = tree(tmp_path), changed(small(), "optimiser.rate", 0.02)
    for recipe, options in ((small(), {}), (faster, {"resume": True}), (small(), {"resume": True, "strict": True})):
        refused = refusal_of(estimate, recipe, stopped, tell=print, **options)
        assert tree(tmp_path) == before
        assert str(refused) == str(refusal_of(train, recipe, stopped, warn=print, **options))
        before = tree(tmp_path)  # the run has taken the folder's lock
    told = []
    found = estimate(faster, stopped, tell=told.append, resume=True, overrides=["optimiser"])

    assert (found.steps, found.steps_done) == (8, 2)
    assert found.training_seconds == pytest.approx(8 * found.seconds_a_step)
    assert "8 steps of 4 after 2 that are made" in found.lines(4)[0]
    assert [line for line in told if "pillow was 9.0.0 and is now" in line]
    damaged = stopped / "checkpoints" / "step-00000002" / "state.json"
    damaged.write_bytes(damaged.read_bytes()[:-1])
    before = tree(tmp_path)
    assert estimate(small(), stopped, tell=told.append, resume=True).steps_done == 0
    assert "checkpoint damaged" in told[-1]
    assert tree(tmp_path) == before


def test_k07_of_several_processes_the_first_alone_tells_and_the_batch_is_that_of_all(
    discs, tmp_path, monkeypatch, capsys
):
    words = ["train", str(discs), "--network", "tiny", "--size", "32", "--threads", "1", "--validation", "0.15"]
    words += ["--output", str(tmp_path / "run"), "--dry-run", "--json"]
    monkeypatch.setenv("WORLD_SIZE", "2")
    said = []
    for rank in ("1", "0"):
        monkeypatch.setenv("RANK", rank)
        assert main.main([*words, "--batch", "4"], standalone_mode=False) == 0
        said.append(capsys.readouterr().out)

    assert said[0] == ""
    assert json.loads(said[1])["steps"] > 0
    refused = refusal_of(main.main, [*words, "--batch", "5"], standalone_mode=False)
    assert "a batch of 5 has no 2 equal parts" in str(refused)
    assert list(tmp_path.iterdir()) == []
