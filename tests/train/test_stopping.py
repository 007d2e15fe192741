"""Promises T4, T6 and T16 where the disk refuses, a read hangs, a signal is ignored, or a queue asks again."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from test_run import bit_equal

from standout import checkpoint
from standout.data import decoded
from standout.errors import StandoutError
from standout.files import Ledger
from standout.train import report
from standout.train.run import Run

DOCS = Path(__file__).parents[2] / "docs"


def test_t06_a_stop_does_not_wait_for_a_read_that_hangs(small, warnings_of, tmp_path, monkeypatch):
    warnings_of(small(), tmp_path / "whole")
    release, hung = threading.Event(), []
    read = decoded.Reading.decode

    def hang(self, pair):
        hung.append(pair.image.name)
        if len(hung) == 30 and not release.is_set():
            os.kill(os.getpid(), signal.SIGTERM)
            release.wait(60)
        return read(self, pair)

    with monkeypatch.context() as patch:
        patch.setattr(decoded.Reading, "decode", hang)
        outcome, _ = warnings_of(small(training={"save_steps": 2}), tmp_path / "run")
    assert not release.is_set()
    release.set()
    assert outcome.signal == signal.SIGTERM
    outcome, _ = warnings_of(small(training={"save_steps": 2}), tmp_path / "run", resume=True)
    assert outcome.finished is not None
    assert bit_equal(tmp_path / "whole", tmp_path / "run")


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="this system has no hang-up")
def test_t06_a_signal_that_the_process_was_started_to_ignore_stays_ignored(discs, tmp_path):
    words = ["train", str(discs), "--network", "tiny", "--size", "32", "--batch", "4", "--epochs", "1"]
    deaf = f"""
import signal, sys
signal.signal(signal.SIGHUP, signal.SIG_IGN)
from standout.cli import run
from standout.train import loop
step = loop._Session._step
def hung_up(self, *given):
    signal.raise_signal(signal.SIGHUP)
    return step(self, *given)
loop._Session._step = hung_up
run({[*words, "--output", str(tmp_path / "run")]!r})
"""
    done = subprocess.run([sys.executable, "-c", deaf], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "run" / "manifest.json").read_bytes())["status"] == "finished"


def test_t04_a_log_or_curves_that_the_disk_refuses_are_said_and_training_goes_on(
    small, warnings_of, tmp_path, monkeypatch
):
    warnings_of(small(), tmp_path / "whole")
    append, calls = Ledger.append, []

    def refused(self, entry):
        calls.append(entry)
        if 3 <= len(calls) <= 6:
            raise StandoutError("disk", "no space left on device", str(self.path))
        append(self, entry)

    def undrawn(*_arguments, **_options):
        raise StandoutError("disk", "no space left on device", "curves.png")

    with monkeypatch.context() as patch:
        patch.setattr(Ledger, "append", refused)
        patch.setattr(report, "atomic_write", undrawn)
        outcome, warned = warnings_of(small(), tmp_path / "run")
    assert outcome.finished is not None
    assert [line.split(":")[0] for line in warned] == [
        "metrics not written, training goes on",
        "curves not drawn, training goes on",
        "curves not drawn, training goes on",
    ]
    assert bit_equal(tmp_path / "whole", tmp_path / "run")
    steps = [line["step"] for line in Ledger(tmp_path / "run" / "metrics.jsonl").read() if line["kind"] == "step"]
    assert steps == [1, 2, 6, 7, 8, 9, 10]


def test_t04_what_stopped_a_run_is_told_where_the_record_is_refused_too(small, warnings_of, tmp_path, monkeypatch):
    def refused(*_arguments, **_options):
        raise StandoutError("disk", "no space left on device", "the checkpoint")

    def unrecorded(*_arguments, **_options):
        raise StandoutError("disk", "no space left on device", "the manifest")

    monkeypatch.setattr(checkpoint, "save", refused)
    monkeypatch.setattr(Run, "update_manifest", unrecorded)
    with pytest.raises(StandoutError, match="the checkpoint"):
        warnings_of(small(training={"save_steps": 2}), tmp_path / "run")


SBATCH = re.search(r"```\n(#!/bin/sh\n#SBATCH.*?)```", (DOCS / "training.md").read_text(), re.DOTALL)[1]


@pytest.mark.skipif(shutil.which("sh") is None, reason="there is no shell")
@pytest.mark.parametrize(
    ("before", "after", "again"),
    [
        (None, "stopped", True),
        ("stopped at 1", "stopped", True),
        ("stopped", "stopped", False),  # it could not begin, so the record is as it was
        ("stopped", "finished", False),
        ("stopped", "failed", False),
        (None, None, False),
    ],
)
def test_t16_the_batch_script_queues_again_what_stopped_and_nothing_else(tmp_path, before, after, again):
    record = tmp_path / "runs" / "mine" / "manifest.json"
    record.parent.mkdir(parents=True)
    (tmp_path / "programs").mkdir()

    def said(status):
        name, _, place = status.partition(" at ")
        return f'{{"status": "{name}", "steps": "{place}"}}'

    if before:
        record.write_text(said(before))
    programs = {
        "srun": f"echo '{said(after)}' > {record}" if after and after != before else "exit 2",
        "scontrol": 'if [ "$1" = requeue ]; then echo "$2" >> queued; else echo node1; fi',
    }
    for name, does in programs.items():
        (tmp_path / "programs" / name).write_text(f"#!/bin/sh\n{does}\n")
        (tmp_path / "programs" / name).chmod(0o755)
    (tmp_path / "job.sh").write_text(SBATCH)
    found = {"PATH": f"{tmp_path / 'programs'}{os.pathsep}{os.environ['PATH']}", "SLURM_JOB_ID": "7"}
    subprocess.run(["sh", "job.sh"], cwd=tmp_path, env=found, check=False, capture_output=True)
    queued = tmp_path / "queued"
    assert (queued.read_text() if queued.exists() else "") == ("7\n" if again else "")
