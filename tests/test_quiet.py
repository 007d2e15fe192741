"""Promises K4 and K10: what a terminal gets, and that nothing ever reaches for the network."""

import os
import socket
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from standout.images.quiet import quiet

SHOW = """
from standout.train.show import chosen_display
with chosen_display() as shown:
    for step in range(1, 4):
        shown.step(step, 3, "1/1", {"task": 0.5}, 0.01, 12.0)
    shown.line("standout: warning: a line")
"""


def shown_in_a_terminal(**environment):
    import pty

    parent, child = pty.openpty()
    around = {key: value for key, value in os.environ.items() if key not in ("NO_COLOR", "TERM", "FORCE_COLOR")}
    process = subprocess.Popen(
        [sys.executable, "-c", SHOW], stderr=child, stdout=subprocess.PIPE, env={**around, **environment}
    )
    os.close(child)
    said = b""
    while True:
        try:
            part = os.read(parent, 65536)
        except OSError:  # the other end is closed
            break
        if not part:
            break
        said += part
    out, _ = process.communicate()
    os.close(parent)
    assert process.returncode == 0
    return out, said


def test_k04_a_terminal_gets_a_bar_and_colours():
    out, said = shown_in_a_terminal(TERM="xterm-256color")

    assert out == b""  # progress goes to stderr
    assert b"a line" in said
    assert b"\x1b[3" in said or b"\x1b[1m" in said


def test_k04_no_colour_where_it_is_not_wanted():
    _, said = shown_in_a_terminal(TERM="xterm-256color", NO_COLOR="1")
    assert b"a line" in said
    assert not any(f"\x1b[{code}m".encode() in said for code in range(30, 50))
    assert b"\x1b[38" not in said

    _, said = shown_in_a_terminal(TERM="dumb")
    assert b"a line" in said
    assert b"\x1b" not in said


def test_k04_a_pipe_gets_plain_lines():
    ran = subprocess.run([sys.executable, "-c", SHOW], capture_output=True, check=True)

    assert ran.stdout == b""
    assert b"a line" in ran.stderr
    assert b"\x1b" not in ran.stderr
    assert b"\r" not in ran.stderr


TRAP = """
import sys
def refuse(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.bind", "socket.sendto", "urllib.Request"):
        raise RuntimeError(f"the network: {event} {arguments}")
sys.addaudithook(refuse)
from standout.cli import run
run(sys.argv[1:])
"""


@pytest.mark.parametrize("words", [["--version"], ["data", "check", "SET"], ["train", "SET", "--dry-run"]])
def test_k10_no_command_reaches_for_the_network(words, tmp_path):
    import numpy as np

    from standout.images import write_image, write_map

    for number in range(8):
        pixels = np.random.default_rng(number).integers(0, 256, (40, 40, 3), dtype=np.uint8)
        write_image(tmp_path / "set" / "images" / f"{number}.png", pixels)
        write_map(tmp_path / "set" / "masks" / f"{number}.png", (pixels[..., 0] > 180).astype(np.uint8) * np.uint8(255))
    words = [str(tmp_path / "set") if word == "SET" else word for word in words]
    if words[0] == "train":
        words += ["--network", "tiny", "--batch", "4", "--size", "32", "--epochs", "1", "--validation", "0"]

    ran = subprocess.run([sys.executable, "-c", TRAP, *words], capture_output=True, text=True, check=False)

    assert "the network" not in ran.stderr
    assert ran.returncode == 0, ran.stderr


KNOCK = """
import contextlib, socket, urllib.request
with contextlib.suppress(Exception):
    socket.create_connection(("192.0.2.1", 80), timeout=1)
with contextlib.suppress(Exception):
    urllib.request.urlopen("http://example.invalid/", timeout=1)
"""


@pytest.mark.parametrize("start", ["here", "in a child"])
def test_k10_the_whole_suite_runs_under_a_trap_that_notes_whoever_knocks(start):
    log = Path(os.environ["STANDOUT_TESTS_NETWORK_LOG"])
    before = log.read_text()
    try:
        if start == "here":
            with pytest.raises(RuntimeError, match="tried to reach the network"):
                socket.create_connection(("192.0.2.1", 80), timeout=1)
        else:
            subprocess.run([sys.executable, "-c", KNOCK], check=True)
        noted = log.read_text()[len(before) :]
    finally:
        log.write_text(before)  # or this very test would fail

    assert "192.0.2.1" in noted
    assert start == "here" or "example.invalid" in noted


def test_k10_processes_of_one_machine_may_find_each_other():
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(5)
        with socket.create_connection(server.getsockname(), timeout=5) as one:
            other, caller = server.accept()
            other.close()
            assert caller == one.getsockname()


def test_what_a_stop_drops_is_no_warning_though_threads_come_and_go_in_the_decoders():
    def say():
        warnings.warn_explicit("3 tasks have been cancelled", UserWarning, "parallel.py", 1, module="joblib.parallel")

    quiet.__enter__()  # as a thread that is in a decoder
    with quiet:
        quiet.__exit__(None, None, None)  # and leaves it meanwhile
        say()
    with pytest.raises(UserWarning, match="cancelled"):
        say()
