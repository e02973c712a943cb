"""Commands about very many keys take many turns of the event loop, none of them long (guarantee 25).

A dictionary of a million keys grows in one piece, which is Python's own: hence fewer pairs.
"""

from __future__ import annotations

import anyio
import pytest
from anyio.lowlevel import checkpoint

from cashews import Cache, add_prefix, all_keys_lower
from cashews import messages as m
from cashews.testing import VirtualClock
from tests.engine.elsewhere import LOOPS, elsewhere
from tests.internals import inside
from tests.turns import LONGEST, longest_turn

MILLION = tuple(f"k{number}" for number in range(1_000_000))
PAIRS = dict.fromkeys(MILLION[:400_000], 1)
WRITES = MILLION[:100_000]

pytestmark = pytest.mark.timed


@pytest.fixture
async def cache():
    async with Cache.open("mem://", size=2_000_000) as cache:
        yield cache


async def test_reading_and_deleting_a_million_keys(cache):
    assert await longest_turn(cache.get_many, *MILLION) < LONGEST
    assert await longest_turn(cache.delete_many, *MILLION) < LONGEST


async def test_storing_many_pairs(cache):
    assert await longest_turn(cache.set_many, PAIRS) < LONGEST
    assert await cache.get_keys_count() == len(PAIRS)


async def test_a_count_of_many_keys_that_expire_together():
    clock = VirtualClock()
    async with Cache.open("mem://", size=2_000_000, clock=clock) as cache:
        await cache.set_many(dict.fromkeys(MILLION, 1), 1.5)
        assert await longest_turn(cache.get_keys_count) < LONGEST
        assert await cache.get_keys_count() == len(MILLION)


async def test_many_pairs_where_keys_have_rules_for_tags(cache):
    cache.register_tag("t", "x{id}")
    assert await longest_turn(cache.set_many, PAIRS) < LONGEST
    assert await cache.get_keys_count() == len(PAIRS)


@LOOPS
async def test_a_long_commit_from_another_loop(cache, other):
    async def commit():
        async with cache.transaction():
            for key in WRITES:
                await cache.set(key, 1)

    await cache.set("k", 1)  # so this loop is the home
    assert await longest_turn(elsewhere, commit, other) < LONGEST
    assert await cache.get_keys_count() == len(WRITES) + 1


async def test_many_keys_of_several_stores():
    async with Cache.open("mem://", size=1_000_000) as cache:
        cache.setup("mem://", prefix="k1", size=1_000_000)
        assert await longest_turn(cache.set_many, PAIRS) < LONGEST
        assert await cache.get_keys_count() == len(PAIRS)
        keys = (*PAIRS, *MILLION[:100])
        assert await longest_turn(cache.get_many, *keys) < LONGEST
        assert await cache.get_many(*keys) == (1,) * len(keys)
        assert await longest_turn(cache.delete_many, *keys) < LONGEST
        assert await cache.get_keys_count() == 0


@pytest.mark.parametrize("rename", [add_prefix("prefix:"), all_keys_lower()], ids=["prefix", "lower case"])
async def test_many_keys_that_a_middleware_renames(rename):
    async with Cache.open("mem://", size=1_000_000, middlewares=[rename]) as cache:
        assert await longest_turn(cache.set_many, PAIRS) < LONGEST
        assert await longest_turn(cache.get_many, *MILLION) < LONGEST
        assert await cache.get_many(*MILLION[:10], "absent") == (1,) * 10 + (None,)
        assert await longest_turn(cache.delete_many, *MILLION) < LONGEST
        assert await cache.get_keys_count() == 0


async def test_many_keys_while_a_load_of_one_runs(cache):
    """Guarantee 10."""
    with inside(cache).engine.permit(MILLION[-1], None) as permit:
        assert await longest_turn(cache.delete_many, *MILLION) < LONGEST
        assert permit.void


# --- transactions


@pytest.fixture(params=["share", "deep"])
async def copying(request):
    async with Cache.open("mem://", size=2_000_000, copy=request.param) as cache:
        yield cache


async def write_each(cache, then, *args):
    async with cache.transaction():
        for key in WRITES:
            await cache.set(key, 1, tags=["t"])
        await then(*args)


async def fail():
    raise ZeroDivisionError


async def test_a_commit_of_many_writes(copying):
    assert await longest_turn(write_each, copying, checkpoint) < LONGEST
    assert await copying.get_keys_count() == len(WRITES)


async def test_a_read_of_many_keys_that_the_transaction_has_written(copying):
    assert await longest_turn(write_each, copying, copying.get_many, *WRITES, "absent") < LONGEST


async def test_a_deletion_of_a_tag_of_many_keys_that_the_transaction_has_written(copying):
    assert await longest_turn(write_each, copying, copying.delete_tags, "t") < LONGEST
    assert await copying.get_keys_count() == 0


async def test_a_rollback_of_many_writes(copying):
    async def roll_back():
        with pytest.raises(ZeroDivisionError):
            await write_each(copying, fail)

    assert await longest_turn(roll_back) < LONGEST
    assert await copying.get_keys_count() == 0


async def test_a_deletion_of_many_keys_by_pattern_in_a_transaction(copying):
    async def delete():
        async with copying.transaction():
            await copying.delete_match("k*")

    await copying.set_many(dict.fromkeys(WRITES, 1))
    assert await longest_turn(delete) < LONGEST
    assert await copying.get_keys_count() == 0


async def test_a_long_commit_waits_for_another(copying):
    """Guarantee 15: the values of two commits are never mixed."""
    keys = WRITES[:2_000]
    commits = [tuple(m.Set(key, 1) for key in keys), tuple(m.Set(key, 2) for key in reversed(keys))]
    async with anyio.create_task_group() as tasks:
        for writes in commits:
            tasks.start_soon(inside(copying).engine.routes.of("").backend.ask, m.Commit((), writes))
    assert len(set(await copying.get_many(*keys))) == 1
