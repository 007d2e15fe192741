"""Promises C2 and C6: what a checkpoint's files hold is checked before it is used, and they are its own files."""

import hashlib
import json
import os
import random

import pytest
import torch

from standout import checkpoint
from standout.errors import StandoutError


def save(folder, step=1):
    network = {"weight": torch.arange(12.0).reshape(3, 4), "bias": torch.full((3,), float(step))}
    return checkpoint.save(folder, step, network, {"state": {"momentum": torch.ones(5), "name": "sgd"}, "recipe": {}})


def refused(path):
    with pytest.raises(StandoutError) as caught:
        checkpoint.load(path)
    return caught.value.code == "checkpoint-damaged" and path.name in str(caught.value)


def test_c02_every_file_is_checked_whatever_bit_is_flipped_or_missing(tmp_path):
    path = save(tmp_path)
    chance = random.Random(0)
    files = sorted(path.iterdir())
    assert [file.name for file in files] == [
        "manifest.json", "network.safetensors", "state.json", "training.safetensors",
    ]  # fmt: skip
    for file in files:
        whole = file.read_bytes()
        bits = [(at, bit) for at in range(len(whole)) for bit in range(8)]
        for at, bit in chance.sample(bits, 150):
            content = bytearray(whole)
            content[at] ^= 1 << bit
            file.write_bytes(content)
            assert refused(path), (file.name, at, bit)
        for cut in (0, 1, len(whole) // 2, len(whole) - 1):
            file.write_bytes(whole[:cut])
            assert refused(path), (file.name, cut)
        file.write_bytes(whole + b"\n")
        assert refused(path), file.name
        file.unlink()
        assert refused(path), file.name
        file.write_bytes(whole)
    assert checkpoint.load(path).step == 1


def rewrite(path, **values):
    """Write a manifest that is right about itself."""
    manifest = {**json.loads((path / "manifest.json").read_bytes()), **values}
    manifest.pop("sha256", None)
    text = json.dumps(manifest, sort_keys=True, separators=(",", ":")).encode()
    manifest["sha256"] = hashlib.sha256(text).hexdigest()
    (path / "manifest.json").write_bytes(json.dumps(manifest, sort_keys=True, separators=(",", ":")).encode())


NAMES = [
    "../secret", "../../etc/passwd", "a/../../secret", "/etc/passwd", "//host/share", "./network.safetensors", "..",
    "sub/network.safetensors", "C:\\secret", "..\\secret", "\\\\host\\share", "network.safetensors\0", "\0", "", ".",
    "CON", "nul.safetensors", "com1", "aux.json", "network.safetensors ", "network.safetensors.", "~/secret", "$HOME",
    " network.safetensors", "NETWORK.SAFETENSORS", "network.safetensors:stream", "manifest.json", "état", "a" * 300,
    "network.safetensors/",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_c06_a_manifest_names_the_checkpoints_own_files_and_no_others(tmp_path, name):
    (tmp_path / "secret").write_bytes(b"secret")
    path = save(tmp_path / "checkpoints")
    rewrite(path)
    assert checkpoint.load(path).step == 1  # rewritten as it was it is whole
    files = json.loads((path / "manifest.json").read_bytes())["files"]

    rewrite(path, files={**files, name: hashlib.sha256(b"secret").hexdigest()})
    assert refused(path)
    rewrite(path, files={**{key: files[key] for key in list(files)[1:]}, name: files["network.safetensors"]})
    assert refused(path)


def test_c06_links_and_special_files_are_no_files_of_a_checkpoint(tmp_path):
    for number, name in enumerate(("network.safetensors", "training.safetensors", "state.json", "manifest.json")):
        path = save(tmp_path / "checkpoints", number + 1)
        content = (path / name).read_bytes()
        (tmp_path / name).write_bytes(content)
        (path / name).unlink()
        (path / name).symlink_to(tmp_path / name)
        assert refused(path), name
        (path / name).unlink()
        os.mkfifo(path / name)  # opening it would wait for ever
        assert refused(path), name
        (path / name).unlink()
        (path / name).mkdir()
        assert refused(path), name
