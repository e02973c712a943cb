"""The laws of a mailbox: order, bound, batches, abandoned letters, room; and those of the bells."""

from __future__ import annotations

import asyncio
from functools import partial

import anyio
import pytest
from anyio.lowlevel import checkpoint
from hypothesis import given
from hypothesis import strategies as st

from cashews.actors.loop import current_loop
from cashews.actors.mailbox import Letter, Mailbox, SlotBell, StreamBell
from cashews.exceptions import CacheClosedError
from cashews.testing.clock import VirtualClock
from tests.actors.conftest import Word


class CountedBell:
    """A bell of an actor that sleeps until it is rung, and sleeps again when it is told to."""

    def __init__(self):
        self.asleep = True
        self.rings = 0

    def ring(self):
        self.asleep = False
        self.rings += 1


class CountedLoop:
    """The event loop, which counts the slots that were asked for."""

    def __init__(self):
        self.loop = current_loop()
        self.slots = 0

    def reply_slot(self):
        self.slots += 1
        return self.loop.reply_slot()


def told(word):
    letter = Word(word)
    letter.replies.append(current_loop().reply_slot())
    return letter


def words(batch):
    return [letter.word for letter in batch]


class Heavy(Word):
    weight = 5


class Errand(Letter):
    told = True


async def test_a_batch_is_bounded_and_in_order():
    mailbox = Mailbox(100, CountedBell())
    for word in range(10):
        mailbox.post(told(word))
    assert words(mailbox.take(4)) == [0, 1, 2, 3]
    assert words(mailbox.take(100)) == [4, 5, 6, 7, 8, 9]
    assert mailbox.take(100) == []


async def test_letters_have_their_weights():
    mailbox = Mailbox(100, CountedBell())
    for word in range(6):
        letter = Heavy(word)
        letter.replies.append(current_loop().reply_slot())
        mailbox.post(letter)
    assert [words(mailbox.take(11)) for _ in range(3)] == [[0, 1, 2], [3, 4, 5], []]


async def test_a_letter_that_was_put_back_comes_first():
    mailbox = Mailbox(1, CountedBell())
    first, second = told("first"), told("second")
    mailbox.post(first)
    assert mailbox.take(1) == [first]
    mailbox.post(second)
    mailbox.put_back(first)
    assert mailbox.take(9) == [first, second]


async def test_abandoned_letters_are_skipped_and_told_ones_are_not():
    mailbox = Mailbox(100, CountedBell())
    kept, errand = told("kept"), Errand()
    for letter in (Word("abandoned"), kept, Word("abandoned too"), errand):
        mailbox.post(letter)
    assert mailbox.take(2) == [kept, errand]
    assert len(mailbox) == 0


async def test_the_bell_is_rung_once_for_a_batch():
    bell = CountedBell()
    mailbox = Mailbox(100, bell)
    for _ in range(3):
        for word in range(10):
            mailbox.post(told(word))
        mailbox.take(100)
        bell.asleep = True
    assert bell.rings == 3


async def test_all_that_wait_are_answered_when_the_actor_is_closed():
    mailbox, refused = Mailbox(1, CountedBell()), []
    letter = told("waits")
    mailbox.post(letter)

    async def ask():
        try:
            await mailbox.room(current_loop())
        except CacheClosedError as error:
            refused.append(error)

    async with anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(ask)
        await VirtualClock().settle()
        mailbox.refuse(LookupError)
    assert isinstance(letter.replies[0].answer, LookupError)
    assert len({id(error) for error in refused}) == 3
    assert not mailbox.full


# --- room


class Crowd:
    """Askers, each a task with a scope of its own, that post their number once there is room."""

    def __init__(self, mailbox, tasks):
        self.mailbox, self.tasks = mailbox, tasks
        self.loop = CountedLoop()
        self.scopes = []
        self.posted = []
        self.waiting = 0

    def come(self, number=1):
        for _ in range(number):
            scope = anyio.CancelScope()
            self.scopes.append(scope)
            self.tasks.start_soon(self._ask, len(self.scopes) - 1, scope)

    async def _ask(self, number, scope):
        with scope:
            self.waiting += 1
            try:
                await self.mailbox.room(self.loop)
            finally:
                self.waiting -= 1
            assert len(self.mailbox) < self.mailbox._bound
            self.posted.append(number)
            self.mailbox.post(told(number))


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("come"), st.integers(1, 5)),
        st.tuples(st.just("take"), st.integers(1, 4)),
        st.tuples(st.just("leave"), st.integers(0, 30)),
        st.tuples(st.just("take and leave"), st.integers(0, 30)),
    ),
    max_size=25,
)


class Order:
    """Checks that askers post in the order of their arrival; those that are called in together may do so in any."""

    def __init__(self, crowd):
        self.crowd = crowd
        self.seen = 0

    def check(self):
        posted = self.crowd.posted
        earlier, later = posted[: self.seen], posted[self.seen :]
        assert not earlier or not later or max(earlier) < min(later)
        self.seen = len(posted)


