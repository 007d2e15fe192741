"""`--explain`: a figure made under known rules is traced back to them, and to the pictures that decide."""

import json
import shutil
import statistics
from pathlib import Path

import numpy as np
import pytest
from eval_sets import shapes, standout_eval, write
from PIL import Image

from standout.errors import StandoutError
from standout.evaluate import Rules, explain, score_maps
from standout.evaluate.explain import Sought, explanation_text
from standout.metrics import MEASURES


@pytest.fixture(scope="module")
def odd(tmp_path_factory):
    """Twelve pairs on which every choice matters: dim maps, grey masks, an empty mask, maps of another size."""
    folder = tmp_path_factory.mktemp("odd")
    for at in range(12):
        random = np.random.default_rng([3, at])
        found, mask = shapes(random, 24, 32)
        found = (found * (0.5 + 0.04 * at)).astype(np.uint8) + np.uint8(3)
        if at == 4:
            mask[:] = 0
        if at in (5, 6):
            mask[:6, :9] = (128, 60)[at - 5]
        if at == 7:
            found = found[::2, ::2]
        write(folder / "maps" / f"p{at:02}.png", found)
        write(folder / "masks" / f"p{at:02}.png", mask)
    return folder


def fitting(folder, value, measure, digits=9):
    told = explain(folder / "maps", folder / "masks", f"{value:.{digits}f}", measures=[measure])
    return [candidate.protocol for candidate in told.found]


@pytest.mark.parametrize("protocol", ["pysodmetrics-1.6.2", "raw", "sane"])
@pytest.mark.parametrize("measure", ["f_max", "weighted_f", "e_mean"])
def test_a_figure_of_a_named_protocol_is_traced_to_it(odd, protocol, measure):
    value = score_maps(odd / "maps", odd / "masks", rules=Rules(protocol)).measures[measure]
    named = fitting(odd, value, measure)[0]
    again = score_maps(odd / "maps", odd / "masks", rules=Rules(named.name)).measures[measure]
    assert again == pytest.approx(value, abs=1e-9)
    if protocol == "pysodmetrics-1.6.2" or measure == "e_mean":
        assert named.name == protocol


@pytest.mark.parametrize("above", [127, 0])
def test_a_figure_made_with_another_mask_threshold_is_traced(odd, tmp_path, above):
    folder = Path(shutil.copytree(odd, tmp_path / "odd"))
    for path in (folder / "masks").iterdir():
        write(path, (np.asarray(Image.open(path)) > above) * np.uint8(255))
    value = score_maps(folder / "maps", folder / "masks").measures["mae"]
    (protocol,) = fitting(odd, value, "mae")
    assert (protocol.mask_above, protocol.stretch) == (above, True)
    assert protocol.name == f"pysodmetrics-1.6.2, masks above {above}"


def test_a_figure_made_without_the_empty_masks_is_traced(odd, tmp_path):
    folder = Path(shutil.copytree(odd, tmp_path / "odd"))
    for part in ("maps", "masks"):
        (folder / part / "p04.png").unlink()
    value = score_maps(folder / "maps", folder / "masks").measures["s"]
    (protocol,) = fitting(odd, value, "s")
    assert protocol.name == "pysodmetrics-1.6.2, empty masks left out"


def test_a_figure_made_with_nearest_resizing_is_traced(odd, tmp_path):
    folder = Path(shutil.copytree(odd, tmp_path / "odd"))
    with Image.open(folder / "maps" / "p07.png") as small:
        write(folder / "maps" / "p07.png", np.asarray(small.resize((32, 24), Image.Resampling.NEAREST)))
    value = score_maps(folder / "maps", folder / "masks").measures["mae"]
    (protocol,) = fitting(odd, value, "mae")
    assert protocol.resize == "nearest"
    assert "nearest pixel" in protocol.name


def test_a_figure_of_255_thresholds_is_traced(odd):
    scored = score_maps(odd / "maps", odd / "masks", rules=Rules("raw"))
    curve = scored.sums.curves()["f"]
    without = np.delete(curve, 254).mean()
    assert without != curve.mean()
    assert [protocol.thresholds for protocol in fitting(odd, without, "f_mean")] == [255]


def test_the_mean_of_the_pictures_maxima_is_traced(odd, tmp_path):
    maxima = []
    for at in range(12):
        for part in ("maps", "masks"):
            (tmp_path / str(at) / part).mkdir(parents=True)
            shutil.copy(odd / part / f"p{at:02}.png", tmp_path / str(at) / part)
        maxima.append(score_maps(tmp_path / str(at) / "maps", tmp_path / str(at) / "masks").measures["f_max"])
    told = explain(odd / "maps", odd / "masks", f"{statistics.fmean(maxima):.9f}")
    assert told.found[0].measure == "f_max_each"
    assert told.found[0].protocol.name == "pysodmetrics-1.6.2"
    assert "max F of each" in explanation_text(told)


