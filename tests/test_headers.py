import bz2
import gzip
import io
import json
import lzma
import os
import pickle
import random
import subprocess
import sys
import tarfile
import time
import zipfile
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from standout.errors import StandoutError
from standout.headers import HEADER_BYTES, read_safetensors


def file_bytes(header, data=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def entry(dtype="F32", shape=(2,), offsets=(0, 8)):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


def refusal(tmp_path, content, name="x.safetensors"):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(StandoutError) as caught:
        read_safetensors(path)
    assert "\n" not in str(caught.value)
    assert name in str(caught.value)
    return caught.value


def test_a_good_file_gives_its_bytes_and_its_header(tmp_path):
    content = file_bytes(
        {
            "__metadata__": {"who": "me"},
            "b": entry(offsets=(8, 16)),
            "a": entry(),
            "none": entry("I64", (0, 3), (16, 16)),
        },
        b"0123456789abcdef",
    )
    (tmp_path / "x").write_bytes(content)

    got, header = read_safetensors(tmp_path / "x")

    assert got == content
    assert list(header.tensors) == ["a", "b", "none"]
    assert header.tensors["none"] == ("I64", (0, 3))
    assert header.strings == {"who": "me"}


class Bomb:
    """Leaves a file where it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (os.mkdir, (self.path,))


def packed(kind, bomb):
    code = pickle.dumps(bomb, protocol=2)
    if kind == "zip":
        memory = io.BytesIO()
        with zipfile.ZipFile(memory, "w") as archive:
            archive.writestr("archive/data.pkl", code)
        return memory.getvalue()
    if kind == "tar":
        memory = io.BytesIO()
        with tarfile.open(fileobj=memory, mode="w") as archive:
            information = tarfile.TarInfo("data.pkl")
            information.size = len(code)
            archive.addfile(information, io.BytesIO(code))
        return memory.getvalue()
    if kind == "npy":
        memory = io.BytesIO()
        np.save(memory, np.array([bomb], dtype=object), allow_pickle=True)
        return memory.getvalue()
    packers = {"gzip": gzip.compress, "bzip2": bz2.compress, "xz": lzma.compress, "zlib": zlib.compress}
    return packers[kind](code) if kind in packers else pickle.dumps(bomb, protocol=int(kind))


@pytest.mark.parametrize("kind", ["0", "1", "2", "3", "4", "5", "zip", "tar", "npy", "gzip", "bzip2", "xz", "zlib"])
def test_c01_files_that_carry_code_are_refused_by_name_and_never_run(tmp_path, kind):
    trap = tmp_path / "trap"
    content = packed(kind, Bomb(str(trap)))

    for name in ("model.safetensors", "model"):
        error = refusal(tmp_path, content, name)
        assert error.code == "pickle-refused"
        assert "pickle refused" in str(error)
    assert not trap.exists()


@pytest.mark.parametrize("suffix", [".pt", ".PTH", ".ckpt", ".bin", ".pkl"])
def test_c01_code_bearing_names_are_refused_whatever_they_hold(tmp_path, suffix):
    assert refusal(tmp_path, b"no known beginning", f"model{suffix}").code == "pickle-refused"


def test_c01_a_safetensors_file_may_have_any_name(tmp_path):
    (tmp_path / "weights.bin").write_bytes(file_bytes({"a": entry()}, b"\0" * 8))

    assert list(read_safetensors(tmp_path / "weights.bin")[1].tensors) == ["a"]


def test_c01_reading_a_header_loads_no_torch():
    code = "import standout.headers, sys; print([m for m in ('torch', 'numpy', 'safetensors') if m in sys.modules])"

    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "no safetensors file"),
        (b"\0" * 8, "no safetensors file"),
        (file_bytes(b"[]"), "no safetensors file"),
        (file_bytes({"a": entry()}, b"\0" * 8)[:-1], "tensor 'a'"),
        (file_bytes({"a": entry()}, b"\0" * 9), "does not end"),
        (file_bytes({"a": entry()}, b"\0" * 8)[:20], "no safetensors file, or a part"),
        ((2**63).to_bytes(8, "little") + b"{}", "no safetensors file"),
        (file_bytes({"a": entry(), "b": entry()}, b"\0" * 8), "overlap before tensor 'b'"),
        (file_bytes({"a": entry(), "b": entry(offsets=(12, 20))}, b"\0" * 20), "gap or an overlap"),
        (file_bytes({"a": entry(offsets=(8, 0))}, b"\0" * 8), "wrong entry"),
        (file_bytes({"a": entry(offsets=(-8, 0))}), "wrong entry"),
        (file_bytes({"a": entry(offsets=(0, 8, 8))}, b"\0" * 8), "wrong entry"),
        (file_bytes({"a": entry(offsets=(0, 8.0))}, b"\0" * 8), "wrong entry"),
        (file_bytes({"a": entry(offsets=(False, 8))}, b"\0" * 8), "wrong entry"),
        (file_bytes({"a": entry(shape=(3,))}, b"\0" * 8), "wrong entry"),
        (file_bytes({"a": entry(shape=(-2,))}, b"\0" * 8), "wrong entry"),
        (file_bytes({"a": entry(shape=(2**62, 4), offsets=(0, 0))}), "wrong entry"),
        (file_bytes({"a": entry(shape=(2**63, 2, 0), offsets=(0, 0))}), "wrong entry"),
        (file_bytes({"a": entry(shape=[1] * 33, offsets=(0, 4))}, b"\0" * 4), "wrong entry"),
        (file_bytes({"a": entry("F31")}, b"\0" * 8), "wrong entry"),
        (file_bytes({"a": entry(["F32"])}, b"\0" * 8), "wrong entry"),
        (file_bytes({"a": {**entry(), "more": 1}}, b"\0" * 8), "wrong entry"),
        (file_bytes({"a": 3}), "wrong entry"),
        (file_bytes({"__metadata__": {"a": 1}}), "metadata that is no text"),
        (file_bytes({"__metadata__": "text"}), "metadata that is no text"),
        (file_bytes(b'{"a": 1'), "JSON cannot be read"),
        (file_bytes(b'{"a": NaN}'), "NaN"),
    ],
)
def test_c05_headers_that_do_not_fit_are_refused(tmp_path, content, words):
    assert words in str(refusal(tmp_path, content))


def test_c05_duplicate_keys_are_refused(tmp_path):
    one = json.dumps(entry()).encode()

    assert "given twice: 'a'" in str(refusal(tmp_path, file_bytes(b'{"a":' + one + b',"a":' + one + b"}", b"\0" * 8)))


def test_c05_the_header_is_capped_before_it_is_parsed(tmp_path):
    path = tmp_path / "x"
    with path.open("wb") as file:
        file.write((HEADER_BYTES + 1).to_bytes(8, "little") + b"{")
        file.truncate(2 * HEADER_BYTES)  # holes: no disk is used
    begin = time.monotonic()
    with pytest.raises(StandoutError, match="header over 16 MiB"):
        read_safetensors(path)

    assert time.monotonic() - begin < 1


def test_c05_tensors_are_capped(tmp_path):
    empty = {"dtype": "U8", "shape": [0], "data_offsets": [0, 0]}
    header = {f"t{number}": empty for number in range(100_001)}

    assert "over 100,000 tensors" in str(refusal(tmp_path, file_bytes(header)))


@given(seed=st.integers(0, 2**32))
@settings(max_examples=1000)
def test_c05_a_changed_header_is_read_whole_or_refused(seed, tmp_path_factory):
    numbers = random.Random(seed)
    header = bytearray(
        json.dumps({"a": entry(), "b": entry("U8", (4, 2), (8, 16)), "__metadata__": {"k": "v"}}).encode()
    )
    for _ in range(numbers.randint(1, 4)):
        place = numbers.randrange(len(header))
        change = numbers.choice(["flip", "cut", "repeat", "digit"])
        if change == "flip":
            header[place] ^= 1 << numbers.randrange(8)
        elif change == "cut":
            del header[place : place + numbers.randint(1, 9)]
        elif change == "repeat":
            header[place:place] = header[place : place + numbers.randint(1, 60)]
        else:
            header[place:place] = str(numbers.choice([0, 7, 2**31, 2**63, 10**30])).encode()
        if not header:
            break
    path = tmp_path_factory.getbasetemp() / "changed.safetensors"
    path.write_bytes(file_bytes(bytes(header), b"0123456789abcdef"))
    widths = {"F32": 4, "I32": 4, "U32": 4, "U8": 1, "I8": 1, "F16": 2, "F64": 8}

    try:
        _, read = read_safetensors(path)
    except StandoutError:
        return
    assert sum(int(np.prod(shape)) * widths[dtype] for dtype, shape in read.tensors.values()) == 16


def test_only_regular_files_are_opened(tmp_path):
    os.mkfifo(tmp_path / "fifo")  # opening it would wait for a writer
    (tmp_path / "good").write_bytes(file_bytes({"a": entry()}, b"\0" * 8))
    (tmp_path / "link").symlink_to(tmp_path / "good")

    for place in (tmp_path / "fifo", tmp_path, "/dev/zero", "nul\0name"):
        with pytest.raises(StandoutError, match="not a regular file"):
            read_safetensors(place)
    with pytest.raises(StandoutError, match="no such file"):
        read_safetensors(tmp_path / "missing")
    assert list(read_safetensors(tmp_path / "link")[1].tensors) == ["a"]
