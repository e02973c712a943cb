"""What every command answers while the server is down, hangs, or comes and goes."""

from __future__ import annotations

import anyio
import pytest

from cashews import messages as m
from cashews.commands import Command, Effect
from cashews.exceptions import CacheBackendInteractionError, LockedError
from tests.engine.test_message_laws import EXAMPLES
from tests.faults.proxy import PATIENCE, until
from tests.internals import inside

pytestmark = pytest.mark.redis
over_all = pytest.mark.parametrize("message", EXAMPLES, ids=lambda message: type(message).__name__)
SUPPRESSED = [message for message in EXAMPLES if not isinstance(message, m.Ping)]
"""The messages that are answered neutrally; a ping asks whether the store works."""
SILENT = (m.UnwatchLock,)
"""What needs no server unless something was watched before."""


def neutral(message):
    reply = message.declined()
    return (reply.items, reply.cursor) if isinstance(reply, m.Page) else reply


async def answer(cache, message):
    reply = await inside(cache).ask(message)
    return (reply.items, reply.cursor) if isinstance(reply, m.Page) else reply


async def raises(cache, message):
    try:
        await inside(cache).ask(message)
    except CacheBackendInteractionError:
        return True
    return False


def figures(cache):
    return cache.statistics().backends[""]


@pytest.fixture
async def down(proxy, opened):
    """A cache whose server is known to be down."""
    await proxy.refuse()
    async with opened(proxy.url) as cache:
        with anyio.fail_after(PATIENCE):
            assert await cache.get("k") is None
        yield cache


# --- suppressed


async def test_while_the_server_is_known_to_be_down_every_command_is_neutral_at_once(down, clock, proxy):
    """Guarantee 22; D114."""
    await proxy.listen()
    accepted, instant = proxy.accepted, clock.now()
    with anyio.fail_after(PATIENCE):
        for message in SUPPRESSED:
            assert (message, await answer(down, message)) == (message, neutral(message))
    assert (proxy.accepted, clock.now()) == (accepted, instant)
    assert figures(down)["waiting"] == 0


@pytest.mark.parametrize("message", SUPPRESSED, ids=lambda message: type(message).__name__)
async def test_when_the_server_hangs_every_command_is_neutral_within_the_timeout(cache, clock, proxy, message):
    """Guarantee 22."""
    proxy.go_silent()
    replies = []

    async def ask():
        replies.append((await answer(cache, message), clock.now()))

    began = clock.now()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ask)
        await clock.advance(4.9)
        assert replies == ([] if type(message) not in SILENT else [(None, began)])
        await clock.advance(0.2)
        with anyio.fail_after(PATIENCE):
            await until(lambda: replies)
    reads = message.effect is Effect.READ or isinstance(message, m.Paged)
    assert replies[0][0] == (neutral(message) if reads else message.left_open())
    assert replies[0][1] <= began + 5


async def test_ping_says_that_the_server_is_not_there_though_failures_are_suppressed(down, proxy, clock):
    """Guarantee 22: health checks ask it."""
    for _ in range(2):
        with pytest.raises(CacheBackendInteractionError, match="ping"):
            await down.ping()
    with down.disabling(Command.PING):
        assert await down.ping() == m.Ping().declined()
    await proxy.listen()
    await clock.advance(clock.statistics().next_deadline - clock.now())
    await until(lambda: figures(down)["connected"])
    assert await down.ping(b"echo") == b"echo"


async def test_ping_says_that_the_server_hangs_though_failures_are_suppressed(cache, proxy, clock):
    """Guarantee 22."""
    proxy.go_silent()
    refused = []

    async def ask():
        with pytest.raises(CacheBackendInteractionError, match="no reply within 5 s"):
            await cache.ping()
        refused.append(clock.now())

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ask)
        await clock.advance(5.1)
        await until(lambda: refused)


async def test_a_server_that_never_answers_the_greeting_is_down_in_a_second(clock, proxy, opened):
    """Guarantee 22: a request waits for a connection as long as socket_connect_timeout says."""
    proxy.go_silent()
    async with opened(proxy.url, socket_connect_timeout=1) as cache, anyio.create_task_group() as tasks:
        replies = []

        async def ask():
            replies.append(await cache.get("k", default="neutral"))

        tasks.start_soon(ask)
        await until(lambda: proxy.accepted)
        await clock.advance(0.9)
        assert not replies
        await clock.advance(0.2)
        await until(lambda: replies)
        assert replies == ["neutral"]


