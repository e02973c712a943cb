"""Locks of two caches on one server, as of two processes: each knows of the other what the server tells."""

from __future__ import annotations

import anyio
import pytest

from cashews import Cache, Command
from cashews.exceptions import LockedError
from tests.faults.proxy import PATIENCE, until
from tests.servers import LOCK, lock_of

pytestmark = pytest.mark.redis
over_protocols = pytest.mark.parametrize("protocol", [3, 2], ids=["told", "not-told"])


def figures(cache):
    return cache.statistics().backends[""]


def calls(server):
    return sum(count for name, count in server.called().items() if name not in {"config|resetstat", "info"})


@pytest.fixture
async def pair(server, opened):
    async with opened(server.url) as one, opened(server.url) as other:
        yield one, other


@pytest.fixture
async def resting(clock):
    """``await resting(*caches)``: until all wait for something that only time or others bring."""

    async def rest(*caches):
        def calm():
            return all((figures(cache)["waiting"], figures(cache)["in_flight"]) == (0, 0) for cache in caches)

        for _ in range(3):
            await clock.settle()
            await until(calm)

    return rest


class Body:
    """What runs while a lock is held, until it is told to end."""

    def __init__(self, cache, name, diary):
        self.cache = cache
        self.name = name
        self.diary = diary
        self.end = anyio.Event()

    async def run(self):
        async with self.cache.lock("l", expire=3600):
            self.diary.append(self.name)
            await self.end.wait()


async def test_an_unlock_wakes_the_waiter_of_another_process_at_once(pair, clock):
    """Guarantee 14: without a look at the clock."""
    one, other = pair
    diary = []
    first, second = Body(one, "first", diary), Body(other, "second", diary)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(first.run)
        await until(lambda: diary)
        tasks.start_soon(second.run)
        await until(lambda: other.statistics().lock_waiters == 1)
        await clock.settle()
        assert diary == ["first"]
        began = clock.now()
        first.end.set()
        await until(lambda: len(diary) == 2)
        assert clock.now() == began
        second.end.set()
    assert not await one.is_locked("l")


async def test_the_waiters_of_a_process_are_served_in_their_order(pair):
    """Guarantee 14."""
    one, other = pair
    diary = []
    holder = Body(other, "holder", diary)
    bodies = [Body(one, number, diary) for number in range(20)]
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(holder.run)
        await until(lambda: diary)
        for number, body in enumerate(bodies, start=1):
            tasks.start_soon(body.run)
            await until(lambda number=number: one.statistics().lock_waiters == number)
            body.end.set()
        holder.end.set()
        await until(lambda: len(diary) == 21)
    assert diary == ["holder", *range(20)]


async def test_waiting_costs_the_server_next_to_nothing(server, pair, clock, resting):
    """D36: 10 542 commands in a second. 50 waiters, ten minutes."""
    one, other = pair
    diary = []
    holder = Body(one, "holder", diary)
    bodies = [Body(other, number, diary) for number in range(50)]
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(holder.run)
        await until(lambda: diary)
        for body in bodies:
            tasks.start_soon(body.run)
        await until(lambda: other.statistics().lock_waiters == 50)
        await resting(one, other)
        server.forget_calls()
        for _ in range(60):
            await clock.advance(10)
            await resting(one, other)
        assert calls(server) <= 60 * 3
        assert diary == ["holder"]
        tasks.cancel_scope.cancel()


@over_protocols
async def test_a_lock_that_is_fought_for_is_held_by_one_and_refused_to_nobody(server, protocol):
    """A lock that is free by the time we ask who holds it was not refused."""
    held, most, done = [0], [0], []

    async def work(cache):
        for _ in range(10):
            async with cache.lock("l", expire=60):
                held[0] += 1
                most[0] = max(most[0], held[0])
                await anyio.lowlevel.checkpoint()
                held[0] -= 1
                done.append(1)

    options = {"protocol": protocol}
    async with Cache.open(server.patient_url, **options) as one, Cache.open(server.patient_url, **options) as other:
        with anyio.fail_after(PATIENCE):
            async with anyio.create_task_group() as tasks:
                for cache in (one, other) * 10:
                    tasks.start_soon(work, cache)
    assert (most, len(done)) == ([1], 200)


