"""What is refused, how early, and in which words."""

import contextlib
import errno
import os
import re
import socket
import struct
import subprocess
import sys
import threading

import numpy as np
import picture_files as files
import pytest
from picture_files import refusal
from PIL import Image, ImageFile

from standout.errors import StandoutError
from standout.images import SERVER, headers, read_image, read_mask


@pytest.mark.parametrize("name", files.seed_encodings())
def test_p07_a_cut_file_is_refused(name):
    """A hundred cuts of each encoding; only what lies behind a first frame may be missing."""
    data = files.seed_encodings()[name]
    whole = read_image(data)
    first = whole.notes == ("first frame only",) and name.startswith("gif")

    for length in np.linspace(1, len(data) - 1, 100).astype(int):
        if first:
            # What lies behind the first frame is never looked at.
            with contextlib.suppress(StandoutError):
                assert np.array_equal(read_image(data[:length]).pixels, whole.pixels)
            continue
        code = refusal(data[:length]).code
        allowed = {"picture-truncated"} if length > len(data) // 2 else {"picture-truncated", "picture-unknown"}
        assert code in allowed | ({"picture-damaged"} if length < 64 else set()), length


def test_p07_a_missing_end_mark_alone_is_refused(tmp_path):
    for name in ("jpeg", "jpeg-progressive", "png-rgb", "gif"):
        data = files.seed_encodings()[name]
        assert refusal(data[: -12 if name == "png-rgb" else -1]).code == "picture-truncated"
    path = tmp_path / "0417.jpg"
    path.write_bytes(files.seed_encodings()["jpeg"][:900])
    assert str(refusal(path)) == f"picture is cut off: {path}; copy the file again"


def other_formats():
    image = Image.fromarray(files.scene())
    yield "PostScript", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"
    yield "PostScript", files.encoded(image, "EPS")
    yield "PDF", files.encoded(image, "PDF")
    yield "SVG", b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>'
    yield "SVG", b"<svg/>"
    yield "FITS", b"SIMPLE  =                    T".ljust(2880)
    yield "PSD", b"8BPS\0\1".ljust(40, b"\0")
    yield "ICO", files.encoded(image, "ICO")
    yield "JPEG 2000", files.encoded(image, "JPEG2000")
    yield "a NumPy array", b"\x93NUMPY\1\0"
    for kind in ("PPM", "TGA", "PCX", "SGI", "DDS"):
        yield "", files.encoded(image, kind)


SPAWN_TRAP = """
import sys
armed = False
def hook(event, arguments):
    if armed and event.startswith(("subprocess.", "os.exec", "os.fork", "os.posix_spawn", "os.spawn", "os.system")):
        print("SPAWNED", event)
sys.addaudithook(hook)
from standout.errors import StandoutError
from standout.images import read_image
armed = True
for path in sys.argv[1:]:
    try:
        read_image(path)
        print("READ", path)
    except StandoutError as error:
        print(error.code)
"""


def test_p10_other_formats_are_refused_under_any_name_and_start_no_program(tmp_path):
    paths = []
    for number, (kind, data) in enumerate(other_formats()):
        for suffix in (".eps", ".jpg", ".png"):
            paths.append(tmp_path / f"{number}{suffix}")
            paths[-1].write_bytes(data)
        error = refusal(paths[-1])
        assert error.code == ("picture-format" if kind else "picture-unknown")
        assert kind in str(error)

    run = subprocess.run(
        [sys.executable, "-c", SPAWN_TRAP, *map(str, paths)], capture_output=True, text=True, check=True
    )

    assert set(run.stdout.split()) == {"picture-format", "picture-unknown"}


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".eps", ".txt", ""])
def test_p10_the_content_decides_and_not_the_name(suffix, tmp_path):
    for number, data in enumerate(files.seed_encodings().values()):
        path = tmp_path / f"{number}{suffix}"
        path.write_bytes(data)

        assert np.array_equal(read_image(path).pixels, read_image(data).pixels)


