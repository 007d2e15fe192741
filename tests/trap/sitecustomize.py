"""Shuts the network for every Python that a test starts, and notes who knocked: promise K10.

Python imports a module of this name by itself at its start, where its folder is on the path; `conftest` puts it there
for all child processes, and imports it for the tests' own process. This machine alone may be reached: processes of one
run find each other there, by its name too.
"""

import os
import sys

LOG = "STANDOUT_TESTS_NETWORK_LOG"
"""Names the file that gets a line for each attempt, so that code which swallows the exception is found out too."""
HERE = ("127.0.0.1", "::1", "localhost", "", None, os.uname().nodename if hasattr(os, "uname") else None)
NAMED = ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr")
SENT = ("socket.connect", "socket.sendto", "socket.sendmsg")


def refuse(event, arguments):
    if event in NAMED:
        where = arguments[0]
    elif event in SENT:
        address = arguments[1]
        if address is None or isinstance(address, str | bytes):  # connected already, or a local socket's path
            return
        where = address[0]
    elif event == "urllib.Request":
        where = arguments[0]
    else:
        return
    if isinstance(where, bytes):
        where = where.decode(errors="replace")
    if where in HERE:
        return
    told = f"{event} {where!r} by {' '.join(map(str, sys.argv[:3]))}"
    if os.environ.get(LOG):
        with open(os.environ[LOG], "a") as log:  # noqa: PTH123 - every start pays for what this file imports
            log.write(told.replace("\n", " ") + "\n")
    raise RuntimeError(f"a test tried to reach the network: {told}")


sys.addaudithook(refuse)