async def test_a_lock_that_is_released_before_we_ask_who_holds_it_was_not_refused(server, opened):
    """Guarantee 14: five holders in a row are gone by then, and the waiter takes its turn."""
    tries = []

    async def come_and_go(call, cmd, _backend, *args, **kwargs):
        if cmd is not Command.SET_LOCK or len(tries) == 5:
            return await call(*args, **kwargs)
        tries.append(1)
        server.command("SET", lock_of("l"), "another")
        reply = await call(*args, **kwargs)
        server.command("DEL", lock_of("l"))
        return reply

    async with opened(server.url, middlewares=[come_and_go]) as cache, cache.lock("l", expire=60) as held:
        assert held.fence > 0
    assert len(tries) == 5


async def test_a_lock_whose_reply_is_lost_does_not_stand_in_its_own_way(server, proxy, opened, clock):
    """Guarantee 22: it was taken at the server, and nobody knew; so it is given back first."""
    async with opened(proxy.url) as cache:
        await cache.ping()
        began = clock.now()
        for wait in (True, False):
            proxy.cut_after(0)
            with anyio.fail_after(PATIENCE):
                try:
                    async with cache.lock("l", expire=3600, wait=wait) as held:
                        assert held.fence > 0
                except LockedError:
                    assert not wait
            assert server.command("EXISTS", lock_of("l")) == 0
        assert clock.now() == began


async def test_a_release_that_is_not_heard_of_is_found_out(server, proxy, opened, clock, resting):
    """The connection is cut while we wait, and the lock is released meanwhile."""
    diary = []
    async with opened(server.url) as one, opened(proxy.url) as other, anyio.create_task_group() as tasks:
        first, second = Body(one, "first", diary), Body(other, "second", diary)
        tasks.start_soon(first.run)
        await until(lambda: diary)
        tasks.start_soon(second.run)
        await until(lambda: other.statistics().lock_waiters == 1)
        await resting(one, other)
        proxy.dumb = True  # the message is lost
        first.end.set()
        await until(lambda: not server.command("EXISTS", lock_of("l")))
        proxy.cut()
        proxy.recover()
        await until(lambda: not figures(other)["connected"])
        began = clock.now()
        for _ in range(20):
            if len(diary) == 2:
                break
            await resting(other)
            if len(diary) < 2:
                await clock.advance(1)
        assert diary == ["first", "second"]
        assert clock.now() - began <= 12
        second.end.set()


async def test_a_holder_that_dies_is_succeeded_when_its_lease_ends(server, pair, clock):
    """Guarantee 14: nobody unlocks; the lease ends in the server's time, which the waiter asks for."""
    _, other = pair
    assert await other.ping() == b"PONG"  # so that our time does not pass while it connects
    server.command("SET", lock_of("l"), "dead", "PX", "50")
    diary = []
    body = Body(other, "successor", diary)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(body.run)
        with anyio.fail_after(PATIENCE):
            while not diary:
                await clock.advance(0.001)  # our time goes on hardly faster than the server's
                server.command("PING")
        body.end.set()


async def test_a_token_of_another_process_unlocks_nothing(pair):
    """Guarantee 14; D33."""
    one, other = pair
    assert await one.set_lock("l", "mine", expire=60)
    assert await other.unlock("l", "yours") is False
    assert await other.is_locked("l")
    assert await one.unlock("l", "mine") is True


async def test_cancelled_waiters_leave_nothing_and_wake_the_next(server, pair):
    """Guarantee 23."""
    one, other = pair
    diary = []
    holder, heir = Body(one, "holder", diary), Body(other, "heir", diary)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(holder.run)
        await until(lambda: diary)
        async with anyio.create_task_group() as doomed:
            for number in range(20):
                doomed.start_soon(Body(other, number, diary).run)
            await until(lambda: other.statistics().lock_waiters == 20)
            doomed.cancel_scope.cancel()
        assert other.statistics().lock_waiters == 0
        await until(lambda: server.command("PUBSUB", "CHANNELS") == [])
        tasks.start_soon(heir.run)
        await until(lambda: other.statistics().lock_waiters == 1)
        holder.end.set()
        await until(lambda: len(diary) == 2)
        heir.end.set()
    await until(lambda: server.command("PUBSUB", "CHANNELS") == [])
    assert await one.is_locked("l") is False


async def test_locks_of_cancelled_bodies_are_given_back(server, pair):
    """46 of 50 locks were left for their whole lease."""
    one, _ = pair
    diary = []

    async def body(number):
        async with one.lock(f"l{number}", expire=3600):
            diary.append(number)
            await anyio.sleep_forever()

    async with anyio.create_task_group() as tasks:
        for number in range(50):
            tasks.start_soon(body, number)
        await until(lambda: len(diary) == 50)
        tasks.cancel_scope.cancel()
    assert server.command("KEYS", b"l*" + LOCK) == []


