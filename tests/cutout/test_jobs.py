"""Folders of pictures: promises B1 to B8 as the library gives them."""

import errno
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from standout import files
from standout.cutout.jobs import LOCK, Job, preview, run_job
from standout.cutout.record import LEDGER
from standout.errors import StandoutError
from standout.files import FolderLock, Ledger
from standout.images import encode_image, read_image
from tiny_model import SHARPNESS, model_folder, onnx_model


def photos(folder, count=4, rows=40, columns=50, start=0):
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(start, start + count):
        pixels = np.random.default_rng(number).integers(0, 256, (rows, columns, 3), dtype=np.uint8)
        (folder / f"{number:03d}.png").write_bytes(encode_image(pixels))
    return folder


def job(**options):
    return Job(**{"model": onnx_model(), "jobs": 1, **options})


def tree(folder):
    """Return what every file of results holds, by its relative name; not the ledger and the lock."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(Path(folder).rglob("*"))
        if path.is_file() and path.name not in (LEDGER, LOCK)
    }


def done(summary):
    return summary.done, summary.skipped, len(summary.failed)


def test_a_folder_becomes_a_folder_of_cut_outs_of_their_own_sizes(tmp_path):
    photos(tmp_path / "in", 2)
    photos(tmp_path / "in/sub", 1, 33, 20, start=7)

    summary = run_job(job(), [tmp_path / "in"], tmp_path / "out")

    assert done(summary) == (3, 0, 0)
    found = {}
    for name in tree(tmp_path / "out"):
        with Image.open(tmp_path / "out" / name) as written:
            found[name] = (written.size, written.mode)
    assert found == {
        "000.png": ((50, 40), "RGBA"),
        "001.png": ((50, 40), "RGBA"),
        "sub/007.png": ((20, 33), "RGBA"),
    }


def test_p01_results_are_upright_and_carry_no_orientation(tmp_path):
    (tmp_path / "in").mkdir()
    for number in range(1, 9):
        exif = Image.Exif()
        exif[274] = number
        Image.new("RGB", (30, 20), "red").save(tmp_path / f"in/{number}.jpg", exif=exif)

    summary = run_job(job(), [tmp_path / "in"], tmp_path / "out")

    for number in range(1, 9):
        with Image.open(tmp_path / f"out/{number}.png") as image:
            assert image.size == ((20, 30) if number >= 5 else (30, 20))
            assert not image.getexif()
    assert sum(summary.notes.values()) == 7


def test_threads_give_the_same_results(tmp_path):
    photos(tmp_path / "in", 9)

    for jobs in (1, 3):
        assert done(run_job(job(jobs=jobs), [tmp_path / "in"], tmp_path / f"out{jobs}")) == (9, 0, 0)

    assert tree(tmp_path / "out1") == tree(tmp_path / "out3")


def test_b02_what_is_done_is_skipped_and_the_rest_is_done(tmp_path):
    photos(tmp_path / "in", 3)
    run_job(job(), [tmp_path / "in"], tmp_path / "out")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("*.png")}
    photos(tmp_path / "in", 2, start=3)
    (tmp_path / "out/001.png").unlink()

    summary = run_job(job(), [tmp_path / "in"], tmp_path / "out")

    assert done(summary) == (3, 2, 0)
    assert (tmp_path / "out/000.png").stat().st_mtime_ns == before[tmp_path / "out/000.png"]
    run_job(job(), [tmp_path / "in"], tmp_path / "unbroken")
    assert tree(tmp_path / "out") == tree(tmp_path / "unbroken")


def test_b02_the_ledger_says_what_was_made_from_what(tmp_path):
    photos(tmp_path / "in", 1)
    odd = os.fsdecode(b"caf\xe9\n.png")
    os.rename(tmp_path / "in/000.png", tmp_path / "in" / odd)  # noqa: PTH104

    run_job(job(), [tmp_path / "in"], tmp_path / "out")

    begun, entry = Ledger(tmp_path / "out" / LEDGER).read()
    found = (tmp_path / "in" / odd).stat()
    assert begun["state"] == "writing"
    assert os.fsencode(entry["input"]) == os.fsencode(tmp_path / "in" / odd)
    assert entry["output"] == odd
    assert (entry["schema"], entry["state"], entry["size"], entry["mtime"]) == (
        1,
        "done",
        found.st_size,
        found.st_mtime_ns,
    )
    assert entry["sha256"] == hashlib.sha256((tmp_path / "out" / odd).read_bytes()).hexdigest()
    assert entry["input_sha256"] == hashlib.sha256((tmp_path / "in" / odd).read_bytes()).hexdigest()
    assert entry["model"] == hashlib.sha256(onnx_model().read_bytes()).hexdigest()
    assert len(entry["options"]) == 64
    assert done(run_job(job(), [tmp_path / "in"], tmp_path / "out")) == (0, 1, 0)


@pytest.mark.parametrize(
    "change", [{"form": "overlay"}, {"sharpness": 1.0}, {"size": 32}, {"model": model_folder() / "model.safetensors"}]
)
def test_b03_changed_options_or_model_are_done_again(tmp_path, change):
    photos(tmp_path / "in", 2)
    run_job(job(), [tmp_path / "in"], tmp_path / "out")

    assert done(run_job(job(**change), [tmp_path / "in"], tmp_path / "out")) == (2, 0, 0)
    assert done(run_job(job(**change), [tmp_path / "in"], tmp_path / "out")) == (0, 2, 0)
    assert done(run_job(job(), [tmp_path / "in"], tmp_path / "out")) == (2, 0, 0)


def test_b03_naming_the_models_own_sharpness_changes_nothing(tmp_path):
    photos(tmp_path / "in", 2)
    run_job(job(), [tmp_path / "in"], tmp_path / "out")

    assert done(run_job(job(sharpness=SHARPNESS), [tmp_path / "in"], tmp_path / "out")) == (0, 2, 0)


def test_b03_a_changed_input_is_done_again_also_one_that_hides_it(tmp_path):
    photos(tmp_path / "in", 3)
    run_job(job(), [tmp_path / "in"], tmp_path / "out")
    plain, hidden, damaged = (tmp_path / f"in/00{n}.png" for n in range(3))
    plain.write_bytes(encode_image(np.zeros((5, 5, 3), np.uint8)))
    times = hidden.stat()
    content = bytearray(hidden.read_bytes())
    content[-30] ^= 1
    hidden.write_bytes(content)
    os.utime(hidden, ns=(times.st_atime_ns, times.st_mtime_ns))

    assert done(run_job(job(), [tmp_path / "in"], tmp_path / "out")) == (1, 2, 0)
    summary = run_job(job(verify=True), [tmp_path / "in"], tmp_path / "out")
    assert summary.skipped == 2
    assert summary.done + len(summary.failed) == 1
    os.utime(damaged)
    assert run_job(job(verify=True), [tmp_path / "in"], tmp_path / "out").skipped >= 2


def test_b05_inputs_are_never_changed(tmp_path):
    photos(tmp_path / "in", 3)
    (tmp_path / "in/bad.png").write_bytes(b"bad")
    before = tree(tmp_path / "in")

    for options in ({}, {"overwrite": True}, {"form": "map", "overwrite": True}):
        run_job(job(**options), [tmp_path / "in"], tmp_path / "in/out")

    assert {name: digest for name, digest in tree(tmp_path / "in").items() if not name.startswith("out/")} == before


def test_nothing_that_is_not_ours_is_overwritten_unasked(tmp_path):
    photos(tmp_path / "in", 3)
    (tmp_path / "out").mkdir()
    (tmp_path / "out/001.png").write_bytes(b"mine")

    with pytest.raises(StandoutError, match=r"file exists already: .*001\.png; pass --overwrite") as caught:
        run_job(job(), [tmp_path / "in"], tmp_path / "out")

    assert caught.value.exit_code == 2
    assert tree(tmp_path / "out") == {"001.png": hashlib.sha256(b"mine").hexdigest()}
    assert done(run_job(job(overwrite=True), [tmp_path / "in"], tmp_path / "out")) == (3, 0, 0)


def test_a_result_that_somebody_changed_is_not_overwritten_unasked(tmp_path):
    photos(tmp_path / "in", 2)
    run_job(job(), [tmp_path / "in"], tmp_path / "out")
    (tmp_path / "out/001.png").write_bytes(b"retouched by hand")

    with pytest.raises(StandoutError, match="file exists already"):
        run_job(job(form="map"), [tmp_path / "in"], tmp_path / "out")

    assert (tmp_path / "out/001.png").read_bytes() == b"retouched by hand"


@pytest.mark.parametrize("kind", ["folder", "link", "fifo"])
def test_c10_a_destination_that_is_no_file_is_refused(tmp_path, kind):
    photos(tmp_path / "in", 1)
    target = tmp_path / "out/000.png"
    target.parent.mkdir()
    (tmp_path / "keep").write_bytes(b"keep")
    {"folder": target.mkdir, "link": lambda: target.symlink_to(tmp_path / "keep"), "fifo": lambda: os.mkfifo(target)}[
        kind
    ]()

    with pytest.raises(StandoutError, match="exists already"):
        run_job(job(), [tmp_path / "in"], tmp_path / "out")
    summary = run_job(job(overwrite=True), [tmp_path / "in"], tmp_path / "out")

    assert done(summary) == (0, 0, 1)
    assert "no regular file" in str(summary.failed[0].error)
    assert (tmp_path / "keep").read_bytes() == b"keep"


def bad_pictures(folder):
    (folder / "bad1.jpg").write_bytes(b"no picture")
    (folder / "bad2.png").write_bytes((folder / "000.png").read_bytes()[:200])
    os.mkfifo(folder / "bad3.png")


@pytest.mark.parametrize("jobs", [1, 3])
def test_b06_bad_pictures_do_not_stop_the_job(tmp_path, jobs):
    photos(tmp_path / "in", 6)
    bad_pictures(tmp_path / "in")
    told = []

    summary = run_job(job(jobs=jobs), [tmp_path / "in"], tmp_path / "out", lambda *what: told.append(what))

    assert done(summary) == (6, 0, 3)
    assert sorted(failure.source.name for failure in summary.failed) == ["bad1.jpg", "bad2.png", "bad3.png"]
    assert all(failure.source.name in str(failure.error) for failure in summary.failed)
    assert [number for _, number, _ in told] == list(range(1, 10))
    assert len(tree(tmp_path / "out")) == 6


@pytest.mark.parametrize("jobs", [1, 3])
def test_b06_fail_fast_stops(tmp_path, jobs):
    photos(tmp_path / "in", 30, start=100)
    (tmp_path / "in/000.jpg").write_bytes(b"no picture")

    summary = run_job(job(jobs=jobs, fail_fast=True), [tmp_path / "in"], tmp_path / "out")

    assert len(summary.failed) == 1
    assert summary.done < 30
    assert done(run_job(job(), [tmp_path / "in"], tmp_path / "out"))[1] == summary.done


def test_d06_a_folder_of_only_broken_pictures_fails_each(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.jpg").write_bytes(b"no picture")

    assert done(run_job(job(), [tmp_path / "in"], tmp_path / "out")) == (0, 0, 1)


def test_b07_a_full_disk_stops_with_one_line_and_a_whole_ledger(tmp_path, monkeypatch):
    photos(tmp_path / "in", 5)
    synced = os.fsync
    calls = []

    def full(handle):
        calls.append(handle)
        if len(calls) > 4:  # two results are written: file and folder are flushed for each
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return synced(handle)

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(StandoutError, match="no space left on device") as caught:
        run_job(job(), [tmp_path / "in"], tmp_path / "out")
    monkeypatch.undo()

    assert caught.value.exit_code == 1
    assert len(tree(tmp_path / "out")) == 2
    assert all(isinstance(entry, dict) for entry in Ledger(tmp_path / "out" / LEDGER).read())
    assert done(run_job(job(), [tmp_path / "in"], tmp_path / "out")) == (3, 2, 0)


def test_b07_a_torn_ledger_line_is_dropped_and_its_result_made_again(tmp_path):
    photos(tmp_path / "in", 3)
    run_job(job(), [tmp_path / "in"], tmp_path / "out")
    ledger = tmp_path / "out" / LEDGER
    ledger.write_bytes(ledger.read_bytes()[:-40])

    assert done(run_job(job(), [tmp_path / "in"], tmp_path / "out")) == (1, 2, 0)
    assert done(run_job(job(), [tmp_path / "in"], tmp_path / "out")) == (0, 3, 0)


HOLD = (
    "import sys, time; from standout.files import FolderLock\n"
    "with FolderLock(sys.argv[1], name=sys.argv[2]): print('held', flush=True); time.sleep(60)"
)


def test_b08_a_second_job_into_one_folder_is_refused(tmp_path):
    photos(tmp_path / "in", 1)
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path / "out"), LOCK], stdout=subprocess.PIPE)
    try:
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(StandoutError, match=rf"folder is in use: .*process {holder.pid} on host"):
            run_job(job(), [tmp_path / "in"], tmp_path / "out")
    finally:
        holder.kill()
        holder.wait()
        holder.stdout.close()
    assert done(run_job(job(), [tmp_path / "in"], tmp_path / "out")) == (1, 0, 0)
    with FolderLock(tmp_path / "out", name=LOCK):
        pass  # and the lock was given back


def test_b11_results_of_long_names_are_written_and_found_again(tmp_path):
    photos(tmp_path / "in", 2)
    for number, stem in enumerate(("é" * 125 + "1", "é" * 125 + "2")):
        (tmp_path / f"in/00{number}.png").rename(tmp_path / "in" / f"{stem}.gif")  # by content, not by name

    assert done(run_job(job(), [tmp_path / "in"], tmp_path / "out")) == (2, 0, 0)
    assert done(run_job(job(keep_extension=True), [tmp_path / "in"], tmp_path / "kept")) == (2, 0, 0)
    assert done(run_job(job(), [tmp_path / "in"], tmp_path / "out")) == (0, 2, 0)


def test_a_preview_writes_nothing_and_says_what_a_run_would_do(tmp_path):
    photos(tmp_path / "in", 3)
    todo, kept = preview(job(), [tmp_path / "in"], tmp_path / "out")
    assert (len(todo), len(kept)) == (3, 0)
    assert not (tmp_path / "out").exists()

    run_job(job(), [tmp_path / "in"], tmp_path / "out")
    (tmp_path / "out/001.png").unlink()
    todo, kept = preview(job(), [tmp_path / "in"], tmp_path / "out")

    assert [item.source.name for item in todo] == ["001.png"]
    assert len(kept) == 2


def test_a_picture_over_the_cap_is_a_failure_by_name(tmp_path):
    from standout.images import Limits

    photos(tmp_path / "in", 1)

    summary = run_job(job(limits=Limits(pixels=1999)), [tmp_path / "in"], tmp_path / "out")

    assert "too many pixels" in str(summary.failed[0].error)


RUN = (
    "import sys; from standout.cutout.jobs import Job, run_job\n"
    "run_job(Job(model=sys.argv[1], jobs=2), [sys.argv[2]], sys.argv[3])"
)


def test_b01_b02_kills_leave_only_whole_results_and_a_resumed_job_ends_like_an_unbroken_one(tmp_path):
    source = photos(tmp_path / "in", 60, 60, 80)
    run_job(job(), [source], tmp_path / "unbroken")
    expected = tree(tmp_path / "unbroken")
    draw, out, cut_short = random.Random(3), tmp_path / "out", 0

    for _ in range(8):
        process = subprocess.Popen([sys.executable, "-c", RUN, str(onnx_model()), str(source), str(out)])
        begun = len(list(out.glob("*.png")))
        deadline = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < deadline:
            if len(list(out.glob("*.png"))) > begun:
                time.sleep(draw.uniform(0, 0.02))
                break
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        cut_short += process.wait() == -signal.SIGKILL
        whole = {name: digest for name, digest in tree(out).items() if not name.startswith(".standout-")}
        assert whole.items() <= expected.items()
        for path in out.rglob("*.png"):
            read_image(path)

    assert cut_short >= 5
    summary = run_job(job(), [source], out)
    assert summary.skipped >= 1
    assert tree(out) == expected  # and no temporary file is left
    states = [json.loads(line)["state"] for line in (out / LEDGER).read_bytes().splitlines()]
    assert set(states) == {"writing", "done"}
