"""Creation of a file: the schema of diskcache and the tables of this package, in one transaction.

diskcache creates its own part, but on our connection and in our transaction. By itself it would wait up to a minute for
another process at each statement, and a process that is killed would leave half of the schema.
"""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Mapping
from typing import Any, Final, cast

import diskcache  # pyright: ignore[reportMissingTypeStubs]  it has no types
from diskcache import core  # pyright: ignore[reportMissingTypeStubs]  likewise

VERSION: Final = 1
"""The version of the schema. A file stores the version with which it was created."""

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
"""The tables of this package in a file; diskcache neither culls nor clears them.

* `cashews_kept`: the structures (bit fields, windows, tallies, circuits, sets), which are never evicted.
* `cashews_parts`: the members of sets and the pages of bit fields.
* `cashews_locks`: each lock with its token and deadline.
* `cashews_tags`: the tags that each value carries. `cashews_deleted`: the number of each tag's last deletion.
* `cashews_ledger`: commits over several files, see the module `ledger`.
* `cashews_marks`: numbers under a name, such as the last fencing number.

The index `cashews_foreign` lists the rows that count as absent, because their key is no text or because diskcache has
pickled their key or their value.
"""

OURS: Final = frozenset(re.findall(r"IF NOT EXISTS (\w+)", SCHEMA))
"""The names of everything that this package adds to a file."""
STATEMENTS: Final = re.split(r"\n(?=CREATE)", SCHEMA.strip())
LASTING: Final = ("sqlite_auto_vacuum", "sqlite_journal_mode")
"""The pragmas that SQLite stores in the file, in the order in which they are set; others are set per connection."""
MARK_VERSION: Final = "INSERT OR IGNORE INTO cashews_marks (name, value) VALUES ('schema', ?)"

JOURNAL_MODES: Final = ("wal", "delete", "truncate", "persist", "memory", "off")
COUNTS: Final[Mapping[str, str]] = {
    "count": "SELECT COUNT(*) FROM Cache",
    "size": "SELECT COALESCE(SUM(size), 0) FROM Cache",
}
"""The settings in which triggers of diskcache count the rows, and the bytes of the files of values."""

_DEFAULTS = cast("Mapping[str, Any]", core.DEFAULT_SETTINGS)
_POLICIES = cast("Mapping[str, object]", core.EVICTION_POLICY)


class _Initializer(diskcache.Cache):  # type: ignore[misc]  # diskcache has no types
    """The constructor of diskcache's cache on our connection: it creates its schema and stores the settings."""

    def __init__(self, connection: sqlite3.Connection, settings: Mapping[str, object]) -> None:
        self._connection = connection
        cast("Any", super()).__init__(os.curdir, **settings)  # any directory that exists: it is not used

    @property
    def _con(self) -> sqlite3.Connection:
        return self._connection

    def reset(self, key: str, value: object = core.ENOVAL, update: bool = True) -> None:  # noqa: FBT001, FBT002  as there
        """Store a setting, except for pragmas: some of those cannot be changed in a transaction."""
        if not key.startswith("sqlite_"):
            cast("Any", super()).reset(key, value, update)


def complete_settings(connection: sqlite3.Connection) -> dict[str, Any] | None:
    """Return the settings of a file, `None` if its schema is incomplete."""
    names = _names_in(connection)
    if not names.issuperset(OURS):
        return None
    marked = connection.execute("SELECT 1 FROM cashews_marks WHERE name = 'schema'").fetchone()
    settings = {} if marked is None else _settings(connection, names)
    return settings if settings.keys() >= COUNTS.keys() else None


def sound_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return all settings; each one without a sensible value in the file has the default of diskcache."""
    sound = {name: value for name, value in settings.items() if _is_sound(name, value)}
    return {**_DEFAULTS, **sound}


def _is_sound(name: str, value: object) -> bool:
    if name == "eviction_policy":
        return value in _POLICIES
    if name == "sqlite_journal_mode":
        return value in JOURNAL_MODES
    return type(value) is int and name.isidentifier()


def complete(connection: sqlite3.Connection, given: Mapping[str, object]) -> dict[str, Any]:
    """Complete the schema of a file, store the given settings, and return all settings. Rows stay as they are.

    :raises sqlite3.OperationalError: if another process has the file locked, or it cannot be changed
    """
    stored = _settings(connection, _names_in(connection))
    wanted = sound_settings({**stored, **given})
    for name in LASTING:
        _set_pragma(connection, name[len("sqlite_") :], wanted[name])
    connection.execute("BEGIN IMMEDIATE")
    with connection:
        _Initializer(connection, given)
        for statement in STATEMENTS:
            connection.execute(statement)
        for name in COUNTS.keys() - stored.keys():
            connection.execute(f"UPDATE Settings SET value = ({COUNTS[name]}) WHERE key = ?", (name,))  # noqa: S608  ours
        connection.execute(MARK_VERSION, (VERSION,))
        return _settings(connection, _names_in(connection))


def _names_in(connection: sqlite3.Connection) -> set[str]:
    return {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}


def _settings(connection: sqlite3.Connection, names: set[str]) -> dict[str, Any]:
    return dict(connection.execute("SELECT key, value FROM Settings").fetchall()) if "Settings" in names else {}


def _set_pragma(connection: sqlite3.Connection, name: str, value: object) -> None:
    if pragma(connection, name) != value:
        connection.execute(f"PRAGMA {name} = {value}").fetchall()


def pragma(connection: sqlite3.Connection, name: str) -> Any:
    """Return the value of a pragma."""
    return connection.execute(f"PRAGMA {name}").fetchone()[0]
