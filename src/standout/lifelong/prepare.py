"""What is needed before a recogniser meets a stream: its pictures, its fingerprints, the recogniser itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import torch
from torch import Tensor

from standout.errors import EXIT_USAGE, StandoutError, printable
from standout.lifelong.build import (
    RECOGNISERS,
    build_recogniser,
    check_takes_weights,
    is_mobile,
    load_pretrained,
    whole_options,
)
from standout.lifelong.layouts import open_stream
from standout.lifelong.methods import METHODS
from standout.lifelong.methods.method import Method
from standout.lifelong.network import Recogniser
from standout.lifelong.pictures import Labelled, Wanted
from standout.lifelong.recipe import LifelongRecipe, StreamTable, check_lifelong
from standout.lifelong.saliency import load_saliency, read_saliency, saliency_file, saliency_options
from standout.lifelong.streams import (
    Example,
    Experience,
    Stream,
    checked,
    contents_of,
    domains_of,
    experience_of,
    refuse_leaks,
)
from standout.weights import backbone_options


def open_recipe(table: StreamTable, met: Sequence[str] = (), more: Sequence[str] = ()) -> Stream:
    """Return the stream that a recipe names.

    Parameters
    ----------
    met : names of the stream's own experiences when the run was last worked on. Where a folder of them is gone, these
        stand without pictures: what is learnt already can no longer be tested on.
    more : the same of the first of `table.more`.

    Raises
    ------
    StandoutError : exit code 2; no folder is named, or as `open_stream`.
    """
    if not table.path and not met:
        raise StandoutError("stream-missing", "no stream given", "", "name its folder", exit_code=EXIT_USAGE)
    stream = _own(table, met)
    notes: list[str] = []
    added: list[Experience] = []
    for number, place in enumerate(table.more):
        if number < len(more):
            added.append(_added_before(Path(place), more[number], table.test_share, notes))
            continue
        experience = experience_of(Path(place), table.test_share, notes)
        taken = {e.name for e in (*stream.experiences, *added)}
        copies = 2
        while experience.name in taken:
            experience = experience._replace(name=f"{Path(place).name} ({copies})")
            copies += 1
        checked(Stream("", (experience,)), Path(place))
        added.append(experience)
    return stream._replace(experiences=(*stream.experiences, *added), notes=(*stream.notes, *notes))


GONE = "is not there: what was learnt from it stays, but is not tested"


def _own(table: StreamTable, met: Sequence[str]) -> Stream:
    """Return the stream of a recipe's own folder, with the experiences that were met and are gone without pictures."""
    root = Path(table.path)
    try:
        if not table.path:
            raise StandoutError("stream-missing", "the stream was given by a program", "")
        stream = open_stream(root, table.kind, experiences=table.experiences, test_share=table.test_share)
    except StandoutError as error:
        if not met:
            raise
        if error.code in ("experience-empty", "stream-empty") and table.kind in ("", "domains"):
            stream = domains_of(root, table.test_share)  # the one that is empty may be past
        elif error.code == "stream-missing":
            stream = Stream(root.name, ())
        else:
            raise
    there = {experience.name for experience in stream.experiences}
    missing = [name for name in met if name not in there]
    if met and not there:
        gone = tuple(Experience(name, (), ()) for name in met)
        return stream._replace(experiences=gone, notes=(f"{printable(table.path) or 'the stream'} {GONE}",))
    # Where nothing of it is known this is another stream, and where something is new it has grown: both are told later.
    if missing and len(missing) < len(met) and (table.order or there <= set(met)):
        holes = tuple(Experience(name, (), ()) for name in missing)
        notes = tuple(f"{printable(root / name)} {GONE}" for name in missing)
        stream = stream._replace(experiences=(*stream.experiences, *holes), notes=(*stream.notes, *notes))
        return stream.reordered(table.order or met)
    return stream.reordered(table.order) if table.order else stream


def _added_before(place: Path, name: str, share: float, notes: list[str]) -> Experience:
    """Return the experience of a folder that was added to the run before, under the name that it has there."""
    try:
        return experience_of(place, share, notes)._replace(name=name)
    except StandoutError as error:
        if error.code != "stream-missing":
            raise
        notes.append(f"{printable(place)} {GONE}")
        return Experience(name, (), ())


def fingerprints(stream: Stream, *, allow_overlap: bool) -> tuple[dict[str, str], dict[Path, str]]:
    """Return what identifies each experience, "" for one without pictures, and the sha256 of each picture.

    Raises
    ------
    StandoutError : a picture that is tested on is also learnt from, unless that is allowed.
    """
    found: dict[str, str] = {}
    digests: dict[Path, str] = {}
    for number, experience in enumerate(stream.experiences):
        contents = contents_of(Stream("", (experience,)))
        digests |= contents.digests
        found[f"experience {number + 1}"] = contents.fingerprint if experience.training else ""
    digests |= contents_of(Stream("", (), stream.held_out)).digests
    if not allow_overlap:
        refuse_leaks(stream, digests)
    return found, digests


