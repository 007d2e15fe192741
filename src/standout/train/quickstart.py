"""The main job on what standout makes itself: generated scenes, a plain and a distilled network, scores, pictures."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, NamedTuple

from numpy.typing import NDArray

from standout.cutout import Job, run_job
from standout.data.pairs import find_pairs
from standout.data.scenes import write_scenes
from standout.errors import EXIT_USAGE, StandoutError
from standout.evaluate import Scored, picture_grid, render, score_model
from standout.files import atomic_write, commit_folder
from standout.images import read_image, read_mask, write_image
from standout.predict import Segmenter
from standout.train.loop import train
from standout.train.recipe import check_recipe, read_recipe
from standout.train.show import Shown, Silent

STRATEGIES: Mapping[str, Sequence[Mapping[str, Any]]] = {
    "plain": (),
    "distilled": ({"name": "non_negative_feedback"},),
}
TEST_PICTURES = 100
SHOWN_PICTURES = 7
CUT_PICTURES = 14
TABLES = {"table.md": "markdown", "table.json": "json"}
DIFFICULTY = 0.25
"""Of the scenes: a small network learns in a minute, from random weights, what stands out rather than what hides."""


class Quickstart(NamedTuple):
    """What a quickstart made.

    scored : the rows of the table, plain before distilled; at logit scale 1 and at the scale chosen held out.
    signal : the number of the signal that stopped it, or None.
    """

    folder: Path
    scored: list[Scored]
    signal: int | None


def quickstart(
    folder: str | Path,
    *,
    pictures: int = 480,
    test_pictures: int = TEST_PICTURES,
    epochs: int | None = None,
    seed: int = 0,
    display: Callable[[], AbstractContextManager[Shown]] = lambda: nullcontext(Silent()),
    say: Callable[[str], object] = lambda _: None,
) -> Quickstart:
    """Generate scenes, train both networks, score them, and write maps, cut-outs and one picture grid.

    Whatever an earlier call in `folder` finished is kept, and training goes on from its last checkpoint.

    Parameters
    ----------
    pictures, test_pictures : generated for training and for testing.
    epochs : passes over them; the recipe's by default.
    seed : of scenes, weights and order.
    display : makes where the progress of one training goes.
    say : takes one line for each stage.

    Raises
    ------
    StandoutError : the folder holds a quickstart with other settings, or the disk refuses.
    """
    folder = Path(folder)
    scenes = folder / "scenes"
    say(f"generating {pictures} + {test_pictures} scenes, salient and camouflaged: {scenes}")
    _generate(scenes / "train", pictures, seed)
    _generate(scenes / "test", test_pictures, seed + 1)
    scored = []
    for name, strategies in STRATEGIES.items():
        listed = " and ".join(str(entry["name"]).replace("_", " ") for entry in strategies)
        say(f"training the {name} network{': ' + listed if listed else ''}")
        tables = copy.deepcopy(read_recipe("quickstart"))
        tables |= {"seed": seed, "strategies": [dict(entry) for entry in strategies]}
        tables["data"] = {"train": str(scenes / "train")}
        if epochs is not None:
            tables["training"]["epochs"] = epochs
        with display() as shown:
            outcome = train(check_recipe(tables), folder / name, resume=True, shown=shown, warn=say)
        if outcome.signal is not None:
            return Quickstart(folder, [], outcome.signal)
        scored += score_model(folder / name, scenes / "test", label=name)
    say("drawing maps, cut-outs and the grid")
    _write_table(folder, scored)
    _write_pictures(folder, scenes / "test")
    return Quickstart(folder, scored, None)


def planned(folder: str | Path, *, pictures: int = 480, test_pictures: int = TEST_PICTURES) -> list[Path]:
    """Return what `quickstart` would write, less the scenes that are there.

    Raises
    ------
    StandoutError : the folder holds a quickstart with other settings.
    """
    folder = Path(folder)
    scenes = {folder / "scenes" / "train": pictures, folder / "scenes" / "test": test_pictures}
    made = [folder / name for name in (*STRATEGIES, *TABLES, "maps", "cutouts", "grid.png")]
    return [*(place for place, count in scenes.items() if not _is_generated(place, count)), *made]


def _is_generated(folder: Path, count: int) -> bool:
    if not folder.is_dir():
        return False
    found = len(find_pairs(folder).pairs)
    if found != count:
        raise StandoutError(
            "settings-changed", f"folder holds {found} scenes, not {count}", folder, "choose another --output",
            exit_code=EXIT_USAGE,
        )  # fmt: skip
    return True


def _generate(folder: Path, count: int, seed: int) -> None:
    """Write the scenes under a name of their own first, so that a folder of the final name is whole."""
    if _is_generated(folder, count):
        return
    partial = folder.with_name(f"{folder.name}.part")
    if partial.is_dir():
        shutil.rmtree(partial)
    write_scenes(partial, count, seed=seed, difficulty=DIFFICULTY)
    commit_folder(partial, folder)


def _write_table(folder: Path, scored: Sequence[Scored]) -> None:
    for name, form in TABLES.items():
        atomic_write(folder / name, render(scored, form, command="standout quickstart").encode())


def _write_pictures(folder: Path, test: Path) -> None:
    found = find_pairs(test).pairs
    # Spread over the names, which are sorted by kind.
    chosen = [pair.image for pair in found[:: -(-len(found) // CUT_PICTURES)]]
    for form in ("map", "cutout"):
        run_job(Job(model=folder / "distilled", form=form), chosen, folder / f"{form}s")
    networks = {name: Segmenter(folder / name) for name in STRATEGIES}
    rows: list[list[NDArray[Any]]] = []
    for pair in found[:: -(-len(found) // SHOWN_PICTURES)]:
        picture = read_image(pair.image)
        maps = [network.predict(picture.pixels) for network in networks.values()]
        rows.append([picture.pixels, read_mask(pair.mask).values, *maps])
    write_image(folder / "grid.png", picture_grid(rows, ["picture", "mask", *networks]), overwrite=True)
