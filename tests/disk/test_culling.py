"""What expires is culled, values are evicted at the size limit; locks, sets and guards' counters never are."""

import anyio
import pytest

from cashews import messages as m
from cashews.backends.disk.culling import MOST_CULLED, MOST_SWEPT, cull
from cashews.backends.disk.locks import set_lock
from tests.disk.conftest import figures
from tests.internals import inside
from tests.subjects import rows_in

pytestmark = pytest.mark.diskcache
ROOM = 200_000


async def test_expired_values_are_culled_by_those_that_come(cache, clock, directory):
    await cache.set_many({f"old{number}": number for number in range(20)}, expire=1)
    await clock.advance(1)
    assert rows_in(directory, "Cache") == 20
    await cache.set("new1", 1)
    assert rows_in(directory, "Cache") == 11
    await cache.set("new2", 1)
    assert rows_in(directory, "Cache") == 2


async def test_the_size_is_limited(opened, directory):
    async with opened(size_limit=ROOM) as cache:
        for number in range(100):
            await cache.set(f"k{number}", bytes(10_000))
        assert await cache.get("k99") == bytes(10_000)
        assert await cache.get("k0") is None
    assert sum(path.stat().st_size for path in directory.rglob("*") if path.is_file()) < 2 * ROOM


async def test_the_size_of_large_values_is_limited(opened, directory):
    async with opened(size_limit=ROOM) as cache:
        for number in range(30):
            await cache.set(f"k{number}", bytes(50_000))
        assert await cache.get("k29") == bytes(50_000)
    assert sum(path.stat().st_size for path in directory.rglob("*.val")) < 2 * ROOM


async def _matching(cache):
    return [value async for _, value in cache.get_match("k0")]


async def _in_transaction(cache):
    async with cache.transaction():
        return await cache.get("k0")


READINGS = {
    "get": lambda cache: cache.get("k0"),
    "get_raw": lambda cache: cache.get_raw("k0"),
    "get_many": lambda cache: cache.get_many("k0", "none"),
    "get_match": _matching,
    "hit": lambda cache: inside(cache).ask(m.GetHit("k0")),
    "transaction": _in_transaction,
    "peek": lambda cache: inside(cache).ask(m.Peek("k0")),
}


@pytest.mark.parametrize("policy", ["least-recently-used", "least-frequently-used"])
@pytest.mark.parametrize("reading", READINGS)
async def test_what_is_read_leaves_last(opened, clock, policy, reading):
    async with opened(size_limit=ROOM, eviction_policy=policy, cull_limit=1) as cache:
        for number in range(40):
            await clock.advance(1)
            await cache.set(f"k{number}", bytes(10_000))
            await clock.advance(1)
            assert await READINGS[reading](cache)
        assert await cache.get("k0") == bytes(10_000)
        assert await cache.get("k1") is None


async def test_what_leaves_is_counted(opened, clock):
    async with opened(size_limit=ROOM) as cache:
        await cache.set_many({f"old{number}": number for number in range(20)}, expire=1)
        await clock.advance(1)
        for number in range(40):
            await cache.set(f"k{number}", bytes(10_000))
        left = await cache.get_keys_count()
        assert figures(cache)["expired"] == 20
        assert figures(cache)["evicted"] == 40 - left > 0


def test_what_is_taken_back_is_not_counted(shelf):
    shelf.put("old", 1, 1.0, 0.0)
    cull(shelf, 2.0)
    shelf.roll_back()
    shelf.begin_writing()
    shelf.commit()
    assert shelf.file.expired == 0


@pytest.mark.parametrize("kind", ["kept", "locks"])
def test_one_batch_sweeps_a_bounded_number_and_the_next_goes_on(shelf, kind):
    """Guarantee 25; others wait for the batch."""
    for number in range(MOST_SWEPT + 1):
        if kind == "locks":
            set_lock(shelf, m.SetLock(f"k{number}", "token", 1.0), 0.0)
        else:
            shelf.put_structure(f"k{number}", "tally", 1, 1.0)
    left = "SELECT COUNT(*) FROM cashews_" + kind  # noqa: S608  a table of the test
    cull(shelf, 2.0)
    assert shelf.sql(left).fetchone() == (1,)
    cull(shelf, 2.0)
    assert shelf.sql(left).fetchone() == (0,)


