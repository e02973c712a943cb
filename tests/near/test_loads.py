"""Loads that another process overtakes: their values are returned and not stored, and others are not disturbed."""

from contextlib import suppress

import anyio
import pytest
from starlette.responses import StreamingResponse

from cashews import add_prefix
from tests.internals import inside
from tests.near.conftest import PREFIX

pytestmark = pytest.mark.redis
ROUNDS = 40


@pytest.fixture(params=["simple", "early", "hit", "iterator", "refresh", "tagged", "renamed"])
def decorated(request):
    """``decorated(cache, load)``: an async function that loads a key once, in one way or another."""
    way = request.param

    def decorate(cache, load):
        key = f"{way}:{{number}}"
        if way == "early":
            return cache.early(ttl="1h", early_ttl="1m", key=key)(load)
        if way == "hit":
            return cache.hit(ttl="1h", cache_hits=10, key=key)(load)
        if way == "iterator":

            @cache.iterator(ttl="1h", key=key)
            async def generate(number):
                yield await load(number)

            async def consume(number):
                (only,) = [item async for item in generate(number)]
                return only

            return consume
        cached = cache(ttl="1h", key=key, tags=["t"] if way == "tagged" else [])(load)
        return cached.refresh if way == "refresh" else cached

    if way == "renamed":
        decorate.middlewares = [add_prefix("mine:")]
    decorate.key = {"renamed": "mine:renamed:{}", "early": "early:early:{}", "hit": "hit:hit:{}"}.get(
        way, f"{way}:{{}}"
    )
    return decorate


async def test_a_deletion_by_another_during_a_load_keeps_its_value_from_being_stored(opened, other, server, decorated):
    """Guarantee 10: also if the key was absent, where the server alone would tell of nothing."""
    async with opened(middlewares=getattr(decorated, "middlewares", [])) as cache:

        async def load(number):
            await other.delete(decorated.key.format(number))
            return f"old {number}"

        call = decorated(cache, load)
        for number in range(ROUNDS):
            assert await call(number) == f"old {number}"
            assert server.command("EXISTS", PREFIX + decorated.key.format(number)) == 0


async def test_a_load_that_nobody_overtakes_is_stored(opened, other, server, decorated):
    async with opened(middlewares=getattr(decorated, "middlewares", [])) as cache:

        async def load(number):
            await other.delete("another")
            return f"new {number}"

        call = decorated(cache, load)
        for number in range(ROUNDS):
            assert await call(number) == f"new {number}"
            assert server.command("EXISTS", PREFIX + decorated.key.format(number)) == 1


async def test_deleted_tags_of_another_keep_a_value_from_being_stored(cache, other, server):
    """Guarantees 10, 18."""

    @cache(ttl="1h", key="k:{number}", tags=["t"])
    async def load(number):
        await other.delete_tags("t")
        return number

    for number in range(ROUNDS):
        assert await load(number) == number
        assert server.command("EXISTS", f"{PREFIX}k:{number}") == 0


@pytest.mark.parametrize("overtaken", [True, False])
async def test_a_load_of_a_key_that_memory_has_no_room_for_is_overtaken_like_others(opened, other, server, overtaken):
    """Guarantee 10: to follow a key needs no place in the near table."""
    async with opened(client_side_bytes=10) as cache:

        @cache(ttl="1h", key="k")
        async def load():
            if overtaken:
                await other.delete("k")
            return "large" * 10

        for _ in range(ROUNDS):
            server.command("SET", f"{PREFIX}k", "large" * 10)
            assert await load.refresh() == "large" * 10
            assert server.command("EXISTS", f"{PREFIX}k") == int(not overtaken)


async def test_a_load_right_after_an_expiry_is_stored(cache, server):
    @cache(ttl="1h", key="k")
    async def load():
        return "new"

    for _ in range(ROUNDS):
        server.command("SET", f"{PREFIX}k", 1)
        await cache.ping()
        assert await cache.get("k") == 1
        server.command("PEXPIRE", f"{PREFIX}k", 1)
        await cache.ping()
        while await cache.get("k") is not None:
            await cache.ping()
        assert await load() == "new"
        assert server.command("EXISTS", f"{PREFIX}k") == 1


async def test_a_load_right_after_ones_own_deletion_is_stored(cache, server):
    @cache(ttl="1h", key="k")
    async def load():
        return "new"

    for _ in range(ROUNDS):
        await cache.delete("k")
        assert await load.refresh() == "new"
        assert server.command("EXISTS", f"{PREFIX}k") == 1
        await cache.delete("k")
        assert await load() == "new"
        assert server.command("EXISTS", f"{PREFIX}k") == 1


async def test_callers_that_come_after_a_deletion_by_another_load_anew(cache, other):
    """Guarantee 10: they do not join the load that it has overtaken."""
    begun, go_on, loads = anyio.Event(), anyio.Event(), []

    @cache(ttl="1h", key="k")
    async def load():
        loads.append(len(loads))
        mine = loads[-1]
        if mine == 0:
            begun.set()
            await go_on.wait()
        return mine

    async def call():
        found.append(await load())

    found = []
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(call)
        await begun.wait()
        await other.delete("k")
        await cache.ping()
        assert await load() == 1
        go_on.set()
    assert found == [0]
    assert await cache.get("k") == 1


async def test_no_permit_is_followed_once_its_load_has_ended(cache):
    @cache(ttl="1h", key="k:{number}")
    async def load(number):
        if number % 2:
            raise ValueError
        return number

    for number in range(10):
        with suppress(ValueError):
            await load(number)
    assert inside(cache).store()._near._followers == {}


@pytest.mark.parametrize("overtaken", [True, False])
async def test_a_stream_that_another_overtakes_while_it_is_read_is_not_stored(cache, other, server, overtaken):
    """Guarantee 10: its load goes on until its reader has had all of it."""

    @cache(ttl="1h", key="k:{number}")
    async def load(number):
        async def body():
            yield "first"
            if overtaken:
                await other.delete(f"k:{number}")
                await cache.ping()
            yield "second"

        return StreamingResponse(body())

    for number in range(ROUNDS):
        response = await load(number)
        assert [piece async for piece in response.body_iterator] == [b"first", b"second"]
        assert server.command("EXISTS", f"{PREFIX}k:{number}") == int(not overtaken)
