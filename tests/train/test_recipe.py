import json
import subprocess
import sys
import tomllib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from standout.errors import StandoutError
from standout.train.build import build_strategy, build_task
from standout.train.recipe import (
    FREE,
    Recipe,
    as_tables,
    as_toml,
    check_recipe,
    differences,
    read_recipe,
    shipped_recipes,
)
from standout.train.recipe_text import edit, parse_setting, parse_strategy


def refused(tables):
    with pytest.raises(StandoutError) as caught:
        check_recipe(tables)
    assert caught.value.exit_code == 2
    return str(caught.value)


def test_every_shipped_recipe_is_whole_and_builds_what_it_names():
    names = {path.stem for path in shipped_recipes()}
    papers = {"chen2023_virtual_teacher", "chen2023_non_negative_feedback", "chen2024_dynamic_dropout"}
    assert names >= papers | {"zheng2023_pyramid", "default"}
    for path in shipped_recipes():
        recipe = check_recipe(read_recipe(path.stem))
        assert all(build_strategy(entry).forward for entry in recipe.strategies)
        assert callable(build_task(recipe.task))
        text = path.read_text()
        assert "Source:" in text
        if path.stem in papers:
            assert "reconstructed from the abstract" in " ".join(text.replace("#", " ").split())


def test_a_recipe_survives_being_written_and_read():
    for path in shipped_recipes():
        recipe = check_recipe(read_recipe(path))
        assert check_recipe(tomllib.loads(as_toml(recipe))) == recipe


@pytest.mark.parametrize(
    ("tables", "said"),
    [
        ({"optimizer": {}}, "unknown recipe key: optimizer; did you mean optimiser"),
        ({"optimiser": {"rat": 1}}, "unknown recipe key: optimiser.rat; did you mean optimiser.rate"),
        ({"training": {"rate": 0.1}}, "unknown recipe key: training.rate; did you mean optimiser.rate"),
        ({"training": {"batch": 0}}, "training.batch"),
        ({"training": {"epochs": 10**20}}, "training.epochs"),
        ({"training": {"threads": 100_000}}, "training.threads"),
        ({"training": {"time_limit": float("inf")}}, "training.time_limit; write a finite number"),
        ({"strategies": [{"name": "pyramid", "temperature": 2**63}]}, "strategies.0.temperature; write a finite"),
        ({"strategies": [{"name": "pyramid", "temperature": float("nan")}]}, "strategies.0.temperature"),
        ({"optimiser": {"betas": [0.9, 1.0]}}, "optimiser.betas"),
        ({"augmentation": {"scale": [2.0, 1.0]}}, "augmentation.scale=[2, 1]; write two numbers above 0"),
        ({"augmentation": {"scale": [0.0, 1.0]}}, "augmentation.scale=[0, 1]"),
        ({"training": {"batch": "many"}}, "training.batch"),
        ({"optimiser": {"name": "adam"}}, "optimiser.name"),
        ({"optimiser": {"rate": -1.0}}, "optimiser.rate"),
        ({"validation": {"split": 1.5}}, "validation.split"),
        ({"schedule": {"warmup": 1.0}}, "schedule.warmup"),
        ({"strategies": [{"alpha": 0.1}]}, "without a name"),
        ({"task": {}}, "without a name"),
        ({"strategies": [{"name": "pyramid"}, {"name": "pyramid", "temperature": 2}]}, "pyramid; list it once"),
        ({"optimiser": {"momentum": 0.0}}, "nesterov"),
        ({"seed": -1}, "seed"),
    ],
)
def test_a_wrong_recipe_is_refused_by_name(tables, said):
    assert said in refused(tables)


@settings(max_examples=25)
@given(some.text(some.characters(categories=["Ll"]), min_size=1, max_size=12))
def test_k09_no_unknown_key_is_ever_let_through(key):
    for table in ("data", "network", "optimiser", "schedule", "augmentation", "training", "validation"):
        known = set(as_tables(Recipe())[table])
        if key not in known:
            assert "unknown recipe key" in refused({table: {key: 1}})


def test_settings_edit_before_the_check():
    tables = {"optimiser": {"rate": 0.1}, "strategies": [{"name": "virtual_teacher"}]}
    edit(
        tables,
        [
            "optimiser.rate=0.01",
            "network.name=pocket",
            "strategies.0.alpha=0.3",
            "augmentation.sizes=[224, 256]",
            "training.channels_last=false",
            "network.options.width=16",
            "data.train=some/path",
        ],
    )
    recipe = check_recipe(tables)
    assert (recipe.optimiser.rate, recipe.network.name, recipe.strategies[0]["alpha"]) == (0.01, "pocket", 0.3)
    assert (recipe.augmentation.sizes, recipe.training.channels_last) == ((224, 256), False)
    assert (recipe.network.options, recipe.data.train) == ({"width": 16}, "some/path")


