"""Tags in a transaction: kept with the values and applied with them, or not at all (guarantee 15, D81)."""

from __future__ import annotations

import anyio
import pytest

from cashews.engine.context import AMBIENT
from tests.internals import inside
from tests.servers import INDEX
from tests.subjects import rows_in


class UndoneError(Exception):
    """Ends a transaction without a commit."""


@pytest.fixture
async def outside(subject, clock):
    """What another process sees, where there is a server or a disk; in memory, what is committed."""
    if not (subject.served or subject.on_disk):
        yield None
        return
    async with subject.open(clock) as other:
        yield other


async def test_tags_are_committed_with_their_values(cache, clock):
    async with cache.transaction():
        await cache.set("a", 1, 100, tags=["t", "u"])
        assert await cache.get_key_tags("a") == ("t", "u")
        await clock.advance(10)
        await cache.expire("a", 50)
        await cache.incr("a", 4)
        assert (await cache.get("a"), await cache.get_key_tags("a")) == (5, ("t", "u"))
    assert (await cache.get("a"), await cache.get_key_tags("a"), await cache.get_expire("a")) == (5, ("t", "u"), 50)
    await cache.delete_tags("u")
    assert await cache.get("a") is None


@pytest.mark.over_slots
async def test_a_rollback_leaves_neither_values_nor_tags(cache, outside):
    """Guarantee 15; D81."""
    await cache.set("a", 1, tags=["t"])

    async def undone():
        async with cache.transaction():
            await cache.set("b", 1, tags=["t"])
            await cache.delete_tags("t")
            assert await cache.get_many("a", "b") == (None, None)
            if outside is not None:
                assert await outside.get_many("a", "b") == (1, None)
            raise UndoneError

    with pytest.raises(UndoneError):
        await undone()
    assert await cache.get_many("a", "b") == (1, None)
    assert await cache.get_key_tags("a") == ("t",)
    await cache.delete_tags("t")
    assert await cache.get("a") is None


@pytest.mark.over_slots
async def test_nothing_is_deleted_before_the_commit(cache, outside):
    await cache.set("a", 1, tags=["t"])
    async with cache.transaction():
        await cache.delete_tags("t")
        if outside is not None:
            assert await outside.get("a") == 1
    assert await cache.get("a") is None


@pytest.mark.over_slots
async def test_what_a_deleted_tag_was_on_is_gone_for_every_command(cache):
    await cache.set("a", 1, 60, tags=["t"])
    await cache.set("n", 1, tags=["t"])
    await cache.set("kept", 1, tags=["u"])
    async with cache.transaction():
        await cache.delete_tags("t")
        assert not await cache.exists("a")
        assert await cache.get_expire("a") == -2
        assert await cache.get_key_tags("a") == ()
        assert await cache.get_many("a", "kept", "a", default=0) == (0, 1, 0)
        assert [key async for key in cache.scan("*")] == ["kept"]
        assert [pair async for pair in cache.get_match("*")] == [("kept", 1)]
        assert await cache.get_keys_count() == 1
        assert not await cache.set("a", 2, exist=True)
        assert not await cache.expire("a", 5)
        assert not await cache.delete("a")
        assert await cache.incr("n", 5) == 5
    assert await cache.get_many("a", "n", "kept") == (None, 5, 1)
    assert await cache.get_key_tags("n") == ()


@pytest.mark.over_slots
async def test_what_is_written_after_the_deletion_stays(cache):
    await cache.set("a", 1, tags=["t"])
    async with cache.transaction():
        await cache.set("b", 1, tags=["t"])
        await cache.delete_tags("t")
        await cache.set("c", 1, tags=["t"])
        await cache.set("a", 2, tags=["t"])
        assert await cache.get_many("a", "b", "c") == (2, None, 1)
    assert await cache.get_many("a", "b", "c") == (2, None, 1)
    await cache.delete_tags("t")
    assert await cache.get_many("a", "b", "c") == (None, None, None)


