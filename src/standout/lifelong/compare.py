"""Runs side by side: tables of both conventions, the score sheet, and the plots, in one folder or as a text."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from standout.errors import EXIT_USAGE, StandoutError
from standout.files import atomic_write
from standout.lifelong.measures import CONVENTIONS, AccuracyMatrix
from standout.lifelong.methods import METHODS, chosen_options, with_defaults
from standout.lifelong.recipe import FREE
from standout.lifelong.results import read_results
from standout.lifelong.sheet import score_sheet
from standout.lifelong.table import FORMATS, render
from standout.train.recipe import leaves

SUFFIXES = {"markdown": "md", "csv": "csv", "json": "json", "latex": "tex"}


class Compared:
    """The results of runs, by label.

    Parameters
    ----------
    runs : label -> folders; runs of one label differ in seed or in the order of experiences, and are averaged.

    Attributes
    ----------
    matrices, documents : label -> what each of its runs found.
    same_order : whether all runs met the same experiences in one order, so that matrices can be laid over each other.
    notes : what a reader of the tables should know, each a sentence.

    Raises
    ------
    StandoutError : exit code 2, a folder has no results, runs met another number of experiences, or runs of one label
        met others.
    """

    def __init__(self, runs: Mapping[str, Sequence[str | Path]]) -> None:
        self.matrices: dict[str, list[AccuracyMatrix]] = {}
        self.documents: dict[str, list[dict[str, Any]]] = {}
        for label, folders in runs.items():
            found = [read_results(folder) for folder in folders]
            self.matrices[label] = [matrix for matrix, _ in found]
            self.documents[label] = [document for _, document in found]
        counts = {label: {len(matrix) for matrix in matrices} for label, matrices in self.matrices.items()}
        if len(set().union(*counts.values())) > 1:
            words = ", ".join(f"{label} {'/'.join(map(str, sorted(count)))}" for label, count in counts.items())
            raise StandoutError(
                "runs-differ", "runs met different numbers of experiences", words, "compare runs of one stream",
                exit_code=EXIT_USAGE,
            )  # fmt: skip
        met = {label: {frozenset(matrix.names) for matrix in matrices} for label, matrices in self.matrices.items()}
        for label, streams in met.items():
            if len(streams) > 1:
                raise StandoutError(
                    "runs-differ", "runs of one label met other experiences", label,
                    "give each stream a label of its own: LABEL=RUN", exit_code=EXIT_USAGE,
                )  # fmt: skip
        orders = {matrix.names for matrices in self.matrices.values() for matrix in matrices}
        self.same_order = len(orders) == 1
        self.notes: list[str] = []
        if len(set().union(*met.values())) > 1:
            self.notes.append("runs met different experiences, so their measures are not of the same pictures")
        if not self.same_order:
            self.notes.append("experiences or their orders differ, so there are no plots of single ones")

    def text(self, format: str = "markdown", conventions: Sequence[str] = tuple(CONVENTIONS)) -> str:  # noqa: A002
        """Return the tables of the conventions and the score sheet, one after the other."""
        return "\n".join([*(render(self.matrices, name, format) for name in conventions), self.sheet(format)])

    def sheet(self, format: str = "markdown") -> str:  # noqa: A002
        """Return the score sheet."""
        return score_sheet(self.documents, format)

    def write(self, folder: str | Path, *, published: bool = False) -> list[Path]:
        """Write every table in every format and every plot into a folder; return what was written.

        Where orders differ, the plots of single experiences are left out.
        """
        files = self._files(published)
        Path(folder).mkdir(parents=True, exist_ok=True)
        contents = {name: make() for name, make in files.items()}
        return [atomic_write(Path(folder) / name, content) for name, content in contents.items()]

    def planned(self, folder: str | Path) -> list[Path]:
        """Return what `write` would write."""
        return [Path(folder) / name for name in self._files(published=False)]

    def _files(self, published: bool) -> dict[str, Callable[[], bytes]]:
        from standout.lifelong.plot import plot_accuracy, plot_experiences, plot_matrices

        files: dict[str, Callable[[], bytes]] = {}
        for form in FORMATS:
            for convention in CONVENTIONS:
                files[f"{convention}.{SUFFIXES[form]}"] = partial(self._table, convention, form)
            files[f"sheet.{SUFFIXES[form]}"] = partial(self._sheet, form)
        files["accuracy.png"] = partial(plot_accuracy, self.matrices, published=published)
        if self.same_order:
            files["matrices.png"] = partial(plot_matrices, self.matrices)
            files["experiences.png"] = partial(plot_experiences, self.matrices)
        return files

    def _table(self, convention: str, form: str) -> bytes:
        return render(self.matrices, convention, form).encode()

    def _sheet(self, form: str) -> bytes:
        return self.sheet(form).encode()


def labelled(runs: Sequence[str]) -> dict[str, list[str]]:
    """Return the runs by label: what stands before `=`, or else what the run's recipe is.

    That is the method with the options that are not its defaults, the memory where there is one, the recogniser where
    it is not the method's own, and every other setting in which runs of the same words differ: only seeds and orders
    are averaged over. Runs that met other experiences stand apart by the stream's folder.

    Raises
    ------
    StandoutError : exit code 2, a folder has no results, or a label is empty.
    """
    named: list[tuple[str, str, dict[str, Any]]] = []
    recipes: dict[str, list[dict[str, Any]]] = {}  # words -> settings of each run that they describe
    streams: dict[str, set[frozenset[str]]] = {}  # words -> the experiences that their runs met, in any order
    for given in runs:
        label, equals, folder = given.partition("=")
        settings: dict[str, Any] = {}
        if not equals or Path(given).exists():
            document = read_results(given)[1]
            # Runs that were stored before options were written out are of the same settings as those with them.
            recipe = {**document["recipe"], "method": with_defaults(document["recipe"]["method"])}
            label, folder, settings = _label(recipe), given, _settings(recipe)
            recipes.setdefault(label, []).append(settings)
            streams.setdefault(label, set()).add(frozenset(document["experiences"]))
            settings["stream"] = Path(recipe["stream"]["path"]).name
        elif not label:
            raise StandoutError("usage", "label is empty", given, "write LABEL=RUN", exit_code=EXIT_USAGE)
        named.append((label, folder, settings))
    unlike = {
        label: [path for path in _unlike(settings) if path != "stream" or len(streams[label]) > 1]
        for label, settings in recipes.items()
    }
    found: dict[str, list[str]] = {}
    for label, folder, settings in named:
        more = [f"{path}={settings[path]}" for path in unlike.get(label, ()) if path in settings]
        found.setdefault(", ".join([label, *more]), []).append(folder)
    return found


def _settings(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that one recipe's runs share; the others are averaged over or change no result."""
    return {path: value for path, value in leaves(recipe).items() if path not in FREE | {"seed", "stream.order"}}


def _unlike(recipes: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the settings, known of all recipes, that are not the same in all."""
    first = recipes[0]
    return [
        path for path, value in first.items()
        if all(path in other for other in recipes) and any(other[path] != value for other in recipes)
    ]  # fmt: skip


def _label(recipe: Mapping[str, Any]) -> str:
    name = recipe["method"]["name"]
    options = ", ".join(f"{key}={value}" for key, value in chosen_options(recipe["method"]).items())
    words = [f"{name}({options})" if options else name]
    own = METHODS[name].recogniser if name in METHODS else ""
    if recipe["network"]["name"] != own:
        words.append(f"on {recipe['network']['name']}")
    if recipe["memory"]["bytes"]:
        words.append(f"with {recipe['memory']['bytes'] / 2**20:.2f} MiB")
    return " ".join(words)
