"""Closing in every state; setting up anew; one event loop after another."""

from __future__ import annotations

import asyncio
import gc
from contextlib import suppress

import anyio
import pytest

from cashews import Cache
from cashews.backends.redis import connection
from cashews.exceptions import CacheClosedError
from cashews.testing.clock import VirtualClock
from tests.faults.proxy import PATIENCE, Proxy, until

pytestmark = pytest.mark.redis


def figures(cache):
    return cache.statistics().backends[""]


def tasks_now():
    return {task.id for task in anyio.get_running_tasks()}


async def outcome(cache, key="k"):
    try:
        return await cache.get(key, default="neutral")
    except CacheClosedError:
        return "closed"


async def assert_closed(cache, *, hosted=False):
    """A block stays closed when its cache is used; without one, a use would open the cache (guarantee 30)."""
    assert not cache.is_init
    if hosted:
        return
    with anyio.fail_after(PATIENCE):
        for refused in (cache.get("k"), cache.set("k", 1), cache.incr("k"), cache.ping()):
            with pytest.raises(CacheClosedError):
                await refused


async def closes_within(cache, clock, seconds):
    """Close a cache; let virtual time pass, but no more than so much."""
    ended = anyio.Event()

    async def close():
        await cache.close()
        ended.set()

    began = clock.now()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(close)
        await clock.settle()
        if not ended.is_set():
            await clock.advance(seconds)
        with anyio.fail_after(PATIENCE):
            await ended.wait()
    assert clock.now() - began <= seconds


async def silent(proxy, cache):
    """In flight, and never answered."""
    await cache.ping()
    proxy.go_silent()


async def connecting(proxy, _):
    proxy.go_silent()


async def down(proxy, cache):
    await proxy.refuse()
    await cache.get("k")


async def up(_, cache):
    """In flight, and answered while it is closed; or with nothing to do."""
    await cache.ping()


STATES = {"silent": silent, "connecting": connecting, "down": down, "late": up, "resting": up}
over_states = pytest.mark.parametrize("state", STATES)
over_homes = pytest.mark.parametrize("hosted", [False, True], ids=["open", "hosted"])


@over_homes
@over_states
async def test_closing_ends_in_time_and_leaves_nothing(proxy, clock, state, hosted):
    """Guarantee 28; D110: no task and no socket is left, whoever waits is answered, use after a block is refused."""
    await clock.settle()
    before, answers = tasks_now(), []
    cache = Cache(clock=clock)
    cache.setup(proxy.url)
    if not hosted:
        await cache.__aenter__()
    await STATES[state](proxy, cache)

    async def ask():
        answers.append(await outcome(cache))

    async with anyio.create_task_group() as tasks:
        if state != "resting":
            for _ in range(10):
                tasks.start_soon(ask)
            await clock.settle()
        await closes_within(cache, clock, 5)
        await assert_closed(cache, hosted=hosted)
        with anyio.fail_after(PATIENCE):
            await until(lambda: state == "resting" or len(answers) == 10)
    assert set(answers) <= {"neutral", "closed"}
    if not hosted:
        await cache.__aexit__(None, None, None)
    await until(lambda: not proxy.links)
    await until(lambda: tasks_now() <= before)
    await assert_closed(cache, hosted=hosted)


@over_states
async def test_a_scope_that_is_cancelled_ends_at_once(proxy, clock, state):
    """Guarantee 28."""
    with anyio.fail_after(PATIENCE), anyio.CancelScope() as scope:
        async with Cache.open(proxy.url, clock=clock) as cache:
            await STATES[state](proxy, cache)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(outcome, cache)
                await clock.settle()
                scope.cancel()
    proxy.recover()
    await until(lambda: not proxy.links)
    await assert_closed(cache)


async def test_a_scope_that_is_cancelled_as_the_handshake_ends_leaves_no_socket(proxy, monkeypatch):
    """Guarantee 28: the connection is nobody's yet."""
    shake_hands, shaken = connection.shake_hands, []

    async def shake_and_cancel(line, address, options):
        welcome = await shake_hands(line, address, options)
        shaken.append(line)  # nobody but its owner closes it
        scope.cancel()
        return welcome

    monkeypatch.setattr(connection, "shake_hands", shake_and_cancel)
    with anyio.fail_after(PATIENCE), anyio.CancelScope() as scope:
        async with Cache.open(proxy.url) as cache:
            await outcome(cache)
    with anyio.fail_after(PATIENCE):
        await until(lambda: not proxy.links)
    assert len(shaken) == 1


