import errno
import hashlib
import os
import shutil
import signal
import stat
import subprocess
import sys
import time

import pytest

from standout import files
from standout.errors import StandoutError
from standout.files import FolderLock, atomic_write, remove_leftovers
from standout.windows import WINDOWS_PATH, refused_by_windows


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_atomic_write_makes_parents_and_returns_the_path(tmp_path):
    path = atomic_write(tmp_path / "a" / "b.bin", b"content")

    assert path.read_bytes() == b"content"
    assert names(tmp_path / "a") == ["b.bin"]


def test_atomic_write_takes_a_function_that_writes(tmp_path):
    atomic_write(tmp_path / "x", lambda file: file.write(b"by hand"))

    assert (tmp_path / "x").read_bytes() == b"by hand"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
def test_a_disk_error_leaves_the_old_content_and_no_temporary_file(tmp_path, number):
    path = atomic_write(tmp_path / "x", b"old")

    def full(file):
        file.write(b"half of the ne")
        raise OSError(number, os.strerror(number))

    with pytest.raises(StandoutError) as caught:
        atomic_write(path, full)

    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["x"]
    assert str(path) in str(caught.value)
    assert caught.value.how


def test_an_exception_of_the_writer_passes_through_and_leaves_nothing(tmp_path):
    def broken(file):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        atomic_write(tmp_path / "x", broken)

    assert names(tmp_path) == []


def test_an_existing_file_is_kept_unless_overwriting_is_asked_for(tmp_path):
    path = atomic_write(tmp_path / "x", b"old")

    with pytest.raises(StandoutError, match="exists already"):
        atomic_write(path, b"new", overwrite=False)

    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["x"]


def test_c10_files_have_the_permissions_of_the_umask(tmp_path):
    for mask in (0o022, 0o077):
        before = os.umask(mask)
        try:
            path = atomic_write(tmp_path / f"m{mask}", b"")
        finally:
            os.umask(before)
        assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~mask


def test_c10_links_folders_and_devices_are_no_destination(tmp_path):
    (tmp_path / "target").write_bytes(b"keep")
    (tmp_path / "link").symlink_to(tmp_path / "target")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")

    for name in ("link", "folder", "pipe"):
        with pytest.raises(StandoutError, match="no regular file"):
            atomic_write(tmp_path / name, b"new")

    assert (tmp_path / "target").read_bytes() == b"keep"
    with pytest.raises(StandoutError, match="no regular file"):
        atomic_write("/dev/null", b"new")


def test_a_name_over_255_bytes_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(StandoutError, match="255 bytes"):
        atomic_write(tmp_path / ("é" * 128), b"")

    assert names(tmp_path) == []