def make_recogniser(
    recipe: LifelongRecipe, classes: Sequence[str], *, fresh: bool
) -> tuple[Recogniser, dict[str, str], LifelongRecipe]:
    """Return the recogniser, the sha256 of each file that it starts from ("" for none), and the recipe made whole.

    Parameters
    ----------
    fresh : load the files; a resumed run has its weights already and needs no file.

    Raises
    ------
    StandoutError : exit code 2; an unknown recogniser or option, or a file that is missing or does not fit.
    """
    table = recipe.network
    name = name_of(recipe)
    options = dict(table.options)
    known = RECOGNISERS[name][2] if name in RECOGNISERS else {}
    saliency = read_saliency(table.sal_weights) if _there(table.sal_weights, fresh) else None
    if saliency:
        options = {**saliency_options(saliency, known), **options}
    if _there(table.pretrained, fresh) and is_mobile(name):
        options = {**backbone_options(table.pretrained, options), **options}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        recogniser = build_recogniser(name, classes, **options)
    pretrained = load_pretrained(recogniser, table.pretrained) if _there(table.pretrained, fresh) else ""
    if saliency:
        load_saliency(recogniser, saliency)
    sources = {"network.pretrained": pretrained, "network.sal_weights": saliency.sha256 if saliency else ""}
    whole = msgspec.structs.replace(table, name=name, options=dict(recogniser.options))
    return recogniser, sources, msgspec.structs.replace(recipe, network=whole)


def _there(path: str, fresh: bool) -> bool:
    """Whether a file is to be loaded: one that a resumed run names may be gone."""
    return bool(path) and (fresh or Path(path).exists())


def name_of(recipe: LifelongRecipe) -> str:
    """Return the name of the recogniser that learns: the recipe's, or else its method's own."""
    return recipe.network.name or METHODS[recipe.method["name"]].recogniser


def check_start(recipe: LifelongRecipe, method: Method, *, fresh: bool) -> None:
    """Refuse a recogniser that cannot be built, or what it cannot start from, before anything is written.

    Parameters
    ----------
    fresh : a new run needs its files; a resumed one has its weights.

    Raises
    ------
    StandoutError : exit code 2; an unknown recogniser or option, a method that needs a map and a recogniser that has
        none, a file that is missing or not wanted, or one of a saliency network and its option is there alone.
    """
    table, name = recipe.network, name_of(recipe)
    whole_options(name, table.options)
    if method.needs_map and not RECOGNISERS[name][0].has_map:
        raise StandoutError(
            "method-needs-map", f"{recipe.method['name']} needs a recogniser that says where the object is", name,
            "take sdkd_mobilenetv2_100", exit_code=EXIT_USAGE,
        )  # fmt: skip
    sod = table.options.get("sal_init") == "sod"
    if sod and fresh and not table.sal_weights:
        raise StandoutError(
            "weights-missing", "sal_init=sod starts from a saliency network, and none is given", "network.sal_weights",
            "make one: standout train DATA --recipe wu2019_cascade; then pass --saliency RUN", exit_code=EXIT_USAGE,
        )  # fmt: skip
    if table.sal_weights and not sod:
        raise StandoutError(
            "weights-unused", "a saliency network is given, but sal_init is not sod", table.sal_weights,
            "add --set network.options.sal_init=sod, or leave it out", exit_code=EXIT_USAGE,
        )  # fmt: skip
    if fresh and table.sal_weights:
        saliency_file(table.sal_weights)
    if table.pretrained:
        check_takes_weights(name, table.pretrained)
    if fresh and table.pretrained and not Path(table.pretrained).is_file():
        raise StandoutError(
            "file-missing", "no such file of weights", table.pretrained, "check the path", exit_code=EXIT_USAGE
        )


def made_whole(tables: Mapping[str, Any]) -> LifelongRecipe:
    """Return a stored recipe, with the defaults of recogniser options that came after it was stored."""
    recipe = check_lifelong(tables)
    table = recipe.network
    defaults = RECOGNISERS[table.name][2] if table.name in RECOGNISERS else {}
    return msgspec.structs.replace(
        recipe, network=msgspec.structs.replace(table, options={**defaults, **table.options})
    )


def check_memory(recipe: LifelongRecipe, method: Method, warn: Callable[[str], object]) -> None:
    """Refuse a memory that a method would not use; warn where a method has none to use.

    Raises
    ------
    StandoutError : exit code 2; the method keeps nothing.
    """
    name, budget = recipe.method["name"], recipe.memory.bytes
    if budget and not method.memory:
        keeping = ", ".join(key for key in METHODS if METHODS[key].remembers)
        raise StandoutError(
            "memory-unused", f"{name} keeps nothing of the past", f"memory.bytes={budget}",
            f"leave the memory at 0, or take one of {keeping}", exit_code=EXIT_USAGE,
        )  # fmt: skip
    if method.memory and not budget:
        warn(f"{name} has a memory of 0 bytes and can replay nothing; state one with --memory")


def named(examples: Sequence[Example], first: int = 0) -> list[Wanted]:
    """Return the pictures numbered from `first` on."""
    return [Wanted(example, first + place) for place, example in enumerate(examples)]


def on_device(batch: Labelled, device: torch.device) -> Labelled:
    """Return the batch where the network is."""
    remembered = tuple(payload.to(device) for payload in batch.remembered)
    return batch._replace(image=batch.image.to(device), label=batch.label.to(device), remembered=remembered)


def gradient_norms(terms: Mapping[str, Tensor], parameters: Sequence[Tensor]) -> dict[str, float | None]:
    """Return the norm of each term's gradient over the network's weights: how the terms are balanced.

    None stands for what is not a finite number. The graph stays for the step itself.
    """
    norms: dict[str, float | None] = {}
    for name, term in terms.items():
        found: Sequence[Tensor | None] = torch.autograd.grad(term, parameters, retain_graph=True, allow_unused=True)
        norm = torch.nn.utils.get_total_norm([gradient for gradient in found if gradient is not None])
        norms[name] = norm.item() if bool(norm.isfinite()) else None
    return norms
