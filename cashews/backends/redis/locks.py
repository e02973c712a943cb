"""The commands about locks: `command(remote, message)`, each one round trip. A lock's key is also its channel."""

from __future__ import annotations

import math

from redis.exceptions import NoPermissionError

from cashews import messages as m
from cashews.backends.redis import scripts
from cashews.backends.redis.keys import ServerCursor, glob, scan_page
from cashews.backends.redis.layout import LOCK, fence_key, lock_key
from cashews.backends.redis.remote import Remote
from cashews.backends.redis.wire import array, encoded, integer, lifetime, milliseconds, pack


async def set_lock(remote: Remote, message: m.SetLock) -> int:
    name, lease = message.key, message.expire
    if lease is not None and lease <= 0:
        return 0
    keys = lock_key(name), fence_key(name)
    return integer(await scripts.SET_LOCK.ask(remote.at(name), keys, message.value, lifetime(lease)))


async def renew_lock(remote: Remote, message: m.RenewLock) -> bool:
    name, lease = message.key, milliseconds(message.expire)
    keys = lock_key(name), fence_key(name)
    return integer(await scripts.RENEW_LOCK.ask(remote.at(name), keys, message.value, lease)) == 1


async def unlock(remote: Remote, message: m.Unlock) -> bool:
    keys = lock_key(message.key), fence_key(message.key)
    return integer(await scripts.UNLOCK.ask(remote.at(message.key), keys, message.value)) == 1


async def lock_time_left(remote: Remote, message: m.LockTimeLeft) -> float | None:
    return _seconds(integer(await remote.at(message.key).ask(pack(("PTTL", lock_key(message.key))), reads=True)))


def _seconds(left: int) -> float | None:
    """Return the seconds of a PTTL: infinity without expiry, `None` for a key that is gone."""
    if left < 0:
        return math.inf if left == -1 else None
    return max(left, 1) / 1000


async def watch_lock(remote: Remote, message: m.WatchLock) -> bool:
    try:
        return await remote.at(message.key).listen(lock_key(message.key), message.wake)
    except NoPermissionError:  # the server's rules forbid us the channel
        return False


async def unwatch_lock(remote: Remote, message: m.UnwatchLock) -> None:
    await remote.at(message.key).unlisten(lock_key(message.key), message.wake)


async def list_locks(remote: Remote, message: m.ListLocks) -> m.Page[tuple[str, float]]:
    cursor = message.cursor if isinstance(message.cursor, ServerCursor) else ServerCursor()
    found = await scan_page(remote, cursor, encoded(glob(message.pattern)) + LOCK, message.batch_size)
    names = remote.texts([key.removesuffix(LOCK) for key in found])
    new = [name for name in dict.fromkeys(names) if name not in cursor.seen]
    cursor.seen.update(new)
    times = array(await scripts.LOCK_TIMES.ask(remote.first, tuple(map(lock_key, new))), len(new)) if new else []
    held = [
        (name, left) for name, time in zip(new, times, strict=True) if (left := _seconds(integer(time))) is not None
    ]
    return m.Page(held, None if cursor.ended else cursor)


async def break_lock(remote: Remote, message: m.BreakLock) -> bool:
    keys = lock_key(message.key), fence_key(message.key)
    return integer(await scripts.BREAK_LOCK.ask(remote.at(message.key), keys)) == 1
