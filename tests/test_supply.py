"""Promises U1, U2, U3, U6 and U7: what is needed, what is pinned, what an import does, and how holes are told."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PROJECT = ROOT / "pyproject.toml"
NAME = re.compile(r"[A-Za-z0-9._-]+")


def project():
    return tomllib.loads(PROJECT.read_text())["project"]


def named(requirements):
    return {NAME.match(one).group().lower().replace("_", "-"): one for one in requirements}


def test_u01_the_core_needs_seven_packages_and_the_rest_are_extras():
    core = named(project()["dependencies"])
    extras = {name for extra in project()["optional-dependencies"].values() for name in named(extra)}

    assert set(core) == {"numpy", "pillow", "onnxruntime", "safetensors", "click", "rich", "joblib"}
    assert {"torch", "accelerate", "onnx", "matplotlib"} <= extras
    assert not set(core) & (extras - {"standout"})
    assert named(project()["optional-dependencies"]["all"]).keys() == {"standout"}
    assert "interop" not in project()["optional-dependencies"]["all"][0]


def test_u01_each_table_of_dependencies_has_its_reason_beside_it():
    lines = PROJECT.read_text().splitlines()
    for start in ("dependencies = [", "train = [", "interop = ["):
        at = next(number for number, line in enumerate(lines) if line.startswith(start))
        assert lines[at - 1].startswith("# "), start


def test_u02_a_known_good_set_pins_every_package_that_is_needed():
    pinned = {}
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            name, version = line.split("==")
            assert re.fullmatch(r"[0-9][0-9A-Za-z.+-]*", version), line
            pinned[name.lower().replace("_", "-")] = version
    extras = project()["optional-dependencies"]
    for requirements in (project()["dependencies"], extras["train"], extras["export"], extras["dev"]):
        assert set(named(requirements)) <= set(pinned)
    for command in ("make lint", "make test"):
        assert command in (ROOT / ".ci" / "run").read_text()
    assert "--constraint constraints.txt" in (ROOT / "Makefile").read_text()


@pytest.mark.parametrize(("name", "least"), [("pillow", (12, 3, 0)), ("onnx", (1, 21, 0)), ("torch", (2, 10, 0))])
def test_u03_lower_bounds_follow_advisories(name, least):
    extras = project()["optional-dependencies"]
    everything = named([*project()["dependencies"], *extras["train"], *extras["export"]])
    bound = re.fullmatch(rf"{name}>=([0-9.]+)", everything[name]).group(1)
    assert tuple(int(part) for part in bound.split(".")) >= least


TRAP = """
import importlib, os, pkgutil, sys, threading
import numpy, onnxruntime, PIL.Image, PIL.ImageFile, safetensors.torch, torch, msgspec, click, joblib
import torch.nn.functional, torch.utils.data, concurrent.futures.thread, multiprocessing.util, json, tomllib
done = []
def watch(event, arguments):
    if event == "open" and isinstance(arguments[1], str) and any(flag in arguments[1] for flag in "wax+"):
        done.append((event, arguments[0]))
    elif event.startswith(("socket.", "subprocess.", "os.putenv", "os.unsetenv", "os.chdir", "os.mkdir", "os.rename",
                           "os.remove", "shutil.", "signal.", "os.fork", "os.exec", "os.posix_spawn")):
        done.append((event, arguments))
environment, threads = dict(os.environ), threading.active_count()
pixels, truncated = PIL.Image.MAX_IMAGE_PIXELS, PIL.ImageFile.LOAD_TRUNCATED_IMAGES
random = torch.get_rng_state().clone()
sys.addaudithook(watch)
import standout
names = [one.name for one in pkgutil.walk_packages(standout.__path__, "standout.") if not one.name.endswith("__main__")]
for name in names:
    importlib.import_module(name)
assert len(names) > 100, len(names)
assert done == [], done
assert dict(os.environ) == environment
assert threading.active_count() == threads
assert (PIL.Image.MAX_IMAGE_PIXELS, PIL.ImageFile.LOAD_TRUNCATED_IMAGES) == (pixels, truncated)
assert torch.equal(torch.get_rng_state(), random)
"""


def test_u06_importing_everything_does_nothing():
    ran = subprocess.run([sys.executable, "-B", "-c", TRAP], capture_output=True, text=True, check=False)

    assert ran.returncode == 0, ran.stderr


def test_u07_weaknesses_are_told_in_private_and_published_within_90_days():
    text = " ".join((ROOT / "SECURITY.md").read_text().split())

    assert "privately" in text
    assert "within 90 days" in text
