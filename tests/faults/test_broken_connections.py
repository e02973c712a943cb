"""What becomes of requests whose connection breaks, hangs, or carries nonsense."""

from __future__ import annotations

import gc
from contextlib import suppress
from time import thread_time

import anyio
import pytest

from cashews import Cache
from cashews import messages as m
from cashews.commands import Effect
from cashews.exceptions import CacheBackendInteractionError
from tests.engine.test_message_laws import EXAMPLES
from tests.faults.proxy import PATIENCE, until
from tests.internals import inside

pytestmark = pytest.mark.redis
OURS = {"hello", "ping", "config|resetstat", "client|setinfo"}
NONSENSE = {
    "no protocol": b"HTTP/1.1 400 Bad Request\r\n\r\n",
    "bytes": bytes(range(128, 256)) * 8,
    "a reply to nothing": b"+OK\r\n" * 100,
    "a map with a list for a key": b"%1\r\n*0\r\n:1\r\n",
    "a push without words": b">0\r\n",
    "a message without words": b">1\r\n$7\r\nmessage\r\n",
    "a push that begins with a list": b">1\r\n*0\r\n",
    "a confirmation of nothing": b">3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n" * 100,
    "a wrong length": b"$-7\r\n",
    "a wrong count": b"*99999999999999999999\r\n",
    "a wrong double": b",abc\r\n",
}


def figures(cache):
    return cache.statistics().backends[""]


def calls(server):
    return {name: count for name, count in server.called().items() if name not in OURS}


# --- writes at most once, reads at most twice


async def test_a_counter_counts_once_when_its_reply_is_lost(server, proxy, cache):
    """Guarantee 22: what writes is not sent again."""
    for count in (1, 2, 3):
        await cache.ping()
        proxy.cut_after(0)
        assert await cache.incr("k") == 0
        assert server.command("GET", "k") == str(count).encode()
    assert await cache.incr("k") == 4
    assert (figures(cache)["connects"], figures(cache)["in_flight"]) == (4, 0)


READING = (m.Ping, m.LockTimeLeft)
WRITES = [message for message in EXAMPLES if message.effect is not Effect.READ and not isinstance(message, READING)]


@pytest.mark.parametrize("message", WRITES, ids=lambda message: type(message).__name__)
async def test_no_write_is_sent_twice(server, proxy, opened, message):
    """Guarantee 22."""
    async with opened(proxy.url, suppress=False) as cache:

        async def once(fault):
            server.commands(("FLUSHALL",), ("CONFIG", "RESETSTAT"))
            await cache.ping()
            fault()
            with suppress(CacheBackendInteractionError):
                await inside(cache).ask(message)
            return calls(server)

        await inside(cache).ask(message)  # so that the server knows the script
        whole = await once(list)
        cut = await once(lambda: proxy.cut_after(0))
        assert {name: count for name, count in cut.items() if count > whole[name] and name != "scan"} == {}
        assert figures(cache)["in_flight"] == 0


async def test_a_lost_write_is_an_error_when_nothing_is_suppressed(proxy, opened):
    async with opened(proxy.url, suppress=False) as cache:
        await cache.ping()
        proxy.cut_after(0)
        with pytest.raises(CacheBackendInteractionError, match="connection was lost"):
            await cache.incr("k")
        assert await cache.get("k") == 1


async def test_a_read_is_asked_once_more_and_no_more(server, proxy, cache):
    server.commands(("SET", "k", "1"), ("CONFIG", "RESETSTAT"))
    proxy.cut_after(0)
    assert await cache.get("k") == 1
    assert calls(server)["get"] == 2
    proxy.mangle = lambda data: data if data.startswith(b"%") else proxy.cut() or b""  # but for the greeting
    assert await cache.get("k") is None
    assert calls(server)["get"] == 4


async def test_a_load_whose_storing_is_lost_is_returned_and_stored_once(server, proxy, cache):
    @cache(ttl=10, key="k")
    async def load():
        proxy.cut_after(0)
        return 5

    assert await load() == 5
    assert calls(server)["set"] == 1


@pytest.mark.parametrize("count", [0, 1, 5, 9])
async def test_a_reply_may_break_off_anywhere(server, proxy, cache, count):
    server.command("SET", "k", "1234567890")
    proxy.cut_after(count)
    assert await cache.get("k") == 1234567890


