"""The commands about locks: `command(remote, message)`, each one round trip. A lock's key is also its channel."""

from __future__ import annotations

import math

from redis.exceptions import NoPermissionError

from cashews import messages as m
from cashews.backends.redis import scripts
from cashews.backends.redis.layout import FENCE, LOCKS
from cashews.backends.redis.remote import Remote
from cashews.backends.redis.wire import lifetime, milliseconds, pack


async def set_lock(remote: Remote, message: m.SetLock) -> int:
    key, lease = LOCKS + message.key, message.expire
    if lease is not None and lease <= 0:
        return 0
    return int(await scripts.SET_LOCK.ask(remote.at(key), (key, FENCE), message.value, lifetime(lease)))


async def renew_lock(remote: Remote, message: m.RenewLock) -> bool:
    key = LOCKS + message.key
    return bool(await scripts.RENEW_LOCK.ask(remote.at(key), (key,), message.value, milliseconds(message.expire)))


async def unlock(remote: Remote, message: m.Unlock) -> bool:
    key = LOCKS + message.key
    return bool(await scripts.UNLOCK.ask(remote.at(key), (key,), message.value))


async def lock_time_left(remote: Remote, message: m.LockTimeLeft) -> float | None:
    key = LOCKS + message.key
    left: int = await remote.at(key).ask(pack(("PTTL", key)), reads=True)
    if left < 0:
        return math.inf if left == -1 else None
    return max(left, 1) / 1000


async def watch_lock(remote: Remote, message: m.WatchLock) -> bool:
    key = LOCKS + message.key
    try:
        return await remote.at(key).listen(key, message.wake)
    except NoPermissionError:  # the server's rules forbid us the channel
        return False


async def unwatch_lock(remote: Remote, message: m.UnwatchLock) -> None:
    key = LOCKS + message.key
    await remote.at(key).unlisten(key, message.wake)