async def test_the_results_of_decorated_functions_are_returned_all_the_same(down):
    """Guarantee 22."""
    runs = []

    async def load(x):
        runs.append(x)
        return x * 2

    decorators = [
        down(ttl=10, key="simple:{x}"),
        down.early(ttl=10, key="early:{x}"),
        down.soft(ttl=10, key="soft:{x}"),
        down.hit(ttl=10, cache_hits=3, key="hit:{x}"),
        down.failover(ttl=10, key="failover:{x}"),
        down.dynamic(ttl=10, key="dynamic:{x}"),
        down.rate_limit(limit=1, period=10, key="limit:{x}"),
        down.slice_rate_limit(limit=1, period=10, key="slice:{x}"),
        down.circuit_breaker(errors_rate=1, period=10, ttl=10, key="circuit:{x}"),
        down.invalidate("k:{x}"),
    ]
    for number, decorate in enumerate(decorators):
        function = decorate(load)
        with anyio.fail_after(PATIENCE):
            assert [await function(number), await function(number)] == [number * 2] * 2
    assert len(runs) == 2 * len(decorators)


async def test_a_bloom_filter_that_cannot_be_read_runs_the_function(down):
    """D23."""

    @down.bloom(capacity=100, name="{x}")
    async def known(x):  # noqa: ARG001  the template names it
        return True

    assert await known(1) is True


# --- locks


async def test_a_lock_that_cannot_be_taken_is_not_taken(down):
    """Guarantee 22: bodies do not run as if they were locked, and nobody spins."""
    ran = []

    @down.locked(ttl=10, key="k")
    async def body():
        ran.append(1)

    with anyio.fail_after(PATIENCE):
        with pytest.raises(LockedError):
            await body()
        with pytest.raises(LockedError):
            async with down.lock("k", expire=10):
                ran.append(1)
    assert ran == []


async def test_twenty_bodies_wait_for_a_lock_and_none_runs_when_the_server_goes(cache, proxy, clock):
    """Of 20 bodies none runs unlocked after the server was killed."""
    ran, refused = [], []

    @cache.locked(ttl=1000, key="k")
    async def body():
        ran.append(1)
        await anyio.sleep_forever()

    async def call():
        try:
            await body()
        except LockedError:
            refused.append(1)

    async with anyio.create_task_group() as tasks:
        for _ in range(20):
            tasks.start_soon(call)
        await until(lambda: ran and cache.statistics().lock_waiters == 19)
        await proxy.refuse()
        proxy.cut()
        await cache.get("k")  # fails, and so it is known
        await until(lambda: not figures(cache)["connected"])
        for _ in range(200):
            if len(refused) == 19:
                break
            await clock.advance(10)
        assert (len(ran), len(refused)) == (1, 19)
        tasks.cancel_scope.cancel()


# --- not suppressed


@over_all
async def test_not_suppressed_every_command_says_that_the_server_is_not_there(proxy, opened, message):
    """Guarantee 22; D115."""
    await proxy.refuse()
    async with opened(proxy.url, suppress=False) as cache:
        with anyio.fail_after(PATIENCE):
            for _ in range(2):
                assert await raises(cache, message) is (type(message) not in {*SILENT, m.WatchLock})


@over_all
async def test_not_suppressed_every_command_says_that_the_server_hangs(proxy, opened, clock, message):
    """Guarantee 22; D115."""
    async with opened(proxy.url, suppress=False) as cache:
        await cache.ping()
        proxy.go_silent()
        outcomes = []

        async def ask():
            outcomes.append(await raises(cache, message))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask)
            await clock.advance(5)
            await until(lambda: outcomes)
        assert outcomes == [type(message) not in SILENT]
        assert figures(cache)["in_flight"] == 0


async def test_a_scan_that_breaks_off_raises_and_does_not_end(server, proxy, opened):
    """D113: 202 of 1000 keys, and no error."""
    server.commands(*[("SET", f"key:{number}", "1") for number in range(1000)])
    async with opened(proxy.url, suppress=False) as cache:
        seen = []
        with pytest.raises(CacheBackendInteractionError):  # noqa: PT012  in the middle of it
            async for key in cache.scan("key:*", batch_size=10):
                seen.append(key)
                if len(seen) == 1:
                    await proxy.refuse()
                    proxy.cut()
        assert 0 < len(seen) < 1000
        with pytest.raises(CacheBackendInteractionError):
            _ = [pair async for pair in cache.get_match("key:*")]


async def test_a_scan_goes_on_over_a_connection_that_breaks(server, proxy, opened):
    """Reads are asked once more."""
    server.commands(*[("SET", f"key:{number}", "1") for number in range(1000)])
    async with opened(proxy.url, suppress=False) as cache:
        seen = set()
        async for key in cache.scan("key:*", batch_size=10):
            seen.add(key)
            if len(seen) in {5, 500}:
                proxy.cut()
        assert len(seen) == 1000