@pytest.mark.parametrize("fault", ["cut", "reset"])
async def test_an_idle_connection_that_ends_is_replaced_unnoticed(proxy, cache, fault):
    await cache.set("k", 1)
    getattr(proxy, fault)()
    await until(lambda: not figures(cache)["connected"])
    assert await cache.get("k") == 1
    getattr(proxy, fault)()
    await until(lambda: not figures(cache)["connected"])
    assert await cache.incr("n") == 1


async def test_what_waits_and_was_not_sent_goes_over_the_next_connection(proxy, cache):
    replies = []

    async def incr():
        replies.append(await cache.incr("n"))

    proxy.cut()
    async with anyio.create_task_group() as tasks:
        await until(lambda: not figures(cache)["connected"])
        for _ in range(50):
            tasks.start_soon(incr)
    assert sorted(replies) == list(range(1, 51))


async def test_an_error_that_cannot_be_explained_is_an_error_of_ours(server, proxy, opened):
    """D115: what asks the server why may fail as well."""
    server.command("RPUSH", "list", "a")
    async with opened(proxy.url, suppress=False) as cache:
        await cache.ping()

        def refuse(data):
            if b"TYPE" in data and b"WRONGTYPE" not in data:
                proxy.deaf = proxy.dumb = True
                proxy.cut()

        proxy.requests = refuse
        await inside(cache).ask(m.Get("absent"))
        await proxy.refuse()
        with pytest.raises(CacheBackendInteractionError):
            await cache.incr("list")


# --- hanging


async def test_a_connection_that_hangs_is_replaced_after_its_timeout(server, proxy, cache, clock):
    """A frozen server: what is asked later does not wait for what hangs."""
    server.command("SET", "k", "1")
    proxy.hold()
    replies = []

    async def get(key):
        replies.append((await cache.get(key, default="neutral"), clock.now()))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(get, "k")
        await clock.advance(3)
        proxy.mangle = lambda data: data
        tasks.start_soon(get, "l")
        await clock.advance(1.9)
        assert replies == []
        proxy._flowing.set()
        proxy.cut_after(0)
        with anyio.fail_after(PATIENCE):
            await until(lambda: len(replies) == 2)
    assert {reply for reply, _ in replies} == {1, "neutral"}


@pytest.mark.parametrize("direction", ["deaf", "dumb"])
async def test_a_half_open_connection_is_replaced(proxy, cache, clock, direction):
    setattr(proxy, direction, True)
    replies = []

    async def get():
        replies.append((await cache.get("k", default="neutral"), clock.now()))

    async with anyio.create_task_group() as tasks:
        for _ in range(100):
            tasks.start_soon(get)
        await clock.advance(5)
        await until(lambda: len(replies) == 100)
    assert set(replies) == {("neutral", 5.0)}
    proxy.recover()
    assert await cache.set("k", 1)
    assert await cache.get("k") == 1
    assert (figures(cache)["timeouts"], figures(cache)["connects"]) == (1, 2)


async def test_a_read_that_timed_out_is_asked_once_more_if_that_is_wanted(server, proxy, opened, clock):
    server.command("SET", "k", "1")
    async with opened(proxy.url, retry_on_timeout=True) as cache:
        await cache.ping()
        proxy.dumb = True
        replies = []

        async def ask(message):
            replies.append(await inside(cache).ask(message))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask, m.Get("k"))
            tasks.start_soon(ask, m.Incr("n"))
            await until(lambda: figures(cache)["in_flight"] == 2)
            proxy.mangle = lambda data: proxy.recover() or data  # the next connection's greeting is answered
            await clock.settle()
            proxy.dumb = True
            proxy.mangle = bytes
            proxy.requests = lambda data: proxy.recover() if b"HELLO" in data else None
            await clock.advance(5)
            await until(lambda: len(replies) == 2)
    assert sorted(replies) == [0, 1]


async def test_a_reply_has_its_time_however_long_the_connection_took(server, proxy, opened, clock):
    """A request waits for a connection, and then for its reply."""
    server.command("SET", "k", "1")
    async with opened(proxy.url, socket_timeout=0.5, socket_connect_timeout=2) as cache:
        proxy.hold()
        replies = []

        async def get():
            replies.append(await cache.get("k"))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(get)
            await until(lambda: proxy.up)
            await clock.advance(1.5)
            proxy.flow()
            await until(lambda: replies)
    assert replies == [1]
    assert figures(cache)["timeouts"] == 0


