"""Turn a folder of very many small pictures into maps, and see whether memory grows with their number: promise B9.

    python benchmarks/folder_memory.py --files 100000

The job is `python -m standout predict` in a process of its own; its resident memory is read whenever another hundredth
of the pictures is in the ledger. What counts is the most from a tenth of them on, beside the least at that tenth.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from measuring import RESULTS, keep, result

from standout.images import encode_image

SIDE = 24
VARIETY = 500
"""Different pictures; the others repeat their bytes under names of their own."""


def write_pictures(folder: Path, count: int) -> None:
    """Write the pictures, a thousand a folder."""
    draws = np.random.default_rng(0)
    contents = [
        encode_image(draws.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)) for _ in range(min(VARIETY, count))
    ]
    for number in range(count):
        place = folder / f"{number // 1000:03}"
        if number % 1000 == 0:
            place.mkdir(parents=True)
        (place / f"{number:06}.png").write_bytes(contents[number % VARIETY])


def write_model(folder: Path) -> Path:
    """Export the smallest network, with random weights."""
    import torch

    from standout.export.onnx import export_network
    from standout.networks import build_network
    from standout.weights import model_metadata

    torch.manual_seed(0)
    network = build_network("tiny").eval()
    return export_network(network, model_metadata(network, size=SIDE), folder / "model.onnx").path


def resident(process: int) -> int:
    """Return the resident memory of a process in bytes; 0 where it has ended."""
    try:
        status = Path(f"/proc/{process}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    found = re.search(r"VmRSS:\s+(\d+)", status)
    return int(found[1]) * 1024 if found else 0


def done_in(path: Path, since: tuple[int, int]) -> tuple[int, int]:
    """Return the bytes read and the results done so far, by a growing ledger."""
    offset, done = since
    if not path.exists():
        return since
    with path.open("rb") as file:
        file.seek(offset)
        new = file.read().rpartition(b"\n")[0]
    return offset + len(new), done + new.count(b'"state": "done"')


def measure(count: int) -> dict[str, Any]:
    """Return how much memory a job over so many pictures had, by the share that was done."""
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        write_pictures(place / "in", count)
        words = ["predict", "in", "--output", "out", "--model", str(write_model(place)), "--jobs", "1", "--json"]
        started = time.monotonic()
        job = subprocess.Popen(
            [sys.executable, "-m", "standout", *words], cwd=place, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        ledger, seen, samples = place / "out" / ".standout-ledger.jsonl", (0, 0), [(0, 0)]
        while job.poll() is None:
            seen, memory = done_in(ledger, seen), resident(job.pid)
            if memory and seen[1] * 100 // count > samples[-1][0]:
                samples.append((seen[1] * 100 // count, memory))
            time.sleep(0.02)
        told = json.loads(job.communicate()[0])
        made = sum(1 for _ in (place / "out").rglob("*.png"))
    from_tenth = [memory for share, memory in samples if share >= 10]
    return {
        "files": count,
        "made": made,
        "failed": told["failed"],
        "exit": job.returncode,
        "minutes": round((time.monotonic() - started) / 60, 1),
        "mib_at_a_tenth": round(from_tenth[0] / 2**20, 2),
        "mib_most_after": round(max(from_tenth) / 2**20, 2),
        "growth": round(max(from_tenth) / from_tenth[0] - 1, 4),
        "rows": [{"percent": share, "mib": round(memory / 2**20, 2)} for share, memory in samples[1:]],
    }


def main() -> None:
    """Measure, print, and write the result."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--files", type=int, default=100_000)
    asked.add_argument("--output", type=Path, default=RESULTS / "folder_memory.json")
    given = asked.parse_args()
    found = measure(given.files)
    protocol = (
        f"standout predict over PNGs of {SIDE} x {SIDE}; resident memory at each hundredth of them, from a tenth on"
    )
    print({key: value for key, value in found.items() if key != "rows"})
    keep(given.output, result(f"folder_memory.py --files {given.files}", protocol=protocol, **found))
    sys.exit(not (found["exit"] == 0 and found["made"] == given.files and found["growth"] <= 0.05))


if __name__ == "__main__":
    main()
