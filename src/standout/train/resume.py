"""Going on with a run: with the settings and the data it was started with, unless a change is asked for by name."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Collection, Mapping
from typing import Any

from msgspec import Struct

from standout.errors import EXIT_USAGE, StandoutError
from standout.names import unknown
from standout.train.recipe import FREE, as_tables, check_recipe, differences, leaves


def check_settings(
    stored: Mapping[str, Any],
    recipe: Struct,
    fingerprints: Mapping[str, str],
    overrides: Collection[str],
    *,
    check: Callable[[Mapping[str, Any]], Struct] = check_recipe,
    free: Collection[str] = FREE,
) -> list[dict[str, Any]]:
    """Return the changes that `overrides` allow, each with field, old and new value.

    Parameters
    ----------
    stored : `recipe` (tables) and `fingerprints` of the run so far.
    fingerprints : field -> sha256 of what it names: the data and the backbone file; "" where it is not known now.
    overrides : fields, or tables of fields, that may differ.
    check : makes a recipe of its tables; another kind of run has another kind of recipe.
    free : settings that may always differ.

    Raises
    ------
    StandoutError : exit code 2; names the first field that differs, with its old and new value; or an override that
        is no setting, with the nearest.
    """
    before = check(stored["recipe"])
    fields = {**leaves(as_tables(before)), **leaves(as_tables(recipe))}
    tables = {field.rpartition(".")[0] for field in fields if "." in field}
    known = {*fields, *tables, *fingerprints, *stored["fingerprints"]}
    for name in overrides:
        if name not in known and not any(name.startswith(f"{field}.") for field in fields):
            raise unknown("setting", name, sorted(known))
    changes = differences(before, recipe)
    changed = {field: values for field, values in changes.items() if field not in free}
    for field, new in fingerprints.items():
        old = stored["fingerprints"].get(field, "")
        if new and old != new:
            changed[field] = (old[:12], new[:12])
    allowed = []
    for field, (old, new) in changed.items():
        if not any(field == name or field.startswith(f"{name}.") for name in overrides):
            raise StandoutError(
                "settings-changed", "setting differs from the run's",
                f"{field} was {_shown(old)} and is now {_shown(new)}",
                f"keep it, or pass --override {shlex.quote(field)}", exit_code=EXIT_USAGE,
            )  # fmt: skip
        allowed.append({"field": field, "old": old, "new": new})
    return allowed


def _shown(value: Any) -> str:
    return "not there" if value is None else str(value)


def check_surroundings(
    before: Mapping[str, Any], now: Mapping[str, Any], *, strict: bool, warn: Callable[[str], object]
) -> None:
    """Say what differs from the session before and may move the last bits, or refuse it.

    Parameters
    ----------
    before, now : manifests of the session before and of this one.

    Raises
    ------
    StandoutError : exit code 2, `strict`, and something differs or was not recorded.
    """
    for difference in other_surroundings(before, now):
        if strict:
            raise StandoutError(
                "resume-not-equal", "resumed, the run would not end bit-equal", difference,
                "put it back, or leave out --strict-resume", exit_code=EXIT_USAGE,
            )  # fmt: skip
        warn(f"resumed close, not bit-equal: {difference}")


def other_surroundings(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return in words what differs from the session before and may move the last bits.

    That is threads, processes, device and every version that either session recorded. What the session before did not
    record may differ too, and is named.
    """
    differences = []
    for table, keys in (("machine", ("threads", "processes", "device")), ("versions", now["versions"])):
        old = before.get(table)
        if not isinstance(old, dict):
            differences.append(f"manifest.json says nothing of {table}, which may be another")
            continue
        for key in dict.fromkeys([*keys, *(old if table == "versions" else ())]):
            was, is_now = old.get(key, "not recorded"), now[table].get(key, "not installed")
            if was != is_now:
                differences.append(f"{key} was {was} and is now {is_now}")
    return differences
