"""Mutated picture files through reading, masks, maps and cut-outs: nothing but one-line refusals may come out.

    python benchmarks/mutate_pictures.py --count 2000 --output docs/results/mutated_pictures.json

A watchdog of ten times the limit ends the process on a hang, so a hang cannot pass unseen. With `--keep FOLDER`
every file that fails is stored there.
"""

from __future__ import annotations

import argparse
import collections
import faulthandler
import io
import json
import os
import platform
import re
import sys
import time
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import PIL

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "images"))
import picture_files

import standout
from standout.errors import StandoutError
from standout.images import FORMATS, SERVER, encode_image, read_image, read_map, read_mask
from standout.images.headers import read_header

LIMIT = 2.0
"""Seconds for a file of up to a megapixel."""
LIMITS = SERVER._replace(formats=FORMATS)
"""Damage can make a small file claim any size; the caps for strangers' pictures bound what that may cost."""


def use(data: bytes) -> str:
    """Do with a file what the commands do; return how reading it as a picture ended."""
    code = attempt(cut_out, data)
    attempt(lambda file: read_mask(file, limits=LIMITS), data)
    attempt(lambda file: read_map(file, limits=LIMITS), data)
    return code


def attempt(step: Callable[[bytes], object], data: bytes) -> str:
    """Return "read" or the code of the refusal; any other exception goes through."""
    try:
        step(data)
    except StandoutError as error:
        if "\n" in str(error):
            raise AssertionError(f"more than one line: {error}") from error
        return error.code
    return "read"


def claims_megapixels(data: bytes) -> bool:
    """Whether the header, as damaged, says that there are more than a million pixels."""
    try:
        read_header(io.BytesIO(data), len(data), "file", LIMITS._replace(pixels=1_000_000))
    except StandoutError as error:
        return error.code == "picture-pixels"
    return False


def cut_out(data: bytes) -> bytes:
    """Read a picture and write it as an RGBA file."""
    picture = read_image(data, limits=LIMITS)
    alpha = picture.alpha if picture.alpha is not None else np.full(picture.size, 255, np.uint8)
    return encode_image(np.dstack([picture.pixels, alpha]))


def peak_memory() -> int:
    """Bytes at this process's highest point since it was reset; 0 where the system does not tell."""
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return 0
    return int(re.findall(r"VmHWM:\s+(\d+)", status)[0]) * 1024


def main() -> int:
    """Run, print, and write the result; the exit code is 1 where a promise was broken."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()

    warnings.simplefilter("error")
    seeds = picture_files.seed_encodings()
    for data in seeds.values():
        use(data)
    if os.access("/proc/self/clear_refs", os.W_OK):
        Path("/proc/self/clear_refs").write_text("5")
    rows, foreign, slow, slowest = [], [], 0, 0.0
    for name, data in seeds.items():
        rng = np.random.default_rng([options.seed, len(rows)])
        codes: collections.Counter[str] = collections.Counter()
        for number in range(-(-options.count // len(seeds))):
            mutated = picture_files.mutated(data, rng)
            faulthandler.dump_traceback_later(10 * LIMIT, exit=True)
            start = time.perf_counter()
            try:
                codes[use(mutated)] += 1
            except Exception:
                codes["foreign"] += 1
                foreign.append(f"{name} {number}: {traceback.format_exc(limit=-1)}")
                keep(options.keep, f"{name}-{options.seed}-{number}", mutated)
            spent = time.perf_counter() - start
            faulthandler.cancel_dump_traceback_later()
            is_large = claims_megapixels(mutated)
            slowest = slowest if is_large else max(slowest, spent)
            if spent > LIMIT and not is_large:
                slow += 1
                keep(options.keep, f"{name}-{options.seed}-{number}", mutated)
        rows.append({"encoding": name, "files": codes.total(), **dict(sorted(codes.items()))})
        print(f"{name:20} {dict(sorted(codes.items()))}", flush=True)
    result = {
        "schema": 1,
        "command": " ".join(
            ["python", "benchmarks/mutate_pictures.py", f"--count {options.count} --seed {options.seed}"]
        ),
        "versions": {"standout": standout.__version__, "pillow": PIL.__version__, "python": platform.python_version()},
        "threads": 1,
        "seed": options.seed,
        "machine": platform.machine(),
        "protocol": "read as picture and cut out, as mask, as map; caps 25 Mpixel, 20 MiB; limit 2 s up to 1 Mpixel",
        "foreign_exceptions": len(foreign),
        "over_limit": slow,
        "slowest_ms": round(slowest * 1000, 1),
        "peak_mib": round(peak_memory() / 2**20, 1),
        "rows": rows,
    }
    for entry in foreign[:10]:
        print(entry, file=sys.stderr)
    print({key: result[key] for key in ("foreign_exceptions", "over_limit", "slowest_ms", "peak_mib")})
    if options.output:
        options.output.parent.mkdir(parents=True, exist_ok=True)
        options.output.write_text(json.dumps(result, indent=1) + "\n")
    return 1 if foreign or slow else 0


def keep(folder: Path | None, name: str, data: bytes) -> None:
    """Store a file that broke a promise."""
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)


if __name__ == "__main__":
    sys.exit(main())
