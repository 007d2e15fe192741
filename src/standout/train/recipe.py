"""A recipe: every setting of a run, checked before anything starts; unknown keys are refused with the nearest."""

from __future__ import annotations

import difflib
import math
import tomllib
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import Meta, Struct, field

from standout.errors import EXIT_USAGE, StandoutError
from standout.files import disk_error
from standout.names import nearest, unknown
from standout.toml import format_toml

Share = Annotated[float, Meta(ge=0.0, le=1.0)]
NotNegative = Annotated[float, Meta(ge=0.0)]
Fraction = Annotated[float, Meta(ge=0.0, lt=1.0)]
Count = Annotated[int, Meta(ge=1, le=2**31 - 1)]
Side = Annotated[int, Meta(ge=32, le=65536)]


class Table(Struct, kw_only=True, forbid_unknown_fields=True, frozen=True):
    """A table of the recipe."""


class DataTable(Table, frozen=True):
    """Where the pictures are.

    train : folder of the training set.
    skip_unpaired : leave out pictures without a mask and masks without a picture instead of refusing them.
    overlap : how pictures are compared with those held out and in `test`: "exact", byte for byte, or "perceptual", also
        re-encoded, resized or mirrored ones, for which each picture is read once before the first step.
    allow_overlap : train although pictures that are held out, or in `test`, are also trained on.
    mask_class : the palette index or grey value that is the object, in masks of several classes; -1 where there is one.
    unknown : what the third value of a mask of exactly three means, where it covers an area: "soft", a half label;
        "ignore", no label; "refuse" stops before the first step.
    test : folder of a set that the model will be scored on; none of its pictures may be trained on.
    cache : folder where decoded pictures are kept, for this and other runs; empty decodes each anew every epoch.
    cache_gigabytes : what the files in it may take, in units of 2**30 bytes.
    resident : whether the decoded pictures lie on the device and views are made there: "yes", "no", or "auto", on a
        graphics card that has the memory.
    """

    train: str = ""
    skip_unpaired: bool = False
    overlap: Literal["exact", "perceptual"] = "exact"
    allow_overlap: bool = False
    mask_class: Annotated[int, Meta(ge=-1, le=65535)] = -1
    unknown: Literal["soft", "ignore", "refuse"] = "soft"
    test: str = ""
    cache: str = ""
    cache_gigabytes: NotNegative = 20.0
    resident: Literal["auto", "yes", "no"] = "auto"


class NetworkTable(Table, frozen=True):
    """What is trained.

    name : of `standout.networks.NETWORKS`.
    backbone_weights : a safetensors file with the backbone's trained weights; empty starts from random ones.
    options : of the network, such as `width`, or `mean`, `std`, `padding` and `eps` of an unknown backbone file.
    """

    name: str = "fusion_mobilenetv2_100"
    backbone_weights: str = ""
    options: dict[str, Any] = field(default_factory=dict)


class OptimiserTable(Table, frozen=True):
    """How the weights move.

    name : "sgd" or "adamw".
    rate : base learning rate; the backbone's is `backbone_factor` times it.
    momentum, nesterov : of SGD. betas, epsilon : of AdamW.
    weight_decay : L2 factor; `decay_norms` applies it to batch norms and biases too.
    clip : largest gradient norm; 0 leaves gradients as they are.
    """

    name: Literal["sgd", "adamw"] = "sgd"
    rate: Annotated[float, Meta(gt=0.0)] = 0.05
    backbone_factor: NotNegative = 0.1
    momentum: Share = 0.9
    nesterov: bool = True
    betas: tuple[Fraction, Fraction] = (0.9, 0.999)
    epsilon: Annotated[float, Meta(gt=0.0)] = 1e-8
    weight_decay: NotNegative = 5e-4
    decay_norms: bool = True
    clip: NotNegative = 0.0


class ScheduleTable(Table, frozen=True):
    """How the rate runs: see `standout.train.schedule.rate_factor`."""

    name: Literal["constant", "cosine", "linear", "poly", "triangular"] = "triangular"
    warmup: Fraction = 0.0
    power: NotNegative = 0.9
    floor: Share = 0.0
    per: Literal["step", "epoch"] = "step"


