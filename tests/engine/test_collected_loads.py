"""The collector may end an abandoned load in the middle of any turn of the permits, in the thread of that turn."""

from __future__ import annotations

import gc
import sys
from contextvars import Context

import anyio
import pytest

from cashews import Cache
from cashews.engine.permits import Permits
from cashews.messages import KnownTags, LoadPermit


class Collector:
    """Ends a load right before a certain step of a function, which it traces for that."""

    def __init__(self, end, step):
        self.end = end
        self.left = step

    def __call__(self, frame, event, _):
        if not frame.f_code.co_filename.endswith("permits.py"):
            return None
        frame.f_trace_opcodes = True
        if event in {"line", "opcode"}:
            self.left -= 1
            if self.left == 0:
                sys.settrace(None)
                self.end()
        return self

    def interrupt(self, turn):
        """Take a turn, and say whether it had that many steps."""
        before = sys.gettrace()
        sys.settrace(self)
        try:
            turn()
        finally:
            sys.settrace(before)
        return self.left <= 0


def steps(turn_of):
    """Take a turn again and again, each time with an abandoned load that ends one step later; return the permits."""
    step, over = 1, False
    while not over:
        permits, abandoned, other = Permits(), LoadPermit("k", None, KnownTags(("t",))), LoadPermit("k")
        permits.add(abandoned)
        turn = turn_of(permits, other)
        over = not Collector(lambda: permits.drop(abandoned), step).interrupt(turn)  # noqa: B023  it ends in this round
        if not over:
            yield permits, other
        step += 1
    assert step > 5, "a turn has some steps"


@pytest.mark.parametrize("add", [Permits.add, lambda permits, permit: permits.add_all([permit])])
@pytest.mark.parametrize("before", [0, 1])
def test_loads_that_begin_in_two_threads_at_once_count_both(add, before):
    """Guarantee 10: that of the other thread begins right before a step of this one's turn."""
    step, over = 1, False
    while not over:
        permits, mine, other = Permits(), LoadPermit("k"), LoadPermit("k")
        earlier = [LoadPermit("k") for _ in range(before)]
        permits.add_all(earlier)
        over = not Collector(lambda: permits.add(other), step).interrupt(lambda: add(permits, mine))  # noqa: B023  likewise
        assert over or set(map(id, permits.of("k"))) == set(map(id, [mine, other, *earlier]))
        step += 1
    assert step > 5


@pytest.mark.parametrize("add", [Permits.add, lambda permits, permit: permits.add_all([permit])])
def test_a_load_that_begins_counts(add):
    """Guarantee 10."""
    for permits, other in steps(lambda permits, other: lambda: add(permits, other)):
        assert permits.of("k") == [other]
        permits.void(["k"])
        assert other.void


@pytest.mark.parametrize(
    "void", [lambda permits: permits.void(["k"]), lambda permits: permits.void_tagged(("t",))], ids=["key", "tag"]
)
def test_every_other_load_is_refused(void):
    """Guarantee 10."""

    def turn_of(permits, other):
        other.tagging = KnownTags(("t",))
        permits.add(other)
        return lambda: void(permits)

    for permits, other in steps(turn_of):
        assert other.void
        assert permits.all() == [other]


def test_a_load_that_ends_is_forgotten():
    def turn_of(permits, other):
        permits.add(other)
        return lambda: permits.drop(other)

    for permits, other in steps(turn_of):
        assert other.over
        assert permits.running == permits.beside == {}


def test_loads_can_be_counted():
    def turn_of(permits, _):
        permits.add(LoadPermit("another key"))
        return permits.all

    for permits, _ in steps(turn_of):
        assert len(permits) == 1


async def test_a_load_that_is_collected_in_another_context_ends_in_silence():
    async with Cache.open("mem://") as cache:
        began = []

        @cache(ttl=60, key="inner")
        async def inner():
            began.append(1)
            await anyio.sleep_forever()

        @cache(ttl=60, key="outer")
        async def outer():
            await inner()

        abandoned = outer()
        Context().run(abandoned.send, None)
        assert began == [1]
        del abandoned
        gc.collect()
        assert cache.statistics().loads == 0


def test_a_load_beside_another_one_of_its_key_counts_when_that_has_ended():
    """Guarantee 10: and a load that counts twice does so until it has ended twice."""
    permits, first, beside, third = Permits(), LoadPermit("k"), LoadPermit("k"), LoadPermit("k")
    permits.add(first)
    permits.add(beside)
    permits.add(beside)
    permits.drop(first)
    assert first.over
    assert permits.of("k") == [beside, beside]
    assert permits.has("k")
    assert permits
    assert permits.keys() == ["k"]
    permits.add(third)
    permits.drop(beside)
    assert not beside.over
    permits.void(["k"])
    assert (beside.void, third.void) == (True, True)
    permits.drop(beside)
    permits.drop(third)
    assert beside.over
    assert not permits
    assert not permits.has("k")
