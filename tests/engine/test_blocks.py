"""Blocks that hold in a context: left in whatever order and context, and as decorators (guarantees 19 and 21)."""

from contextvars import copy_context
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cashews import Cache, Command, invalidate_further, key_context
from cashews.engine.context import AMBIENT
from cashews.keys.context import context_values, take_layer_back

CACHE = Cache()
CACHE.setup("mem://")

BLOCKS = {
    "disabling all": CACHE.disabling,
    "disabling get": lambda: CACHE.disabling(Command.GET),
    "detect": lambda: CACHE.detect,
    "invalidate_further": invalidate_further,
    "key_context": lambda: key_context(tenant="a"),
    "another key_context": lambda: key_context(tenant="b", name="c"),
}
every_block = pytest.mark.parametrize("make", BLOCKS.values(), ids=BLOCKS)


def state():
    here = AMBIENT.get()
    parts = () if here is None else (here.off, here.detectors, here.further)
    return [len(part) for part in parts], dict(context_values())


def clean():
    return AMBIENT.get() is None and not context_values()


@given(st.data())
def test_blocks_are_left_in_whatever_order(data):
    """Each takes back its own entry, and no other's: those that are left hold on as if they alone had been entered."""

    def check():
        names = data.draw(st.lists(st.sampled_from(sorted(BLOCKS)), max_size=5))
        blocks = [(BLOCKS[name](), number) for number, name in enumerate(names)]
        for block, _ in blocks:
            block.__enter__()
        inside = list(enumerate(names))
        for block, number in data.draw(st.permutations(blocks)):
            block.__exit__(None, None, None)
            inside = [(place, name) for place, name in inside if place != number]
            assert state() == copy_context().run(alone, [name for _, name in inside])
        assert clean()

    copy_context().run(check)


def alone(names):
    """Return the state in which only some blocks are entered."""
    AMBIENT.set(None)
    while context_values().layers:
        take_layer_back(context_values().layers[-1])
    for name in names:
        BLOCKS[name]().__enter__()
    return state()


@every_block
def test_a_block_may_be_left_in_another_context(make):
    block = make()
    copy_context().run(block.__enter__)
    assert clean()
    block.__exit__(None, None, None)
    assert clean()


@every_block
def test_one_object_may_be_entered_again(make):
    block = make()
    for _ in range(2):
        with block, block:
            assert not clean()
        assert clean()


@every_block
async def test_as_a_decorator_it_holds_while_an_async_function_runs(make):
    @make()
    async def function(argument):
        assert not clean()
        return argument

    assert await function(5) == 5
    assert clean()

    @make()
    async def failing():
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await failing()
    assert clean()


@every_block
async def test_as_a_decorator_it_holds_while_a_generator_runs_and_not_its_consumer(make):
    closed = []

    @make()
    async def items():
        try:
            for item in range(3):
                assert not clean()
                yield item
        finally:
            closed.append(True)

    async for item in (running := items()):
        assert clean()
        if item == 1:
            break
    await running.aclose()
    assert closed == [True]
    assert [item async for item in items()] == [0, 1, 2]


@every_block
def test_as_a_decorator_it_holds_while_a_function_runs(make):
    @make()
    def function():
        return clean()

    assert function() is False
    assert clean()


@pytest.mark.parametrize("order", list(permutations(range(3))))
async def test_a_transaction_may_be_left_before_blocks_that_were_entered_in_it(cache, order):
    blocks = [cache.disabling(Command.GET), cache.transaction(), invalidate_further()]
    for block in blocks:
        await block.__aenter__() if hasattr(block, "__aenter__") else block.__enter__()
    for number in order:
        block = blocks[number]
        end = block.__aexit__ if hasattr(block, "__aexit__") else block.__exit__
        left = end(None, None, None)
        if left is not None:
            await left
        if number == 0:
            assert cache.is_enable(Command.GET)
    assert clean()


# --- detectors


async def test_a_detector_collects_the_answers_of_its_own_cache(cache):
    async with Cache.open("mem://") as other:

        @other(60, key="inner")
        async def inner():
            return 1

        @cache(60, key="outer")
        async def outer():
            return await inner()

        await inner()
        with cache.detect as detector, other.detect as others:
            await outer()
            await outer()
    assert detector.keys == ("outer",)
    assert others.keys == ("inner",)


async def test_upper_stores_nothing_that_came_from_whichever_cache(cache):
    async with Cache.open("mem://") as other:

        @other(60, key="inner")
        async def inner():
            return 1

        @cache(60, key="outer", upper=True)
        async def outer():
            return await inner()

        await inner()
        await outer()
    assert not await cache.exists("outer")
