"""Promise K1 on four hundred random argument lists: a failure is one line, and none is a bug of ours."""

import random

import click
import pytest
import torch

from standout.cli import VERBS, main, run

LISTS = 400
VALUES = (
    "", "-", "--", "-1", "0", "3", "1e9", "9" * 30, "nan", "abc", "a=b", "[", "{}", "null", "1/2", "café",
    "a\x1b[31m\nb", "\udcff", "no-such-folder", "no/such.json", "empty", "notes.txt", "notes.txt/below", "x" * 300,
    "/dev/null", ".",
)  # fmt: skip
WRITE_WITHOUT_INPUT = {"quickstart", "lifelong generate"}
"""What would work for long, whatever its arguments: these are asked for a dry run."""


def commands():
    """Every command with the words that call it."""
    found, todo = [], [(verb, main.get_command(None, verb)) for verb in VERBS]
    while todo:
        words, command = todo.pop()
        if isinstance(command, click.Group):
            todo += [(f"{words} {name}", command.get_command(None, name)) for name in command.list_commands(None)]
        else:
            found.append((words, command))
    return sorted(found, key=lambda pair: pair[0])


def random_arguments(chance, words, command):
    """Return the words of a command with arguments and options of its own, now and then misspelt or without value."""
    made = words.split()
    if chance.random() < 0.05:
        made[-1] = made[-1][:-1]
    made += [chance.choice(VALUES) for _ in range(chance.choice([0, 1, 1, 2, 2, 3]))]
    options = [parameter for parameter in command.params if isinstance(parameter, click.Option)]
    for option in chance.sample(options, min(len(options), chance.randint(0, 4))):
        name = chance.choice(option.opts)
        made.append(name[:-1] if chance.random() < 0.05 else name)
        if not option.is_flag and chance.random() < 0.9:
            known = option.type.choices if isinstance(option.type, click.Choice) else ()
            made.append(str(chance.choice(known if known and chance.random() < 0.7 else VALUES)))
    return [words.split()[0], "--dry-run", *made[1:]] if words == "quickstart" else (
        [*words.split(), "--dry-run", *made[2:]] if words in WRITE_WITHOUT_INPUT else made
    )  # fmt: skip


@pytest.fixture
def place(tmp_path, monkeypatch):
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.txt").write_text("nothing that is read here\n")
    monkeypatch.chdir(tmp_path)
    threads = torch.get_num_threads()
    yield tmp_path
    torch.set_num_threads(threads)


def test_k01_random_arguments_end_well_or_with_one_line(place, capsys):
    chance, known, codes = random.Random(0), commands(), []
    for _ in range(LISTS):
        arguments = random_arguments(chance, *chance.choice(known))
        with pytest.raises(SystemExit) as left:
            run(arguments)
        said = capsys.readouterr()
        codes.append(left.value.code)
        errors = [line for line in said.err.splitlines() if line.startswith("standout: error: ")]
        assert left.value.code in (0, 1, 2), (arguments, said)
        assert len(errors) == (left.value.code != 0), (arguments, said)
        assert "bug of standout" not in said.err, (arguments, said)
        assert "Traceback" not in said.err + said.out, (arguments, said)
        assert "\x1b" not in said.err, (arguments, said)
    assert codes.count(2) < LISTS  # not all of them fail before a command begins
