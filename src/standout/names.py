"""Names found in literal tables and imported late: nothing registers itself, nothing scans folders."""

from __future__ import annotations

import difflib
import importlib
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from standout.errors import StandoutError


def nearest(name: str, known: Iterable[str]) -> str:
    """Return the words "did you mean X?" for the known name nearest to `name`, or the list of all known."""
    # The dashes of an option would make any two of them look alike.
    bare = {one.lstrip("-"): one for one in sorted(known)}
    near = difflib.get_close_matches(name.lstrip("-"), bare, n=1, cutoff=0.5)
    return f"did you mean {bare[near[0]]}?" if near else f"known are {', '.join(bare.values())}"


def unknown(kind: str, name: str, known: Iterable[str]) -> StandoutError:
    """Return the usage error for a name that no table holds, with the nearest known one."""
    return StandoutError("unknown-name", f"unknown {kind}", name, nearest(name, known), exit_code=2)


def find(table: Mapping[str, str], name: str, kind: str) -> Any:
    """Return the object that `table` lists under `name` as "module:object", importing its module now.

    Raises
    ------
    StandoutError : exit code 2, the table has no such name; the message holds the nearest one.
    """
    if name not in table:
        raise unknown(kind, name, table)
    module, _, attribute = table[name].partition(":")
    return getattr(importlib.import_module(module), attribute)


def late_names(
    module: str, table: Mapping[str, str], rooms: Iterable[str] = ()
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return a module's `__getattr__` and `__dir__` (PEP 562) for names imported on first use."""
    rooms = frozenset(rooms)

    def module_getattr(name: str) -> Any:
        if name in rooms:
            return importlib.import_module(f"{module}.{name}")
        if name not in table:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        value = find(table, name, "name")
        setattr(sys.modules[module], name, value)
        return value

    def module_dir() -> list[str]:
        return sorted({*vars(sys.modules[module]), *table, *rooms})

    return module_getattr, module_dir