def test_b01_a_kill_leaves_only_a_temporary_name_that_the_next_run_removes(tmp_path):
    code = (
        "import sys, time\nfrom standout.files import atomic_write\n"
        "def slow(file):\n    file.write(b'half')\n    file.flush()\n"
        "    print('writing', flush=True)\n    time.sleep(60)\n"
        f"atomic_write({str(tmp_path / 'x')!r}, slow)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    process.stdout.readline()
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert len(names(tmp_path)) == 1
    assert names(tmp_path)[0].startswith(".standout-")

    removed = remove_leftovers(tmp_path)

    assert len(removed) == 1
    assert names(tmp_path) == []


def test_remove_leftovers_touches_nothing_else(tmp_path):
    for name in (".standout-mine", "x.tmp", ".standout", "a"):
        (tmp_path / name).write_bytes(b"")

    assert remove_leftovers(tmp_path) == []
    assert len(names(tmp_path)) == 4


HOLD = (
    "import sys, time\nfrom standout.files import FolderLock\n"
    "with FolderLock(sys.argv[1]):\n    print('held', flush=True)\n    time.sleep(60)\n"
)


def test_t07_the_second_process_is_refused_and_told_who_holds_the_folder(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE)
    try:
        process.stdout.readline()

        with pytest.raises(StandoutError) as caught, FolderLock(tmp_path):
            pass

        assert f"process {process.pid} on host" in str(caught.value)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_t07_the_lock_dies_with_its_process(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE)
    process.stdout.readline()
    process.kill()
    process.wait()
    process.stdout.close()

    with FolderLock(tmp_path) as lock:
        assert lock.path.exists()


def test_t07_a_worker_left_over_does_not_keep_the_lock(tmp_path):
    code = (
        "import os, sys, time\nfrom standout.files import FolderLock\n"
        "with FolderLock(sys.argv[1]):\n"
        "    if os.fork() == 0:\n        time.sleep(30)\n        os._exit(0)\n"
        "    print('held', flush=True)\n    time.sleep(60)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, start_new_session=True
    )
    process.stdout.readline()
    process.kill()
    process.wait()
    try:
        with FolderLock(tmp_path) as lock:
            assert lock.path.exists()
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.stdout.close()


def test_a_disk_that_takes_no_byte_of_the_lock_is_told_with_the_folder_and_the_lock_is_free_again(tmp_path):
    """A limit on the size of files refuses a write as a full disk does."""
    code = (
        "import resource, signal, sys\nfrom standout.errors import StandoutError\n"
        "from standout.files import FolderLock\nsignal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "lock, (soft, hard) = FolderLock(sys.argv[1]), resource.getrlimit(resource.RLIMIT_FSIZE)\n"
        "for most in (0, soft):\n"
        "    resource.setrlimit(resource.RLIMIT_FSIZE, (most, hard))\n"
        "    try:\n        with lock:\n            told = 'held'\n"
        "    except StandoutError as error:\n        told = str(error)\n"
        "    print(told)\n"
    )

    result = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)

    assert result.stdout.splitlines() == [f"file too large: {tmp_path}; check the disk", "held"]


def test_a_lock_on_a_file_says_that_a_folder_is_needed(tmp_path):
    (tmp_path / "file").write_bytes(b"x")

    with (
        pytest.raises(StandoutError, match="a file stands where a folder is needed") as caught,
        FolderLock(tmp_path / "file"),
    ):
        pass

    assert caught.value.exit_code == 2


def test_sha256_is_that_of_the_bytes(tmp_path):

    (tmp_path / "x").write_bytes(b"abc" * 1000)

    assert files.sha256_of(tmp_path / "x") == hashlib.sha256(b"abc" * 1000).hexdigest()


def test_two_racing_writers_without_overwrite_give_one_winner(tmp_path):
    path = tmp_path / "x"
    code = (
        "import sys\nfrom standout.files import atomic_write\nfrom standout.errors import StandoutError\n"
        "sys.stdin.readline()\n"
        "try:\n    atomic_write(sys.argv[1], sys.argv[2].encode() * 1000, overwrite=False)\n    print('won')\n"
        "except StandoutError:\n    print('lost')\n"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(path), letter], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for letter in "ab"
    ]
    time.sleep(0.2)
    results = []
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()
    for process in processes:
        output, _ = process.communicate()
        results.append(output.strip())

    assert sorted(results) == ["lost", "won"]
    assert path.read_bytes() == "ab"[results.index("won")].encode() * 1000


REFUSED = [
    "CON", "con", "nul.png", "NUL", "Aux.tar.gz", "prn", "com1", "COM9.txt", "lpt1.jpg", "com²",
    "CONIN$", "con .png", "a.", "a ", "a. .",
    "a:b", "a:stream.png", "a?b", "a*b", 'a"b', "<a>", "a|b", "a\\b", "a\tb", "\x1f",
]  # fmt: skip
TAKEN = ["a.png", "console.png", "com", "com10.png", "lpt0", "nul_.png", ".hidden", "a b.png", "café.png", "aux-1.png"]