async def test_a_change_to_a_tagged_key_keeps_its_tags(cache, clock):
    """Guarantees 18, 26; D65."""
    await cache.set("n", 2**62, 10, tags=["t"])
    async with cache.transaction():
        assert await cache.incr("n", 1) == 2**62 + 1
        await cache.expire("n", 3_600)
        assert await cache.get_key_tags("n") == ("t",)
    await clock.advance(1_000)
    assert (await cache.get("n"), await cache.get_key_tags("n")) == (2**62 + 1, ("t",))
    await cache.delete_tags("t")
    assert await cache.get("n") is None


@pytest.mark.several_keys
async def test_a_value_that_is_overwritten_in_a_transaction_leaves_its_tags(cache):
    for key in ("set", "raw", "many", "deleted"):
        await cache.set(key, 1, tags=["t"])
    async with cache.transaction():
        await cache.set("set", 2)
        await cache.set_raw("raw", 2)
        await cache.set_many({"many": 2}, 60)
        await cache.delete_many("deleted", "absent")
    await cache.delete_tags("t")
    assert [await cache.exists(key) for key in ("set", "raw", "many")] == [True] * 3
    if "tags" in (figures := inside(cache).store().statistics()):
        assert (figures["tagged"], figures["tags"]) == (0, 0)


@pytest.mark.over_slots
async def test_a_load_that_the_commit_of_a_deletion_overtakes_is_not_stored(cache, gate):
    """Guarantee 10: it takes effect when it is committed."""
    cached = cache(90, key="k", tags=["t:{result}"])(gate.__call__)
    async with anyio.create_task_group() as tasks:
        async with cache.transaction():
            await cache.delete_tags("t:old")
            tasks.start_soon(outside_of_it, cached)
            await gate.begun.wait()
        gate.go.set()
    assert await cached.peek() is None


async def outside_of_it(cached):
    AMBIENT.set(None)
    await cached()


async def test_a_load_in_a_transaction_is_stored_with_its_tags(cache, gate):
    gate.go.set()
    cached = cache(90, key="k", tags=["t", "r:{result}"])(gate.__call__)
    async with cache.transaction():
        assert await cached() == "old"
        assert await cached() == "old"
    assert gate.runs == 1
    assert await cache.get_key_tags("k") == ("t", "r:old")


@pytest.mark.over_slots
async def test_a_deletion_after_an_explicit_commit_is_committed_at_the_end(cache):
    await cache.set("a", 1, tags=["t"])
    async with cache.transaction() as transaction:
        await cache.set("b", 1)
        await transaction.commit()
        await cache.delete_tags("t")
    assert await cache.get_many("a", "b") == (None, 1)


async def test_a_load_that_a_deletion_of_others_overtakes_before_the_commit_is_not_stored(cache, outside, gate):
    """Guarantee 10, across processes."""
    gate.go.set()
    cached = cache(90, key="k", tags=["t:{result}"])(gate.__call__)
    async with cache.transaction():
        assert await cached() == "old"
        if outside is not None:
            await outside.delete_tags("t:old")
    assert await cache.exists("k") is (outside is None)


@pytest.mark.several_keys
async def test_what_a_transaction_removes_leaves_no_bookkeeping(cache, subject, request):
    """Guarantee 18; D66, D68."""
    for key in ("a", "b", "c"):
        await cache.set(key, 1, tags=["t", f"own:{key}"])
    async with cache.transaction():
        await cache.delete("a")
        await cache.expire("b", 0)
        await cache.set("c", 2)
    backend = inside(cache).store()
    if subject.served:
        keys = request.getfixturevalue("subjects_server").command("KEYS", "*")
        assert [key for key in keys if key.endswith(INDEX)] == []
    elif subject.on_disk:
        assert rows_in(subject.options["directory"], "cashews_tags") == 0
    else:
        assert (backend.statistics()["tagged"], backend.statistics()["tags"]) == (0, 0)
