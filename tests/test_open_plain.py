"""Files of others are opened only where they are files."""

import hashlib
import os

import pytest

from standout import files
from standout.reading import announce_reading, open_plain


def test_nothing_but_a_plain_file_is_opened_for_its_hash(tmp_path):
    os.mkfifo(tmp_path / "pipe")  # to open it would wait for ever
    (tmp_path / "plain").write_bytes(b"x")
    (tmp_path / "link").symlink_to(tmp_path / "plain")

    for path in (tmp_path / "pipe", tmp_path, "/dev/zero"):
        with pytest.raises(OSError, match="Not a regular file"):
            open_plain(path)
    assert files.sha256_of(tmp_path / "link") == hashlib.sha256(b"x").hexdigest()


def test_announcing_a_file_opens_plain_files_alone_and_says_nothing(tmp_path):
    (tmp_path / "plain").write_bytes(b"x" * 10_000)
    os.mkfifo(tmp_path / "pipe")
    seen = []
    with pytest.MonkeyPatch.context() as patch:
        real = os.open
        patch.setattr(os, "open", lambda path, *rest: seen.append(path) or real(path, *rest))
        for path in (tmp_path / "plain", tmp_path / "pipe", tmp_path, tmp_path / "missing", "with\0zero"):
            announce_reading(path)

    assert seen == [tmp_path / "plain"]
