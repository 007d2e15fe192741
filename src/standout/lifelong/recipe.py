"""A lifelong run's recipe: every setting, checked before anything starts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, field

from standout.errors import EXIT_USAGE, StandoutError
from standout.lifelong.methods import with_defaults
from standout.train.recipe import Count, Fraction, NotNegative, ScheduleTable, Share, Side, Table, check_tables

Whole = Annotated[int, Meta(ge=0)]


class StreamTable(Table, frozen=True):
    """What is met, and when.

    path : the stream's folder; `kind` is a key of `standout.lifelong.KINDS`, "" looks at the folders' names.
    order : names of the experiences in another order than theirs.
    experiences : their number, for kind "classes".
    more : further folders CLASS/pictures, each an experience, met after the stream's own.
    test_share : of each class, held out by hash where the tree has no test part.
    allow_overlap : learn although pictures that are tested on are also learnt from.
    """

    path: str = ""
    kind: str = ""
    order: tuple[str, ...] = ()
    experiences: Whole = 0
    more: tuple[str, ...] = ()
    test_share: Fraction = 0.2
    allow_overlap: bool = False


class RecogniserTable(Table, frozen=True):
    """What learns.

    name : of `standout.lifelong.RECOGNISERS`; "" takes the method's own.
    pretrained : a safetensors file of MobileNetV2; "" starts from random weights.
    sal_weights : run or model file of a cascade that `standout train` made, for the option sal_init = "sod".
    options : of the recogniser. For the head "flatten" `size` is `training.size`, and may be left out.
    """

    name: str = ""
    pretrained: str = ""
    sal_weights: str = ""
    options: dict[str, Any] = field(default_factory=dict)


class MemoryTable(Table, frozen=True):
    """What may be kept of experiences that are past.

    bytes : budget; 0 keeps nothing.
    policy : "reservoir" gives every picture met the same chance, "balanced" every class the same share.
    share : pictures from memory in each step, as a share of `training.batch`.
    """

    bytes: Annotated[int, Meta(ge=0, le=2**53)] = 0
    policy: Literal["reservoir", "balanced"] = "reservoir"
    share: Annotated[float, Meta(gt=0.0, le=8.0)] = 0.5


class LearningTable(Table, frozen=True):
    """How the weights move; the optimiser starts anew in each experience.

    In few epochs AdamW learns far more than SGD at 0.01 does (docs/results/lifelong_pacs_settings.json).

    name : "sgd" or "adamw". momentum, nesterov : of SGD.
    weight_decay : L2 factor on every parameter.
    clip : largest gradient norm; 0 leaves gradients as they are.
    """

    name: Literal["sgd", "adamw"] = "adamw"
    rate: Annotated[float, Meta(gt=0.0)] = 0.001
    momentum: Share = 0.9
    nesterov: bool = False
    weight_decay: NotNegative = 5e-4
    clip: NotNegative = 0.0


class ViewTable(Table, frozen=True):
    """How training views differ from the stored pictures: see `standout.data.augment.Augmentation`."""

    flip: Share = 0.5
    crop_keep: Annotated[float, Meta(gt=0.0, le=1.0)] = 0.8
    rotation: Annotated[float, Meta(ge=0.0, le=180.0)] = 0.0
    brightness: Fraction = 0.0
    contrast: Fraction = 0.0
    saturation: Fraction = 0.0


class LifelongTraining(Table, frozen=True):
    """The run's length and shape.

    epochs : passes over each experience; `first_epochs` over the first one, 0 means the same.
    batch, size : pictures of the experience in a step, side of the square views.
    freeze_batch_norm : from which experience on batch norms keep their statistics and normalise by them: "never",
        "after_first" or "always". Their scales still learn. Statistics that follow each experience are those of the
        last one when a picture of an earlier one comes.
    ratio_steps : every so many steps of an experience the gradient norm of each term is logged, every quarter of a
        shorter one, and not at its first step; 0 is never.
    cache_mebibytes : decoded pictures kept in memory, of the present experience and, as much again, of the tests.
    nonfinite_limit, workers, threads, device, save_steps, save_minutes, keep, log_steps : as in a training recipe.
    """

    epochs: Count = 10
    first_epochs: Whole = 0
    batch: Annotated[int, Meta(ge=2)] = 32
    size: Side = 224
    freeze_batch_norm: Literal["never", "after_first", "always"] = "never"
    channels_last: bool = True
    ratio_steps: Whole = 50
    cache_mebibytes: Whole = 512
    nonfinite_limit: Count = 10
    workers: Annotated[int, Meta(ge=0, le=1024)] = 1
    threads: Annotated[int, Meta(ge=0, le=1024)] = 0
    device: str = "auto"
    save_steps: Whole = 0
    save_minutes: NotNegative = 10.0
    keep: Count = 2
    log_steps: Count = 10
    licence: str = ""


class LifelongRecipe(Table, frozen=True):
    """Everything that decides a lifelong run; `method` holds its name and its options."""

    seed: Annotated[int, Meta(ge=0, le=2**53)] = 0
    stream: StreamTable = field(default_factory=StreamTable)
    network: RecogniserTable = field(default_factory=RecogniserTable)
    method: dict[str, Any] = field(default_factory=lambda: {"name": "sdkd"})
    memory: MemoryTable = field(default_factory=MemoryTable)
    optimiser: LearningTable = field(default_factory=LearningTable)
    schedule: ScheduleTable = field(default_factory=lambda: ScheduleTable(name="cosine"))
    augmentation: ViewTable = field(default_factory=ViewTable)
    training: LifelongTraining = field(default_factory=LifelongTraining)


FREE = frozenset(
    f"training.{name}"
    for name in (
        "workers", "threads", "device", "save_steps", "save_minutes", "keep", "log_steps", "nonfinite_limit",
        "ratio_steps", "cache_mebibytes", "licence",
    )
) | {"network.pretrained", "network.sal_weights", "stream.path", "stream.more"}  # fmt: skip
"""Settings that a resumed run may change. Pictures may have moved, and experiences may be added at the end; what was
met is compared by its fingerprints."""


def check_lifelong(tables: Mapping[str, Any]) -> LifelongRecipe:
    """Return the recipe that the tables hold, with every default filled in, the method's options' too.

    Raises
    ------
    StandoutError : exit code 2, an unknown key (with the nearest), a value of the wrong type or out of range, or a
        size of the recogniser that is not that of its views.
    """
    tables = {"method": {"name": "sdkd"}, **tables}
    if "schedule" in tables:
        tables["schedule"] = {"name": "cosine", **tables["schedule"]}
    recipe = check_tables(tables, LifelongRecipe)
    if not isinstance(recipe.method.get("name"), str):
        raise StandoutError(
            "recipe-value", "recipe has a method without a name", "method", 'add name = "sdkd"', exit_code=EXIT_USAGE
        )
    return msgspec.structs.replace(recipe, method=with_defaults(recipe.method), network=_sized(recipe))


def _sized(recipe: LifelongRecipe) -> RecogniserTable:
    """Return the recogniser's table; the head "flatten", which takes one size of picture alone, gets the views' own.

    Raises
    ------
    StandoutError : exit code 2; another size is stated for it.
    """
    table, side = recipe.network, recipe.training.size
    if table.options.get("head") != "flatten":
        return table
    size = table.options.get("size", side)
    if size != side:
        raise StandoutError(
            "option-value", "head flatten is made for another size than training has",
            f"network.options.size={size}, training.size={side}", "leave network.options.size out",
            exit_code=EXIT_USAGE,
        )  # fmt: skip
    return msgspec.structs.replace(table, options={**table.options, "size": size})
