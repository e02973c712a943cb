"""Changes of a key in the transaction that has loaded it."""

from __future__ import annotations

from random import Random

from cashews import Cache
from tests.oracle.world import StaleReadError


async def change_loaded(cache: Cache, key: str, version: int, random: Random) -> None:
    """Load a key in the transaction under way, then change it there, so that it holds a version from now on.

    The key is deleted before at times; at others the transaction goes on from a value of somebody else's.
    """
    if random.random() < 0.5:
        await cache.delete(key)
    loaded = await cache.get_or_set(key, version - random.randrange(2), 60)
    changes = ["incr", "replace"]
    if loaded == version:
        changes += ["expire", "keep"]
    match random.choice(changes):
        case "incr":
            replies = await cache.incr(key, version - loaded), version
        case "replace":
            replies = await cache.set(key, version, 60, exist=True), True
        case "expire":
            replies = await cache.expire(key, 100), True
        case _:
            replies = await cache.set(key, 0, exist=False), False
    if replies[0] != replies[1]:
        raise StaleReadError(f"a change of {key!r}, loaded in its transaction, answered {replies[0]!r}")


async def check_changed(cache: Cache, key: str, version: int) -> None:
    """Check that a key holds the version that a transaction has committed, while nobody else may change it."""
    seen = await cache.get(key)
    if seen != version:
        raise StaleReadError(f"{key!r} holds {seen!r} after the commit of version {version}")