async def test_what_waits_when_it_is_closed_is_answered_first(server, opened):
    """Guarantee 28: closing is graceful; what comes too late is refused, and nothing is half done."""
    replies = []
    async with opened(server.url) as cache:
        await cache.ping()

        async def incr():
            with suppress(CacheClosedError):
                replies.append(await cache.incr("n"))

        async with anyio.create_task_group() as tasks:
            for _ in range(100):
                tasks.start_soon(incr)
            await until(lambda: figures(cache)["waiting"] or figures(cache)["in_flight"])
            await cache.close()
    assert sorted(replies) == list(range(1, len(replies) + 1))
    assert server.command("GET", "n") == str(len(replies)).encode()


async def test_an_exit_without_use_connects_nowhere(proxy, opened):
    async with opened(proxy.url):
        pass
    assert proxy.accepted == 0


async def test_a_second_setup_lets_go_of_the_first_connection(server, proxy, opened):
    """D44: the old one lived on."""
    async with Proxy(server.port).serving() as other, opened(proxy.url) as cache:
        await cache.set("k", 1)
        cache.setup(other.url)
        assert await cache.get("k") == 1
        await until(lambda: not proxy.links)
        assert len(other.links) == 1
        assert figures(cache)["connects"] == 1
    await until(lambda: not other.links)


async def test_a_second_setup_before_any_use_leaves_nothing(server, proxy, clock):
    async with Proxy(server.port).serving() as other:
        cache = Cache(clock=clock)
        cache.setup(proxy.url)
        cache.setup(other.url)
        assert await cache.set("k", 1)
        assert (proxy.accepted, other.accepted) == (0, 1)
        await cache.close()
        await until(lambda: not other.links)


@over_homes
async def test_who_waits_at_a_store_that_is_replaced_before_it_connects_is_answered(server, proxy, clock, hosted):
    """Guarantee 28: its tasks had not begun yet, and never do."""
    async with Proxy(server.port).serving() as other:
        cache, answers = Cache(clock=clock), []
        cache.setup(proxy.url)
        if not hosted:
            await cache.__aenter__()

        async def ask():
            answers.append(await outcome(cache))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask)
            await until(lambda: figures(cache)["waiting"])
            cache.setup(other.url)
            with anyio.fail_after(PATIENCE):
                await until(lambda: answers)
        assert set(answers) <= {"neutral", "closed"}
        assert await cache.set("k", 1)
        await cache.close()
        if not hosted:
            await cache.__aexit__(None, None, None)


async def test_closing_that_takes_too_long_leaves_no_task(proxy, clock):
    """Guarantee 28: a server that is given a minute for a reply is not given one for the last."""
    await clock.settle()
    before = tasks_now()
    cache = Cache(clock=clock)
    cache.setup(proxy.url, socket_timeout=60)
    cache.setup(proxy.url, socket_timeout=60, prefix="other:")
    await silent(proxy, cache)
    async with anyio.create_task_group() as tasks:
        for key in ("k", "other:k"):
            tasks.start_soon(outcome, cache, key)
        await clock.settle()
        await closes_within(cache, clock, 10)
    await until(lambda: tasks_now() <= before)
    await assert_closed(cache, hosted=True)


@pytest.mark.parametrize("turns", range(0, 12, 3))
async def test_opening_waits_for_a_closing_that_is_under_way(proxy, clock, turns):
    """Guarantee 23: the replies to those who came before are nobody else's."""
    cache, found = Cache(clock=clock), []
    cache.setup(proxy.url)
    for key in ("a", "b"):
        await cache.set(key, key)
    proxy.hold()

    async def get(key):
        found.append((key, await outcome(cache, key)))

    async def open_again():
        await cache.init()
        await get("b")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(get, "a")
        await until(lambda: figures(cache)["in_flight"])
        tasks.start_soon(cache.close)
        await until(lambda: figures(cache)["in_flight"] == 2)
        tasks.start_soon(open_again)
        for _ in range(turns):
            await anyio.lowlevel.checkpoint()
        proxy.flow()
        with anyio.fail_after(PATIENCE):
            await until(lambda: len(found) == 2)
    assert found == [("a", "a"), ("b", "b")]
    await cache.close()


