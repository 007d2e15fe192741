"""The one exception that reaches a user, and the exit codes.

A failure is one line: *what is wrong: which thing; what to do*. Anything else that escapes is a bug of standout.
"""

from __future__ import annotations

from pathlib import Path

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130
EXIT_PIPE = 141


def printable(name: object) -> str:
    r"""Return a name from outside with control characters, bidirectional marks and invalid UTF-8 escaped.

    A file name may hold a newline or a terminal escape; printed raw it could forge a line of our output.
    """
    text = str(name)
    return "".join(
        c
        if (c.isprintable() and not 0xD800 <= ord(c) <= 0xDFFF)
        else c.encode("unicode_escape", "surrogatepass").decode()
        for c in text
    )


class StandoutError(Exception):
    """A failure that a person can mend, told in one line.

    Parameters
    ----------
    code : a short stable name with hyphens, such as "picture-truncated"; what `--json` prints.
    what : what is wrong, lower case, no full stop.
    where : the file, option or value it is about; escaped for the terminal.
    how : what to do next; may be empty.
    exit_code : 1 where something failed, 2 where nothing was started (usage or settings).
    """

    def __init__(
        self,
        code: str,
        what: str,
        where: str | Path | object = "",
        how: str = "",
        *,
        exit_code: int = EXIT_FAILED,
    ) -> None:
        self.code = code
        self.what = what
        self.where = where
        self.how = how
        self.exit_code = exit_code
        super().__init__(code, what, where, how)

    def __str__(self) -> str:
        text = self.what
        place = printable(self.where)
        if place:
            text += f": {place}"
        if self.how:
            text += f"; {printable(self.how)}"
        return text

    def __reduce__(self) -> tuple[object, ...]:
        # Worker processes send errors home; the exit code must survive the trip.
        return (_rebuild, (self.code, self.what, self.where, self.how, self.exit_code))


def _rebuild(code: str, what: str, where: object, how: str, exit_code: int) -> StandoutError:
    return StandoutError(code, what, where, how, exit_code=exit_code)
