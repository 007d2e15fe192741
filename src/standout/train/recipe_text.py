"""Strategies and settings of a run, as the command line writes them."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from typing import Any

from standout.errors import EXIT_USAGE, StandoutError
from standout.toml import BARE_KEY

_TOKEN = re.compile(r"""\s*(?:(?P<mark>[(),=])|(?P<text>"[^"]*"|'[^']*')|(?P<word>[^\s(),='"]+))""")


def parse_setting(setting: str) -> tuple[list[str], Any]:
    """Return the path and the value of `table.key=value`; the value is read as TOML, or else as a word.

    Raises
    ------
    StandoutError : exit code 2, there is no `=` or a part of the path is empty.
    """
    path, equals, text = setting.partition("=")
    parts = path.strip().split(".")
    if not equals or not all(parts):
        raise StandoutError(
            "usage", "setting is no key=value", setting, "write --set table.key=value", exit_code=EXIT_USAGE
        )
    return parts, parse_value(text.strip())


def edit(tables: dict[str, Any], settings: Sequence[str]) -> None:
    """Apply `table.key=value` settings in place; a number in the path counts into a list.

    Raises
    ------
    StandoutError : exit code 2, a setting without `=`, or a path through something that is no table.
    """
    for setting in settings:
        path, value = parse_setting(setting)
        place: Any = tables
        for part in path[:-1]:
            place = _entered(place, part, setting)
        last = path[-1]
        if isinstance(place, list):
            place[_number(place, last, setting)] = value
        else:
            place[last] = value


def _entered(place: Any, part: str, setting: str) -> Any:
    found = place[_number(place, part, setting)] if isinstance(place, list) else place.setdefault(part, {})
    if not isinstance(found, dict | list):
        raise StandoutError(
            "recipe-value", "setting goes through a value", setting, f"{part} is no table", exit_code=EXIT_USAGE
        )
    return found


def _number(place: list[Any], part: str, setting: str) -> int:
    if not part.isdecimal() or int(part) >= len(place):
        raise StandoutError(
            "recipe-value",
            "setting counts past a list",
            setting,
            f"it has {len(place)} entries, from 0",
            exit_code=EXIT_USAGE,
        )
    return int(part)


def parse_value(text: str) -> Any:
    """Return a TOML value, or the text itself where it is no TOML value (a bare word, a path)."""
    try:
        tables = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return text
    return tables["value"] if set(tables) == {"value"} else text


def parse_strategy(text: str) -> dict[str, Any]:
    """Return the recipe entry of a strategy such as `dynamic_dropout(virtual_teacher(alpha=0.3), rule=quantile)`.

    A name in first place inside the brackets is the strategy that is wrapped, `inner`.

    Raises
    ------
    StandoutError : exit code 2, the text does not follow that form; names the place.
    """
    tokens = _tokens(text)
    entry = _strategy(tokens, text)
    if tokens:
        raise _wrong(text, f"{tokens[0]!r} is left over")
    return entry


def _tokens(text: str) -> list[str]:
    tokens, at = [], 0
    while text[at:].strip():
        match = _TOKEN.match(text, at)
        if match is None:
            raise _wrong(text, f"a quote is not closed at column {at + 1}")
        tokens.append(match[0].strip())
        at = match.end()
    return tokens


def _strategy(tokens: list[str], text: str) -> dict[str, Any]:
    entry: dict[str, Any] = {"name": _word(tokens, text)}
    if not tokens or tokens[0] != "(":
        return entry
    tokens.pop(0)
    while tokens and tokens[0] != ")":
        if len(tokens) > 1 and tokens[1] == "=":
            key = _word(tokens, text)
            tokens.pop(0)
            if key in entry:
                raise _wrong(text, f"{key} is given twice")
            nested = len(tokens) > 1 and tokens[1] == "("
            entry[key] = _strategy(tokens, text) if nested else parse_value(_value(tokens, text))
        elif len(entry) == 1:
            entry["inner"] = _strategy(tokens, text)
        else:
            raise _wrong(text, f"{tokens[0]!r} has no name; write key=value")
        if tokens and tokens[0] == ",":
            tokens.pop(0)
        elif not tokens or tokens[0] != ")":
            raise _wrong(text, "a comma or a closing bracket is missing")
    if not tokens:
        raise _wrong(text, "a closing bracket is missing")
    tokens.pop(0)
    return entry


def _word(tokens: list[str], text: str) -> str:
    if not tokens or not BARE_KEY.fullmatch(tokens[0]):
        raise _wrong(text, f"{tokens[0]!r} stands where a name should" if tokens else "a name is missing")
    return tokens.pop(0)


def _value(tokens: list[str], text: str) -> str:
    if not tokens or tokens[0] in "(),=":
        raise _wrong(text, "a value is missing after =")
    value = tokens.pop(0)
    return {"True": "true", "False": "false"}.get(value, value)


def _wrong(text: str, why: str) -> StandoutError:
    return StandoutError("usage", "strategy is not written right", text, why, exit_code=EXIT_USAGE)
