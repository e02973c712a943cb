"""The commands about many keys and about the whole store: `command(remote, message)`.

Keys that match a pattern come page by page: the server is never asked for all of them at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import chain, islice
from typing import Final

from cashews import messages as m
from cashews._dataclass import dataclass
from cashews._typing import ABSENT
from cashews.backends.encoding import one_by_one
from cashews.backends.redis import scripts, tags
from cashews.backends.redis.failures import AskError
from cashews.backends.redis.layout import INDEX, OURS
from cashews.backends.redis.near import NearSlot
from cashews.backends.redis.remote import Remote, side_by_side
from cashews.backends.redis.scripts import MOST_KEYS
from cashews.backends.redis.servers import Place
from cashews.backends.redis.survey import Survey
from cashews.backends.redis.tracking import TRACK, TrackedReads
from cashews.backends.redis.values import exists, value_of
from cashews.backends.redis.wire import (
    Word,
    array,
    blob,
    blob_or_none,
    encoded,
    integer,
    is_done,
    lifetime,
    milliseconds,
    pack,
    text_of,
)
from cashews.keys.pattern import pieces_of

PAGE: Final = 1_000
"""The fewest keys that the server looks at in one turn of a scan, and the most that it reads or stores in one turn."""
WRITE: Final = 1_048_576
"""About how many bytes of values one request carries: the server keeps them in memory until it has them all."""
SPECIAL: Final = str.maketrans({character: f"\\{character}" for character in "\\*?[]^"})


async def get_many(remote: Remote, message: m.GetMany) -> tuple[object, ...]:
    return tuple(await _read(remote, message.keys, message.default))


async def _read(remote: Remote, keys: tuple[str, ...], default: object) -> list[object]:
    values: list[object] = []
    for start in range(0, len(keys), PAGE):
        page = keys[start : start + PAGE]
        stored = await _stored(remote, page)
        pairs = zip(page, stored, strict=True)
        values += await one_by_one(_found(remote, key, blob_or_none(value), default) for key, value in pairs)
    return values


async def _stored(remote: Remote, page: tuple[str, ...]) -> list[object]:
    shares = remote.servers.shares(page)
    replies = await side_by_side([partial(_mget, *share) for share in shares.items()])
    if len(replies) == 1:
        return replies[0]
    found = dict(zip(chain(*shares.values()), chain(*replies), strict=True))
    return [found[key] for key in page]


async def _mget(place: Place, keys: Sequence[str]) -> list[object]:
    return array(await place.ask(pack(("MGET", *keys)), reads=True), len(keys))


async def _found(remote: Remote, key: str, stored: bytes | None, default: object) -> object:
    return default if stored is None else await remote.values.decode(key, remote.bare(stored), default)


@dataclass(slots=True)
class FetchMany(m.GetMany):
    """Read several values that are going to be kept near; `names` are their keys without the prefix."""

    names: tuple[str, ...] = ()


async def fetch_many(remote: Remote, message: FetchMany) -> tuple[object, ...]:
    """Read several values and keep them in the near table until the server tells of changes."""
    found: list[object] = []
    for start in range(0, len(message.many), PAGE):
        page = message.many[start : start + PAGE]
        slots = await _kept(remote, page, dict(zip(page, message.names[start : start + PAGE], strict=True)))
        if slots is None:
            return await get_many(remote, message)
        pairs = zip(page, slots, strict=True)
        found += await one_by_one(value_of(remote, m.Get(key, message.default), slot) for key, slot in pairs)
    return tuple(found)


async def _kept(remote: Remote, page: tuple[str, ...], names: Mapping[str, str]) -> list[NearSlot] | None:
    """Return the slots of some keys; `None` if there is a server that cannot tell of their changes."""
    shares = remote.servers.shares(page)
    if not all(place.tracks for place in shares):
        return None
    try:
        replies = await side_by_side([partial(_read_share, *share, names) for share in shares.items()])
    except AskError:
        return None
    if len(replies) == 1:
        return replies[0]
    found = dict(zip(chain(*shares.values()), chain(*replies), strict=True))
    return [found[key] for key in page]


async def _read_share(place: Place, keys: Sequence[str], names: Mapping[str, str]) -> list[NearSlot]:
    kind = partial(TrackedReads, tuple([names[key] for key in keys]))
    return array(await scripts.READ_MANY.read(place, tuple(keys), TRACK, kind), len(keys))


async def set_many(remote: Remote, message: m.SetMany) -> None:
    expire, encode = message.expire, remote.values.encode
    if expire is not None and expire <= 0:
        return await delete_many(remote, m.DeleteMany(message.keys))
    pairs = iter(message.pairs.items())
    while page := list(islice(pairs, PAGE)):
        values = await one_by_one(encode(*pair, expire) for pair in page)
        stored = dict(zip((key for key, _ in page), values, strict=True))
        refused = [key for key, value in stored.items() if not remote.fits(value)]
        await delete_keys(remote, refused)
        for part in _parts({key: value for key, value in stored.items() if key not in refused}):
            await _set_part(remote, part, expire)
    return None


def _parts(stored: dict[str, bytes]) -> Iterator[dict[str, bytes]]:
    """Yield consecutive parts of some pairs, each of about as many bytes as one request carries."""
    part: dict[str, bytes] = {}
    size = 0
    for key, value in stored.items():
        if part and size + len(value) > WRITE:
            yield part
            part, size = {}, 0
        part[key] = value
        size += len(value)
    if part:
        yield part


async def _set_part(remote: Remote, part: dict[str, bytes], expire: float | None) -> None:
    shares = remote.servers.shares(tuple(part))
    await side_by_side([partial(_set_share, remote, *share, part, expire) for share in shares.items()])


async def _set_share(
    remote: Remote, place: Place, names: Sequence[str], part: dict[str, bytes], expire: float | None
) -> None:
    keys, values = tuple(names), [part[name] for name in names]
    if remote.tags_met:
        await scripts.SET_MANY_TAGGED.ask(place, keys, lifetime(expire), *values)
    elif expire is not None:
        await scripts.SET_MANY.ask(place, keys, milliseconds(expire), *values)
    else:
        pairs = [word for name in names for word in (name, part[name])]
        is_done(await place.ask(pack(("MSET", *pairs))))


async def delete_many(remote: Remote, message: m.DeleteMany) -> None:
    await delete_keys(remote, message.keys)


async def delete_keys(remote: Remote, keys: Sequence[str | bytes]) -> None:
    """Delete keys, each on its own connection: behind a value that is on its way to the key."""
    for start in range(0, len(keys), MOST_KEYS):
        shares: dict[Place, list[str | bytes]] = {}
        for key in keys[start : start + MOST_KEYS]:
            shares.setdefault(remote.at(key), []).append(key)
        await side_by_side([partial(_delete_share, *share) for share in shares.items()])


async def _delete_share(place: Place, keys: Sequence[str | bytes]) -> None:
    integer(await scripts.DELETE.ask(place, tuple(keys), place.tells))


# --- the keys that match a pattern


def glob(pattern: str) -> str:
    """Return a pattern in the server's language, in which more than `*` is special, and `**` is not always `*`."""
    head, *rest = [piece.translate(SPECIAL) for piece in pieces_of(pattern)]
    return "*".join([head, *filter(None, rest[:-1]), *rest[-1:]])