@over_homes
async def test_a_closed_cache_is_opened_again(proxy, clock, hosted):
    cache = Cache(clock=clock)
    cache.setup(proxy.url)
    for number in (1, 2, 3):
        if hosted:
            await cache.init()
            assert await cache.incr("n") == number
            await cache.close()
        else:
            async with cache:
                assert await cache.incr("n") == number
        await assert_closed(cache, hosted=hosted)
        await until(lambda: not proxy.links)
    assert proxy.accepted == 3


async def test_a_closed_cache_that_was_down_is_opened_again(proxy, clock):
    cache = Cache(clock=clock)
    cache.setup(proxy.url)
    await proxy.refuse()
    async with cache:
        assert await cache.set("k", 1) is False
    await proxy.listen()
    async with cache:
        assert await cache.set("k", 1)


async def test_scripts_work_after_an_opening(proxy, clock):
    """D116: they were bound to the first client."""
    cache = Cache(clock=clock)
    cache.setup(proxy.url)
    for number in (1, 2):
        async with cache:
            assert await cache.incr("n", expire=10) == number
        await until(lambda: not proxy.links)


# --- one event loop after another


@pytest.fixture
def run(anyio_backend_name):
    def run_loop(main, *args):
        anyio.run(main, *args, backend=anyio_backend_name)
        gc.collect()

    return run_loop


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend_name(request):
    return request.param


def clients(server):
    return server.command("CLIENT", "LIST").count(b"\n")


@pytest.mark.parametrize("closed", [True, False], ids=["closed", "left"])
def test_a_cache_serves_one_event_loop_after_another(server, run, closed):
    """D46."""
    cache = Cache()
    cache.setup(server.patient_url)

    async def main(number):
        assert await cache.incr("n", expire=100) == number
        assert await cache.get("n") == number
        async with cache.lock("l", expire=10):
            pass
        if closed:
            await cache.close()

    for number in (1, 2, 3):
        if closed:
            cache.setup(server.patient_url)
        run(main, number)
        assert clients(server) == 1


def test_a_cache_goes_from_one_kind_of_loop_to_the_other(server):
    cache = Cache()
    cache.setup(server.patient_url)

    async def main(number):
        assert await cache.incr("n") == number

    for number, loop in enumerate(["asyncio", "trio", "asyncio", "trio"], start=1):
        anyio.run(main, number, backend=loop)
    assert clients(server) == 1


@pytest.mark.parametrize("waits", [False, True], ids=["idle", "waiting"])
@pytest.mark.parametrize("next_use", ["use", "close"])
def test_a_loop_that_was_closed_by_hand_does_not_break_the_next(server, waits, next_use):
    """D46: its tasks are still pending, ours and those that wait for replies."""
    cache = Cache()
    cache.setup(server.patient_url)

    async def use(number):
        with anyio.fail_after(PATIENCE):
            assert await cache.incr("n") == number
            async with cache.lock("l", expire=10):
                pass

    async def leave():
        pending = asyncio.get_running_loop().create_task(cache.get("k"))
        await until(lambda: figures(cache)["waiting"] or figures(cache)["in_flight"])
        return pending

    async def close():
        with anyio.fail_after(PATIENCE):
            await cache.close()
        cache.setup(server.patient_url)

    for number in (1, 2, 3):
        loop = asyncio.new_event_loop()
        loop.set_exception_handler(lambda *_: None)  # "Task was destroyed but it is pending!"
        if next_use == "close":
            loop.run_until_complete(close())
        loop.run_until_complete(use(number))
        left = loop.run_until_complete(leave()) if waits else None
        loop.close()
        del left
        gc.collect()


def test_a_loop_that_ends_with_requests_in_flight_leaves_none_for_the_next(server, run):
    cache = Cache()
    cache.setup(server.patient_url)

    async def leave():
        await cache.ping()
        async with anyio.create_task_group() as tasks:
            for _ in range(50):
                tasks.start_soon(cache.incr, "n")
            await anyio.lowlevel.checkpoint()
            tasks.cancel_scope.cancel()

    async def look():
        assert await cache.set("k", "own")
        assert await cache.get("k") == "own"

    for _ in range(3):
        run(leave)
        run(look)


def test_a_loop_that_ends_while_the_server_is_down_does_not_hold_up_the_next(own_server, run):
    cache = Cache(clock=VirtualClock())
    cache.setup(own_server.url)

    async def fail():
        assert await cache.set("k", 1) is False

    async def work():
        assert await cache.set("k", 1)

    own_server.kill()
    run(fail)
    own_server.start()
    run(work)