def test_k06_names_that_windows_reserves_or_changes_are_told_with_the_reason():
    assert [name for name in REFUSED if not refused_by_windows(name)] == []
    assert [name for name in TAKEN if refused_by_windows(name)] == []


def test_k06_on_windows_such_a_name_is_refused_before_anything_is_written(tmp_path, monkeypatch):
    from standout.cutout.plan import make_plan

    (tmp_path / "in").mkdir()
    for name in ("a.jpg", "nul.jpg"):
        (tmp_path / "in" / name).write_bytes(b"x")
    assert len(make_plan([tmp_path / "in"], tmp_path / "out").items) == 2

    monkeypatch.setattr(files, "WINDOWS", True)
    with pytest.raises(StandoutError, match="it is the name of a device") as caught:
        make_plan([tmp_path / "in"], tmp_path / "out")
    assert "nul.png" in str(caught.value)
    assert caught.value.exit_code == 2
    with pytest.raises(StandoutError, match="keeps for itself"):
        files.atomic_write(tmp_path / "a:b.png", b"x")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in"]


@pytest.mark.parametrize("durable", [True, False])
def test_only_a_durable_write_waits_for_the_disk_and_both_are_whole(tmp_path, monkeypatch, durable):
    flushed = []
    monkeypatch.setattr(os, "fsync", flushed.append)

    atomic_write(tmp_path / "x", b"old", durable=durable)
    with pytest.raises(ZeroDivisionError):
        atomic_write(tmp_path / "x", lambda file: file.write(b"ne") / 0, durable=durable)

    assert (tmp_path / "x").read_bytes() == b"old"
    assert names(tmp_path) == ["x"]
    assert bool(flushed) == durable


def test_k06_on_windows_a_path_that_is_too_long_is_refused_unless_long_paths_are_on(tmp_path, monkeypatch):
    from standout.cutout.plan import make_plan

    folder = tmp_path / "a" / ("long" * (WINDOWS_PATH // 4 - len(str(tmp_path)) // 4 - 7))
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.jpg").write_bytes(b"x")
    assert len(str(folder / "a.png")) < WINDOWS_PATH < len(str(files.temporary_path(folder / "a.png")))
    assert len(make_plan([tmp_path / "in"], folder).items) == 1

    monkeypatch.setattr(files, "WINDOWS", True)
    with pytest.raises(StandoutError, match="over 259 characters") as caught:
        make_plan([tmp_path / "in"], folder)
    assert caught.value.exit_code == 2
    with pytest.raises(StandoutError, match="over 259 characters"):
        files.atomic_write(folder / "a.png", b"x")
    assert not (tmp_path / "a").exists()
    monkeypatch.setattr(files, "takes_long_paths", lambda: True)
    assert files.atomic_write(folder / "a.png", b"x").read_bytes() == b"x"


def test_k06_a_destination_that_another_program_holds_is_refused_by_name_and_kept(tmp_path, monkeypatch):
    """A running program's file stands for one that Windows has locked: it cannot be opened to write."""
    from standout.cutout.plan import make_plan

    held = tmp_path / "out" / "a.png"
    held.parent.mkdir()
    shutil.copy(shutil.which("sleep"), held)
    (tmp_path / "a.jpg").write_bytes(b"x")
    before = held.read_bytes()
    with subprocess.Popen([held, "60"]) as running:
        try:
            monkeypatch.setattr(files, "WINDOWS", True)
            for attempt in (
                lambda: make_plan([tmp_path / "a.jpg", tmp_path / "b.jpg"], tmp_path / "out"),
                lambda: files.atomic_write(held, b"x"),
            ):
                (tmp_path / "b.jpg").write_bytes(b"x")
                with pytest.raises(StandoutError, match="close the program that holds it") as caught:
                    attempt()
                assert "a.png" in str(caught.value)
        finally:
            running.kill()
    assert held.read_bytes() == before
    assert sorted(path.name for path in held.parent.iterdir()) == ["a.png"]
