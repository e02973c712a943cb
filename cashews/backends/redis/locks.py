"""The commands about locks: `command(remote, message)`, each one round trip. A lock's key is also its channel."""

from __future__ import annotations

import math

from redis.exceptions import NoPermissionError

from cashews import messages as m
from cashews.backends.redis import scripts
from cashews.backends.redis.layout import fence_key, lock_key
from cashews.backends.redis.remote import Remote
from cashews.backends.redis.wire import integer, lifetime, milliseconds, pack


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
    left = integer(await remote.at(message.key).ask(pack(("PTTL", lock_key(message.key))), reads=True))
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
