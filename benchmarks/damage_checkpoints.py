"""Flip bits of checkpoints and let the disk refuse in the midst of saves: no damage is accepted, none is lost.

    python benchmarks/damage_checkpoints.py --flips 200 --refusals 20

Flips: a random bit of a random file of a checkpoint's folder; it must be refused, and the checkpoint before be taken.
Refusals: the operating system's limit on a file's length stands in for a full disk. A save meets it at evenly spread
bytes of its longest file; the checkpoint before must stay whole, nothing half written may stay, and the next save must
succeed.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import shutil
import sys
import tempfile
from pathlib import Path

import torch
from measuring import RESULTS, keep, result

from standout import checkpoint
from standout.errors import StandoutError
from standout.files import is_temporary


def silent(_line: str) -> None:
    """Take a warning."""


def save(folder: Path, step: int) -> Path:
    """Save a small network with an optimiser's state."""
    network = {"weight": torch.full((64, 33), float(step)), "bias": torch.arange(33.0)}
    training = {"state": {"momentum": torch.ones(64, 33), "steps": step, "names": ["a", "b"]}, "recipe": {"seed": 1}}
    return checkpoint.save(folder, step, network, training)


def flip(flips: int, chance: random.Random) -> dict[str, int]:
    """Return how many flips were refused, and after how many the checkpoint before was taken."""
    refused = taken = 0
    for _ in range(flips):
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            save(folder, 1)
            newest = save(folder, 2)
            file = chance.choice(sorted(newest.iterdir()))
            content = bytearray(file.read_bytes())
            content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
            file.write_bytes(content)
            try:
                checkpoint.load(newest)
            except StandoutError:
                refused += 1
            found = checkpoint.newest(folder, silent)
            taken += found is not None and found.step == 1
    return {"flips": flips, "flips_refused": refused, "fell_back": taken}


def refuse(refusals: int) -> dict[str, int]:
    """Return how many saves the disk refused, how many left the one before whole, and how many were made up for."""
    kept = recovered = refused = 0
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    for number in range(refusals):
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            longest = max(path.stat().st_size for path in save(folder, 1).iterdir())
            resource.setrlimit(resource.RLIMIT_FSIZE, (number * longest // refusals, hard))
            try:
                save(folder, 2)
            except StandoutError:
                refused += 1
            finally:
                resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
            found = checkpoint.newest(folder, silent)
            left = [path for path in folder.iterdir() if is_temporary(path)]
            kept += found is not None and found.step == 1 and not left
            save(folder, 2)
            found = checkpoint.newest(folder, silent)
            recovered += found is not None and found.step == 2
            shutil.rmtree(folder / "step-00000002")
    return {"refusals": refusals, "saves_refused": refused, "kept": kept, "made_up_for": recovered}


def main() -> None:
    """Damage, count, print, and write the result."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--flips", type=int, default=200)
    asked.add_argument("--refusals", type=int, default=20)
    asked.add_argument("--seed", type=int, default=0)
    asked.add_argument("--output", type=Path, default=RESULTS / "damaged_checkpoints.json")
    given = asked.parse_args()
    flips, refusals = flip(given.flips, random.Random(given.seed)), refuse(given.refusals)
    document = result(
        f"damage_checkpoints.py --flips {given.flips} --refusals {given.refusals} --seed {given.seed}",
        "torch",
        seed=given.seed,
        protocol="one bit of one file of a checkpoint flipped; the limit on a file's length met in mid-save",
        **flips,
        **refusals,
    )
    print(json.dumps(document, indent=1))
    keep(given.output, document)
    good = flips["flips_refused"] == flips["fell_back"] == given.flips
    sys.exit(not (good and refusals["saves_refused"] == refusals["kept"] == refusals["made_up_for"] == given.refusals))


if __name__ == "__main__":
    main()
