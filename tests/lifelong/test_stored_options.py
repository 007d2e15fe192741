"""A run's files hold every option of its method, so that no later default changes what a run is."""

import inspect
import json
import tomllib

import pytest
from stream_trees import settings_for
from test_lifelong_resume import StopsAt

from standout.errors import StandoutError
from standout.lifelong import learn
from standout.lifelong.compare import labelled
from standout.lifelong.learner import stored_tables
from standout.lifelong.methods import METHODS, chosen_options, with_defaults
from standout.lifelong.methods.lwf import WithoutForgetting
from standout.lifelong.methods.sdkd import SaliencyDistillation

SHORT = {"training": {"epochs": 1}}


def as_before(folder):
    """Take the options out of a finished run's results, as they were stored before options were written out."""
    path = folder / "results.json"
    document = json.loads(path.read_text())
    document["recipe"]["method"] = document["method"] = {"name": document["method"]["name"]}
    path.write_text(json.dumps(document))
    return str(folder)


def test_recipe_and_results_hold_every_option_of_the_method(three, tmp_path):
    learn(three, {"name": "sdkd", "lambda2": 2.5}, tmp_path / "run", settings=settings_for("sdkd", **SHORT))

    expected = {key: one.default for key, one in inspect.signature(SaliencyDistillation).parameters.items()}
    assert expected.pop("ft_planes") is None  # follows from ft_on, and TOML has no word for it
    expected |= {"name": "sdkd", "lambda2": 2.5}
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    assert tomllib.loads((tmp_path / "run" / "recipe.toml").read_text())["method"] == expected
    assert results["method"] == results["recipe"]["method"] == expected


@pytest.mark.parametrize("name", METHODS)
def test_what_a_methods_name_fixes_is_no_option_that_is_stored(name):
    assert not set(with_defaults({"name": name})) & set(METHODS[name].options)
    assert chosen_options(with_defaults({"name": name})) == {}


def test_a_run_goes_on_with_the_options_it_began_with_where_defaults_have_changed(growing, tmp_path, monkeypatch):
    run = tmp_path / "run"
    learn(growing, "lwf", run, settings=settings_for("lwf", **SHORT), shown=StopsAt(3))
    monkeypatch.setattr(WithoutForgetting.__init__, "__defaults__", (4.0, 1.0))

    with pytest.raises(StandoutError, match=r"setting differs from the run's: method was .*'temperature': 2\.0"):
        learn(growing, "lwf", run, settings=settings_for("lwf", **SHORT), resume=True)
    learn(None, None, run, settings=stored_tables(run), resume=True)
    assert tomllib.loads((run / "recipe.toml").read_text())["method"]["temperature"] == 2.0


def test_a_run_that_was_stored_without_options_goes_on(growing, tmp_path, monkeypatch):
    run = tmp_path / "run"
    with monkeypatch.context() as before:
        before.setattr("standout.lifelong.recipe.with_defaults", dict)
        learn(growing, "lwf", run, settings=settings_for("lwf", **SHORT), shown=StopsAt(3))
    assert stored_tables(run)["method"] == {"name": "lwf"}

    ended = learn(None, None, run, settings=stored_tables(run), resume=True)
    assert ended.signal is None
    assert stored_tables(run)["method"] == {"name": "lwf", "temperature": 2.0, "weight": 1.0}


def test_the_flatten_head_is_made_for_the_size_of_the_views(three, tmp_path):
    network = {"name": "sdkd_tiny", "options": {"head": "flatten"}}
    settings = settings_for("naive", network=network, training={"epochs": 1, "size": 64})
    other = {**settings, "network": {"name": "sdkd_tiny", "options": {"head": "flatten", "size": 224}}}
    with pytest.raises(
        StandoutError, match=r"size=224, training\.size=64; leave network\.options\.size out"
    ) as refused:
        learn(three, "naive", tmp_path / "other", settings=other)
    assert refused.value.exit_code == 2
    assert not (tmp_path / "other").exists()

    learnt = learn(three, "naive", tmp_path / "run", settings=settings)
    assert learnt.network.options["size"] == 64
    assert stored_tables(tmp_path / "run")["network"]["options"]["size"] == 64


def test_runs_with_and_without_written_defaults_are_of_one_setting(three, tmp_path):
    settings = settings_for("lwf", **SHORT)
    for name, method in (("a", "lwf"), ("b", {"name": "lwf", "weight": 1.0}), ("c", {"name": "lwf", "weight": 2.0})):
        learn(three, method, tmp_path / name, settings=settings)
    plain, stated, other = (str(tmp_path / name) for name in "abc")

    expected = {"lwf on sdkd_tiny": [plain, stated], "lwf(weight=2.0) on sdkd_tiny": [other]}
    assert labelled([plain, stated, other]) == expected
    as_before(tmp_path / "a")
    assert labelled([plain, stated, other]) == expected