def test_p10_a_server_reads_three_formats():
    seeds = files.seed_encodings()

    for name in ("jpeg", "png-rgba", "webp"):
        read_image(seeds[name], limits=SERVER)
    for name, kind in (("gif", "GIF"), ("bmp", "BMP"), ("tiff", "TIFF")):
        assert kind in str(refusal(seeds[name], limits=SERVER))


def odd_files(folder):
    seeds = files.seed_encodings()
    contents = {
        "empty.jpg": b"",
        "zeros.png": bytes(1000),
        "text.jpg": b"this is not a picture\n" * 20,
        "page.png": b"<!doctype html><html><body>404</body></html>",
        "one-byte.gif": b"G",
        "magic.jpg": b"\xff\xd8\xff",
        "magic.png": b"\x89PNG\r\n\x1a\n",
        "magic.gif": b"GIF89a",
        "magic.webp": b"RIFF\x04\0\0\0WEBP",
        "magic.bmp": b"BM",
        "magic.tif": b"II*\0",
        "header.png": seeds["png-rgb"][:33],
        "no-size.png": seeds["png-rgb"].replace(b"\0\0\0\x38\0\0\0\x28", bytes(8)),
        "script.png": b"#!/bin/sh\nrm -rf $HOME\n",
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)
        yield folder / name
    (folder / "folder.png").mkdir()
    yield folder / "folder.png"
    yield folder / "missing.png"
    yield folder / "text.jpg" / "below.png"


def test_p12_each_odd_file_is_one_line_that_names_it(tmp_path):
    codes = {path.name: (refusal(path), path) for path in odd_files(tmp_path)}

    for name, (error, _) in codes.items():
        assert name in str(error)
        assert str(error)[0].islower()
        assert not str(error).endswith(".")
    assert len(codes) == 17
    assert codes["empty.jpg"][0].code == "picture-empty"
    assert codes["folder.png"][0].code == "picture-folder"
    assert codes["missing.png"][0].code == codes["below.png"][0].code == "picture-missing"
    assert codes["text.jpg"][0].code == codes["script.png"][0].code == "picture-unknown"
    assert {codes[f"magic.{s}"][0].code for s in ("jpg", "png", "gif", "webp", "bmp", "tif")} <= {
        "picture-truncated",
        "picture-damaged",
    }


@pytest.mark.skipif(os.name == "nt", reason="permissions work otherwise there")
def test_p12_a_file_without_permission_is_named(tmp_path):
    path = tmp_path / "secret.png"
    path.write_bytes(files.encoded(files.scene(), "PNG"))
    path.chmod(0)
    owner = os.geteuid()
    if owner == 0:
        # Permissions do not bind the superuser.
        os.seteuid(65534)

    try:
        error = refusal(path)
    finally:
        os.seteuid(owner)
    assert str(error) == f"picture may not be read: {path}; check its permissions"


