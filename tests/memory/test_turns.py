"""One floor plan: a message and its turn are in rooms of one name, and the turn has the message's name."""

from __future__ import annotations

import re

import anyio
import pytest
from anyio.lowlevel import checkpoint

from cashews import Cache
from cashews import messages as m
from cashews.backends.memory.errands import PART
from cashews.table.turns import TURNS
from tests.internals import inside

ROOMS = {"values", "structures", "locks", "tags", "keys", "transactions"}
SHARED = {"recall": "get", "get_raw": "get", "recall_many": "get_many"}
"""Messages whose turn is another's."""
IN_SEVERAL_TURNS = {m.DeleteMatch, m.DeleteTags, m.Clear, m.GetKeysCount}


def room(part):
    return part.__module__.rpartition(".")[2]


def name(kind):
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", kind.__name__).lower()


@pytest.mark.parametrize("kind", TURNS, ids=name)
def test_a_turn_has_the_name_of_its_message_and_is_in_the_same_room(kind):
    turn = TURNS[kind]
    assert turn.__name__.rstrip("_") == SHARED.get(name(kind), name(kind))
    assert room(turn) == room(kind)
    assert room(kind) in ROOMS


def test_every_message_is_served_in_one_turn_or_is_known_to_take_several():
    assert TURNS.keys() | IN_SEVERAL_TURNS == set(m.MESSAGES)
    assert not TURNS.keys() & IN_SEVERAL_TURNS


# --- messages about more keys than one turn serves


def table_of(cache):
    """Return the table of the memory store."""
    return inside(cache).table()


MANY = {f"k{number}": number for number in range(5 * PART + 1)}


class Steps:
    """The sizes of a table as other tasks see them, and what changed at most between two looks."""

    def __init__(self, table):
        self._table = table
        self.largest = 0
        self.looks = 0

    async def watch(self):
        before = len(self._table.values)
        while True:
            await checkpoint()
            now = len(self._table.values)
            self.largest = max(self.largest, abs(now - before))
            self.looks += now != before
            before = now


@pytest.mark.parametrize("options", [{}, {"pickle_type": "pickle"}, {"copy": "deep"}, {"check_interval": 0}], ids=str)
async def test_many_named_keys_take_many_turns(clock, options):
    """Guarantee 25."""
    async with Cache.open("mem://", size=2 * len(MANY), clock=clock, **options) as cache:
        steps = Steps(table_of(cache))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(steps.watch)
            await cache.set_many(MANY, expire=10)
            assert await cache.get_many(*MANY, "none", default="-") == (*MANY.values(), "-")
            await cache.delete_many(*MANY)
            tasks.cancel_scope.cancel()
        assert await cache.get_keys_count() == 0
        assert steps.largest <= 2 * PART  # trio may run the other task before or after this one
        assert steps.looks >= 6


async def test_a_cancelled_asker_leaves_the_rest_of_many_keys_to_the_store(clock):
    async with Cache.open("mem://", size=2 * len(MANY), clock=clock) as cache:
        await cache.set("k", 1)
        for message, left in ((m.SetMany(MANY), len(MANY) + 1), (m.DeleteMany(tuple(MANY)), 1)):
            with anyio.CancelScope() as scope:
                scope.cancel()
                await inside(cache).ask(message)
            await clock.settle()
            assert len(table_of(cache).values) == left


async def test_pairs_that_are_taken_out_meanwhile_are_not_stored(clock):
    async with Cache.open("mem://", size=2 * len(MANY), clock=clock) as cache:
        pairs = dict(MANY)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(inside(cache).ask, m.SetMany(pairs))
            await checkpoint()
            del pairs[list(pairs)[-1]]
        assert await cache.get_keys_count() == len(MANY) - 1