class AugmentationTable(Table, frozen=True):
    """How training views differ from the stored pictures: see `standout.data.augment.Augmentation`.

    sizes : sides that the batches draw from (F3Net's multi-scale); empty means `training.size` alone.
    """

    flip: Share = 0.5
    crop_keep: Annotated[float, Meta(gt=0.0, le=1.0)] = 0.875
    scale: tuple[float, float] = (1.0, 1.0)
    rotation: Annotated[float, Meta(ge=0.0, le=180.0)] = 0.0
    brightness: Fraction = 0.0
    contrast: Fraction = 0.0
    saturation: Fraction = 0.0
    sizes: tuple[Side, ...] = ()


class TrainingTable(Table, frozen=True):
    """The run's length and shape.

    epochs, batch, size : passes over the data, pictures a step, side of the square views.
    accumulation : equal parts that each process takes its batch in, for batches that do not fit into its memory.
    ema : decay of the weights' running average, which is then validated and shipped; 0 is off.
    channels_last : memory order of the convolutions; the faster one on a CPU.
    precision : "bfloat16" runs the network under autocast; the losses stay in float32.
    freeze_batch_norm : batch norms keep their statistics and normalise by them; their scales still learn.
    final : whether the best or the last checkpoint becomes the model.
    nonfinite_limit : steps in a row without a finite loss and gradient before the run stops.
    workers, threads, device : of this machine; 0 threads and "auto" leave the choice to torch.
    process_minutes : of several processes, one that does not answer for so long is taken for lost.
    time_limit : minutes after which the run saves and stops, to go on later; 0 is off.
    save_steps, save_minutes : further checkpoints between epochs; 0 is off.
    keep : newest checkpoints that stay, besides the best.
    log_steps : every so many steps one line of metrics.
    licence : of the weights, stored in the model file.
    """

    epochs: Count = 32
    batch: Count = 32
    size: Side = 320
    accumulation: Count = 1
    ema: Fraction = 0.0
    channels_last: bool = True
    precision: Literal["float32", "bfloat16"] = "float32"
    freeze_batch_norm: bool = False
    final: Literal["best", "last"] = "best"
    nonfinite_limit: Count = 10
    workers: Annotated[int, Meta(ge=0, le=1024)] = 1
    threads: Annotated[int, Meta(ge=0, le=1024)] = 0
    device: str = "auto"
    time_limit: NotNegative = 0.0
    process_minutes: Annotated[float, Meta(gt=0.0)] = 30.0
    save_steps: Annotated[int, Meta(ge=0)] = 0
    save_minutes: NotNegative = 10.0
    keep: Count = 3
    log_steps: Count = 10
    licence: str = ""


class ValidationTable(Table, frozen=True):
    """The held-out split and what is done with it.

    split : "auto" takes `names_val.txt` beside the set, or else 0.05; a path is a file with one name a line; a
        number is the share that is held out, those with the smallest SHA-1 of the name; 0 holds nothing out.
    score : the measure by which the best checkpoint is chosen.
    size : side at which the network sees the pictures; 0 means the training size.
    sharpness : 0 chooses the logits' scale that is best on the split, any other number is taken as it is.
    """

    split: Fraction | str = "auto"
    score: Literal["mae", "f_max", "f_max_pr", "f_mean", "f_adaptive", "weighted_f", "s", "e_max", "e_mean", "iou"] = (
        "mae"
    )
    size: Annotated[int, Meta(ge=0, le=65536)] = 0
    sharpness: Annotated[float, Meta(ge=0.0, le=65536.0)] = 0.0


class Recipe(Table, frozen=True):
    """Everything that decides a run."""

    seed: Annotated[int, Meta(ge=0, le=2**53)] = 0
    data: DataTable = field(default_factory=DataTable)
    network: NetworkTable = field(default_factory=NetworkTable)
    strategies: list[dict[str, Any]] = field(default_factory=list)
    task: dict[str, Any] = field(default_factory=lambda: {"name": "binary_cross_entropy"})
    optimiser: OptimiserTable = field(default_factory=OptimiserTable)
    schedule: ScheduleTable = field(default_factory=ScheduleTable)
    augmentation: AugmentationTable = field(default_factory=AugmentationTable)
    training: TrainingTable = field(default_factory=TrainingTable)
    validation: ValidationTable = field(default_factory=ValidationTable)


