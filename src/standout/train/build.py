"""From a recipe's entries to objects: strategies, the supervised loss, the device."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Mapping
from typing import Any

import torch

from standout.distill import STRATEGIES
from standout.distill.strategy import Strategy
from standout.errors import EXIT_USAGE, StandoutError
from standout.losses import TASKS
from standout.names import find, unknown
from standout.train.step import Task


def build_strategy(entry: Mapping[str, Any], seed: int = 0) -> Strategy:
    """Return the strategy of a recipe entry: `name`, its options, and under `inner` the entry that it wraps.

    Parameters
    ----------
    seed : given to strategies that draw, where the entry states none.

    Raises
    ------
    StandoutError : exit code 2, an unknown name or option (with the nearest), or a value that it refuses.
    """
    name = entry["name"]
    kind = find(STRATEGIES, name, "strategy")
    options = {
        key: build_strategy(value, seed) if isinstance(value, Mapping) and isinstance(value.get("name"), str) else value
        for key, value in entry.items()
        if key != "name"
    }
    known = inspect.signature(kind).parameters
    for key in options:
        if key not in known:
            raise unknown(f"option of {name}", key, known)
    if "seed" in known:
        options.setdefault("seed", seed)
    missing = [k for k, p in known.items() if p.default is p.empty and p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)]
    missing = [key for key in missing if key not in options]
    if missing:
        how = f"write {name}(virtual_teacher)" if missing == ["inner"] else ""
        raise StandoutError("option-missing", f"{name} needs {', '.join(missing)}", name, how, exit_code=EXIT_USAGE)
    try:
        strategy: Strategy = kind(**options)
    except (ValueError, TypeError) as error:
        raise _refused(name, error) from error
    return strategy


def build_task(entry: Mapping[str, Any]) -> Task:
    """Return the supervised loss of a recipe's `task` table: `name` and its options.

    Raises
    ------
    StandoutError : exit code 2, an unknown name or option, or a value that it refuses.
    """
    name = entry["name"]
    loss = find(TASKS, name, "task")
    options = {key: value for key, value in entry.items() if key != "name"}
    # The first two are logits and mask; `valid` and `reduction` belong to the caller of a loss.
    known = [key for key in list(inspect.signature(loss).parameters)[2:] if key not in ("valid", "reduction")]
    for key in options:
        if key not in known:
            raise unknown(f"option of {name}", key, known or ["none"])
    task: Task = functools.partial(loss, **options)
    try:
        task(torch.zeros(1, 1, 16, 16), torch.zeros(1, 1, 16, 16))
    except (ValueError, TypeError) as error:
        raise _refused(name, error) from error
    return task


def _refused(name: str, error: Exception) -> StandoutError:
    return StandoutError("option-value", f"{name} refuses its options", error, "mend the option", exit_code=EXIT_USAGE)


def choose_device(name: str) -> torch.device:
    """Return the device: "auto" is the first graphics card where torch sees one, else the CPU.

    Raises
    ------
    StandoutError : exit code 2, torch knows no such device or does not see it.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).item()  # torch's device "meta" holds no numbers
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise StandoutError("device", "no such device", name, "use --device cpu", exit_code=EXIT_USAGE) from error
    return device


def check_precision(precision: str, device: torch.device) -> None:
    """Refuse bfloat16 on a processor without instructions for it, where it is far slower than float32.

    Raises
    ------
    StandoutError : exit code 2.
    """
    if (
        precision == "bfloat16"
        and device.type == "cpu"
        and not (torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())
    ):
        raise StandoutError(
            "precision", "this processor has no bfloat16 instructions", "training.precision=bfloat16",
            "use float32, which is faster here", exit_code=EXIT_USAGE,
        )  # fmt: skip