async def test_who_is_cancelled_while_asking_for_a_lock_leaves_it_to_others(server, pair):
    """Cancelled at any moment: nobody keeps a lock that he does not know of."""
    one, _ = pair
    await one.ping()
    for turns in range(20):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(Body(one, turns, []).run)
            for _ in range(turns):
                await anyio.lowlevel.checkpoint()
            tasks.cancel_scope.cancel()
        await until(lambda: not figures(one)["in_flight"])
        assert server.command("EXISTS", lock_of("l")) == 0


# --- locks in an outage that is not suppressed, or on a server that allows little


async def test_what_a_body_raises_is_not_replaced_by_an_outage(proxy, opened):
    """Guarantee 22: the lock cannot be given back, and its lease ends it."""
    async with opened(proxy.url, suppress=False) as cache:
        await cache.ping()
        with pytest.raises(ZeroDivisionError):  # noqa: PT012  in the body
            async with cache.lock("l", expire=10):
                await proxy.refuse()
                proxy.cut()
                raise ZeroDivisionError


async def test_a_cancelled_body_stays_cancelled_in_an_outage(proxy, opened):
    async with opened(proxy.url, suppress=False) as cache:
        await cache.ping()
        with anyio.CancelScope() as scope:
            async with cache.lock("l", expire=10):
                await proxy.refuse()
                proxy.cut()
                scope.cancel()
                await anyio.sleep_forever()
        assert scope.cancelled_caught


async def test_who_is_cancelled_while_taking_a_lock_stays_cancelled_in_an_outage(proxy, opened):
    async with opened(proxy.url, suppress=False) as cache:
        await cache.ping()
        await proxy.refuse()
        proxy.hold()

        async def cancel(scope):
            await until(lambda: figures(cache)["in_flight"])
            scope.cancel()
            await until(lambda: figures(cache)["in_flight"] > 1)
            proxy.cut()

        async with anyio.create_task_group() as tasks:
            with anyio.CancelScope() as scope:
                tasks.start_soon(cancel, scope)
                async with cache.lock("l", expire=10):
                    raise AssertionError
        assert scope.cancelled_caught


async def test_a_load_that_has_lost_its_lock_in_an_outage_is_returned(proxy, cache, clock):
    """Guarantee 22: the function's own result is still returned, though it takes longer than the lease."""

    @cache(ttl=10, key="k", lock=True)
    async def load():
        await clock.sleep(1000)
        return 5

    answers = []

    async def call():
        answers.append(await load())

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(call)
        await until(lambda: cache.statistics().leases)
        await proxy.refuse()
        proxy.cut()
        await cache.get("k")  # fails, and so it is known
        for _ in range(101):
            await clock.advance(10)
        await until(lambda: answers)
    assert answers == [5]


@pytest.fixture
def joined(own_server, opened):
    """``joined(**options)``: a cache of a user who may do everything but publish and listen."""
    own_server.command("ACL", "SETUSER", "joe", "on", ">secret", "~*", "+@all", "resetchannels")
    return lambda **options: opened(own_server.url, username="joe", password="secret", **options)


@pytest.mark.parametrize("suppress", [True, False])
async def test_a_user_without_channels_may_lock_and_wait(joined, clock, resting, caplog, suppress):
    """Guarantee 14: a server's rules may forbid to publish and to listen; then the next looks again after a pause."""
    diary = []
    async with joined(suppress=suppress) as one, joined(suppress=suppress) as other:
        assert await one.set_lock("k", "token", expire=10)
        assert await one.unlock("k", "token")
        first, *rest = Body(one, 1, diary), Body(one, 2, diary), Body(other, 3, diary)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(first.run)
            await until(lambda: diary)
            for body in rest:
                body.end.set()
                tasks.start_soon(body.run)
            await until(lambda: one.statistics().lock_waiters == other.statistics().lock_waiters == 1)
            first.end.set()
            with anyio.fail_after(PATIENCE):
                while len(diary) < 3:
                    await resting(one, other)
                    await clock.advance(1)
    assert caplog.records == []


async def test_a_lock_may_have_any_name(cache):
    """Not even the empty one is the key of something of ours."""
    with anyio.fail_after(PATIENCE):
        for name in ("a", "", "b", ""):
            async with cache.lock(name, expire=10) as held:
                assert held.fence > 0
        assert [key async for key in cache.scan("*")] == []
        assert await cache.get_keys_count() == 0
