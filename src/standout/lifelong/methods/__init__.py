"""Methods against forgetting, one file each; `METHODS` is the one table of their names.

Adding one touches its file, this table and a test.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from standout.errors import EXIT_USAGE, StandoutError
from standout.names import find, unknown

if TYPE_CHECKING:
    from standout.lifelong.methods.method import Method


class Entry(NamedTuple):
    """A method: "module:class", what it is, its own recogniser, the options its name fixes, whether it has a memory."""

    place: str
    about: str
    recogniser: str = "sdkd_mobilenetv2_100"
    options: Mapping[str, Any] = {}
    remembers: bool = False


_HERE = "standout.lifelong.methods"
_TAUGHT = f"{_HERE}.sdkd:SaliencyDistillation"

METHODS: Mapping[str, Entry] = {
    "cumulative": Entry(f"{_HERE}.plain:Cumulative", "learns from all experiences so far: the upper bound"),
    "derpp": Entry(f"{_HERE}.derpp:DarkReplay", "DER++: replays pictures with the scores they had", remembers=True),
    "ewc": Entry(f"{_HERE}.ewc:OnlineConsolidation", "online EWC: holds weights by their Fisher information"),
    "latent_replay": Entry(f"{_HERE}.latent:LatentReplay", "replays features of frozen layers", remembers=True),
    "lwf": Entry(f"{_HERE}.lwf:WithoutForgetting", "learning without forgetting: soft targets alone"),
    "naive": Entry(f"{_HERE}.plain:Naive", "goes on learning, and nothing more: the lower bound"),
    "replay": Entry(f"{_HERE}.plain:Replay", "experience replay: mixes in pictures from memory", remembers=True),
    "sdkd": Entry(_TAUGHT, "saliency, factor transfer and soft targets (Yang 2019)"),
    "sdkd_replay": Entry(_TAUGHT, "SDKD with pictures from memory", options={"replays": True}, remembers=True),
    "sdkd_without_factors": Entry(_TAUGHT, "SDKD without factor transfer", options={"lambda1": 0.0}),
    "sdkd_without_saliency": Entry(
        _TAUGHT, "plain MobileNetV2 with SDKD's soft targets", recogniser="mobilenetv2_100", options={"lambda1": 0.0}
    ),
    "sdkd_without_soft_targets": Entry(_TAUGHT, "SDKD without soft targets", options={"lambda2": 0.0}),
    "si": Entry(f"{_HERE}.si:SynapticIntelligence", "synaptic intelligence: holds weights by what they brought"),
}


def build_method(entry: Mapping[str, Any]) -> Method:
    """Return the method of a recipe's entry: `name` and its options.

    Raises
    ------
    StandoutError : exit code 2, an unknown name or option (with the nearest), or a value that it refuses.
    """
    name = entry["name"]
    if name not in METHODS:
        raise unknown("method", name, METHODS)
    kind, fixed, known = _class_of(name), METHODS[name].options, _parameters(name)
    options = {key: value for key, value in entry.items() if key != "name"}
    for key in options:
        if key not in known:
            raise unknown(f"option of {name}", key, known or ["none"])
    try:
        for key, value in options.items():
            _check_kind(key, value, known[key].annotation)
        method: Method = kind(**fixed, **options)
    except ValueError as error:
        raise StandoutError(
            "option-value", f"{name} refuses its options", error, "mend the option", exit_code=EXIT_USAGE
        ) from error
    return method


def with_defaults(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return a recipe's entry with the default of every option that it leaves open, so that it can be stored whole.

    An option whose default is None follows from the others (`ft_planes` from `ft_on`) and stays open: TOML has no word
    for it. What the method's name fixes is no option. An entry of an unknown method is returned as it is.
    """
    known = _parameters(entry["name"]) if entry["name"] in METHODS else {}
    return {**{key: one.default for key, one in known.items() if one.default is not None}, **entry}


def chosen_options(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options in which a recipe's entry differs from its method's defaults."""
    plain = with_defaults({"name": entry["name"]})
    return {key: value for key, value in entry.items() if key not in plain or plain[key] != value}


def _class_of(name: str) -> Any:
    return find({name: METHODS[name].place}, name, "method")


def _parameters(name: str) -> dict[str, inspect.Parameter]:
    """Return a method's options; those that its name fixes are none."""
    every = inspect.signature(_class_of(name)).parameters
    return {key: one for key, one in every.items() if key not in METHODS[name].options}


def _check_kind(key: str, value: Any, annotation: str) -> None:
    """Refuse an option that is not of its parameter's kind, before a comparison would take it for something else.

    Parameters
    ----------
    annotation : of the parameter, as it is written.

    Raises
    ------
    ValueError : names the option and what it must be.
    """
    from standout.metadata import is_number, is_whole

    wanted, fits = {
        "bool": ("true or false", isinstance(value, bool)),
        "float": ("a number", is_number(value)),
        "int": ("a whole number", is_whole(value)),
        "str": ("a word", isinstance(value, str)),
    }[annotation.removesuffix(" | None")]
    if not fits:
        raise ValueError(f"{key} must be {wanted}, not {value!r}")
