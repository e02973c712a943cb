"""What was loaded before an invalidation goes to its callers and nowhere else (guarantee 10; D14)."""

import anyio
import pytest

INVALIDATIONS = {
    "delete": lambda cache, _: cache.delete("k"),
    "delete_many": lambda cache, _: cache.delete_many("x", "k", "y"),
    "delete_match": lambda cache, _: cache.delete_match("*k*"),
    "clear": lambda cache, _: cache.clear(),
    "invalidate": lambda _, cached: cached.invalidate(),
}
LOADS = {
    "simple": lambda cache, function: cache(90, key="k")(function),
    "under a lock": lambda cache, function: cache(90, key="k", lock=True)(function),
    "unprotected": lambda cache, function: cache(90, key="k", protected=False)(function),
    "upper": lambda cache, function: cache(90, key="k", upper=True)(function),
    "early": lambda cache, function: cache.early(90, key="k", prefix="")(function),
    "soft": lambda cache, function: cache.soft(90, key="k", prefix="")(function),
    "hit": lambda cache, function: cache.hit(90, 3, key="k", prefix="")(function),
    "failover": lambda cache, function: cache.failover(90, key="k", prefix="")(function),
}
REFRESHES = {
    "early": lambda cache, function: cache.early(90, key="k", prefix="", early_ttl=30)(function),
    "hit": lambda cache, function: cache.hit(9000, 9, update_after=1, key="k", prefix="")(function),
    "dynamic": lambda cache, function: cache.dynamic(9000, key="k", prefix="")(function),
}
every_invalidation = pytest.mark.parametrize("invalidate", INVALIDATIONS.values(), ids=INVALIDATIONS)


class Database:
    """Has one row; reading it takes a second, after which the reader has what was there at the beginning."""

    def __init__(self, clock):
        self.clock = clock
        self.row = "old"
        self.reads = 0

    async def read(self):
        self.reads += 1
        row = self.row
        await self.clock.sleep(1)
        return row


@pytest.fixture
def database(clock):
    return Database(clock)


@every_invalidation
@pytest.mark.parametrize("decorate", LOADS.values(), ids=LOADS)
async def test_a_load_that_began_before_is_returned_and_not_stored(cache, clock, database, decorate, invalidate):
    cached = decorate(cache, database.read)
    results = []

    async def call():
        results.append(await cached())

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(call)
        await clock.advance(0.5)
        database.row = "new"
        await invalidate(cache, cached)
        await clock.advance(0.5)
        assert results == ["old"]
        assert not await cache.exists("k")
        tasks.start_soon(call)
        await clock.advance(1)
    assert results == ["old", "new"]
    assert await cached.peek() == "new"


@every_invalidation
async def test_who_comes_after_it_does_not_join_the_load_that_began_before(cache, clock, database, invalidate):
    """Both who waited before and who came after are many, and each group has one load."""
    cached = cache(90, key="k")(database.read)
    results = []

    async def call():
        results.append(await cached())

    async with anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(call)
        await clock.advance(0.5)
        database.row = "new"
        await invalidate(cache, cached)
        for _ in range(3):
            tasks.start_soon(call)
        await clock.advance(0.5)
        assert results == ["old"] * 3
        await clock.advance(0.5)
    assert results == ["old"] * 3 + ["new"] * 3
    assert database.reads == 2
    assert await cached.peek() == "new"
    assert cache.statistics().loads == 0


async def test_the_old_load_may_end_after_the_new_one(cache, clock, database):
    cached = cache(90, key="k")(database.read)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(cached)
        await clock.advance(0.1)
        await cache.delete("k")
        database.row = "new"
        await cache.get_or_set("k", "newest")
        await clock.advance(1)
    assert await cached() == "newest"


async def test_a_waiter_that_takes_over_after_it_loads_anew_and_its_load_is_stored(cache, clock, database):
    cached = cache(90, key="k")(database.read)
    results = []

    async def call():
        results.append(await cached())

    async def lead():
        with leading:
            await cached()

    leading = anyio.CancelScope()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lead)
        await clock.advance(0.5)
        tasks.start_soon(call)
        await clock.settle()
        await cache.delete("k")
        database.row = "new"
        leading.cancel()
        await clock.advance(1)
    assert results == ["new"]
    assert await cached.peek() == "new"


@pytest.mark.parametrize("pattern", ["k:1", "other*", "*:2", "k"])
async def test_an_invalidation_of_other_keys_does_not_concern_a_load(cache, clock, database, pattern):
    @cache(90, key="k:{number}")
    async def get(number):
        return number, await database.read()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(get, 3)
        await clock.advance(0.5)
        await cache.delete_match(pattern)
        await clock.advance(0.5)
    assert await cache.get("k:3") == (3, "old")


@every_invalidation
@pytest.mark.parametrize("decorate", REFRESHES.values(), ids=REFRESHES)
async def test_a_background_refresh_that_began_before_is_not_stored(cache, clock, database, decorate, invalidate):
    cached = decorate(cache, database.read)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(cached)
        await clock.advance(40)
        assert await cached() == "old"  # and a refresh begins
        await clock.advance(0.5)
        assert database.reads == 2
        database.row = "new"
        await invalidate(cache, cached)
        await clock.advance(0.5)
        assert not await cache.exists("k")
        tasks.start_soon(cached)
        await clock.advance(1)
    assert await cached.peek() == "new"


@every_invalidation
async def test_who_comes_after_it_does_not_join_a_refresh_that_began_before(cache, clock, database, invalidate):
    cached = cache.early(90, key="k", prefix="", early_ttl=30)(database.read)
    results = []

    async def call():
        results.append(await cached())

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(call)
        await clock.advance(40)
        await call()
        await clock.advance(0.5)
        database.row = "new"
        await invalidate(cache, cached)
        tasks.start_soon(call)
        await clock.advance(1)
    assert results == ["old", "old", "new"]
    assert await cached.peek() == "new"


@every_invalidation
async def test_the_same_for_get_or_set(cache, clock, database, invalidate):
    cached = cache(90, key="k")(database.read)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(cache.get_or_set, "k", database.read, 90)
        await clock.advance(0.5)
        database.row = "new"
        await invalidate(cache, cached)
        await clock.advance(0.5)
        assert not await cache.exists("k")


async def test_refresh_itself_is_subject_to_it(cache, clock, database):
    cached = cache(90, key="k")(database.read)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(cached.refresh)
        await clock.advance(0.5)
        await cached.invalidate()
        await clock.advance(0.5)
    assert not await cache.exists("k")