FREE = frozenset(
    f"training.{name}"
    for name in (
        "workers",
        "threads",
        "device",
        "process_minutes",
        "time_limit",
        "save_steps",
        "save_minutes",
        "keep",
        "log_steps",
        "nonfinite_limit",
        "final",
        "licence",
    )
) | {"validation.sharpness", "network.backbone_weights", "data.train", "data.test", "data.cache",
    "data.cache_gigabytes", "data.resident"}  # fmt: skip
"""Settings that a resumed run may change: they decide where and how often, not what is learnt. The data and the
backbone file may have moved; their fingerprints are compared instead."""


def read_recipe(name: str | Path, kind: str = "") -> dict[str, Any]:
    """Return the tables of a recipe: a path that exists wins over a name that is shipped, with or without `.toml`.

    Parameters
    ----------
    kind : of the shipped ones, as `shipped_recipes` takes it.

    Raises
    ------
    StandoutError : exit code 2, there is no such recipe, or it is no TOML.
    """
    path = Path(name)
    if not path.is_file():
        shipped = {p.stem: p for p in shipped_recipes(kind)}
        if path.name.removesuffix(".toml") not in shipped or path.parent != Path():
            raise StandoutError(
                "recipe-missing", "no such recipe", name, nearest(path.stem, shipped), exit_code=EXIT_USAGE
            )
        path = shipped[path.name.removesuffix(".toml")]
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise disk_error(error, path) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise StandoutError(
            "recipe-toml", "recipe is no TOML", f"{path}: {error}", "mend that line", exit_code=EXIT_USAGE
        ) from error


def shipped_recipes(kind: str = "") -> list[Path]:
    """Return the recipes that come with standout: of `standout train`, or of another `kind`, such as "lifelong"."""
    return sorted((Path(__file__).parent.parent / "recipes" / kind).glob("*.toml"))


Kind = TypeVar("Kind", bound=Struct)


def check_tables(tables: Mapping[str, Any], kind: type[Kind]) -> Kind:
    """Return the recipe of a kind that the tables hold, with every default filled in.

    Raises
    ------
    StandoutError : as `check_recipe`.
    """
    _refuse_unknown_keys(tables, kind, "", kind)
    # TOML has numbers that a checkpoint and a model file, which hold the recipe, have not.
    if place := next(_unstorable(tables), ""):
        how = "write a finite number of at most 64 bits"
        raise StandoutError("recipe-value", "recipe has a wrong value", place, how, exit_code=EXIT_USAGE)
    try:
        return msgspec.convert(tables, kind)
    except msgspec.ValidationError as error:
        what, _, place = str(error).partition(" - at `$.")
        place, how = place.rstrip("`"), what[:1].lower() + what[1:]
        if what.startswith("Invalid enum value") and (known := _choices(kind, place)):
            how = nearest(what.partition("'")[2].rstrip("'"), known)
        raise StandoutError(
            "recipe-value", "recipe has a wrong value", place or "the recipe", how, exit_code=EXIT_USAGE
        ) from error


def _choices(kind: Any, place: str) -> tuple[str, ...]:
    """Return the words that a value may be, at a path of names through tables; none where it is no choice of words."""
    for name in place.split("."):
        kind = typing.get_type_hints(kind).get(name) if hasattr(kind, "__struct_fields__") else None
    return tuple(typing.get_args(kind)) if typing.get_origin(kind) is Literal else ()


def _unstorable(value: Any, place: str = "") -> Iterator[str]:
    """Yield the path of every number in nested tables and lists that JSON, as we read it, does not hold."""
    if isinstance(value, int | float):
        if not (math.isfinite(value) if isinstance(value, float) else abs(value) < 2**63):
            yield place
    elif isinstance(value, Mapping | list | tuple):
        for key, item in value.items() if isinstance(value, Mapping) else enumerate(value):
            yield from _unstorable(item, f"{place}.{key}" if place else str(key))


