"""A write that races `delete_tags` is deleted or newer than it, in whichever process it runs (guarantees 10, 18)."""

from __future__ import annotations

import anyio
import pytest
from anyio.lowlevel import checkpoint

from cashews import Command
from cashews import messages as m
from tests.internals import inside
from tests.servers import record_of
from tests.subjects import each, on_memory

LOADS = {
    "simple": lambda cache, load, **tags: cache(90, key="k", **tags)(load),
    "under a lock": lambda cache, load, **tags: cache(90, key="k", lock=True, **tags)(load),
    "unprotected": lambda cache, load, **tags: cache(90, key="k", protected=False, **tags)(load),
    "upper": lambda cache, load, **tags: cache(90, key="k", upper=True, **tags)(load),
    "early": lambda cache, load, **tags: cache.early(90, key="k", prefix="", **tags)(load),
    "soft": lambda cache, load, **tags: cache.soft(90, key="k", prefix="", **tags)(load),
    "hit": lambda cache, load, **tags: cache.hit(90, 3, key="k", prefix="", **tags)(load),
    "failover": lambda cache, load, **tags: cache.failover(90, key="k", prefix="", **tags)(load),
}
TAGS = {
    "of the call": ["t"],
    "of the result": ["t:{result}"],
    "of a callable": lambda result: ["u", f"t:{result}"],
}
BOTH = ("t", "t:old")
every_load = pytest.mark.parametrize("decorate", LOADS.values(), ids=LOADS)
every_tag = pytest.mark.parametrize("tags", TAGS.values(), ids=TAGS)
on_server = pytest.mark.parametrize("subject", each(["redis"]), indirect=True)


@pytest.fixture
async def other(subject, clock, cache):
    """A cache of another process, where there is a server; the same one in memory."""
    if not subject.served:
        yield cache
        return
    async with subject.open(clock) as other:
        yield other


@every_load
@every_tag
async def test_a_load_that_a_deletion_overtakes_is_returned_and_not_stored(cache, other, gate, decorate, tags):
    """Guarantee 10; D14."""
    cached, results = decorate(cache, gate.__call__, tags=tags), []

    async def call():
        results.append(await cached())

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(call)
        await gate.begun.wait()
        await other.delete_tags(*BOTH)
        gate.go.set()
    assert results == ["old"]
    assert await cached.peek() is None
    gate.value = "new"
    assert await cached() == "new"
    assert await cached.peek() == "new"
    await other.delete_tags("t", "t:new")
    assert await cached.peek() is None


@every_tag
async def test_a_deletion_of_other_tags_does_no_harm(cache, other, gate, tags):
    cached = cache(90, key="k", tags=tags)(gate.__call__)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(cached)
        await gate.begun.wait()
        await other.delete_tags("another")
        gate.go.set()
    assert await cached.peek() == "old"


@every_tag
async def test_a_deletion_before_the_load_does_no_harm(cache, other, gate, tags):
    cached = cache(90, key="k", tags=tags)(gate.__call__)
    await other.delete_tags(*BOTH)
    gate.go.set()
    assert await cached() == "old"
    assert await cached.peek() == "old"


@every_tag
async def test_who_comes_after_a_deletion_does_not_join_the_load_that_began_before(cache, clock, gate, tags):
    """Guarantee 10."""
    cached, results = cache(90, key="k", tags=tags)(gate.__call__), []

    async def call():
        results.append(await cached())

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(call)
        await gate.begun.wait()
        await cache.delete_tags(*BOTH)
        gate.value = "new"
        tasks.start_soon(call)
        await clock.settle()
        runs = gate.runs
        gate.go.set()
    assert sorted(results) == ["new", "old"]
    assert runs == 2
    assert cache.statistics().loads == 0


async def test_who_shares_a_load_still_shares_it_when_other_tags_are_deleted(cache, clock, gate):
    cached = cache(90, key="k", tags=["t"])(gate.__call__)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(cached)
        await gate.begun.wait()
        await cache.delete_tags("another")
        tasks.start_soon(cached)
        await clock.settle()
        gate.go.set()
    assert gate.runs == 1


