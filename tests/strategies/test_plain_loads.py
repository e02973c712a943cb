"""A load that the wrapper of a function leads by itself is what a load of the longer way is, in every state."""

from __future__ import annotations

import sys
from random import Random

import anyio
import pytest

from cashews import Cache, Command
from cashews._arguments import is_awaitable
from cashews.engine.load_locks import LOADING
from cashews.testing.clock import VirtualClock
from tests.engine.states import STATES, pass_through
from tests.internals import inside

DECORATORS = {
    "simple": lambda cache, **options: cache(90, key="k", **options),
    "early": lambda cache, **options: cache.early(90, key="k", **options),
    "soft": lambda cache, **options: cache.soft(90, key="k", **options),
    "hit": lambda cache, **options: cache.hit(90, 9, key="k", **options),
    "failover": lambda cache, **options: cache.failover(90, key="k", **options),
}
every_decorator = pytest.mark.parametrize("decorate", DECORATORS.values(), ids=DECORATORS)
LONGER = {"hard_timeout": 10_000}
"""An option that changes nothing here, but for the way of the loads."""


async def items():
    yield 1


ENDINGS = {
    "a value": lambda: 1,
    "an error": lambda: 1 / 0,
    "a generator, which cannot be stored": items,
}
every_ending = pytest.mark.parametrize("ending", ENDINGS.values(), ids=ENDINGS)
LISTEN = object()
MEANWHILE = {
    "nothing": lambda _: None,
    "a write": lambda cache: cache.set("k", "written"),
    "a write elsewhere": lambda cache: cache.set("other", "written"),
    "a deletion": lambda cache: cache.delete("k"),
    "a deletion by pattern": lambda cache: cache.delete_match("k*"),
    "a clearing": lambda cache: cache.clear(),
    "a deletion of tags": lambda cache: cache.delete_tags("t"),
    "a tag for the key": lambda cache: cache.register_tag("t", "k"),
    "writes switched off": lambda cache: cache.disable(Command.SET),
    "reads switched off": lambda cache: cache.disable(Command.GET),
    "a middleware": lambda cache: cache.add_middleware(pass_through),
    "another store": lambda cache: cache.setup("mem://"),
    "a second store": lambda cache: cache.setup("mem://", prefix="o"),
    "the end of the cache": lambda cache: cache.close(),
    "a listener of removals": lambda cache: cache.on_remove(lambda *_: None),
    "a listener": LISTEN,
}


class Scene:
    """A cached function that waits at a gate, and the calls of it."""

    def __init__(self, cache, decorate, ending, **options):
        self.cache = cache
        self.ending = ending
        self.gate = anyio.Event()
        self.callers = []
        """For each run, whether the wrapper itself has called the function."""
        self.answers, self.events = {}, []
        self.scopes = {}

        @decorate(cache, **options)
        async def function():
            self.callers.append(sys._getframe(1).f_code.co_filename.startswith("<calls of "))
            await self.gate.wait()
            return self.ending()

        self.function = function

    def listen(self, _):
        """Note all events from now on."""
        inside(self.cache).engine.observing.set_listening(lambda event: self.events.append(str(event)), True)

    async def call(self, name):
        with anyio.CancelScope() as self.scopes[name]:
            try:
                answer = await self.function()
                self.answers[name] = answer if isinstance(answer, (int, str)) else type(answer).__name__
            except Exception as error:  # noqa: BLE001  the two ways have the same ones
                self.answers[name] = type(error), str(error), error.__context__
        assert not LOADING.get(), "the context is as it was"

    async def run(self, clock, meanwhile, cancelled=()):
        """Have two calls begin, let something happen, cancel some, and let the function go on; then call once more."""
        async with anyio.create_task_group() as tasks:
            for name in "ab":
                tasks.start_soon(self.call, name)
                await clock.settle()
            change = meanwhile(self.cache)
            if is_awaitable(change):
                await change
            for name in cancelled:
                self.scopes[name].cancel()
                await clock.settle()
            keys = inside(self.cache).engine.permits.keys()
            self.gate.set()
        await self.call("c")
        figures, runs = self.cache.statistics(), len(self.callers)
        figures = figures.loads, figures.load_waiters, figures.calls
        return [self.answers, sorted(self.events), keys, runs, *figures]

    async def stored(self):
        """Return the type of the stored value, its time to live, and its tags."""
        found = await self.cache.get("k")
        return [type(found).__name__, await self.cache.get_expire("k"), await self.cache.get_key_tags("k")]


async def play(decorate, ending, state=STATES["plain"], meanwhile=MEANWHILE["nothing"], cancelled=(), **options):
    """Play a scene, and return all that there is to be seen of it, and whether the wrapper led the first load."""
    clock = VirtualClock()
    async with Cache.open("mem://", clock=clock, random=Random(1), check_interval=0) as cache:
        scene = Scene(cache, decorate, ending, **options)
        with state(cache) as entered:
            seen = await scene.run(clock, scene.listen if meanwhile is LISTEN else meanwhile, cancelled)
        seen.append(getattr(entered, "calls", None))
        cache.enable()
        if not inside(cache).engine.is_closed:
            seen += await scene.stored()
        return seen, scene.callers[0]


async def same_scene(decorate, ending, **how):
    """Play a scene both ways, and say whether the wrapper of the function led the load."""
    seen, leads = await play(decorate, ending, **how)
    assert await play(decorate, ending, **how, **LONGER) == (seen, False)
    return leads


@every_decorator
@every_ending
@pytest.mark.parametrize("state", STATES)
async def test_a_load_is_the_same_in_every_state(decorate, ending, state):
    leads = await same_scene(decorate, ending, state=STATES[state])
    assert leads or state not in {"plain", "two stores"}
    assert not leads or " off" not in state


@pytest.mark.parametrize("decorate", [DECORATORS["simple"], DECORATORS["early"], DECORATORS["failover"]])
@every_ending
@pytest.mark.parametrize("meanwhile", MEANWHILE.values(), ids=MEANWHILE)
@pytest.mark.parametrize("cancelled", ["", "a", "b", "ab"])
async def test_a_load_ends_the_same_after_whatever_has_happened(decorate, ending, meanwhile, cancelled):
    """Guarantees 9, 10 and 29."""
    assert await same_scene(decorate, ending, meanwhile=meanwhile, cancelled=cancelled)
