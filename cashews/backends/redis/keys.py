"""The commands about many keys and about the whole store: `command(remote, message)`.

Keys that match a pattern come page by page: the server is never asked for all of them at once.
"""

from __future__ import annotations

from typing import Final

from cashews import messages as m
from cashews._typing import ABSENT
from cashews.backends.encoding import in_slices
from cashews.backends.redis import scripts, tags
from cashews.backends.redis.connection import Connection
from cashews.backends.redis.layout import INDEX, INTERNAL
from cashews.backends.redis.remote import Remote
from cashews.backends.redis.scripts import MOST_KEYS
from cashews.backends.redis.values import exists
from cashews.backends.redis.wire import decoded, lifetime, milliseconds, pack
from cashews.keys.pattern import Pattern, pieces_of

PAGE: Final = 1_000
"""The fewest keys that the server looks at in one turn of a scan."""
SPECIAL: Final = str.maketrans({character: f"\\{character}" for character in "\\*?[]^"})


async def get_many(remote: Remote, message: m.GetMany) -> tuple[object, ...]:
    return tuple(await _read(remote, message.keys, message.default)) if message.keys else ()


async def _read(remote: Remote, keys: tuple[str, ...], default: object) -> list[object]:
    stored = await remote.at(keys[0]).ask(pack(("MGET", *keys)), reads=True)
    return await in_slices(_found(remote, key, value, default) for key, value in zip(keys, stored, strict=True))


async def _found(remote: Remote, key: str, stored: bytes | None, default: object) -> object:
    return default if stored is None else await remote.values.decode(key, remote.bare(stored), default)


async def set_many(remote: Remote, message: m.SetMany) -> None:
    keys, expire = message.keys, message.expire
    if expire is not None and expire <= 0:
        return await delete_many(remote, m.DeleteMany(keys))
    values = await in_slices(remote.values.encode(*pair, expire) for pair in message.pairs.items())
    connection = remote.at(keys[0])
    if remote.tags_met:
        await scripts.SET_MANY_TAGGED.ask(connection, keys, lifetime(expire), *values)
    elif expire is not None:
        await scripts.SET_MANY.ask(connection, keys, milliseconds(expire), *values)
    else:
        pairs = [each for pair in zip(keys, values, strict=True) for each in pair]
        await connection.ask(pack(("MSET", *pairs)))
    return None


async def delete_many(remote: Remote, message: m.DeleteMany) -> None:
    shares: dict[Connection, list[str]] = {}
    for key in message.keys:  # on its own connection: behind a value that is on its way to the key
        shares.setdefault(remote.at(key), []).append(key)
    for connection, keys in shares.items():
        for start in range(0, len(keys), MOST_KEYS):
            await scripts.DELETE.ask(connection, tuple(keys[start : start + MOST_KEYS]))


# --- the keys that match a pattern


def glob(pattern: str) -> str:
    """Return a pattern in the server's language, in which more than `*` is special, and `**` is not always `*`."""
    head, *rest = [piece.translate(SPECIAL) for piece in pieces_of(pattern)]
    return "*".join([head, *filter(None, rest[:-1]), *rest[-1:]])


class ServerCursor:
    """The place of a scan, and the keys that it has found: the server may answer a key twice."""

    __slots__ = ("at", "ended", "seen")

    def __init__(self) -> None:
        self.at = b"0"
        self.ended = False
        self.seen: set[str] = set()


async def scan(remote: Remote, message: m.Scan) -> m.Page[str]:
    cursor = message.cursor if isinstance(message.cursor, ServerCursor) else ServerCursor()
    found = await _step(remote, cursor, message.pattern, message.batch_size)
    keys = [key for key in dict.fromkeys(found) if key not in cursor.seen]
    cursor.seen.update(keys)
    return m.Page(keys, None if cursor.ended else cursor)


async def get_match(remote: Remote, message: m.GetMatch) -> m.Page[tuple[str, object]]:
    page = await scan(remote, m.Scan(message.pattern, message.batch_size, message.cursor))
    values = await _read(remote, tuple(page.items), ABSENT) if page.items else []
    pairs = zip(page.items, values, strict=True)
    return m.Page([(key, value) for key, value in pairs if value is not ABSENT], page.cursor)


async def delete_match(remote: Remote, message: m.DeleteMatch) -> None:
    await remote.flush()
    cursor = ServerCursor()
    while not cursor.ended:
        keys = await _step(remote, cursor, message.pattern, PAGE)
        if keys:
            await delete_many(remote, m.DeleteMany(tuple(keys)))


async def _step(remote: Remote, cursor: ServerCursor, pattern: str, count: int) -> list[str]:
    """Return the next keys of a scan. A pattern without a star matches one key: the server need not look at others."""
    if len(pieces_of(pattern)) == 1:
        key = "".join(pieces_of(pattern))
        cursor.ended = True
        there = not key.startswith(INTERNAL) and await exists(remote, m.Exists(key))
        return [key] if there else []
    return [key for key in await _scan(remote, cursor, pattern, count) if not key.startswith(INTERNAL)]


async def _scan(remote: Remote, cursor: ServerCursor, pattern: str, count: int) -> list[str]:
    words = ("SCAN", cursor.at, "MATCH", glob(pattern), "COUNT", count)
    cursor.at, found = await remote.first.ask(pack(words), reads=True)
    cursor.ended = cursor.at == b"0"
    return list(map(decoded, found))


# --- the whole store


async def clear(remote: Remote, _: m.Clear) -> None:
    await delete_match(remote, m.DeleteMatch("*"))
    cursor, indexes = ServerCursor(), Pattern.of((INDEX, ""))
    while not cursor.ended:
        for index in await _scan(remote, cursor, indexes, PAGE):  # pruned, not removed: others write meanwhile
            await tags.prune(remote, index.removeprefix(INDEX))


async def get_keys_count(remote: Remote, _: m.GetKeysCount) -> int:
    """Count the keys of users, each once: the server's own count has internal keys in it, and expired ones."""
    seen: set[int] = set()
    cursor = ServerCursor()
    while not cursor.ended:
        keys = await _step(remote, cursor, "*", PAGE)
        seen.update(map(hash, keys))  # not the keys themselves: there may be millions
    return len(seen)


async def ping(remote: Remote, message: m.Ping) -> bytes:
    words = ("PING",) if message.message is None else ("PING", message.message)
    return bytes(await remote.first.ask(pack(words)))
