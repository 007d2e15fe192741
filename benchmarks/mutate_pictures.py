"""Mutated pictures and masks through reading, fitting and cut-outs: nothing but one-line refusals may come out.

    python benchmarks/mutate_pictures.py --pictures 2000 --masks 500

Pictures are read and cut out, and read as masks and maps too. Masks are read as labels, as one class of several, with
each word for a third value, looked at as `standout data check` does, fitted to a picture, and read as maps.

A watchdog of ten times the limit ends the process on a hang, so a hang cannot pass unseen. With `--keep FOLDER`
every file that fails is stored there.
"""

from __future__ import annotations

import argparse
import collections
import faulthandler
import io
import os
import re
import sys
import time
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from measuring import RESULTS, keep, result

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "images"))
import picture_files

from standout.errors import StandoutError
from standout.images import FORMATS, SERVER, encode_image, read_image, read_map, read_mask
from standout.images.headers import read_header
from standout.images.mask import UNKNOWN, MaskPicture, fit_mask
from standout.images.mask_facts import mask_facts

SCENE = read_image(picture_files.encoded(picture_files.scene(), "PNG"))
"""What mutated masks are fitted to; they have its size before they are mutated."""

LIMIT = 2.0
"""Seconds for a file of up to a megapixel."""
LIMITS = SERVER._replace(formats=FORMATS)
"""Damage can make a small file claim any size; the caps for strangers' pictures bound what that may cost."""


def use_picture(data: bytes) -> str:
    """Do with a picture what the commands do; return how reading it ended."""
    code = attempt(cut_out, data)
    attempt(lambda file: read_mask(file, limits=LIMITS), data)
    attempt(lambda file: read_map(file, limits=LIMITS), data)
    return code


def use_mask(data: bytes) -> str:
    """Do with a mask what the commands do; return how reading it as a label ended."""
    code = attempt(lambda file: mask_facts(read_mask(file, limits=LIMITS)), data)
    for unknown in UNKNOWN:
        attempt(lambda file, word=unknown: fit(read_mask(file, unknown=word, limits=LIMITS)), data)
    attempt(lambda file: fit(read_mask(file, class_index=1, limits=LIMITS)), data)
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


def fit(mask: MaskPicture) -> None:
    """Fit a mask to the picture, and score-wise too."""
    for hard in (False, True):
        fit_mask(mask, SCENE, hard=hard)


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


class Mutations:
    """Mutates files and counts what came of it.

    Parameters
    ----------
    keep : folder for files that broke a promise, or none.
    """

    def __init__(self, seed: int, keep: Path | None) -> None:
        self.seed, self.keep = seed, keep
        self.rows: list[dict[str, Any]] = []
        self.foreign: list[str] = []
        self.slow, self.slowest = 0, 0.0

    def run(self, kind: str, seeds: dict[str, bytes], use: Callable[[bytes], str], count: int) -> None:
        """Use at least `count` mutated files, as many of each encoding."""
        for name, data in seeds.items():
            rng = np.random.default_rng([self.seed, len(self.rows)])
            codes: collections.Counter[str] = collections.Counter()
            for number in range(-(-count // len(seeds))):
                codes[self._one(picture_files.mutated(data, rng), use, f"{kind} {name} {number}")] += 1
            row = {"kind": kind, "encoding": name, "files": codes.total(), **dict(sorted(codes.items()))}
            self.rows.append(row)
            print(row, flush=True)

    def _one(self, data: bytes, use: Callable[[bytes], str], name: str) -> str:
        faulthandler.dump_traceback_later(10 * LIMIT, exit=True)
        start, waited = time.process_time(), time.perf_counter()
        try:
            code = use(data)
        except Exception:
            code = "foreign"
            self.foreign.append(f"{name}: {traceback.format_exc(limit=-1)}")
            self._keep(name, data)
        # Processor time does not depend on what else the machine does; what waits for something shows in the other.
        spent = max(time.process_time() - start, 0.1 * (time.perf_counter() - waited))
        faulthandler.cancel_dump_traceback_later()
        if not claims_megapixels(data):
            self.slowest = max(self.slowest, spent)
            if spent > LIMIT:
                self.slow += 1
                self._keep(name, data)
        return code

    def _keep(self, name: str, data: bytes) -> None:
        if self.keep is not None:
            self.keep.mkdir(parents=True, exist_ok=True)
            (self.keep / f"{name} {self.seed}").write_bytes(data)


def main() -> int:
    """Run, print, and write the result; the exit code is 1 where a promise was broken."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=2000)
    parser.add_argument("--masks", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--output", type=Path, default=RESULTS / "mutated_pictures.json")
    options = parser.parse_args()

    warnings.simplefilter("error")
    pictures, masks = picture_files.seed_encodings(), picture_files.mask_encodings()
    for data in pictures.values():
        use_picture(data)
    for data in masks.values():
        use_mask(data)
    if os.access("/proc/self/clear_refs", os.W_OK):
        Path("/proc/self/clear_refs").write_text("5")
    mutations = Mutations(options.seed, options.keep)
    mutations.run("picture", pictures, use_picture, options.pictures)
    mutations.run("mask", masks, use_mask, options.masks)
    words = f"--pictures {options.pictures} --masks {options.masks} --seed {options.seed}"
    figures = {
        "pictures": sum(row["files"] for row in mutations.rows if row["kind"] == "picture"),
        "masks": sum(row["files"] for row in mutations.rows if row["kind"] == "mask"),
        "foreign_exceptions": len(mutations.foreign),
        "over_limit": mutations.slow,
        "slowest_ms": round(mutations.slowest * 1000, 1),
        "peak_mib": round(peak_memory() / 2**20, 1),
    }
    document = result(
        f"mutate_pictures.py {words}",
        "pillow",
        schema=2,
        seed=options.seed,
        protocol="pictures: read and cut out, as mask, as map; masks: as label, looked at and fitted, with each "
        "word for a third value, as one class, as map; caps 25 Mpixel, 20 MiB; limit for up to 1 Mpixel: 2 s of "
        "processor time, 20 s in all",
        **figures,
        rows=mutations.rows,
    )
    for entry in mutations.foreign[:10]:
        print(entry, file=sys.stderr)
    print(figures)
    keep(options.output, document)
    return 1 if mutations.foreign or mutations.slow else 0


if __name__ == "__main__":
    sys.exit(main())
