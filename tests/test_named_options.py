"""What a message tells people to type exists."""

import ast
import re
from pathlib import Path

import standout
from standout.cli import VERBS, main

SOURCE = Path(standout.__file__).parent
OPTION = re.compile(r"--[a-z][a-z-]+")
# What standout asks git for.
OTHER_PROGRAMS = {"--error-unmatch", "--porcelain", "--untracked-files"}


def options():
    """The options of all verbs and of the program itself."""
    commands = [main, *(main.get_command(None, verb) for verb in VERBS)]
    groups = [command for command in commands[1:] if hasattr(command, "list_commands")]
    commands += [group.get_command(None, name) for group in groups for name in group.list_commands(None)]
    named = {
        name for command in commands for option in command.params for name in (*option.opts, *option.secondary_opts)
    }
    return named | {"--help", "--debug"}


def messages(path):
    """The texts of a module that are not docstrings, with the lines that they stand on."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    bare = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in bare:
            yield node.lineno, node.value


def test_every_option_that_a_message_names_exists():
    known, named = options() | OTHER_PROGRAMS, 0
    for path in SOURCE.rglob("*.py"):
        for line, text in messages(path):
            found = set(OPTION.findall(text))
            named += len(found)
            assert found <= known, f"{path.name}:{line} names {sorted(found - known)}"
    assert named > 20
