"""The programs for library users run, and do what they say."""

import importlib.util
from pathlib import Path

EXAMPLES = Path(__file__).parent.parent / "examples"


def load(name):
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_example_has_a_test():
    assert sorted(path.stem for path in EXAMPLES.glob("*.py")) == ["one_loss_alone", "train_your_own_network"]


def test_training_an_own_network_lowers_the_loss(capsys):
    first, last = load("train_your_own_network").main(steps=30)

    assert last < 0.7 * first
    assert "keys: 0.weight" in capsys.readouterr().out


def test_one_loss_alone_learns():
    before, after = load("one_loss_alone").main(steps=60)

    assert after > 0.95 > before
