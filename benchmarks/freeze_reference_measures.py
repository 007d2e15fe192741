"""Freeze pysodmetrics' figures on small stored pairs, for the test suite, which runs without pysodmetrics.

    PYTHONPATH=src peer/bin/python benchmarks/freeze_reference_measures.py

Writes tests/metrics/reference.npz, and reference_classes.npz beside it. Where a pair falls under a documented
exception (NaN, or rounding decides) the frozen figure is standout's own, and `own` says so.
"""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import py_sod_metrics
from measure_classes import flattened, step_classes
from measure_pairs import pairs
from peer_measures import CURVES, LIMIT, NUMBERS, PEER_PROTOCOLS, exception, peer_score

from standout.metrics import score_picture

OUTPUT = Path(__file__).resolve().parent.parent / "tests" / "metrics" / "reference.npz"
PAIRS, SEED, LARGEST = 95, 1, 28


def freeze_classes() -> int:
    """Write what the peer's classes give over all pairs that fall under no exception; return how many pairs."""
    taken = []
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        measures = step_classes(py_sod_metrics)
        for at, (_, map_, mask) in enumerate(pairs(PAIRS, SEED, LARGEST)):
            if any(exception(name, map_, mask, "pysodmetrics-1.6.2") for name in NUMBERS):
                continue
            taken.append(at)
            for measure in measures.values():
                measure.step(pred=map_, gt=mask)
    results = {
        f"{name}: {key}": value
        for name, measure in measures.items()
        for key, value in flattened(measure.get_results()).items()
    }
    np.savez_compressed(OUTPUT.with_name("reference_classes.npz"), pairs=np.array(taken), **results)
    return len(taken)


def main() -> None:
    """Score the pairs both ways and write the archive."""
    kinds, shapes, maps, masks, own = [], [], [], [], []
    curves: dict[str, list[list[np.ndarray]]] = {protocol: [] for protocol in PEER_PROTOCOLS}
    numbers: dict[str, list[list[float]]] = {protocol: [] for protocol in PEER_PROTOCOLS}
    for at, (kind, map_, mask) in enumerate(pairs(PAIRS, SEED, LARGEST)):
        kinds.append(kind)
        shapes.append(map_.shape)
        maps.append(map_.ravel())
        masks.append(mask.ravel())
        for protocol in PEER_PROTOCOLS:
            peer, ours = peer_score(map_, mask, protocol), score_picture(map_, mask, protocol=protocol)
            for name in NUMBERS:
                if not abs(getattr(ours, name) - peer[name]) <= LIMIT:
                    reason = exception(name, map_, mask, protocol)
                    if reason is None:
                        raise SystemExit(f"{name} differs on pair {at} ({kind}), {protocol}, and is no exception")
                    own.append((protocol, str(at), name, reason))
                    peer[name] = getattr(ours, name)
            curves[protocol].append([peer[name] for name in CURVES])
            numbers[protocol].append([peer[name] for name in NUMBERS])
    np.savez_compressed(
        OUTPUT,
        kinds=np.array(kinds),
        shapes=np.array(shapes),
        maps=np.concatenate(maps),
        masks=np.concatenate(masks),
        own=np.array(own),
        curve_names=np.array(CURVES),
        number_names=np.array(NUMBERS),
        **{f"curves {protocol}": np.array(rows) for protocol, rows in curves.items()},
        **{f"numbers {protocol}": np.array(rows) for protocol, rows in numbers.items()},
    )
    print(f"{freeze_classes()} pairs for the classes")
    print(f"{PAIRS} pairs, {len(own)} figures of our own, {OUTPUT.stat().st_size // 1024} kB")


if __name__ == "__main__":
    main()