def test_p12_what_the_disk_or_memory_refuses_is_one_line(tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    path.write_bytes(files.encoded(files.scene(), "PNG"))

    def fail(error):
        def failing(*_):
            raise error

        return failing

    with monkeypatch.context() as patch:
        patch.setattr(headers, "read_header", fail(OSError(errno.EIO, os.strerror(errno.EIO))))
        assert str(refusal(path)) == f"picture cannot be read (input/output error): {path}; check the file"
    with monkeypatch.context() as patch:
        patch.setattr(ImageFile.ImageFile, "load", fail(MemoryError()))
        assert refusal(path).code == "picture-memory"
    with monkeypatch.context() as patch:
        patch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
        assert refusal(files.seed_encodings()["webp"]).code == "picture-pixels"
    assert refusal("a\0b.png").code == "picture-unreadable"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no FIFOs here")
class TestSpecialFiles:
    def test_p13_special_files_are_refused_unopened(self, tmp_path):
        fifo, sock = tmp_path / "fifo.png", tmp_path / "socket.png"
        os.mkfifo(fifo)
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(sock))
            link = tmp_path / "link.png"
            link.symlink_to("/dev/zero")
            for path in (fifo, sock, link, "/dev/zero", "/dev/null", "/proc/self/status", "/proc/self/mem"):
                error = refusal(path)
                assert (error.code, error.where) == ("picture-special", os.fspath(path))
            assert refusal(tmp_path).code == "picture-folder"

    def test_p13_masks_go_through_the_same_door(self, tmp_path):
        os.mkfifo(tmp_path / "fifo.png")

        with pytest.raises(StandoutError) as caught:
            read_mask(tmp_path / "fifo.png")
        assert caught.value.code == "picture-special"

    def test_p13_a_file_that_becomes_a_fifo_never_blocks(self, tmp_path):
        """The name is swapped between a picture and a FIFO while it is read a thousand times."""
        path, fifo, picture = tmp_path / "a.png", tmp_path / "fifo", tmp_path / "picture"
        content = files.encoded(files.scene(8, 8), "PNG")
        stop = threading.Event()

        def swap():
            while not stop.is_set():
                os.mkfifo(fifo)
                fifo.replace(path)
                picture.write_bytes(content)
                picture.replace(path)

        path.write_bytes(content)
        swapper = threading.Thread(target=swap, daemon=True)
        swapper.start()
        outcomes = []
        for _ in range(1000):
            try:
                outcomes.append(read_image(path).size)
            except StandoutError as error:
                outcomes.append(error.code)
        stop.set()
        swapper.join(10)

        assert set(outcomes) <= {(8, 8), "picture-special"}
        assert len(outcomes) == 1000

    def test_p13_the_open_handle_is_looked_at_again(self, tmp_path, monkeypatch):
        path, real = tmp_path / "a.png", os.open
        path.write_bytes(files.encoded(files.scene(8, 8), "PNG"))

        def swapped(name, flags, *rest):
            path.unlink()
            os.mkfifo(path)
            return real(name, flags, *rest)

        monkeypatch.setattr(os, "open", swapped)

        assert refusal(path).code == "picture-special"


def test_p14_links_to_files_are_followed_and_loops_named(tmp_path):
    (tmp_path / "a.png").write_bytes(files.encoded(files.scene(), "PNG"))
    (tmp_path / "link.png").symlink_to("a.png")
    (tmp_path / "loop.png").symlink_to("loop.png")
    (tmp_path / "dangling.png").symlink_to("nowhere.png")

    assert read_image(tmp_path / "link.png").size == (40, 56)
    assert "link to itself" in str(refusal(tmp_path / "loop.png"))
    assert refusal(tmp_path / "dangling.png").code == "picture-missing"


def box(brand, *others):
    brands = brand + bytes(4) + b"".join(others)
    return struct.pack(">I", 8 + len(brands)) + b"ftyp" + brands + bytes(64)


def raw_tiff(*entries):
    table = b"".join(struct.pack("<HHII", tag, kind, count, value) for tag, kind, count, value in sorted(entries))
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(entries)) + table + bytes(4)


SIZE = ((256, 4, 1, 160), (257, 4, 1, 120))
NAMED = [
    ("HEIC", box(b"heic", b"mif1", b"heic")),
    ("HEIC", box(b"mif1", b"heix")),
    ("JPEG XL", b"\xff\x0a\xfa\x1f\x01".ljust(40, b"\0")),
    ("JPEG XL", b"\0\0\0\x0cJXL \r\n\x87\n".ljust(40, b"\0")),
    ("raw", b"II*\0\x10\0\0\0CR\2\0".ljust(40, b"\0")),
    ("raw", box(b"crx ", b"crx ", b"isom")),
    ("raw", raw_tiff(*SIZE, (50706, 1, 4, 1))),
    ("raw", raw_tiff(*SIZE, (254, 4, 1, 1), (271, 2, 18, 0))),
    ("raw", b"FUJIFILMCCD-RAW 0201".ljust(40, b"\0")),
]


@pytest.mark.parametrize(("kind", "data"), NAMED)
def test_p18_what_cameras_write_is_refused_by_name(kind, data, tmp_path):
    path = tmp_path / "holiday.pic"
    path.write_bytes(data)

    error = refusal(path)

    assert error.code == "picture-format"
    assert re.fullmatch(
        rf"not a picture we read: .*holiday\.pic is .*{kind}.*; convert it to JPEG or PNG first", str(error)
    )
