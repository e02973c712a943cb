"""Loads that answer before they end, and loads that end without an answer (guarantee 9)."""

from random import Random

import anyio
import pytest

from cashews import Cache
from cashews.engine.flights import HandOver
from cashews.strategies.entry import Returned
from cashews.testing import VirtualClock
from tests.internals import inside


@pytest.fixture
def clock():
    return VirtualClock()


@pytest.fixture
async def cache(clock):
    async with Cache.open("mem://", clock=clock, random=Random(1)) as opened:
        yield opened


class Loads:
    """Loads of one key: each notes its number, answers early if it is told to, and waits at a gate of its own."""

    def __init__(self, cache, tasks):
        self.flights = inside(cache).engine.flights()
        self.tasks = tasks
        self.early = None
        self.gates = []
        self.answers = {}

    def start(self, name):
        self.tasks.start_soon(self._call, name)

    async def _call(self, name):
        try:
            self.answers[name] = await self.flights.load("k", Loads._load, self)
        except HandOver:
            self.answers[name] = "handed over"

    async def _load(self, permit):
        gate = anyio.Event()
        self.gates.append(gate)
        number = len(self.gates)
        if self.early is not None:
            self.flights.answer(permit, self.early)
        await gate.wait()
        if number == 1 and self.early is None:
            raise HandOver
        return Returned(number)


async def test_waiters_have_an_early_answer_and_later_calls_load_anew(cache, clock):
    async with anyio.create_task_group() as tasks:
        loads = Loads(cache, tasks)
        loads.start("leader")
        await clock.settle()
        loads.start("waiter")
        await clock.settle()
        (flight,) = inside(cache).engine.permits.all()
        loads.flights.answer(flight, early := Returned("early"))
        await clock.settle()
        assert loads.answers == {"waiter": (early, True)}
        loads.early = early
        loads.start("later")
        await clock.settle()
        assert len(loads.gates) == 2
        assert cache.statistics().loads == 2  # an early answer ends no permit
        for gate in loads.gates:
            gate.set()
    assert loads.answers["leader"] == (Returned(1), False)
    assert loads.answers["later"] == (Returned(2), False)
    assert cache.statistics().loads == 0


async def test_a_load_that_is_handed_over_goes_to_one_waiter_and_the_others_wait_on(cache, clock):
    async with anyio.create_task_group() as tasks:
        loads = Loads(cache, tasks)
        for name in ("leader", "first", "second", "third"):
            loads.start(name)
            await clock.settle()
        loads.gates[0].set()
        await clock.settle()
        assert loads.answers == {"leader": "handed over"}
        assert len(loads.gates) == 2
        loads.gates[1].set()
    assert loads.answers == {
        "leader": "handed over",
        "first": (Returned(2), False),
        "second": (Returned(2), True),
        "third": (Returned(2), True),
    }
    assert cache.statistics().loads == 0