@pytest.mark.parametrize("setting", ["optimiser.rate", "=3", "a..b=1", "seed.x=1", "strategies.3.alpha=1"])
def test_a_setting_that_leads_nowhere_is_refused(setting):
    with pytest.raises(StandoutError) as caught:
        edit({"seed": 0, "strategies": [{"name": "pyramid"}]}, [setting])
    assert caught.value.exit_code == 2


def test_a_value_cannot_smuggle_in_another_key():
    assert parse_setting("seed=1\nname = 3") == (["seed"], "1\nname = 3")


@pytest.mark.parametrize(
    ("text", "entry"),
    [
        ("pyramid", {"name": "pyramid"}),
        ("pyramid()", {"name": "pyramid"}),
        (
            "non_negative_feedback(temperature=4, alpha=0.3, form='hinge')",
            {"name": "non_negative_feedback", "temperature": 4, "alpha": 0.3, "form": "hinge"},
        ),
        ("virtual_teacher(form=kl1)", {"name": "virtual_teacher", "form": "kl1"}),
        ("dynamic_dropout(virtual_teacher)", {"name": "dynamic_dropout", "inner": {"name": "virtual_teacher"}}),
        (
            "dynamic_dropout( mean_squared(alpha=1e-1) , rule=quantile)",
            {"name": "dynamic_dropout", "inner": {"name": "mean_squared", "alpha": 0.1}, "rule": "quantile"},
        ),
        ("a(inner=b(alpha=0.2))", {"name": "a", "inner": {"name": "b", "alpha": 0.2}}),
        ("a(b=true, c=False)", {"name": "a", "b": True, "c": False}),
    ],
)  # fmt: skip
def test_a_strategy_is_read_as_it_is_written(text, entry):
    assert parse_strategy(text) == entry


@pytest.mark.parametrize(
    "text",
    ["", "(", "a(", "a)", "a(b", "a(b=)", "a(b=1", "a(b=1,c)", "a(b=1 c=2)", "a b", "a(b='x)", "a(=1)", "a(b=1,b=2)"],
)
def test_a_strategy_that_is_written_wrong_is_refused_with_the_place(text):
    with pytest.raises(StandoutError) as caught:
        parse_strategy(text)
    assert caught.value.exit_code == 2


@given(some.text("ab(),= '\"1.", max_size=20))
def test_no_text_makes_the_reader_of_strategies_crash(text):
    try:
        entry = parse_strategy(text)
    except StandoutError:
        return
    assert json.loads(json.dumps(entry))["name"]


def test_strategies_refuse_what_they_do_not_know():
    for entry, said in (
        ({"name": "virtual_teacher", "multiplier": "x"}, "could not convert string to float"),
        ({"name": "pyramid", "supervision": {"name": 5}}, "pyramid refuses its options"),
        ({"name": "virtal_teacher"}, "did you mean virtual_teacher"),
        ({"name": "virtual_teacher", "confidenc": 1}, "did you mean confidence"),
        ({"name": "virtual_teacher", "confidence": 7}, "confidence"),
        ({"name": "dynamic_dropout"}, "needs inner"),
        ({"name": "dynamic_dropout", "inner": {"name": "pyramid"}}, "per pixel"),
    ):
        with pytest.raises(StandoutError, match=said) as caught:
            build_strategy(entry)
        assert caught.value.exit_code == 2
    for entry, said in (({"name": "dic"}, "did you mean dice"), ({"name": "focal", "gama": 1}, "did you mean gamma")):
        with pytest.raises(StandoutError, match=said):
            build_task(entry)


def test_a_drawing_strategy_takes_the_runs_seed_unless_it_has_its_own():
    entry = {"name": "dynamic_dropout", "rule": "bernoulli", "inner": {"name": "virtual_teacher"}}
    assert build_strategy(entry, seed=7).seed == 7
    assert build_strategy({**entry, "seed": 3}, seed=7).seed == 3


def test_differences_name_every_changed_field_and_free_ones_exist():
    first = check_recipe({"strategies": [{"name": "pyramid"}]})
    second = check_recipe(
        {"seed": 1, "optimiser": {"rate": 0.2}, "task": {"name": "dice"}, "network": {"options": {"width": 8}}}
    )
    assert set(differences(first, second)) == {"seed", "strategies", "optimiser.rate", "task", "network.options.width"}
    tables = as_tables(first)
    for field in FREE:
        table, _, key = field.partition(".")
        assert key in tables[table]


def test_reading_recipes_loads_no_torch():
    code = "import sys, standout.cli.train, standout.train.recipe; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(("value", "told"), [("cosin", "did you mean cosine?"), ("7zz", "known are constant, cosine,")])
def test_a_word_that_is_no_choice_is_answered_with_the_choices(value, told):
    tables = {**read_recipe("default"), "schedule": {"name": value}}

    with pytest.raises(StandoutError) as caught:
        check_recipe(tables)
    assert caught.value.where == "schedule.name"
    assert told in str(caught.value)
