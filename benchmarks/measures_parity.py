"""Measure how far standout's measures lie from pysodmetrics 1.6.2 on seeded random and degenerate pairs.

Run it in an environment of its own, where pysodmetrics is installed and standout need not be:

    python -m venv peer && peer/bin/pip install pysodmetrics==1.6.2
    PYTHONPATH=src peer/bin/python benchmarks/measures_parity.py --data ECSSD

Writes docs/results/measures_parity.json, and fails where a difference above 1e-9 is none of the three documented
exceptions (docs/measures.md).
"""

from __future__ import annotations

import argparse
import os
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import py_sod_metrics
from measure_classes import flattened, step_classes
from measure_pairs import Pair, pairs
from measuring import RESULTS, keep, result
from peer_measures import CURVES, LIMIT, NUMBERS, PEER_PROTOCOLS, exception, peer_score

from standout.data.pairs import find_pairs
from standout.images import fit_mask, read_image, read_mask
from standout.metrics import SaliencyMeasures, pysodmetrics, score_picture


def real_pairs(data: Path, count: int) -> Iterator[Pair]:
    """Yield pairs of a data set: the mask, and as the map the picture's own brightness."""
    for found in find_pairs(data, part=None).pairs[:count]:
        fitted = fit_mask(read_mask(found.mask), read_image(found.image), hard=True)
        grey = fitted.picture.pixels.mean(axis=2)
        yield "real", np.rint(grey).astype(np.uint8), fitted.mask.values


def compare(protocol: str, source: Callable[[], Iterator[Pair]]) -> list[dict[str, Any]]:
    """Return one row for each measure: the largest difference, and the pairs that fall under an exception."""
    rows: dict[str, dict[str, Any]] = {
        name: {"protocol": protocol, "measure": name, "pairs": 0, "largest_difference": 0.0, "excepted": {}}
        for name in (*CURVES, *NUMBERS)
    }
    for kind, map_, mask in source():
        expected = peer_score(map_, mask, protocol)
        found = score_picture(map_, mask, protocol=protocol)
        for name, row in rows.items():
            difference = float(np.max(np.abs(np.asarray(getattr(found, name)) - expected[name])))
            row["pairs"] += 1
            if difference <= LIMIT:
                row["largest_difference"] = max(row["largest_difference"], difference)
                continue
            reason = exception(name, map_, mask, protocol)
            if reason is None:
                raise SystemExit(
                    f"{name} differs by {difference} on pair {row['pairs']} ({kind}, {map_.shape}), {protocol}"
                )
            row["excepted"][reason] = row["excepted"].get(reason, 0) + 1
    return list(rows.values())


def compare_means(protocol: str, source: Callable[[], Iterator[Pair]]) -> list[dict[str, Any]]:
    """Return one row for each measure over all pairs that fall under no exception, as one data set."""
    measures = SaliencyMeasures(protocol)
    peers = []
    for _, map_, mask in source():
        if any(exception(name, map_, mask, protocol) for name in NUMBERS):
            continue
        measures.update(map_, mask)
        peers.append(peer_score(map_, mask, protocol))
    mean = {name: np.mean([peer[name] for peer in peers], axis=0) for name in (*CURVES, *NUMBERS)}
    precision, recall = mean["precision"], mean["recall"]
    below = 0.3 * precision + recall
    expected = {name: float(mean[name]) for name in NUMBERS} | {
        "f_max": float(mean["f"].max()),
        "f_mean": float(mean["f"].mean()),
        "e_max": float(mean["e"].max()),
        "e_mean": float(mean["e"].mean()),
        "f_max_pr": float((1.3 * precision * recall / np.where(below == 0, 1, below)).max()),
    }
    rows = [
        {
            "protocol": protocol,
            "measure": f"data set {name}",
            "pairs": measures.count,
            "largest_difference": abs(value - expected[name]),
            "excepted": {},
        }
        for name, value in measures.compute().items()
    ]
    for row in rows:
        if not row["largest_difference"] <= LIMIT:
            raise SystemExit(f"{row['measure']} differs by {row['largest_difference']}, {protocol}")
    return rows


def compare_classes(source: Callable[[], Iterator[Pair]]) -> list[dict[str, Any]]:
    """Return one row for each class with `step` and `get_results`, over all pairs that fall under no exception."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        peers, twins = step_classes(py_sod_metrics), step_classes(pysodmetrics)
        counted = 0
        for _, map_, mask in source():
            if any(exception(name, map_, mask, "pysodmetrics-1.6.2") for name in NUMBERS):
                continue
            counted += 1
            for measure in (*peers.values(), *twins.values()):
                measure.step(pred=map_, gt=mask)
    rows = []
    for name in peers:
        expected, found = flattened(peers[name].get_results()), flattened(twins[name].get_results())
        if {key: value.shape for key, value in expected.items()} != {key: value.shape for key, value in found.items()}:
            raise SystemExit(f"{name} gives other results: {sorted(found)}, not {sorted(expected)}")
        difference = max(float(np.max(np.abs(found[key] - expected[key]))) for key in expected)
        if not difference <= LIMIT:
            raise SystemExit(f"{name} differs by {difference}")
        rows.append({
            "protocol": "pysodmetrics-1.6.2", "measure": f"class {name}", "pairs": counted,
            "largest_difference": difference, "excepted": {},
        })  # fmt: skip
    return rows


def main() -> None:
    """Run the comparison and write the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=8)
    parser.add_argument("--output", type=Path, default=RESULTS / "measures_parity.json")
    parser.add_argument("--data", type=Path, help="a data set whose pictures and masks are compared too")
    parser.add_argument("--pictures", type=int, default=400, help="of the data set")
    settings = parser.parse_args()

    def source() -> Iterator[Pair]:
        yield from pairs(settings.pairs, settings.seed)
        if settings.data is not None:
            yield from real_pairs(settings.data, settings.pictures)

    rows = []
    for protocol in PEER_PROTOCOLS:
        rows += compare(protocol, source)
        rows += compare_means(protocol, source)
    rows += compare_classes(source)
    document = result(
        f"measures_parity.py --pairs {settings.pairs} --seed {settings.seed}"
        + (f" --data {settings.data.name} --pictures {settings.pictures}" if settings.data else ""),
        *("numpy", "scipy", "pysodmetrics"),
        threads=int(os.environ.get("OMP_NUM_THREADS", os.cpu_count() or 1)),
        seed=settings.seed,
        protocol=", ".join(PEER_PROTOCOLS),
        rows=rows,
    )
    keep(settings.output, document)
    for row in rows:
        print(f"{row['protocol']:20} {row['measure']:22} {row['largest_difference']:.1e}  {row['excepted'] or ''}")


if __name__ == "__main__":
    main()
