"""`explain` tells all that a cache knows of a call; it runs nothing and changes nothing."""

import anyio
import pytest

from cashews import Cache, Command, Explanation, invalidate_further
from tests.subjects import on_memory

DECORATORS = {
    "simple": lambda cache, **options: cache(**options),
    "early": lambda cache, **options: cache.early(**options),
    "soft": lambda cache, **options: cache.soft(**options),
    "hit": lambda cache, **options: cache.hit(cache_hits=2, **options),
    "failover": lambda cache, **options: cache.failover(**options),
}


async def test_an_absent_value_is_loaded(cache, origin, subject):
    load = cache(ttl=90, key="k", tags=["t"])(origin)
    found = await load.explain()
    assert found == Explanation(
        function="tests.strategies.conftest.Origin", key="k", store=subject.name, verdict="load", tags=("t",)
    )
    assert origin.runs == 0
    assert load.statistics().calls == 0


async def test_a_stored_value_is_told_with_its_age_and_tags(cache, origin, clock, subject):
    load = cache(ttl=90, key="{_}", tags=["t", "n:{_}"])(lambda_of(origin))
    await load(5)
    await clock.advance(30)
    found = await load.explain(5)
    assert (found.key, found.found, found.verdict, found.ttl_left, found.age) == ("5", True, "serve", 60, 30)
    assert sorted(found.tags) == ["n:5", "t"]
    lines = str(found).splitlines()
    assert lines[0] == "5"
    assert lines[2:5] == [
        f"  store    {subject.name}, under the prefix ''",
        "  found    a value 30 s old, 60 s left",
        "  verdict  serve",
    ]
    assert lines[-1] == "  loading  nobody"


def lambda_of(origin):
    async def load(_):
        return await origin()

    return load


@pytest.mark.parametrize("decorate", DECORATORS.values(), ids=DECORATORS)
async def test_the_verdict_is_that_of_the_next_call_and_asking_does_not_change_it(cache, origin, clock, decorate):
    load = decorate(cache, ttl=90, key="k")(origin)
    for _ in range(6):
        verdicts = {(await load.explain()).verdict for _ in range(5)}
        (verdict,) = verdicts
        before, refreshes = origin.runs, load.statistics().refreshes
        await load()
        ran = origin.runs > before
        assert ran is (verdict in {"load", "load or serve"})
        assert (load.statistics().refreshes > refreshes) is (verdict == "serve and refresh")
        await clock.advance(19)


async def test_a_value_without_an_end_has_no_age(cache, origin):
    load = cache(ttl=None, key="k")(origin)
    await load()
    found = await load.explain()
    assert (found.ttl_left, found.age) == (None, None)
    assert "a value of unknown age, without an end" in str(found)


async def test_a_load_that_runs_is_told_with_its_waiters(cache, origin, clock):
    origin.takes = 5.0
    load = cache(ttl=90, key="k")(origin)
    async with anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(load)
        await clock.advance(1)
        found = await load.explain()
        await clock.advance(5)
    assert (found.loads, found.waiters, found.found) == (1, 2, False)
    assert "1 in this process, 2 wait" in str(found)


async def test_a_lock_of_another_process_is_told(cache, origin):
    load = cache(ttl=90, key="k", lock=True)(origin)
    assert (await load.explain()).locked_for is None
    await cache.set_lock("k:lock", "of another process", 10)
    found = await load.explain()
    assert found.locked_for == pytest.approx(10, abs=0.1)
    assert "a lock in the store" in str(found)


async def test_a_call_without_a_key_is_told_with_the_reason(cache, origin):
    found = await cache(ttl=90)(lambda_of(origin)).explain(object())
    assert (found.key, found.verdict) == (None, "run")
    assert "memory address" in found.reason
    assert found.reason in str(found)


async def test_the_context_of_the_caller_is_left_alone(cache, origin):
    """Neither a transaction nor `invalidate_further()` nor a detector notices."""
    load = cache(ttl=90, key="k")(origin)
    await load()
    with invalidate_further(), cache.detect as detector:
        async with cache.transaction():
            assert (await load.explain()).verdict == "serve"
    assert detector.calls == {}
    with cache.disabling(Command.GET):
        found = await load.explain()
    assert (found.found, found.verdict, found.is_off) == (False, "load", True)
    assert "reads are switched off here" in str(found)
    assert (await load.explain()).found


async def test_a_stored_run_of_a_generator_is_explained(cache):
    class Numbers:
        @cache.iterator(ttl=90, key="{size}")
        async def upto(self, size):
            for number in range(size):
                yield number

    numbers = Numbers()
    assert (await numbers.upto.explain(3)).verdict == "load"
    assert [item async for item in numbers.upto(3)] == [0, 1, 2]
    found = await numbers.upto.explain(3)
    assert (found.key, found.found, found.verdict) == ("3", True, "serve")


@on_memory
async def test_each_of_many_ids_is_explained(cache, clock, subject):
    runs = []

    @cache.many(ttl=90, key="user:{id}:{lang}", tags=["user:{id}"])
    async def users(ids, lang="en"):
        runs.append(ids)
        await clock.sleep(1)
        return dict.fromkeys(ids, lang)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(users, [1])
        await clock.advance(30)
        tasks.start_soon(users, [2])
        await clock.advance(0.5)
        found = await users.explain([3, 1, 2, 1])
        assert await users.explain(ids=[3, 1, 2], lang="en") == found
        await clock.advance(1)
    assert list(found) == [3, 1, 2]
    keys = {one: (each.key, each.found, each.verdict, each.tags) for one, each in found.items()}
    assert keys == {
        1: ("user:1:en", True, "serve", ("user:1",)),
        2: ("user:2:en", False, "load", ("user:2",)),
        3: ("user:3:en", False, "load", ("user:3",)),
    }
    assert [(each.loads, each.ttl_left, each.age, each.store) for each in found.values()] == [
        (0, None, None, subject.name),
        (0, 61, 29, subject.name),
        (1, None, None, subject.name),
    ]
    assert runs == [[1], [2]]
    assert users.statistics().calls == 2


async def test_an_id_without_a_key_is_told_with_the_reason(cache):
    @cache.many(ttl=90, key="{id}")
    async def load(ids):
        return dict.fromkeys(ids)

    thing = object()
    found = await load.explain([thing, 1])
    assert (found[thing].key, found[thing].verdict, found[1].key) == (None, "run", "1")
    assert found[thing].reason


async def test_the_route_of_the_key_is_told(origin, clock):
    cache = Cache("two stores", clock=clock)
    cache.setup("mem://")
    cache.setup("mem://", prefix="user:")
    load = cache(ttl=90, key="user:{_}")(lambda_of(origin))
    async with cache:
        assert (await load.explain(1)).route == "user:"
        await load(1)
        assert "under the prefix 'user:'" in str(await load.explain(1))
