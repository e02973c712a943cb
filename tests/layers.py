"""The layers of the package, as a table: which wing is in which row, and who alone may touch a module from outside.

`tests/test_layers.py` executes the table; `docs/architecture.py` writes it into the page on the architecture.
"""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import NamedTuple


class Wing(NamedTuple):
    """A part of the package: its modules, named as in `cashews.<name>`, its row, and one line on it."""

    name: str
    row: int
    purpose: str
    modules: Sequence[str] = ()

    def has(self, module: str) -> bool:
        """Say whether a module belongs to the wing."""
        return fits(module, self.modules or (self.name, f"{self.name}.*"))


def fits(module: str, patterns: Sequence[str]) -> bool:
    """Say whether a module is named by one of the patterns."""
    return any(fnmatchcase(module, pattern) for pattern in patterns)


WINGS = (
    Wing("cashews", 8, "the public names, the ready-made caches, the tour in the terminal", ("__init__", "__main__")),
    Wing("api", 7, "the face of a cache: commands, decorators, guards, transactions, settings"),
    Wing("testing", 7, "tools for tests of code that uses a cache"),
    Wing("typing", 7, "the types that users annotate with"),
    Wing("helpers", 7, "ready interceptors and conditions"),
    Wing("deprecated", 7, "modules of cashews 7", ("formatter", "key", "picklers", "validation", "wrapper")),
    Wing("cli", 7, "commands in the terminal besides the tour"),
    Wing("contrib.http", 1, "the HTTP cache policy: which responses may be stored, reused, and shown to whom"),
    Wing("contrib._starlette", 7, "streamed responses of Starlette as results of cached functions"),
    Wing("contrib", 9, "other frameworks: an HTTP cache, middlewares, metrics, traces, stores"),
    Wing("runners", 6, "carry out decorated calls: they ask, let the strategy judge, and act"),
    Wing("guards", 6, "wrap calls: each decides whether, when and how often the function runs"),
    Wing("backends.memory", 5, "the memory store: a table, its sweeper, its listeners"),
    Wing("backends.redis", 5, "the Redis store: connections, their inboxes, Lua scripts"),
    Wing("backends.disk", 5, "the disk store: lanes, each with a thread, over files of SQLite"),
    Wing("engine", 4, "routes, interceptors, load permits, single flight, refresher, coordinator of locks"),
    Wing(
        "backends",
        3,
        "the contract of a store; values to bytes in slices of time",
        (
            "backends",
            "backends.commands",
            "backends.direct",
            "backends.encoding",
            "backends.interface",
            "backends.modes",
            "backends.pages",
        ),
    ),
    Wing(
        "actors",
        3,
        "the event loop, lines to servers, mailboxes, the life cycle of an actor, the scope of tasks",
    ),
    Wing("table", 2, "the state of the memory store and its turns; an instant is an argument"),
    Wing("structures", 2, "bits, windows, counters, circuits: values with commands of their own"),
    Wing("serialize", 2, "values to bytes and back: codec, compression, signature"),
    Wing("strategies", 1, "judge a stored value at an instant; the forms in which outcomes are stored"),
    Wing("keys", 1, "keys of calls: templates, signatures, text, patterns, tags"),
    Wing("messages", 0, "commands with their arguments, each typed by its reply"),
    Wing(
        "vocabulary",
        0,
        "commands, errors, durations, the clock, checks of arguments, dataclasses",
        (
            "_arguments",
            "_deprecated",
            "_dataclass",
            "_log",
            "_steps",
            "_typing",
            "_version",
            "clock",
            "commands",
            "exceptions",
            "ttl",
        ),
    ),
)
"""Every module belongs to the first wing that has it. A module knows its own row and those below."""

ALONE = {
    "asyncio": ["actors.loop"],
    "trio": ["actors.loop"],
    "redis": ["backends.redis", "backends.redis.*"],
    "hiredis": ["backends.redis", "backends.redis.*"],
    "diskcache": ["backends.disk", "backends.disk.*"],
    "time": ["clock"],
    "fastapi": ["contrib.*"],
    "starlette": ["contrib.*"],
    "prometheus_client": ["contrib.*"],
    "opentelemetry": ["contrib.*"],
    "litestar": ["contrib.*"],
    "pydantic": ["contrib.*"],
}
"""Outside module -> the only modules that may import it."""

PURE_ROWS = (0, 1)
"""Rows without an `async def`."""


def wing_of(module: str) -> Wing | None:
    """Return the wing of a module."""
    return next((wing for wing in WINGS if wing.has(module)), None)


def row_of(module: str) -> int:
    """Return the row of a module; -1 if it has none."""
    wing = wing_of(module)
    return wing.row if wing else -1