def test_only_choices_that_matter_are_told(tmp_path):
    for at in range(3):
        found, mask = shapes(np.random.default_rng(at), 24, 32)
        found[0, 0], found[0, 1] = 0, 255
        write(tmp_path / "maps" / f"{at}.png", found)
        write(tmp_path / "masks" / f"{at}.png", mask)
    value = score_maps(tmp_path / "maps", tmp_path / "masks").measures["mae"]
    assert [protocol.name for protocol in fitting(tmp_path, value, "mae")] == ["pysodmetrics-1.6.2"]
    told = explain(tmp_path / "maps", tmp_path / "masks", f"{value:.6f}", measures=["mae"])
    assert told.pictures == ()
    assert "the same on every picture" in explanation_text(told)


def test_the_pictures_that_decide_are_named_and_add_up_to_the_difference(odd):
    values = {name: score_maps(odd / "maps", odd / "masks", rules=Rules(name)).measures for name in ("raw", "sane")}
    base = score_maps(odd / "maps", odd / "masks").measures
    for measure in ("f_max", "mae"):
        told = explain(odd / "maps", odd / "masks", f"{base[measure]:.9f}", measures=[measure])
        assert (told.first.name, told.second.name) == ("pysodmetrics-1.6.2", "raw")
        apart = sum(one.first - one.second for one in told.pictures) / 12
        assert apart == pytest.approx(base[measure] - values["raw"][measure], abs=1e-12)
        assert [one.apart for one in told.pictures] == sorted((one.apart for one in told.pictures), reverse=True)
    told = explain(odd / "maps", odd / "masks", f"{values['sane']['weighted_f']:.9f}", measures=["weighted_f"])
    assert told.first.name == "sane"
    assert told.second.name == "pysodmetrics-1.6.2"


def test_where_no_rules_fit_the_nearest_figures_are_told(odd):
    told = explain(odd / "maps", odd / "masks", "0.000001")
    assert told.found == ()
    assert [abs(one.value) for one in told.nearest] == sorted(abs(one.value) for one in told.nearest)
    assert explanation_text(told).startswith("no rules that we know give 0.000001 over 12 pictures")


@pytest.mark.parametrize(
    ("text", "value", "fits"),
    [
        ("0.806", 0.8055, True),
        ("0.806", 0.80649, True),
        ("0.806", 0.80699, True),  # cut off, not rounded
        ("0.806", 0.8054, False),
        ("0.806", 0.807, False),
        (".81", 0.806, True),
        ("80.6", 0.8061, True),
        ("80.6%", 0.8061, True),
        ("80.6", 0.8081, False),
        ("1", 1.0000083, True),
        ("0.5 %", 0.005, True),
    ],
)
def test_a_figure_fits_what_prints_like_it(text, value, fits):
    assert Sought.parse(text).matches(value) is fits


@pytest.mark.parametrize("text", ["", "-0.8", "F", "0.8.1", "1e-3", "101", "nan", "."])
def test_what_is_no_figure_is_refused(odd, text):
    with pytest.raises(StandoutError) as caught:
        explain(odd / "maps", odd / "masks", text)
    assert caught.value.exit_code == 2


def test_missing_maps_are_refused_by_name(odd, tmp_path):
    folder = Path(shutil.copytree(odd, tmp_path / "odd"))
    (folder / "maps" / "p03.png").unlink()
    (folder / "maps" / "p05.png").write_bytes(b"")
    with pytest.raises(StandoutError, match=r"1 missing: p03; 1 unreadable: p05"):
        explain(folder / "maps", folder / "masks", "0.5")
    with pytest.raises(StandoutError, match="1 mis-sized: p07"):
        explain(odd / "maps", odd / "masks", "0.5", rules=Rules(strict_size=True))


def test_the_command_explains(odd):
    value = score_maps(odd / "maps", odd / "masks").measures["weighted_f"]
    figure = f"{value:.4f}"
    done = standout_eval(odd / "maps", odd / "masks", "--explain", figure, "--measures", "weighted_f", "--jobs", "2")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{figure} over 12 pictures is\n  weighted F     {value:.6f}  pysodmetrics-1.6.2\n")
    assert "2 under raw" in done.stdout
    stored = json.loads(standout_eval(odd / "maps", odd / "masks", "--explain", figure, "--json").stdout)
    assert stored["schema"] == 1
    assert {one["measure"] for one in stored["found"]} <= {*MEASURES, "f_max_each", "e_max_each"}
    assert stored["differences"]["second"]
    for wrong in (["--label", "x"], ["--protocol", "raw"], ["--measures", "f_mx"], ["--output", "x.json"]):
        failed = standout_eval(odd / "maps", odd / "masks", "--explain", figure, *wrong)
        assert (failed.returncode, failed.stdout) == (2, "")