async def test_a_silent_connection_is_tried_when_that_is_wanted(proxy, opened, clock):
    async with opened(proxy.url, health_check_interval=30) as cache:
        await cache.set("k", 1)
        commands = figures(cache)["commands"]
        for number in (1, 2):
            await clock.advance(36)
            await until(lambda number=number: figures(cache)["commands"] == commands + number)
            await until(lambda: not figures(cache)["in_flight"])
        proxy.go_silent()
        await clock.advance(45)
        await until(lambda: not figures(cache)["connected"])
        proxy.recover()
        assert await cache.get("k") == 1
        assert figures(cache)["timeouts"] == 1


# --- nonsense


@pytest.mark.parametrize("garbage", NONSENSE.values(), ids=NONSENSE)
async def test_a_connection_that_carries_nonsense_is_replaced(proxy, cache, garbage):
    """Guarantee 23: and no reply goes to the wrong request."""
    await cache.set("k", "value")
    await proxy.say(garbage)
    await until(lambda: not proxy.links)
    assert await cache.get("k") == "value"
    assert await cache.incr("n") == 1
    assert figures(cache)["connects"] == 2


@pytest.mark.parametrize("garbage", [data for name, data in NONSENSE.items() if "nothing" not in name])
async def test_nonsense_in_the_place_of_a_reply_is_no_reply(proxy, cache, garbage):
    await cache.set("k", "value")
    proxy.mangle = lambda _: setattr(proxy, "mangle", bytes) or garbage
    assert await cache.get("k") == "value"


@pytest.mark.parametrize("garbage", NONSENSE.values(), ids=NONSENSE)
async def test_a_greeting_of_nonsense_is_a_server_that_is_down(proxy, opened, clock, garbage):
    proxy.mangle = lambda _: garbage
    async with opened(proxy.url) as cache:
        with anyio.fail_after(PATIENCE):
            assert await cache.get("k", default="neutral") == "neutral"
        proxy.recover()
        proxy.cut()
        for _ in range(5):
            await until(lambda: figures(cache)["connected"] or clock.statistics().sleepers)
            if figures(cache)["connected"]:
                break
            await clock.advance(clock.statistics().next_deadline - clock.now())
        assert await cache.set("k", 1)


async def test_a_reply_too_many_behind_the_greeting_is_nobodys(server, proxy, opened):
    """Guarantee 23."""
    server.command("SET", "k", "1")
    proxy.mangle = lambda data: setattr(proxy, "mangle", bytes) or data + b":5\r\n"
    async with opened(proxy.url) as cache:
        with anyio.fail_after(PATIENCE):
            assert await cache.get("k", default="neutral") == "neutral"


async def test_replies_may_come_a_byte_at_a_time(proxy, cache):
    proxy.drips = True
    values = {f"k{number}": "x" * number for number in range(20)}
    await cache.set_many(values)
    assert await cache.get_many(*values) == tuple(values.values())
    assert await cache.incr("n") == 1


# --- large replies


@pytest.fixture
async def stall():
    """How long the loop did not turn, at most; in time of this thread, as others need the machine, too."""
    longest = [0.0]

    async def tick():
        before = thread_time()
        while True:
            await anyio.lowlevel.checkpoint()
            now = thread_time()
            longest[0] = max(longest[0], now - before)
            before = now

    gc.collect()
    gc.freeze()  # what the tests have on the heap is not the cache's business
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(tick)
        yield longest
        tasks.cancel_scope.cancel()
    gc.unfreeze()


async def test_a_large_reply_does_not_stall_the_loop(server, stall):
    """Guarantee 25."""
    server.command("SET", "raw", b"x" * 20_000_000)
    async with Cache.open(server.patient_url) as cache:
        await cache.ping()
        stall[0] = 0.0
        raw = await cache.get_raw("raw")
        assert len(raw) == 20_000_000
    assert stall[0] < 0.02


@pytest.mark.timed
async def test_many_keys_at_once_do_not_stall_the_loop(server, stall):
    """Guarantee 25."""
    values = {f"key:{number}": {"number": number, "text": "x" * 50} for number in range(10_000)}
    async with Cache.open(server.patient_url) as cache:
        await cache.ping()
        stall[0] = 0.0
        await cache.set_many(values)
        stalls = [stall[0]]
        for _ in range(3):
            stall[0] = 0.0
            found = await cache.get_many(*values)
            stalls.append(stall[0])
        assert found == tuple(values.values())
    assert max(stalls) < 0.02, stalls
