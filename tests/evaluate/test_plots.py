"""The curves of a comparison as figures for papers."""

import io
import subprocess
import sys

import numpy as np
import pytest
from eval_sets import make_methods, sources, standout_eval
from PIL import Image

from standout.evaluate import Rules, compare, plot_comparison
from standout.evaluate.plots import PLOTS, comparison_figure, plot_names

UNWEIGHTED = Rules(weighted=False)


@pytest.fixture(scope="module")
def studio(tmp_path_factory):
    return make_methods(tmp_path_factory.mktemp("plots"), {"a": 0.2, "b": 0.5, "again": 0.3})


@pytest.fixture(scope="module")
def comparison(studio):
    maps, masks = sources(studio, "ab")
    return compare([*maps, ("b", studio / "again")], masks, rules=UNWEIGHTED)


def points(line):
    return np.stack([line.get_xdata(), line.get_ydata()])


@pytest.mark.parametrize("name", PLOTS)
def test_the_lines_are_the_mean_curves_of_each_method_on_each_set(comparison, name):
    curves = PLOTS[name]
    figure = comparison_figure(comparison, curves)
    panels = figure.get_axes()
    assert len(panels) == len(curves) * len(comparison.sets)
    for at, panel in enumerate(panels):
        curve, data = curves[at // len(comparison.sets)], comparison.sets[at % len(comparison.sets)]
        assert panel.get_title() == data
        first, second, *runs = panel.get_lines()
        of_set = {method: [run.curves() for run in comparison.of(method, data)] for method in "ab"}
        for line, found in ((first, of_set["a"]), (second, of_set["b"])):
            expected = np.mean([run[curve.y] for run in found], axis=0)
            assert np.array_equal(points(line)[1], expected)
            x = np.arange(255, -1, -1) if curve.x is None else np.mean([run[curve.x] for run in found], axis=0)
            assert np.array_equal(points(line)[0], x)
        assert [points(line)[1].tolist() for line in runs] == [run[curve.y].tolist() for run in of_set["b"]]
        low, high = panel.get_ylim()
        assert all(low <= line.get_ydata().min() <= line.get_ydata().max() <= high for line in panel.get_lines())
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["a", "b"]


def test_every_figure_comes_in_every_format_and_says_its_protocol(comparison):
    files = plot_comparison(comparison)
    assert tuple(files) == plot_names()
    told = "Protocol pysodmetrics-1.6.2 (version 1)"
    for name, content in files.items():
        if name.endswith(".png"):
            picture = Image.open(io.BytesIO(content))
            assert told in picture.text["Description"]
            pixels = np.asarray(picture.convert("RGB"))
            assert (pixels[[0, -1]] == 255).all()  # nothing is cut off
            assert (pixels[:, [0, -1]] == 255).all()
            assert np.ptp(pixels) == 255
        elif name.endswith(".svg"):
            assert content.startswith(b"<?xml")
            assert told.encode() in content
        else:
            assert content.startswith(b"%PDF")
            assert told.encode() in content.replace(b"\\(", b"(").replace(b"\\)", b")")
            assert b"/Type3" not in content


def test_equal_comparisons_give_equal_files(studio, comparison):
    maps, masks = sources(studio, "ab")
    again = compare([*maps, ("b", studio / "again")], masks, rules=UNWEIGHTED, jobs=2)
    assert plot_comparison(again) == plot_comparison(comparison)


def test_names_are_drawn_as_they_are(tmp_path):
    names = ["_odd", "a$b_c$", "x^2", *(f"method {at}" for at in range(9))]
    make_methods(tmp_path, dict.fromkeys(names, 0.2), {"S_1$": 2})
    maps = [(name, tmp_path / name) for name in names]
    made = compare(maps, [("S_1$", tmp_path / "masks" / "S_1$")], rules=UNWEIGHTED)
    figure = comparison_figure(made, PLOTS["f"])
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == names
    looks = {(line.get_color(), str(line.get_linestyle())) for line in figure.get_axes()[0].get_lines()}
    assert len(looks) == len(names)
    assert figure.get_axes()[0].get_title() == "S_1$"


def test_e02_a_partial_set_says_so_over_its_panel_alone(studio, tmp_path):
    make_methods(tmp_path, {"a": 0.2})
    (tmp_path / "a" / "ECSSD" / "p0002.png").unlink()
    made = compare(*sources(tmp_path, "a"), rules=UNWEIGHTED, allow_missing=True)
    first, second = comparison_figure(made, PLOTS["pr"]).get_axes()
    assert first.get_title() == "ECSSD\nPARTIAL 5 of 6"
    assert second.get_title() == "PASCAL-S"


def test_the_command_draws_and_writes_over_nothing(studio, tmp_path):
    given = ["--maps", f"a={studio / 'a'}", "--masks", f"ECSSD={studio / 'masks' / 'ECSSD'}", "--no-weighted"]
    done = standout_eval(*given, "--plots", tmp_path / "new" / "figures")
    assert done.returncode == 0, done.stderr
    assert {path.name for path in (tmp_path / "new" / "figures").iterdir()} == set(plot_names())
    again = standout_eval(*given, "--plots", tmp_path / "new" / "figures")
    assert (again.returncode, again.stdout) == (2, "")
    assert "pr.pdf" in again.stderr


def test_without_matplotlib_the_remedy_is_told_before_anything_is_scored():
    check = (
        "import sys; sys.modules['matplotlib'] = None\n"
        "import importlib.util; find = importlib.util.find_spec\n"
        "importlib.util.find_spec = lambda name: None if name == 'matplotlib' else find(name)\n"
        "from standout.cli import run; sys.argv[1:] = "
        "['eval', '--maps', 'a=nowhere', '--masks', 'b=nowhere', '--plots', 'figures']; run()"
    )
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "standout[plots]" in done.stderr
