"""The stream runner: replays the items of one complete run of an async generator, or runs it and records them.

A run is stored as one value under the key of its call. So runs never mix, half a run is never found, and no part of a
run outlives its deadline or the deletion of its key.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from copy import deepcopy
from functools import wraps
from typing import Any, Final

from anyio.lowlevel import checkpoint

from cashews._dataclass import dataclass, field
from cashews._log import logger
from cashews._typing import ABSENT, Absent
from cashews.engine.engine import Engine
from cashews.engine.observing import Source
from cashews.exceptions import NoKeyError
from cashews.messages import KnownTags, LoadPermit, Recall, UnknownTags
from cashews.runners.call import Call, Plan, Target, consult, lifetime
from cashews.runners.explanation import Explainer
from cashews.runners.observer import CallObserver
from cashews.strategies.entry import Outcome, Raised, Returned, StoredRun
from cashews.strategies.strategy import LOAD, Serve, Verdict

Generating = Callable[..., AsyncGenerator[Any, None]]

PACE: Final = 100
"""How many items are replayed between two checkpoints."""
MOST_ITEMS: Final = 100_000
"""The longest run that is recorded and stored, unless `max_items` says otherwise."""


@dataclass(slots=True)
class Recording:
    """The items that a run has yielded so far; none once the recording was given up."""

    most: int
    copy: bool
    """True: items are copied, as the store copies values; false: they are shared, as the store shares them."""
    items: list[object] = field(default_factory=list[object])
    whole: bool = True
    refused: bool = False
    """True once the condition has refused an item."""
    cost: float = 0.0
    """The seconds that the generator itself took, without its consumer."""

    def add(self, item: object) -> bool:
        """Record an item as it is now, before its consumer changes it; says whether there was room."""
        if len(self.items) == self.most:
            self.give_up()
            return False
        self.items.append(deepcopy(item) if self.copy else item)
        return True

    def give_up(self) -> None:
        """Record nothing more, and forget the items so far."""
        self.whole = False
        self.items.clear()


class StreamRunner:
    """Runs the calls of one decorated async generator function."""

    def __init__(self, engine: Engine, target: Target, plan: Plan, most: int = MOST_ITEMS) -> None:
        self._engine = engine
        self._target = target
        self._function: Generating = target.function
        self.observer = CallObserver(engine, target.function, "iterator", plan)
        self._plan = plan
        self._most = most

    def decorated(self) -> Generating:
        """Return the async generator function that users call."""

        @wraps(self._function)
        async def stream(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, None]:
            async with aclosing(await self._items(args, kwargs)) as items:
                async for item in items:
                    yield item

        return stream

    def explainer(self) -> Explainer:
        """Return the function that explains calls."""
        return Explainer(self._engine, self._target, self._plan, self.observer.name, self._look, _is_refreshing)

    async def _look(self, key: str) -> tuple[bool, Verdict]:
        items = await self._remembered(key)
        return items is not None, LOAD if items is None else Serve(Returned(items))

    async def _items(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> AsyncGenerator[Any, None]:
        """Return the items of a call: of a stored run, or of a new one."""
        counts = self.observer.counts
        try:
            call = self._target.call(args, kwargs)
        except NoKeyError as error:
            counts.others += 1
            self.observer.note(error, "key")
            return self._function(*args, **kwargs)
        try:
            found = await self._remembered(call.key)
        except Exception as error:  # noqa: BLE001  of a middleware, or the cache is closed
            self.observer.tolerate(error, "read", call.key)
            counts.others += 1
            return self._function(*args, **kwargs)
        if found is not None:
            counts.hits += 1
            return self._replay(call, found)
        counts.others += 1
        self.observer.missed(call.key)
        return self._record(call)

    # --- a stored run

    async def _remembered(self, key: str) -> list[object] | None:
        """Return the items of a complete run, `None` if there is none."""
        found = await self._engine.ask(Recall(key, ABSENT))
        return list(found.items) if type(found) is StoredRun else None

    async def _replay(self, call: Call, items: list[object]) -> AsyncGenerator[object, None]:
        self.observer.answered(Source.HIT, call, Returned(items))
        for start in range(0, len(items), PACE):
            for item in items[start : start + PACE]:
                yield item
            await checkpoint()

    # --- a new run

    async def _record(self, call: Call) -> AsyncGenerator[object, None]:
        """Run the generator for one consumer; store its items if it came to its end and is worth it."""
        engine = self._engine
        recording = Recording(self._most, copy=not engine.backend_of(call.key).shares)
        with engine.permit(call.key, self._tagging(call)) as permit:
            if isinstance(permit.tagging, UnknownTags):
                recording.give_up()
            elif permit.tagging is not None or engine.follows:
                await engine.announce(permit)
            outcome: Outcome | None = None
            try:
                async with aclosing(self._function(*call.args, **call.kwargs)) as source:
                    while (item := await self._next(source, recording)) is not ABSENT:
                        await self._take_down(call, recording, item)
                        yield item
                outcome = Returned(None)
            except Exception as error:
                outcome = Raised(error)
                raise
            finally:
                self.observer.loaded(call.key, recording.cost, outcome)
            try:
                await self._store(call, recording, permit)
            except Exception as error:  # noqa: BLE001  the consumer has had all items
                self.observer.tolerate(error, "store", call.key)

    def _tagging(self, call: Call) -> KnownTags | None:
        try:
            return self._target.tagging(call)
        except Exception as error:  # noqa: BLE001  of the user's own callable or argument
            self.observer.tolerate(error, "tags", call.key)
            return UnknownTags(error)

    async def _next(self, source: AsyncGenerator[object, None], recording: Recording) -> object | Absent:
        clock = self._engine.clock
        started = clock.now()
        try:
            return await anext(source)
        except StopAsyncIteration:
            return ABSENT
        finally:
            recording.cost += clock.now() - started

    async def _take_down(self, call: Call, recording: Recording, item: object) -> None:
        """Record an item; give the recording up if the condition refuses it, or there is no room."""
        if not recording.whole:
            return
        condition, part = self._plan.condition, "condition"
        try:
            if condition is not None and not await consult(condition, item, call):
                recording.give_up()
                recording.refused = True
                return
            part = "copy"
            room = recording.add(item)
        except Exception as error:  # noqa: BLE001  of the user's callable or item; its consumer has nothing to do with it
            recording.give_up()
            self.observer.note(error, part, call.key)
        else:
            if not room:
                logger.info("a run of %r is not stored: it yields more than %d items", call.key, self._most)

    async def _store(self, call: Call, recording: Recording, permit: LoadPermit) -> None:
        """Store a run, if it was recorded and is worth it."""
        if permit.void or not recording.whole or recording.cost < self._plan.min_cost:
            if recording.refused or recording.cost < self._plan.min_cost:
                self.observer.refused(call.key)
            return
        ttl = lifetime(self._plan, call, recording.items, self._engine.random.random)
        run = StoredRun(tuple(recording.items))
        message = self._target.storing(call, Returned(recording.items), run, ttl, permit)
        if await self._engine.ask(message) and self.observer.is_watched():
            self.observer.stored(call, message)


def _is_refreshing(_: str) -> bool:
    return False  # a run is recorded for its consumer