def test_one_batch_culls_a_bounded_number(shelf):
    """Guarantee 25; however many it stores."""
    for number in range(MOST_CULLED + 1):
        shelf.put(f"k{number}", number, 1.0, 0.0)
    cull(shelf, 2.0)
    assert shelf.sql("SELECT COUNT(*) FROM Cache").fetchone() == (1,)


async def test_without_a_policy_nothing_leaves(opened):
    async with opened(size_limit=1, eviction_policy="none") as cache:
        for number in range(20):
            await cache.set(f"k{number}", bytes(10_000))
        assert await cache.get("k0") == bytes(10_000)


async def test_what_is_no_value_is_never_evicted(opened):
    """D69; guarantee 27."""
    async with opened(size_limit=1) as cache:
        await cache.set_lock("lock", "token", 1_000)
        await cache.set_add("set", "member")
        await cache.incr_bits("bits", 3)
        await cache.slice_incr("slice", 0, 1, 10)

        @cache.rate_limit(limit=1, period=100, key="limit")
        async def limited():
            return 1

        await limited()
        async with anyio.create_task_group() as tasks:
            for number in range(200):
                tasks.start_soon(cache.set, f"k{number}", bytes(1_000))
        assert await cache.is_locked("lock")
        assert await cache.set_pop("set") == ["member"]
        assert await cache.get_bits("bits", 3) == (1,)
        assert await cache.slice_incr("slice", 0, 2, 10) == 2
        with pytest.raises(Exception, match="more than 1 calls"):
            await limited()


async def test_expired_locks_and_structures_are_swept(cache, clock, directory):
    await cache.set_lock("lock", "token", 1)
    await cache.set_add("set", "a", "b", expire=1)
    await clock.advance(2)
    await cache.set("k", 1)
    assert [rows_in(directory, f"cashews_{table}") for table in ("locks", "kept", "parts")] == [0, 0, 0]


async def test_the_file_of_a_large_value_goes_with_it(cache, clock, directory):
    def files():
        return len(list(directory.rglob("*.val")))

    for key in ("replaced", "deleted", "expired", "matched", "tagged"):
        await cache.set(key, bytes(50_000), expire=10, tags=["t"] * (key == "tagged"))
    assert files() == 5
    await cache.set("replaced", bytes(60_000), expire=10)
    assert files() == 5
    await cache.delete("deleted")
    await cache.delete_match("mat*")
    await cache.delete_tags("t")
    assert files() == 2
    await clock.advance(10)
    await cache.set("small", 1)
    assert files() == 0


@pytest.mark.parametrize("shards", [0, 2])
@pytest.mark.parametrize("size", [ROOM - 98_000, ROOM, 10 * ROOM])
@pytest.mark.parametrize("store", ["set", "set_raw", "set_many", "transaction", "tagged", "as text"])
async def test_a_value_that_cannot_fit_is_refused_and_evicts_nothing(opened, shards, size, store):
    """Guarantee 27; its key is absent then, since the earlier value has been replaced."""
    async with opened(size_limit=ROOM * max(1, shards), shards=shards) as cache:
        await cache.set_many({f"k{number}": number for number in range(10)})
        value = bytes(size)
        if store == "set":
            assert await cache.set("k0", value) is False
        elif store == "set_raw":
            assert await cache.set_raw("k0", value) is False
        elif store == "set_many":
            await cache.set_many({"k0": value})
        elif store == "tagged":
            assert await cache.set("k0", value, tags=["t"]) is False
        elif store == "as text":
            assert await cache.set_raw("k0", "é" * (size // 2)) is False
        else:
            async with cache.transaction():
                await cache.set("k0", value)
        assert await cache.get_many(*(f"k{number}" for number in range(10))) == (None, *range(1, 10))
        assert not await cache.exists("k0")
        assert figures(cache)["refused"] == 1
        assert figures(cache)["evicted"] == 0


async def test_what_just_fits_is_stored(opened):
    async with opened(size_limit=ROOM) as cache:
        await cache.set("k0", 0)
        large = ROOM - 99_000
        assert await cache.set("k1", bytes(large)) is True
        assert await cache.get_many("k0", "k1") == (0, bytes(large))


@pytest.mark.parametrize("options", [{"eviction_policy": "none"}, {"cull_limit": 0}])
async def test_without_eviction_nothing_is_refused(opened, options):
    async with opened(size_limit=ROOM, **options) as cache:
        assert await cache.set("k", bytes(ROOM)) is True
        assert await cache.get("k") == bytes(ROOM)