async def test_who_takes_over_a_load_gives_its_value_its_own_tags(cache, clock, gate):
    """Guarantees 9, 18: the key is the same, the tags need not be."""

    @cache(90, key="k", tags=["t:{n}"])
    async def cached(n):
        return await gate(n)

    async def lead(scope):
        with scope:
            await cached(1)

    leading = anyio.CancelScope()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lead, leading)
        await gate.begun.wait()
        tasks.start_soon(cached, 2)
        await clock.settle()
        leading.cancel()
        await clock.settle()
        gate.go.set()
    assert await cache.get_key_tags("k") == ("t:2",)


async def test_a_default_that_a_deletion_overtakes_is_not_stored(cache, other, gate):
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: cache.get_or_set("k", gate, 90, tags=["t"]))
        await gate.begun.wait()
        await other.delete_tags("t")
        gate.go.set()
    assert await cache.get("k") is None
    assert await cache.get_or_set("k", "new", 90, tags=["t"]) == "new"
    assert await cache.get_key_tags("k") == ("t",)


async def test_a_registered_tag_is_one_of_a_load_as_well(cache, other, gate):
    cache.register_tag("t", "k{n}")
    cached = cache(90, key="k1")(gate.__call__)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(cached)
        await gate.begun.wait()
        await other.delete_tags("t")
        gate.go.set()
    assert await cached.peek() is None


@pytest.mark.parametrize("strategy", ["early", "hit"])
@every_tag
async def test_a_refresh_that_a_deletion_overtakes_is_not_stored(cache, other, clock, gate, strategy, tags):  # noqa: PLR0917  fixtures
    """Guarantees 10, 11."""
    options = {"early": {"early_ttl": 30}, "hit": {"cache_hits": 9, "update_after": 1}}[strategy]
    cached = getattr(cache, strategy)(90, key="k", prefix="", tags=tags, **options)(gate.__call__)
    gate.go.set()
    await cached()
    await clock.advance(40)
    gate.go, gate.begun = anyio.Event(), anyio.Event()
    assert await cached() == "old"
    await gate.begun.wait()
    await other.delete_tags(*BOTH)
    gate.go.set()
    await clock.settle()
    assert await cache.get("k") is None


async def test_a_run_that_a_deletion_overtakes_is_not_stored(cache, other):
    """Guarantees 10, 13."""

    @cache.iterator(90, key="k", tags=["t", "n:{result[0]}"])
    async def numbers():
        for number in range(250):
            yield number

    seen = []
    async for number in numbers():
        seen.append(number)
        if number == 100:
            await other.delete_tags("n:0")
    assert seen == list(range(250))
    assert not await cache.exists("k")
    assert [number async for number in numbers()] == seen
    assert await cache.get_key_tags("k") == ("t", "n:0")
    await other.delete_tags("t")
    assert not await cache.exists("k")


# --- at every checkpoint


@pytest.mark.parametrize("when", range(6))
@pytest.mark.parametrize("call_first", [True, False])
async def test_at_whatever_moment_the_deletion_comes_nothing_old_stays(cache, other, when, call_first):
    """Guarantees 10, 18: the value is that of its load's beginning, and the deletion comes after the change."""
    database = {"row": "old"}

    @cache(90, key="k", tags=["t", "row:{result}"])
    async def load():
        row = database["row"]
        for _ in range(3):
            await checkpoint()
        return row

    async def change():
        for _ in range(when):
            await checkpoint()
        database["row"] = "new"
        await other.delete_tags("t")

    async with anyio.create_task_group() as tasks:
        for task in (load, change) if call_first else (change, load):
            tasks.start_soon(task)
    assert await load.peek() in {None, "new"}
    assert await load() == "new"