def check_recipe(tables: Mapping[str, Any]) -> Recipe:
    """Return the recipe that the tables hold, with every default filled in.

    Raises
    ------
    StandoutError : exit code 2, an unknown key (with the nearest), a value of the wrong type or out of range.
    """
    recipe = check_tables(tables, Recipe)
    for entry, where in [*((s, "strategies") for s in recipe.strategies), (recipe.task, "task")]:
        if not isinstance(entry.get("name"), str):
            raise StandoutError(
                "recipe-value", "recipe has an entry without a name", where, 'add name = "…"', exit_code=EXIT_USAGE
            )
    names = [entry["name"] for entry in recipe.strategies]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise StandoutError("recipe-value", "strategy is listed twice", twice[0], "list it once", exit_code=EXIT_USAGE)
    if recipe.optimiser.nesterov and recipe.optimiser.momentum == 0 and recipe.optimiser.name == "sgd":
        raise StandoutError(
            "recipe-value",
            "nesterov needs a momentum",
            "optimiser.momentum=0",
            "set optimiser.nesterov=false",
            exit_code=EXIT_USAGE,
        )
    low, high = recipe.augmentation.scale
    if not 0 < low <= high:
        raise StandoutError(
            "recipe-value", "recipe has a wrong value", f"augmentation.scale=[{low:g}, {high:g}]",
            "write two numbers above 0, the smaller one first", exit_code=EXIT_USAGE,
        )  # fmt: skip
    return recipe


def _refuse_unknown_keys(tables: Mapping[str, Any], struct: type[Struct], place: str, whole: type[Struct]) -> None:
    types = typing.get_type_hints(struct)
    for key, value in tables.items():
        if key not in types:
            # A key of another table is the commonest slip: offer the whole path.
            elsewhere = [known for known in _all_keys(whole, "") if known.rpartition(".")[2] == key]
            how = f"did you mean {elsewhere[0]}?" if elsewhere else ""
            if not how:
                near = difflib.get_close_matches(key, types, n=1, cutoff=0.5)
                if near:
                    raise unknown("recipe key", f"{place}{key}", [f"{place}{near[0]}"])
                raise unknown("recipe key", f"{place}{key}", [f"{place}{name}" for name in types])
            raise StandoutError("unknown-name", "unknown recipe key", f"{place}{key}", how, exit_code=EXIT_USAGE)
        inner = types[key]
        if isinstance(inner, type) and issubclass(inner, Struct) and isinstance(value, Mapping):
            _refuse_unknown_keys(value, inner, f"{place}{key}.", whole)


def _all_keys(struct: type[Struct], place: str) -> list[str]:
    keys = []
    for key, inner in typing.get_type_hints(struct).items():
        if isinstance(inner, type) and issubclass(inner, Struct):
            keys += _all_keys(inner, f"{place}{key}.")
        else:
            keys.append(f"{place}{key}")
    return keys


def as_tables(recipe: Struct) -> dict[str, Any]:
    """Return the recipe as plain tables, every default written out."""
    tables: dict[str, Any] = msgspec.to_builtins(recipe)
    return tables


def as_toml(recipe: Struct) -> str:
    """Return the recipe as TOML; `check_recipe` of it gives the same recipe."""
    return format_toml(as_tables(recipe))


def differences(old: Struct, new: Struct) -> dict[str, tuple[Any, Any]]:
    """Return path -> (old, new) of every setting that differs."""
    first, second = leaves(as_tables(old)), leaves(as_tables(new))
    return {
        path: (first.get(path), second.get(path))
        for path in dict.fromkeys([*first, *second])
        if first.get(path) != second.get(path)
    }


def leaves(tables: Mapping[str, Any], place: str = "") -> dict[str, Any]:
    """Return path -> value of every setting in a recipe's tables; a task or a method is one setting."""
    found: dict[str, Any] = {}
    for key, value in tables.items():
        if isinstance(value, Mapping) and not (place == "" and key in ("task", "method")):
            found |= leaves(value, f"{place}{key}.")
        else:
            found[f"{place}{key}"] = value
    return found
