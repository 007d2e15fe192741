"""Check DUTS-TR, ECSSD and CAMO together, with ten planted copies, and measure what the perceptual hash finds.

Ten ECSSD pictures, re-encoded as small WebP files and half of them mirrored, are put into a copy of CAMO's training
part (links to its files), as 71 pictures of the published CAMO are. Everything found is listed, so that what was not
planted can be looked at: `--sheet` draws those pairs side by side.

    python benchmarks/find_copies.py DATA --jobs 2 --output docs/results/find_copies.json

DATA holds DUTS-TR, ECSSD and CAMO. The exit code is 1 where a planted copy is missed or the time is over its limit.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from measuring import keep, result
from numpy.typing import NDArray

from standout.data import check_data
from standout.data.check import Report
from standout.data.pairs import Pair, find_pairs
from standout.data.perceptual import LEAST_CORRELATION, MOST_BITS, Print, look_alikes, take_print
from standout.images import encode_image, fitting, read_image, resize, write_image

PLANTED = 10
LIMIT = 60.0
"""Seconds that the check of the three sets may take on two cores."""
ENCODINGS = ((90, 1.0), (75, 0.5), (50, 0.5), (30, 0.5), (30, 0.33), (15, 0.25))
"""JPEG quality and share of the sides of the copies that are looked for."""
LOOSE = 14
"""Bits up to which pairs of different pictures are counted."""


def plant(data: Path, folder: Path, seed: int) -> dict[str, str]:
    """Make a copy of CAMO with planted pairs; return the planted names with those of their ECSSD originals."""
    shutil.copytree(data / "CAMO", folder, copy_function=os.symlink)
    pairs = find_pairs(data / "ECSSD").pairs
    chosen = np.random.default_rng(seed).choice(len(pairs), PLANTED, replace=False)
    planted = {}
    for number, at in enumerate(sorted(chosen.tolist())):
        name = f"planted_{number}"
        original = read_image(pairs[at].image).pixels
        copy = resize(original, fitting(original.shape[:2], 224), filter="lanczos")
        copy = copy[:, ::-1] if number % 2 else copy
        (folder / "train" / "images" / f"{name}.webp").write_bytes(encode_image(copy, format="WEBP", quality=55))
        mask = resize(read_image(pairs[at].mask).pixels[..., 0], copy.shape[:2])
        (folder / "train" / "masks" / f"{name}.png").write_bytes(encode_image(mask[:, ::-1] if number % 2 else mask))
        planted[name] = pairs[at].name
    return planted


def found_planted(report: Report, planted: dict[str, str]) -> list[dict[str, Any]]:
    """Return for each planted copy whether and how it was found, with the right original."""
    rows = []
    items = {item.name: item for one in report.findings if one.code == "overlap" for item in one.items}
    for number, (name, original) in enumerate(planted.items()):
        item = items.get(name)
        rows.append(
            {
                "copy": name,
                "original": original,
                "mirrored": bool(number % 2),
                "found": item is not None and Path(item.other).stem == original,
                **(dict(item.facts) if item is not None else {}),
            }
        )
    return rows


def found_besides(report: Report, planted: dict[str, str]) -> list[dict[str, Any]]:
    """Return all other pairs that the check takes for one picture."""
    return [
        {"sets": list(one.sets), "first": Path(item.other).stem, "second": item.name, **dict(item.facts)}
        for one in report.findings
        if one.code in ("overlap", "shared", "duplicate-picture")
        for item in one.items
        if item.name not in planted
    ]


def prints_of(pairs: Sequence[Pair]) -> list[Print]:
    """Return the prints of pictures that are not flat."""
    prints = (take_print(read_image(pair.image).pixels) for pair in pairs)
    return [one for one in prints if one is not None]


def recall(pairs: Sequence[Pair], seed: int) -> list[dict[str, Any]]:
    """Return the share of copies found for each encoding, upright and mirrored."""
    rng = np.random.default_rng(seed)
    chosen = [pairs[at] for at in rng.choice(len(pairs), min(200, len(pairs)), replace=False)]
    pictures = [read_image(pair.image).pixels for pair in chosen]
    originals = [take_print(picture) for picture in pictures]
    rows = []
    for quality, scale in ENCODINGS:
        for mirrored in (False, True):
            found = total = 0
            for original, picture in zip(originals, pictures, strict=True):
                size = max(1, round(picture.shape[0] * scale)), max(1, round(picture.shape[1] * scale))
                copy = resize(picture[:, ::-1] if mirrored else picture, size, filter="lanczos")
                taken = take_print(read_image(encode_image(copy, format="JPEG", quality=quality)).pixels)
                if original is not None and taken is not None:
                    total += 1
                    found += any(one.mirrored == mirrored for one in look_alikes([original, taken]))
            rows.append({"quality": quality, "scale": scale, "mirrored": mirrored, "copies": total, "found": found})
    return rows


def hash_alone(prints: Sequence[Print]) -> list[dict[str, int]]:
    """Return, for each number of bits, the pairs that the hash proposes and those that the thumbnails confirm."""
    rows = [{"bits": bits, "proposed": 0, "confirmed": 0} for bits in range(LOOSE + 1)]
    for one in look_alikes(prints, most_bits=LOOSE, least_correlation=-1.0):
        rows[one.bits]["proposed"] += 1
        rows[one.bits]["confirmed"] += one.correlation >= LEAST_CORRELATION
    return rows


def draw(report: Report, planted: dict[str, str], path: Path) -> None:
    """Write a sheet of all pairs found that were not planted, two and two."""
    cells: list[NDArray[np.uint8]] = []
    for one in report.findings:
        if one.code in ("overlap", "shared", "duplicate-picture"):
            for item in one.items:
                if item.name not in planted:
                    cells += [resize(read_image(file).pixels, (120, 160)) for file in (item.other, item.file)]
    write_image(path, sheet(cells), overwrite=True)


def sheet(cells: Sequence[NDArray[np.uint8]], columns: int = 6) -> NDArray[np.uint8]:
    """Return pictures of one size in rows."""
    blank = np.full_like(cells[0], 255)
    filled = [*cells, *[blank] * (-len(cells) % columns)]
    return np.vstack([np.hstack(filled[at : at + columns]) for at in range(0, len(filled), columns)])


def main() -> int:
    """Run, print, and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path)
    parser.add_argument("--sheet", type=Path)
    options = parser.parse_args()

    with tempfile.TemporaryDirectory() as temporary:
        camo = Path(temporary) / "CAMO"
        planted = plant(options.data, camo, options.seed)
        start = time.perf_counter()
        report = check_data([options.data / "DUTS-TR", options.data / "ECSSD", camo], jobs=options.jobs)
        seconds = time.perf_counter() - start
        rows = found_planted(report, planted)
        if options.sheet:
            draw(report, planted, options.sheet)
    pairs = sum(len(part.pairs) for part in report.parts)
    print(f"{pairs} pairs in {seconds:.1f} s with {options.jobs} processes")
    for row in rows:
        print(row)
    everything = [pair for name in ("DUTS-TR", "ECSSD") for pair in find_pairs(options.data / name).pairs]
    everything += (
        find_pairs(options.data / "CAMO", part="train").pairs + find_pairs(options.data / "CAMO", part="test").pairs
    )
    prints = prints_of(everything)
    figures = {
        "pairs": pairs,
        "seconds": round(seconds, 1),
        "limit_seconds": LIMIT,
        "findings": [
            {"severity": "fault" if one.is_fault else "note", "code": one.code, "sets": list(one.sets)}
            | {"count": len(one.items), "message": one.message}
            for one in report.findings
        ],
        "rows": rows,
        "besides": found_besides(report, planted),
        "recall": recall(find_pairs(options.data / "ECSSD").pairs, options.seed),
        "pictures_compared": len(prints),
        "by_bits": hash_alone(prints),
    }
    for key in ("besides", "recall", "by_bits"):
        print(key)
        for row in figures[key]:
            print("  ", row)
    if options.output:
        command = f"find_copies.py DATA --jobs {options.jobs} --seed {options.seed}"
        protocol = f"64-bit hash, at most {MOST_BITS} bits apart; thumbnails correlate by {LEAST_CORRELATION}"
        document = result(
            command, "pillow", "numpy", threads=options.jobs, seed=options.seed, protocol=protocol, **figures
        )
        keep(options.output, document)
    return int(not all(row["found"] for row in rows) or seconds > LIMIT)


if __name__ == "__main__":
    sys.exit(main())
