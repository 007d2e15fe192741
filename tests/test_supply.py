"""Promises U1 to U7: what is needed, pinned and locked, what the wheel holds, and how holes are told."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml

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


def pinned():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pairs = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {normal(name): version for name, version in pairs}


def normal(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def locked(file):
    """The version and the hashes of each package in a lock, which must be all that is in it."""
    found = {}
    for entry in re.split(r"\n(?=[a-z0-9])", re.sub(r"^#.*\n", "", (ROOT / file).read_text(), flags=re.MULTILINE)):
        head, *hashes = entry.strip().split(" \\\n    ")
        name, version = re.fullmatch(r"([a-z0-9.-]+)==([0-9A-Za-z.+]+)", head).groups()
        assert hashes
        assert all(re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", one) for one in hashes), name
        found[normal(name)] = version
    return found


def test_u02_a_known_good_set_pins_every_package_that_is_needed():
    assert all(re.fullmatch(r"[0-9][0-9A-Za-z.+-]*", version) for version in pinned().values())
    extras = project()["optional-dependencies"]
    for requirements in (project()["dependencies"], extras["train"], extras["export"], extras["dev"]):
        assert set(map(normal, named(requirements))) <= set(pinned())


def test_u02_every_file_but_torchs_is_locked_by_sha256_and_installed_so():
    everything = pinned()
    without_torch = {name: version for name, version in everything.items() if name != "torch"}

    assert locked("locked.txt") == without_torch
    assert locked("locked-core.txt").items() <= without_torch.items()
    assert set(map(normal, named(project()["dependencies"]))) <= set(locked("locked-core.txt"))
    makefile, ci = (ROOT / "Makefile").read_text(), (ROOT / ".ci" / "run").read_text()
    installs = [line.strip() for line in makefile.partition("\n.venv/installed:")[2].splitlines() if "install" in line]
    assert "--require-hashes --requirement locked.txt" in installs[0]
    assert "--constraint constraints.txt --no-build-isolation" in installs[1]
    for command in ("make lint", "make test", "make wheel", "--require-hashes --requirement locked-core.txt"):
        assert command in ci
    # Whatever pip fetches in CI is either locked or, for torch, pinned.
    assert all("--require-hashes" in line or "--no-index" in line for line in ci.splitlines() if "pip install" in line)


def test_u02_pip_refuses_a_locked_package_of_another_hash(tmp_path):
    wheel = tmp_path / "small-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as file:
        for name, text in {
            "small.py": "",
            "small-1.0.dist-info/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
            "small-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: small\nVersion: 1.0\n",
            "small-1.0.dist-info/RECORD": "",
        }.items():  # fmt: skip
            file.writestr(name, text)
    good = hashlib.sha256(wheel.read_bytes()).hexdigest()

    def install(digest):
        (tmp_path / "lock.txt").write_text(f"small==1.0 --hash=sha256:{digest}\n")
        return subprocess.run(
            [sys.executable, "-m", "pip", "install", "--no-index", "--find-links", tmp_path, "--no-deps",
             "--require-hashes", "--requirement", tmp_path / "lock.txt", "--target", tmp_path / "there"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip

    refused = install("0" * 64)
    assert refused.returncode != 0
    assert not (tmp_path / "there" / "small.py").exists()
    assert install(good).returncode == 0
    assert (tmp_path / "there" / "small.py").exists()


@pytest.mark.parametrize(("name", "least"), [("pillow", (12, 3, 0)), ("onnx", (1, 21, 0)), ("torch", (2, 10, 0))])
def test_u03_lower_bounds_follow_advisories(name, least):
    extras = project()["optional-dependencies"]
    everything = named([*project()["dependencies"], *extras["train"], *extras["export"]])
    bound = re.fullmatch(rf"{name}>=([0-9.]+)", everything[name]).group(1)
    assert tuple(int(part) for part in bound.split(".")) >= least


def workflows():
    return {path.stem: yaml.safe_load(path.read_text()) for path in (ROOT / ".github" / "workflows").glob("*.yml")}


def test_u03_a_weekly_audit_fails_on_a_known_hole():
    audit = workflows()["audit"]
    (schedule,) = audit[True]["schedule"]  # YAML takes the bare word on for yes
    _minute, _hour, day, month, weekday = schedule["cron"].split()
    commands = [step["run"] for step in audit["jobs"]["audit"]["steps"] if "run" in step]

    assert (day, month) == ("*", "*")
    assert weekday.isdecimal()
    assert commands == ["make audit"]
    assert not any("continue-on-error" in part for part in (audit["jobs"]["audit"], *audit["jobs"]["audit"]["steps"]))
    recipe = (ROOT / "Makefile").read_text().partition("\naudit:")[2].partition("\n\n")[0]
    assert "pip-audit --strict" in recipe
    assert "--requirement constraints.txt" in recipe


# Of https://spdx.org/licenses; the one that it does not list has a name of its own, as its rules say.
SPDX = {
    "0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "BSL-1.0", "CC0-1.0", "CNRI-Python", "ISC", "MIT", "MIT-CMU",
    "MPL-2.0", "PSF-2.0", "Zlib", "LicenseRef-matplotlib",
}  # fmt: skip


def tables():
    """The rows of both tables of the list of third parties."""
    packages, files = (ROOT / "THIRD_PARTY.md").read_text().split("\n## ")[1:]
    return [
        [[cell.strip() for cell in line.strip("|").split(" | ")] for line in part.splitlines() if line[:2] == "| "][1:]
        for part in (packages.replace("| ---", "-"), files.replace("| ---", "-"))
    ]


def test_u04_third_parties_are_listed_with_version_licence_and_hash():
    packages, files = tables()

    assert {normal(name): version for name, version, *_ in packages} == pinned()
    for name, _, licence, _, count in packages:
        parts = re.split(r" AND | OR ", licence.replace(" WITH LLVM-exception", ""))
        assert set(parts) <= SPDX, name
        assert int(count) > 0 if name != "torch" else count == "pinned only"
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False).stdout.split()
    binary = [name for name in tracked if b"\0" in (ROOT / name).read_bytes()[:4096]]
    assert binary, "not in a checkout"
    how = "run python benchmarks/third_party.py"
    assert sorted(name for name, *_ in files) == sorted(binary), how
    for name, made, licence, digest in files:
        assert made
        assert licence == "MIT"
        assert digest.strip("`") == hashlib.sha256((ROOT / name).read_bytes()).hexdigest(), f"{name}: {how}"
    assert project()["license"] == "MIT"
    assert "THIRD_PARTY.md" in project()["license-files"]


def build(folder, umask):
    for name in ("src", "LICENSE", "README.md", "THIRD_PARTY.md", "pyproject.toml", "setup.py"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, folder / name, **({"ignore": shutil.ignore_patterns("*.so", "*.egg-info", "__pycache__")}
                                            if copy is shutil.copytree else {}))  # fmt: skip
    around = {key: value for key, value in os.environ.items() if key != "SOURCE_DATE_EPOCH"}
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index", "."]
    subprocess.run(command, cwd=folder, check=True, umask=umask, env=around, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    return wheel


def test_u05_two_builds_give_the_same_wheel_with_a_bill_of_materials(tmp_path):
    wheels = []
    for place, umask in (("one", 0o022), ("another/place", 0o077)):
        (tmp_path / place).mkdir(parents=True)
        wheels.append(build(tmp_path / place, umask))

    assert wheels[0].name == wheels[1].name
    assert wheels[0].read_bytes() == wheels[1].read_bytes()
    with zipfile.ZipFile(wheels[0]) as wheel:
        names = wheel.namelist()
        (bill,) = (json.loads(wheel.read(name)) for name in names if ".dist-info/sboms/" in name)
        record = next(wheel.read(name).decode() for name in names if name.endswith(".dist-info/RECORD"))
        assert any(name.endswith("/licenses/THIRD_PARTY.md") for name in names)
    assert "sboms/standout.cdx.json,sha256=" in record
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    own = bill["metadata"]["component"]
    core = {one["name"]: one for one in bill["components"] if one["type"] == "library"}
    assert set(map(normal, core)) == set(map(normal, named(project()["dependencies"])))
    assert all(one["version"] == pinned()[normal(name)] for name, one in core.items())
    assert all(one["licenses"][0]["expression"] for one in core.values())
    assert bill["dependencies"][0]["ref"] == own["bom-ref"]
    references = [one["bom-ref"] for one in bill["components"]]
    assert bill["dependencies"][0]["dependsOn"] == references
    assert len(set(references)) == len(references)


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


def test_u07_actions_are_pinned_by_commit_and_only_a_release_has_an_identity():
    found = workflows()

    assert set(found) == {"tests", "audit", "release"}
    for workflow in found.values():
        assert workflow["permissions"] == {"contents": "read"}
        for name, job in workflow["jobs"].items():
            assert job.get("permissions", {}) == ({"id-token": "write"} if name == "publish" else {})
            assert job["timeout-minutes"] <= 90
            for step in job["steps"]:
                assert re.fullmatch(r"[\w.-]+/[\w.-]+@[0-9a-f]{40}", step.get("uses", "a/b@" + "0" * 40))
    text = "".join(path.read_text() for path in (ROOT / ".github" / "workflows").glob("*.yml"))
    assert "secrets." not in text
    # Beside each commit stands the release that it is.
    assert re.findall(r"uses: \S+@[0-9a-f]{40}$", text, re.MULTILINE) == []
    publish = found["release"]["jobs"]["publish"]
    assert publish["needs"] == "build"
    assert [step["uses"].partition("@")[0] for step in publish["steps"]] == [
        "actions/download-artifact", "pypa/gh-action-pypi-publish",
    ]  # fmt: skip
    assert ".ci/run" in [step.get("run") for step in found["release"]["jobs"]["build"]["steps"]]
