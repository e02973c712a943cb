"""Sentinels: the master is found through them, and left when they say so. Guarantees 22, 31, 32."""

import anyio
import pytest
from anyio.lowlevel import checkpoint

from cashews import Cache
from cashews.exceptions import CacheBackendInteractionError
from tests.servers import PATIENCE

pytestmark = pytest.mark.redis
PATIENTLY = {"socket_timeout": 10, "socket_connect_timeout": 10}


async def until_served_by(cache, server):
    """Write until a server has the value."""
    with anyio.fail_after(PATIENCE):
        number = 0
        while True:
            number += 1
            await cache.set("probe", number)
            if server.command("GET", "probe") == b"%d" % number:
                return
            await checkpoint()


async def test_a_failover_by_command_is_followed(deployment):
    """The old master goes on and takes writes for a while: they would be lost."""
    async with Cache.open(deployment.url, suppress=True, **PATIENTLY) as cache:
        old, new = deployment.master, deployment.replica
        assert await cache.set("k", 1)
        assert old.command("GET", "k") == b"1"
        acknowledged = 0

        async def write():
            nonlocal acknowledged
            while True:
                acknowledged = max(acknowledged, await cache.incr("n"))
                await checkpoint()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(write)
            deployment.fail_over()
            with anyio.fail_after(PATIENCE):
                while cache.statistics().backends[""]["connects"] < 2:
                    await checkpoint()
            await until_served_by(cache, new)
            tasks.cancel_scope.cancel()
        found = await cache.get("n")
        await cache.incr("n")
        assert new.command("GET", "n") == b"%d" % (found + 1)
        assert b"role:master" in new.command("INFO", "replication")


async def test_a_master_that_is_killed_is_replaced(deployment):
    async with Cache.open(deployment.url, suppress=True, **PATIENTLY) as cache:
        old, new = deployment.master, deployment.replica
        assert await cache.set("k", 1)
        old.kill()
        with anyio.fail_after(PATIENCE):
            while not await cache.set("k", 2):
                await checkpoint()
        assert new.command("GET", "k") == b"2"


async def test_a_dead_sentinel_is_passed_over(deployment):
    deployment.sentinels[0].kill()
    async with Cache.open(deployment.url, suppress=False, **PATIENTLY) as cache:
        assert await cache.set("k", 1)
        assert deployment.master.command("GET", "k") == b"1"


async def test_one_sentinel_tells_of_the_others(deployment):
    known = deployment.sentinels[2]
    url = f"redis+sentinel://{known.host}:{known.port}/mymaster"
    async with Cache.open(url, suppress=True, **PATIENTLY) as cache:
        assert await cache.set("k", 1)
        known.kill()
        deployment.fail_over()
        await until_served_by(cache, deployment.replica)


async def test_nothing_from_before_a_failover_is_served_from_memory(deployment):
    """Guarantee 31."""
    options = {"client_side": True, "client_side_prefix": "near:", "suppress": True, **PATIENTLY}
    async with Cache.open(deployment.url, **options) as cache:
        assert await cache.set("k", 1)
        assert await cache.get("k") == await cache.get("k") == 1
        new = deployment.replica
        deployment.fail_over()
        with anyio.fail_after(PATIENCE):
            while cache.statistics().backends[""]["connects"] < 2:
                await cache.exists("another")
        new.command("SET", "near:k", 2)
        await cache.ping()
        assert await cache.get("k") == 2
        assert cache.statistics().backends[""]["near_flushes"] >= 1


async def test_an_unknown_service_is_named(deployment):
    place = deployment.sentinels[0]
    url = f"redis+sentinel://{place.host}:{place.port}/nobody"
    async with Cache.open(url, suppress=False) as cache:
        with pytest.raises(CacheBackendInteractionError, match="'nobody'"):
            await cache.set("k", 1)


async def test_a_replica_is_never_written_to(deployment):
    """Sentinels may point to a server that is no master any more, or not yet."""
    place, replica = deployment.sentinels[0], deployment.replica
    place.command("SENTINEL", "MONITOR", "replica", place.host, replica.port, 2)
    url = f"redis+sentinel://{place.host}:{place.port}/replica"
    async with Cache.open(url, suppress=False) as cache:
        with pytest.raises(CacheBackendInteractionError):
            await cache.set("k", 1)
    assert all(server.command("EXISTS", "k") == 0 for server in deployment.servers.values())


async def test_closing_leaves_no_task_behind(deployment):
    """Guarantee 28."""
    cache = Cache.open(deployment.url, suppress=False, **PATIENTLY)
    async with cache:
        await cache.set("k", 1)
        with anyio.fail_after(PATIENCE):
            while b"sub=1" not in deployment.sentinels[0].command("CLIENT", "LIST"):
                await checkpoint()
    assert cache.statistics().tasks == 0


async def test_sentinels_and_servers_may_ask_for_passwords(deployment):
    for server in deployment.servers.values():
        server.command("CONFIG", "SET", "masterauth", "word")
        server.command("ACL", "SETUSER", "me", "on", ">pass/word", "~*", "&*", "+@all")
    for sentinel in deployment.sentinels:
        sentinel.command("ACL", "SETUSER", "guest", "on", ">quiet", "~*", "&*", "+@all")
    url = deployment.url.replace("://", "://me:pass%2Fword@")
    options = {"sentinel_username": "guest", "sentinel_password": "quiet", **PATIENTLY}
    async with Cache.open(url, suppress=False, **options) as cache:
        assert await cache.set("k", 1)
        assert "pass" not in repr(cache)
    async with Cache.open(url, suppress=False, **{**options, "sentinel_password": "wrong"}) as cache:
        with pytest.raises(CacheBackendInteractionError) as refused:
            await cache.set("k", 1)
        assert "wrong" not in str(refused.value)


async def test_the_master_is_asked_for_again_if_sentinels_were_out_of_reach(deployment):
    async with Cache.open(deployment.url, suppress=True, **PATIENTLY) as cache:
        assert await cache.set("k", 1)
        for sentinel in deployment.sentinels:
            sentinel.pause()
        assert await cache.set("k", 2), "the master itself is still there"
        for sentinel in deployment.sentinels:
            sentinel.resume()
        assert await cache.set("k", 3)