async def test_many_loads_and_deletions_at_once_leave_nothing_old(cache, other):
    """Guarantees 10, 18."""
    database = dict.fromkeys(range(5), 0)

    @cache(90, key="k:{row}", tags=["row:{row}"])
    async def load(row):
        value = database[row]
        for _ in range(row):
            await checkpoint()
        return value

    async def change(row):
        for _ in range(10):
            database[row] += 1
            await other.delete_tags(f"row:{row}")
            assert await load(row) >= 0

    async def read(row):
        for _ in range(30):
            value = await load(row)
            assert value <= database[row]

    async with anyio.create_task_group() as tasks:
        for row in database:
            tasks.start_soon(change, row)
            tasks.start_soon(read, row)
            tasks.start_soon(read, row)
    assert [await load(row) for row in database] == [10] * 5


@on_memory
async def test_a_write_in_the_middle_of_a_long_deletion_is_newer(cache):
    """Guarantees 18, 25: the deletion takes several turns, and other tasks run between them."""
    many = 2_500
    for number in range(many):
        await cache.set(f"k:{number}", "old", tags=["t"])

    async def write():
        await checkpoint()
        for number in range(many):
            assert await cache.set(f"k:{number}", "new", tags=["t"] if number % 2 else ["u"])

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(cache.delete_tags, "t")
        tasks.start_soon(write)
    assert set(await cache.get_many(*(f"k:{number}" for number in range(many)))) == {"new"}
    await cache.delete_tags("t")
    assert await cache.get_keys_count() == many / 2


@on_memory
async def test_a_deletion_that_is_broken_off_is_finished(cache, clock):
    many = 5_500
    for number in range(many):
        await cache.set(f"k:{number}", "old", tags=["t"])
    with anyio.CancelScope() as scope:
        scope.cancel()
        await cache.delete_tags("t")
    await clock.settle()
    assert cache.statistics().backends[""]["keys"] == 0
    assert cache.statistics().backends[""]["tagged"] == 0


@on_memory
async def test_clearing_in_the_middle_of_a_long_deletion(cache):
    for number in range(9_000):
        await cache.set(f"k:{number}", "old", tags=["t"])

    async def clear():
        await checkpoint()
        await cache.clear()
        await cache.set("k:0", "new", tags=["t"])
        await cache.set("k:1", "new")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(cache.delete_tags, "t")
        tasks.start_soon(clear)
    assert await cache.get_many("k:0", "k:1") == ("new", "new")
    await cache.delete_tags("t")
    assert await cache.get_many("k:0", "k:1") == (None, "new")


# --- marks


@on_server
@pytest.mark.parametrize(("later", "stored"), [(0, False), (1, True)])
async def test_a_load_that_began_in_the_microsecond_of_a_deletion_is_refused(cache, server_mark, later, stored):
    """Guarantee 10: a tie cannot be told."""
    await cache.delete_tags("t")
    message = m.SetTagged("k", 1, 60, tags=("t",), since=server_mark("t") + later)
    assert await inside(cache).ask(message) is stored


@on_server
@pytest.mark.parametrize(("seconds", "stored"), [(3_590, True), (3_601, False)])
async def test_a_load_that_took_longer_than_deletions_are_remembered_is_refused(cache, seconds, stored):
    since = await inside(cache).mark("k") - seconds * 1_000_000
    assert await inside(cache).ask(m.SetTagged("k", 1, 60, tags=("t",), since=since)) is stored


async def test_a_load_whose_beginning_is_unknown_is_refused(cache):
    """Guarantee 22: the server did not say when it began."""
    await cache.delete_tags("other")
    message = m.SetTagged("k", 1, 60, tags=("t",), since=m.MarkLoad("k").declined())
    assert await inside(cache).ask(message) is False


async def test_neither_a_switch_nor_a_middleware_stands_before_the_mark_of_a_load(cache, gate):
    gate.go.set()
    cached = cache(90, key="k", tags=["t"])(gate.__call__)
    with cache.disabling(Command.GET_KEY_TAGS, Command.PING):
        assert await cached() == "old"
    assert await cached.peek() == "old"


@pytest.fixture
def server_mark(subjects_server):
    return lambda tag: int(subjects_server.command("GET", record_of(tag)))
