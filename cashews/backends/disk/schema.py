"""How a file is made: what diskcache needs in it, and what we add, in one transaction of ours.

diskcache does its part itself. Left alone it would wait for a minute for whoever writes, statement by statement, and a
process that is killed would leave half of its schema.
"""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Mapping
from typing import Any, Final, cast

import diskcache  # pyright: ignore[reportMissingTypeStubs]
from diskcache import core  # pyright: ignore[reportMissingTypeStubs]

VERSION: Final = 1
"""The number of the schema; a file remembers the first that it had."""

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS cashews_kept (key TEXT PRIMARY KEY, kind TEXT NOT NULL, deadline REAL, content);
CREATE INDEX IF NOT EXISTS cashews_kept_deadline ON cashews_kept (deadline) WHERE deadline IS NOT NULL;
CREATE TABLE IF NOT EXISTS cashews_parts (key TEXT, part, content BLOB, PRIMARY KEY (key, part)) WITHOUT ROWID;
CREATE TRIGGER IF NOT EXISTS cashews_kept_delete AFTER DELETE ON cashews_kept FOR EACH ROW BEGIN
  DELETE FROM cashews_parts WHERE key = OLD.key;
END;
CREATE TABLE IF NOT EXISTS cashews_locks (key TEXT PRIMARY KEY, token TEXT NOT NULL, deadline REAL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS cashews_locks_deadline ON cashews_locks (deadline) WHERE deadline IS NOT NULL;
CREATE TABLE IF NOT EXISTS cashews_marks (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS cashews_tags (tag, key, place INTEGER, PRIMARY KEY (tag, key)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS cashews_tags_key ON cashews_tags (key);
CREATE TRIGGER IF NOT EXISTS cashews_tags_delete AFTER DELETE ON Cache FOR EACH ROW BEGIN
  DELETE FROM cashews_tags WHERE key = OLD.key;
END;
CREATE TABLE IF NOT EXISTS cashews_deleted (tag TEXT PRIMARY KEY, mark INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS cashews_deleted_mark ON cashews_deleted (mark);
CREATE TABLE IF NOT EXISTS cashews_ledger (
  number INTEGER, shard INTEGER, place INTEGER, at REAL, kind TEXT, key TEXT, value, expire REAL,
  PRIMARY KEY (shard, number, place)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS cashews_foreign ON Cache (expire_time)
  WHERE raw = 0 OR typeof(key) <> 'text' OR mode = 4;
CREATE INDEX IF NOT EXISTS cashews_files ON Cache (filename) WHERE filename IS NOT NULL;
"""
"""What we add to a file: tables that diskcache neither culls nor clears.

`kept`: bit fields, windows, tallies, circuits and sets, which are never evicted; `parts`: the members of sets and the
pages of bit fields; `locks`: who holds what; `tags`, `deleted`: who carries which tag, and when tags were deleted;
`ledger`: see the module of that name; `marks`: numbers to remember. The index `foreign` has the rows that are absent
here: their key is no text, or diskcache has pickled their key or their value.
"""

OURS: Final = frozenset(re.findall(r"IF NOT EXISTS (\w+)", SCHEMA))
"""What a file has that we have added to."""
STATEMENTS: Final = re.split(r"\n(?=CREATE)", SCHEMA.strip())
LASTING: Final = ("sqlite_auto_vacuum", "sqlite_journal_mode")
"""The settings of SQLite that stay in the file, in the order they are set in; each connection sets the others."""
MARK: Final = "INSERT OR IGNORE INTO cashews_marks (name, value) VALUES ('schema', ?)"

_DEFAULTS = cast("Mapping[str, Any]", core.DEFAULT_SETTINGS)


class _Making(diskcache.Cache):  # type: ignore[misc]  # diskcache has no types
    """What diskcache does to a new file, or to one that is to have other settings, on a connection of ours."""

    def __init__(self, connection: sqlite3.Connection, settings: Mapping[str, object]) -> None:
        self._connection = connection
        cast("Any", super()).__init__(os.curdir, **settings)  # a directory that is there: it has no use for it

    @property
    def _con(self) -> sqlite3.Connection:
        return self._connection

    def reset(self, key: str, value: object = core.ENOVAL, update: bool = True) -> None:  # noqa: FBT001, FBT002  as there
        """Leave the settings of SQLite alone: some cannot be changed in a transaction."""
        if not key.startswith("sqlite_"):
            cast("Any", super()).reset(key, value, update)


def settings_of(connection: sqlite3.Connection) -> dict[str, Any] | None:
    """Return the settings of a file to which nothing has to be added, else `None`."""
    names = _names_in(connection)
    if not names.issuperset(OURS):
        return None
    marked = connection.execute("SELECT 1 FROM cashews_marks WHERE name = 'schema'").fetchone()
    return None if marked is None else _settings(connection, names)


def make(connection: sqlite3.Connection, given: Mapping[str, object]) -> dict[str, Any]:
    """Add to a file what it needs, change the settings that are given, and return all of them. What was there stays.

    :raises sqlite3.OperationalError: if another process is in the way, or the file cannot be changed
    """
    wanted = {**_DEFAULTS, **_settings(connection, _names_in(connection)), **given}
    for name in LASTING:
        _set_pragma(connection, name[len("sqlite_") :], wanted[name])
    connection.execute("BEGIN IMMEDIATE")
    with connection:
        _Making(connection, given)
        for statement in STATEMENTS:
            connection.execute(statement)
        connection.execute(MARK, (VERSION,))
        return _settings(connection, _names_in(connection))


def _names_in(connection: sqlite3.Connection) -> set[str]:
    return {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}


def _settings(connection: sqlite3.Connection, names: set[str]) -> dict[str, Any]:
    return dict(connection.execute("SELECT key, value FROM Settings").fetchall()) if "Settings" in names else {}


def _set_pragma(connection: sqlite3.Connection, name: str, value: object) -> None:
    if pragma(connection, name) != value:
        connection.execute(f"PRAGMA {name} = {value}").fetchall()


def pragma(connection: sqlite3.Connection, name: str) -> Any:
    """Return what a connection says about itself or its file."""
    return connection.execute(f"PRAGMA {name}").fetchone()[0]
