"""The commands about locks: `command(remote, message)`, each one round trip. A lock's key is also its channel."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from itertools import chain

from redis.exceptions import NoPermissionError

from cashews import messages as m
from cashews.backends.redis import scripts
from cashews.backends.redis.keys import ServerCursor, glob, scan_page
from cashews.backends.redis.layout import LOCK, fence_key, lock_key
from cashews.backends.redis.remote import Remote, side_by_side
from cashews.backends.redis.servers import Place
from cashews.backends.redis.wire import array, encoded, integer, lifetime, milliseconds, pack


def place_of(remote: Remote, name: str) -> Place:
    """Return the place of a lock: beside the key that it protects."""
    return remote.at(name.partition(m.TRANSACTION)[0])


async def set_lock(remote: Remote, message: m.SetLock) -> int:
    name, lease = message.key, message.expire
    if lease is not None and lease <= 0:
        return 0
    place = place_of(remote, name)
    keys = _keys(place, name)
    return integer(await scripts.SET_LOCK.ask(place, keys, message.value, lifetime(lease)))


async def renew_lock(remote: Remote, message: m.RenewLock) -> bool:
    name, lease = message.key, milliseconds(message.expire)
    place = place_of(remote, name)
    keys = _keys(place, name)
    return integer(await scripts.RENEW_LOCK.ask(place, keys, message.value, lease)) == 1


async def unlock(remote: Remote, message: m.Unlock) -> bool:
    place = place_of(remote, message.key)
    keys = _keys(place, message.key)
    return integer(await scripts.UNLOCK.ask(place, keys, message.value)) == 1


async def lock_time_left(remote: Remote, message: m.LockTimeLeft) -> float | None:
    place = place_of(remote, message.key)
    return _seconds(integer(await place.ask(pack(("PTTL", lock_key(message.key, place.anchor))), reads=True)))


def _seconds(left: int) -> float | None:
    """Return the seconds of a PTTL: infinity without expiry, `None` for a key that is gone."""
    if left < 0:
        return math.inf if left == -1 else None
    return max(left, 1) / 1000


async def watch_lock(remote: Remote, message: m.WatchLock) -> bool:
    try:
        place = place_of(remote, message.key)
        return await place.listen(lock_key(message.key, place.anchor), message.wake)
    except NoPermissionError:  # the server's rules forbid us the channel
        return False


async def unwatch_lock(remote: Remote, message: m.UnwatchLock) -> None:
    place = place_of(remote, message.key)
    await place.unlisten(lock_key(message.key, place.anchor), message.wake)


async def list_locks(remote: Remote, message: m.ListLocks) -> m.Page[tuple[str, float]]:
    cursor = message.cursor if isinstance(message.cursor, ServerCursor) else ServerCursor()
    anchor = remote.servers.any_anchor
    pattern = anchor + encoded(glob(message.pattern)) + LOCK
    found = await scan_page(remote, cursor, pattern, message.batch_size)
    names = remote.texts([_without_anchor(key, anchor).removesuffix(LOCK) for key in found])
    new = [name for name in dict.fromkeys(names) if name not in cursor.seen]
    cursor.seen.update(new)
    shares: dict[Place, list[str]] = {}
    for name in new:
        shares.setdefault(place_of(remote, name), []).append(name)
    times = await side_by_side([partial(_times, *share) for share in shares.items()])
    left_of = dict(zip(chain(*shares.values()), chain(*times), strict=True))
    held = [(name, left) for name in new if (left := _seconds(left_of[name])) is not None]
    return m.Page(held, None if cursor.ended else cursor)


async def _times(place: Place, names: Sequence[str]) -> list[int]:
    keys = tuple([lock_key(name, place.anchor) for name in names])
    return [integer(time) for time in array(await scripts.LOCK_TIMES.ask(place, keys), len(keys))]


def _without_anchor(key: bytes, anchor: bytes) -> bytes:
    return key.partition(b"}")[2] if anchor else key


def _keys(place: Place, name: str) -> tuple[bytes, bytes]:
    return lock_key(name, place.anchor), fence_key(name, place.anchor)


async def break_lock(remote: Remote, message: m.BreakLock) -> bool:
    place = place_of(remote, message.key)
    keys = _keys(place, message.key)
    return integer(await scripts.BREAK_LOCK.ask(place, keys)) == 1