class ServerCursor:
    """The place of a scan, and the keys that it has found: a server may answer a key twice."""

    __slots__ = ("at", "before", "ended", "places", "seen")

    def __init__(self) -> None:
        self.at = b"0"
        self.ended = False
        self.places: list[Place] = []
        """The places that are left, the current one first; none before the first page."""
        self.before: Survey[Place] | None = None
        """The survey of the first page, until keys have been looked for that have gone elsewhere meanwhile."""
        self.seen: set[str] = set()


async def scan(remote: Remote, message: m.Scan) -> m.Page[str]:
    cursor = message.cursor if isinstance(message.cursor, ServerCursor) else ServerCursor()
    found = remote.texts(await _step(remote, cursor, message.pattern, message.batch_size))
    keys = [key for key in dict.fromkeys(found) if key not in cursor.seen]
    cursor.seen.update(keys)
    return m.Page(keys, None if cursor.ended else cursor)


async def get_match(remote: Remote, message: m.GetMatch) -> m.Page[tuple[str, object]]:
    page = await scan(remote, m.Scan(message.pattern, message.batch_size, message.cursor))
    values = await _read(remote, tuple(page.items), ABSENT)
    pairs = zip(page.items, values, strict=True)
    return m.Page([(key, value) for key, value in pairs if value is not ABSENT], page.cursor)


async def delete_match(remote: Remote, message: m.DeleteMatch) -> None:
    await remote.servers.flush()
    cursor = ServerCursor()
    while not cursor.ended:
        found = await _step(remote, cursor, message.pattern, PAGE)
        await delete_keys(remote, [text_of(key) or key for key in found])  # keys that are no text go as well


async def _step(remote: Remote, cursor: ServerCursor, pattern: str, count: int) -> list[bytes]:
    """Return the next keys of a scan, as they are stored.

    A pattern without a star matches one key: the server need not look at others.
    """
    if len(pieces_of(pattern)) == 1:
        key = "".join(pieces_of(pattern))
        cursor.ended = True
        return [encoded(key)] if await exists(remote, m.Exists(key)) else []
    return [key for key in await scan_page(remote, cursor, glob(pattern), count) if not key.endswith(OURS)]


async def scan_page(remote: Remote, cursor: ServerCursor, pattern: Word, count: int) -> list[bytes]:
    """Return the next keys of the server that match, ours among them."""
    words = ("SCAN", cursor.at, "MATCH", pattern, "COUNT", count)
    if not cursor.places:
        cursor.before = await remote.servers.survey()
        cursor.places = list(cursor.before.slots)
    at, found = array(await cursor.places[0].ask(pack(words), reads=True), 2)
    cursor.at = blob(at)
    if cursor.at == b"0":
        del cursor.places[0]
        if not cursor.places and cursor.before is not None:
            cursor.places = (await remote.servers.survey()).reached_since(cursor.before)
            cursor.before = None
        cursor.ended = not cursor.places
    return [blob(key) for key in array(found)]


# --- the whole store


async def clear(remote: Remote, _: m.Clear) -> None:
    everything = f"{remote.prefix}*"
    await delete_match(remote, m.DeleteMatch(everything))
    indexes, cursor = remote.servers.any_anchor + encoded(glob(everything)) + INDEX, ServerCursor()
    while not cursor.ended:
        for index in await scan_page(remote, cursor, indexes, PAGE):  # pruned, not removed: others write meanwhile
            await tags.prune(remote, index)


async def get_keys_count(remote: Remote, _: m.GetKeysCount) -> int:
    """Count the keys of users, each once: the server's own count has internal keys in it, and expired ones."""
    seen: set[int] = set()
    cursor = ServerCursor()
    while not cursor.ended:
        keys = await _step(remote, cursor, f"{remote.prefix}*", PAGE)
        seen.update(map(hash, remote.texts(keys)))  # not the keys themselves: there may be millions
    return len(seen)


async def ping(remote: Remote, message: m.Ping) -> bytes:
    words = ("PING",) if message.message is None else ("PING", message.message)
    return blob(await remote.servers.first.ask(pack(words)))
