"""Drive the measures' C kernel, built with AddressSanitizer and UBSan, with random and degenerate arrays.

    python benchmarks/fuzz_kernel.py --seconds 30

Needs gcc with its sanitizers and Python's headers; where one is missing it says so and does nothing. The kernel is
built in a folder of its own; the sanitizers end the process at the first fault. Each round also compares every figure
with NumPy's path, bit by bit, and hands the functions forged or mis-sized buffers, which they must refuse with an
exception.
"""

from __future__ import annotations

import argparse
import importlib.machinery
import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
from pathlib import Path
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parent.parent
SOURCES = sorted((ROOT / "src" / "kernel").glob("*.c"))
FLAGS = ("-O1", "-g", "-ffp-contract=off", "-fno-math-errno", "-fvisibility=hidden", "-fno-omit-frame-pointer")
SANITIZERS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all")


def missing() -> str | None:
    """Return what the build lacks here, None where it can run."""
    if shutil.which("gcc") is None:
        return "no gcc"
    if not (Path(sysconfig.get_paths()["include"]) / "Python.h").is_file():
        return "no Python.h"
    return next((f"no {path.name}" for path in runtimes() if not path.is_absolute()), None)


def runtimes() -> list[Path]:
    """Return the sanitizers' libraries; gcc gives the bare name of one that it does not have."""
    names = ("libasan.so", "libubsan.so")
    commands = (["gcc", f"-print-file-name={name}"] for name in names)
    return [
        Path(subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()) for command in commands
    ]


def build(folder: Path) -> tuple[Path, dict[str, str]]:
    """Build the kernel with sanitizers; return its file, and the environment that loads it."""
    library = folder / "_kernel.abi3.so"
    include = sysconfig.get_paths()["include"]
    subprocess.run(
        ["gcc", *FLAGS, *SANITIZERS, "-fPIC", "-shared", f"-I{include}", *map(str, SOURCES), "-o", str(library), "-lm"],
        check=True,
    )
    # The interpreter keeps what it allocates until it ends, which is no leak of the kernel's.
    return library, os.environ | {
        "LD_PRELOAD": ":".join(map(str, runtimes())),
        "ASAN_OPTIONS": "detect_leaks=0:abort_on_error=1",
        "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
        "PYTHONPATH": str(ROOT / "src"),
    }


def load(library: Path) -> ModuleType:
    """Return the kernel in that file."""
    loader = importlib.machinery.ExtensionFileLoader("_kernel", str(library))
    found = importlib.util.spec_from_loader("_kernel", loader)
    if found is None:
        raise SystemExit(f"{library} cannot be loaded")
    module = importlib.util.module_from_spec(found)
    loader.exec_module(module)
    return module


