"""The small texts of a run: strategies and settings as the command line writes them, and TOML as we write it."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from typing import Any

from standout.errors import EXIT_USAGE, StandoutError

_TOKEN = re.compile(r"""\s*(?:(?P<mark>[(),=])|(?P<text>"[^"]*"|'[^']*')|(?P<word>[^\s(),='"]+))""")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


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
    if not tokens or not _BARE_KEY.fullmatch(tokens[0]):
        raise _wrong(text, f"{tokens[0]!r} stands where a name should" if tokens else "a name is missing")
    return tokens.pop(0)


def _value(tokens: list[str], text: str) -> str:
    if not tokens or tokens[0] in "(),=":
        raise _wrong(text, "a value is missing after =")
    value = tokens.pop(0)
    return {"True": "true", "False": "false"}.get(value, value)


def _wrong(text: str, why: str) -> StandoutError:
    return StandoutError("usage", "strategy is not written right", text, why, exit_code=EXIT_USAGE)


def format_toml(tables: Mapping[str, Any]) -> str:
    """Return nested tables as TOML: plain values first, then tables, then lists of tables.

    Raises
    ------
    TypeError : a value that TOML does not hold, such as None.
    """
    return "\n".join(_table(tables, ())).strip() + "\n"


def _table(tables: Mapping[str, Any], path: tuple[str, ...]) -> list[str]:
    lines = [f"{_key(key)} = {_inline(value)}" for key, value in tables.items() if not _is_block(value)]
    for key, value in tables.items():
        name = ".".join(_key(part) for part in (*path, key))
        if isinstance(value, Mapping):
            lines += ["", f"[{name}]", *_table(value, (*path, key))]
        elif _is_block(value):
            for item in value:
                lines += ["", f"[[{name}]]", *_table(item, (*path, key))]
    return lines


def _is_block(value: Any) -> bool:
    if isinstance(value, Mapping):
        return True
    return isinstance(value, list) and bool(value) and all(isinstance(item, Mapping) for item in value)


def _key(key: str) -> str:
    return key if _BARE_KEY.fullmatch(key) else _text(key)


def _text(text: str) -> str:
    # A JSON string is a TOML string, but for the delete character, which TOML wants escaped too.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _inline(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return repr(value)  # the shortest text that reads back as the same number; inf and nan are TOML too
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_inline(item) for item in value) + "]"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_key(k)} = {_inline(v)}" for k, v in value.items()) + "}"
    raise TypeError(f"TOML cannot hold {value!r} ({type(value).__name__})")
