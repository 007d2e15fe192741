"""A group of verbs that are found late: its table holds each verb's one line of help; none is imported for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import click

from standout.errors import EXIT_USAGE, StandoutError
from standout.names import find, nearest

Table = Mapping[str, tuple[str, str]]


class Verbs(click.Group):
    """A group whose verbs stand in `table`: name -> ("module:command", one line of help)."""

    table: ClassVar[Table] = {}

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the verbs in the table's order."""
        return list(self.table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Return a verb, imported now."""
        if cmd_name not in self.table:
            return None
        command: click.Command = find({cmd_name: self.table[cmd_name][0]}, cmd_name, "verb")
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the verb that is typed.

        Raises
        ------
        StandoutError : exit code 2, an unknown verb; names the nearest.
        """
        if args and args[0] not in self.table and not args[0].startswith("-"):
            near = nearest(args[0], self.table)
            words = " ".join([*ctx.command_path.split()[1:], args[0]])
            raise StandoutError("unknown-name", "unknown verb", words, near, exit_code=EXIT_USAGE)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the table."""
        with formatter.section("Verbs"):
            formatter.write_dl([(verb, line) for verb, (_, line) in self.table.items()])