def picture(random: np.random.Generator) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Return a map and a mask, of one row or column now and then, and with masks from empty to full."""
    height, width = (int(random.choice([1, 2, 3, 7, 8, 17, 64, 300, 700])) for _ in range(2))
    height = min(height, 90_000 // width)
    map_ = random.integers(0, 256, (height, width)).astype(np.uint8)
    if random.random() < 0.3:
        map_ = (map_ // 128) * np.uint8(random.integers(1, 128))
    mask = random.random((height, width)) < random.choice([0, 1e-4, 0.01, 0.3, 0.9, 1])
    if random.random() < 0.4:
        top, left = random.integers(height), random.integers(width)
        mask[top : top + random.integers(1, 60), left : left + random.integers(1, 60)] = True
    if random.random() < 0.1:
        mask[:] = False
        mask[random.choice([0, -1]), random.choice([0, -1])] = True
    return map_, mask


def compare(map_: NDArray[np.uint8], mask: NDArray[np.bool_], compiled: ModuleType) -> None:
    """Check that both paths give the same bits for one pair."""
    from standout.metrics import PROTOCOLS, SaliencyMeasures, kernel, score_picture

    for protocol in PROTOCOLS:
        found = []
        for path in (compiled, None):
            kernel.compiled = path
            score = score_picture(map_, mask, protocol=protocol)
            sums = SaliencyMeasures(protocol)
            sums.add(score)
            found.append([*map(np.asarray, score), score.curves(), sums._curves.parts])
        if not all(np.array_equal(one, other) for one, other in zip(*found, strict=True)):
            raise SystemExit(f"the two paths differ on a map of {map_.shape} under {protocol}")


def forge(random: np.random.Generator, good: NDArray[np.generic]) -> object:
    """Return something near an argument: another length, dtype, order, range or kind."""
    flat = good.ravel()
    choices: list[object] = [
        None,
        b"",
        flat[: random.integers(0, flat.size + 1)],
        good.astype(random.choice([np.int8, np.float32, np.int64, np.uint16, np.bool_])),
        good[::-1],
        good.T,
        np.concatenate([good, good]),
        random.integers(-(2**62), 2**62, good.shape).astype(good.dtype),
        np.frombuffer(random.bytes(good.nbytes), good.dtype).reshape(good.shape).copy(),
    ]
    return choices[random.integers(len(choices))]


def drive(library: Path, seconds: float, seed: int) -> None:
    """Fuzz until the time is up."""
    from standout.metrics import kernel, mask_weights
    from standout.metrics.weighted import distance_classes, window_taps

    np.seterr(all="ignore")  # forged arrays are cast on purpose
    compiled, random = load(library), np.random.Generator(np.random.PCG64(seed))
    table, until = distance_classes(), time.monotonic() + seconds
    rounds = forged = refused = 0
    while time.monotonic() < until:
        map_, mask = picture(random)
        compare(map_, mask, compiled)
        rounds += 1
        if not mask.any():
            continue
        kernel.compiled = compiled
        counts, found = np.zeros((4, 2, 256), np.int64), np.zeros(256, np.int64)
        compiled.count(map_, mask, *compiled.centroid(mask), counts)
        calls = {
            "centroid": (mask,),
            "count": (map_, mask, *random.integers(-3, 2**40, 2).tolist(), counts.copy()),
            "numbers": (counts, bool(random.integers(2)), np.empty(256), found.copy(), found.copy()),
            "curves": (found, found, int(random.integers(-1, 9)), int(random.integers(-1, 9)), np.empty((4, 256))),
            "distances": (mask, table.of_squared, np.empty(mask.shape, np.uint16)),
            "weigh": (map_, mask, np.arange(256) / 255, table.weights, window_taps(), *mask_weights(mask)),
            "add": (random.standard_normal(9) * 10.0 ** random.integers(-300, 300), np.zeros((4, 9), np.int64)),
        }
        for name, arguments in calls.items():
            for _ in range(4):
                changed = list(arguments)
                at = int(random.integers(len(changed)))
                old = changed[at]
                changed[at] = (
                    forge(random, old) if isinstance(old, np.ndarray) else tuple(random.integers(-9, 99, 4).tolist())
                )
                forged += 1
                try:
                    getattr(compiled, name)(*changed)
                except (TypeError, ValueError, BufferError, OverflowError):
                    refused += 1
    print(f"{rounds} pairs equal on both paths, {forged} forged calls, {refused} refused, no fault (seed {seed})")


def main() -> None:
    """Build, then run this file again under the sanitizers."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--seed", type=int, default=10)
    parser.add_argument("--library", type=Path, help="an instrumented kernel that is built already")
    settings = parser.parse_args()
    if settings.library:
        drive(settings.library, settings.seconds, settings.seed)
        return
    if lacking := missing():
        print(f"the kernel was not fuzzed: {lacking} here")
        return
    with tempfile.TemporaryDirectory() as folder:
        library, environment = build(Path(folder))
        command = [sys.executable, __file__, "--library", str(library)]
        command += ["--seconds", str(settings.seconds), "--seed", str(settings.seed)]
        sys.exit(subprocess.run(command, env=environment).returncode)


if __name__ == "__main__":
    main()
