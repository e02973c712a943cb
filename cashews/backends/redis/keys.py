"""Many keys of a server, page by page: the server is never asked for all of them at once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

from cashews import messages as m
from cashews._typing import ABSENT
from cashews.backends.redis.commands import INTERNAL, Commands
from cashews.backends.redis.connection import Connection
from cashews.backends.redis.tagged import INDEX
from cashews.backends.redis.wire import decoded, pack
from cashews.keys.pattern import Pattern, pieces_of

PAGE: Final = 1_000
"""How many keys the server looks at in one turn, at least."""
SPECIAL: Final = str.maketrans({character: f"\\{character}" for character in "\\*?[]^"})


def glob(pattern: str) -> str:
    """Return a pattern in the server's language, in which more than `*` is special, and `**` is not always `*`."""
    head, *rest = [piece.translate(SPECIAL) for piece in pieces_of(pattern)]
    return "*".join([head, *filter(None, rest[:-1]), *rest[-1:]])


class ServerCursor:
    """Where a scan stands, and which keys it has found: the server may answer a key twice."""

    __slots__ = ("at", "ended", "seen")

    def __init__(self) -> None:
        self.at = b"0"
        self.ended = False
        self.seen: set[str] = set()


class Scans:
    """The messages about all keys that match a pattern."""

    def __init__(self, connections: Sequence[Connection], commands: Commands) -> None:
        self._connections = connections
        self._commands = commands

    @property
    def table(self) -> Mapping[type[m.Message[Any]], Callable[[Any], Awaitable[Any]]]:
        """What serves each type of message."""
        return {
            m.Scan: self.scan,
            m.GetMatch: self.get_match,
            m.DeleteMatch: self.delete_match,
            m.Clear: self.clear,
            m.GetKeysCount: self.count,
        }

    async def scan(self, message: m.Scan) -> m.Page[str]:
        cursor = message.cursor if isinstance(message.cursor, ServerCursor) else ServerCursor()
        found = await self._step(cursor, message.pattern, message.batch_size)
        keys = [key for key in dict.fromkeys(found) if key not in cursor.seen]
        cursor.seen.update(keys)
        return m.Page(keys, None if cursor.ended else cursor)

    async def get_match(self, message: m.GetMatch) -> m.Page[tuple[str, object]]:
        page = await self.scan(m.Scan(message.pattern, message.batch_size, message.cursor))
        values = await self._commands.read(tuple(page.items), ABSENT) if page.items else []
        pairs = zip(page.items, values, strict=True)
        return m.Page([(key, value) for key, value in pairs if value is not ABSENT], page.cursor)

    async def delete_match(self, message: m.DeleteMatch) -> None:
        await self.flush()
        cursor = ServerCursor()
        while not cursor.ended:
            keys = await self._step(cursor, message.pattern, PAGE)
            if keys:
                await self._commands.delete_many(m.DeleteMany(tuple(keys)))

    async def clear(self, _: m.Clear) -> None:
        await self.delete_match(m.DeleteMatch("*"))
        cursor, indexes = ServerCursor(), Pattern.of((INDEX, ""))
        while not cursor.ended:
            for index in await self._scan(cursor, indexes, PAGE):  # what is written meanwhile stays in them
                await self._commands.prune(index.removeprefix(INDEX))

    async def count(self, _: m.GetKeysCount) -> int:
        """Count all keys but those of locks, each once: the server's own count has locks in it, and expired keys."""
        seen: set[int] = set()
        cursor = ServerCursor()
        while not cursor.ended:
            keys = await self._step(cursor, "*", PAGE)
            seen.update(map(hash, keys))  # not the keys themselves: there may be millions
        return len(seen)

    async def flush(self) -> None:
        """Have everything carried out that was sent before, on whichever connection."""
        for connection in self._connections[1:]:
            await connection.ask(pack(("PING",)))

    async def _step(self, cursor: ServerCursor, pattern: str, count: int) -> list[str]:
        if len(pieces_of(pattern)) == 1:
            return await self._one(cursor, "".join(pieces_of(pattern)))
        return [key for key in await self._scan(cursor, pattern, count) if not key.startswith(INTERNAL)]

    async def _scan(self, cursor: ServerCursor, pattern: str, count: int) -> list[str]:
        words = ("SCAN", cursor.at, "MATCH", glob(pattern), "COUNT", count)
        cursor.at, found = await self._connections[0].ask(pack(words), reads=True)
        cursor.ended = cursor.at == b"0"
        return list(map(decoded, found))

    async def _one(self, cursor: ServerCursor, key: str) -> list[str]:
        """Look for the one key that a pattern without a star matches: there is no need to see all others."""
        cursor.ended = True
        there = not key.startswith(INTERNAL) and await self._commands.exists(m.Exists(key))
        return [key] if there else []
