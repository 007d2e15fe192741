"""Promise K5 on twenty names in three encodings of the terminal: each is told in one line, with nothing left raw."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tiny_model import model_folder

NAMES = [
    b"plain", b"with space", b"quote'\"", "café".encode(), "u\u0308ber".encode(), "図".encode(),
    "\U0001f600".encode(), "\u05e9\u05dc\u05d5\u05dd".encode(), b"new\nline", b"return\rback", b"tab\tin",
    b"esc\x1b[31mred", b"esc\x1b]0;title\x07", b"bell\x07", b"del\x7f", "\u202egnp.exe".encode(),
    "zero\u200bwidth".encode(), "csi\x9b31m".encode(), b"latin\xe9", b"bad\xff\xfe",
]  # fmt: skip


# Where Python was told ASCII, the command line's library writes UTF-8.
@pytest.mark.parametrize(("encoding", "written"), [("utf-8", "utf-8"), ("latin-1", "latin-1"), ("ascii", "utf-8")])
def test_k05_every_name_is_one_line_without_raw_bytes_in_every_encoding(encoding, written, tmp_path):
    pictures = os.fsencode(tmp_path / "in")
    (tmp_path / "in").mkdir()
    for name in NAMES:
        Path(os.fsdecode(pictures + b"/" + name + b".png")).write_bytes(b"no picture")
    words = ["cut", "in", "--model", str(model_folder()), "--output", "out"]

    ran = subprocess.run(
        [sys.executable, "-m", "standout", *words], cwd=tmp_path, capture_output=True, check=False, timeout=300,
        env={**os.environ, "PYTHONIOENCODING": encoding, "LC_ALL": "C"},
    )  # fmt: skip

    said = ran.stdout + ran.stderr
    assert ran.returncode == 1, said
    lines = [line for line in said.decode(written).splitlines() if ".png" in line]
    assert len(lines) == len(NAMES), said
    assert b"Traceback" not in said
    assert all(line.isprintable() for line in said.decode(written).split("\n")), said