@given(steps=STEPS)
async def test_askers_are_let_in_in_order_and_none_waits_while_there_is_room(steps):
    """However many leave, before they are called in or just after: no place is lost, and the bound holds."""
    clock = VirtualClock()
    mailbox, taken = Mailbox(3, CountedBell()), []
    async with anyio.create_task_group() as tasks:
        crowd = Crowd(mailbox, tasks)
        order = Order(crowd)
        for step, number in steps:
            if step == "come":
                for _ in range(number):
                    crowd.come()
                    await clock.settle()  # trio starts tasks in any order
            if "take" in step:
                taken += words(mailbox.take(number if step == "take" else 2))
                mailbox.let_in()
            if "leave" in step and crowd.scopes:
                crowd.scopes[number % len(crowd.scopes)].cancel()
            await clock.settle()
            order.check()
            assert len(mailbox) <= 3
            assert len(mailbox) == 3 or crowd.waiting == 0
        while len(mailbox):
            taken += words(mailbox.take(2))
            mailbox.let_in()
            await clock.settle()
            order.check()
    assert crowd.waiting == 0
    assert taken == crowd.posted
    assert {number for number, scope in enumerate(crowd.scopes) if not scope.cancel_called} <= set(taken)


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_who_is_cancelled_after_he_was_called_in_passes_the_place_on(anyio_backend):
    """By asyncio's own `Task.cancel()`: nothing else cancels a task that is about to go on."""
    assert anyio_backend == "asyncio"
    clock, mailbox = VirtualClock(), Mailbox(1, CountedBell())
    mailbox.post(told("first"))
    asking = [asyncio.ensure_future(mailbox.room(current_loop())) for _ in range(3)]
    await clock.settle()
    mailbox.take(1)
    mailbox.let_in()
    asking[0].cancel()
    await clock.settle()
    assert [each.done() for each in asking] == [True, True, False]
    mailbox.post(told("second"))
    assert mailbox.full
    asking[2].cancel()
    await clock.settle()
    mailbox.take(1)
    assert not mailbox.full


async def test_a_crowd_waits_once_each_and_loses_nothing():
    """Askers are called in by as many as there is room for: thousands that look again each time would never end."""
    clock, taken = VirtualClock(), []
    mailbox = Mailbox(10, CountedBell())
    async with anyio.create_task_group() as tasks:
        crowd = Crowd(mailbox, tasks)
        crowd.come(5_000)
        await clock.settle()
        assert len(mailbox) == 10
        while len(mailbox):
            taken += words(mailbox.take(7))
            mailbox.let_in()
            await clock.settle()
    assert taken == crowd.posted
    assert sorted(taken) == list(range(5_000))
    assert crowd.loop.slots == 4_990


async def test_who_comes_later_does_not_overtake_those_that_are_called_in():
    clock, mailbox = VirtualClock(), Mailbox(1, CountedBell())
    async with anyio.create_task_group() as tasks:
        crowd = Crowd(mailbox, tasks)
        for _ in range(3):
            crowd.come()
            await clock.settle()
        assert words(mailbox.take(1)) == [0]
        assert mailbox.full  # others wait, though there is room
        mailbox.let_in()
        assert mailbox.full  # the place is promised
        crowd.come()
        await clock.settle()
        for number in (1, 2, 3):
            assert words(mailbox.take(1)) == [number]
            mailbox.let_in()
            await clock.settle()
    assert not mailbox.full


# --- bells


async def sleep_and_count(bell, wait, woken):
    while True:
        await wait()
        woken.append(bell)


async def test_a_stream_is_open_only_while_its_actor_works():
    """Warnings are errors: a stream that nobody closes warns."""
    clock, woken, bell = VirtualClock(), [], StreamBell()
    for _ in range(3):
        async with anyio.create_task_group() as tasks:
            with bell:
                tasks.start_soon(sleep_and_count, bell, bell.wait, woken)
                await clock.settle()
                assert bell.asleep
                bell.ring()
                assert not bell.asleep
                await clock.settle()
                assert bell.asleep
                tasks.cancel_scope.cancel()
                await clock.settle()
    assert len(woken) == 3


@pytest.mark.parametrize("turns", range(4))
async def test_a_ring_while_a_wait_is_cancelled_disturbs_no_later_one(turns):
    bell, woken = StreamBell(), []
    with bell:
        for _ in range(3):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(sleep_and_count, bell, bell.wait, woken)
                for _ in range(turns):
                    await checkpoint()
                tasks.cancel_scope.cancel()
                if bell.asleep:
                    bell.ring()
            assert not bell.asleep


async def test_each_ring_of_a_bell_of_slots_wakes_another_worker():
    clock, bell, woken = VirtualClock(), SlotBell(), []
    async with anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(sleep_and_count, bell, partial(bell.wait, current_loop()), woken)
        await clock.settle()
        for rings in (1, 2, 3):
            for _ in range(rings):
                assert bell.asleep
                bell.ring()
            assert bell.asleep is (rings < 3)
            await clock.settle()
            assert bell.asleep
        tasks.cancel_scope.cancel()
    assert len(woken) == 6
    assert not bell.asleep
