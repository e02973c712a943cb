"""The stream runner: replays the items of one complete run of an async generator, or runs it and records them.

A run is stored as one value under the key of its call. So runs never mix, half a run is never found, and no part of a
run outlives its deadline or the deletion of its key.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from contextlib import aclosing, contextmanager
from copy import deepcopy
from functools import wraps
from typing import Any, Final

from anyio.lowlevel import checkpoint

from cashews._dataclass import dataclass, field
from cashews._log import logger
from cashews._typing import ABSENT, NOT_NOW, Absent
from cashews.actors.loop import loop_runs_here
from cashews.engine.engine import Engine
from cashews.engine.observing import Source
from cashews.exceptions import NoKeyError
from cashews.keys.writing import misfit, written
from cashews.messages import Delete, KnownTags, LoadPermit, Recall, UnknownTags
from cashews.runners.call import Call, Plan, Target, consult, head_of, lifetime
from cashews.runners.explanation import Explainer
from cashews.runners.observer import CallObserver
from cashews.runners.wrappers import REPLAY_FIRST
from cashews.strategies.entry import Outcome, Raised, Returned, StoredRun
from cashews.strategies.strategy import LOAD, Serve, Verdict

Generating = Callable[..., AsyncGenerator[Any, None]]

PACE: Final = 100
"""How many items are replayed between two checkpoints; a shorter run draws on the budget of messages alone."""
MOST_ITEMS: Final = 100_000
"""The longest run that is recorded and stored, unless `max_items` says otherwise."""

NAMES: Final[Mapping[str, object]] = {
    **{each.__name__: each for each in (Call, NoKeyError, StoredRun, aclosing, len, range, type)},
    "PACE": PACE,
}
"""The names in the text of wrappers that are the same for all."""


@dataclass(slots=True)
class Recording:
    """The items that a run has yielded so far; none once the recording was given up."""

    call: Call
    permit: LoadPermit
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
        self.clock = engine.clock
        self._target = target
        self._function: Generating = target.function
        self.observer = CallObserver(engine, target.function, "iterator", plan)
        self._plan = plan
        self._most = most

    def decorated(self) -> Generating:
        """Return the async generator function that users call."""
        values = {"lines": self._engine, "counts": self.observer.counts, "pause": _pause, **NAMES}
        values |= {"run_alone": self._run_alone, "begin": self._begin}
        head = head_of(self._target, self._plan, self.observer.name)
        return wraps(self._function)(written(head, self.observer.name, REPLAY_FIRST, values))

    async def invalidate(self, *args: Any, **kwargs: Any) -> bool:
        """Remove the stored run of a call; says whether there was one."""
        call = self._target.call_if_keyed(args, kwargs)
        return call is not None and await self._engine.ask(Delete(call.key))

    def explainer(self) -> Explainer:
        """Return the function that explains calls."""
        return Explainer(self._engine, self._target, self._plan, self.observer.name, self._look, _is_refreshing)

    async def _look(self, key: str) -> tuple[bool, Verdict]:
        found = await self._engine.ask(Recall(key, ABSENT))
        if type(found) is not StoredRun:
            return False, LOAD
        return True, Serve(Returned(list(found.items)))

    async def begin(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> StoredRun | Call | None:
        """Return the stored run of a call, or the call itself if there is none: its run is to be recorded.

        The function runs by itself for a call that the cache can do nothing for: then the answer is `None`.
        """
        try:
            call = self._target.call(args, kwargs)
        except (NoKeyError, TypeError) as error:
            reason = error if isinstance(error, NoKeyError) else misfit(self.observer.name, error)
            if not isinstance(reason, NoKeyError):
                raise
            self._note_no_key(reason)
            return None
        return await self._find(call, NOT_NOW)

    async def _begin(self, call: Call, found: object) -> StoredRun | AsyncGenerator[object, None]:
        """Return the stored run of a call, or the items of a new run.

        :param found: the finding of a straight line
        """
        begun = await self._find(call, found)
        if begun is None:
            return self._function(*call.args, **call.kwargs)
        return self._record(begun) if isinstance(begun, Call) else begun

    async def _find(self, call: Call, found: object) -> StoredRun | Call | None:
        counts = self.observer.counts
        try:
            if found is NOT_NOW:
                found = await self._engine.ask(Recall(call.key, ABSENT))
        except Exception as error:  # noqa: BLE001  of a middleware, or the cache is closed
            self.observer.tolerate(error, "read", call.key)
            counts.others += 1
            return None
        if type(found) is StoredRun:
            counts.hits += 1
            if self.observer.is_watched():
                self.observer.answered(Source.HIT, call, Returned(list(found.items)))
            return found
        counts.others += 1
        self.observer.missed(call.key)
        return call

    # --- a call without a key

    def _run_alone(
        self, error: NoKeyError, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> AsyncGenerator[object, None]:
        """Return the items of a call that can have no key, and say so once."""
        self._note_no_key(error)
        return self._function(*args, **kwargs)

    def _note_no_key(self, error: NoKeyError) -> None:
        self.observer.counts.others += 1
        self.observer.note(error, "key")

    # --- a new run

    async def _record(self, call: Call) -> AsyncGenerator[object, None]:
        """Run the generator for one consumer; store its items if it came to its end and is worth it."""
        with self.recording(call) as recording:
            if self.has_to_announce(recording):
                await self.announce(recording)
            with self.running(recording):
                async with aclosing(self._function(*call.args, **call.kwargs)) as source:
                    while (item := await self._next(source, recording)) is not ABSENT:
                        if self.has_to_judge(recording):
                            await self.judge(recording, item)
                        self.take_down(recording, item)
                        yield item
            if self.accept(recording):
                await self.store(recording)

    @contextmanager
    def recording(self, call: Call) -> Generator[Recording, None, None]:
        """Record a new run for one consumer: the block is the run and the storing of its items."""
        engine = self._engine
        with engine.permit(call.key, self._tagging(call)) as permit:
            recording = Recording(call, permit, self._most, copy=not engine.backend_of(call.key).shares)
            if isinstance(permit.tagging, UnknownTags):
                recording.give_up()
            yield recording

    def has_to_announce(self, recording: Recording) -> bool:
        """Say whether the store asks for an announcement of the run."""
        return recording.whole and (recording.permit.tagging is not None or self._engine.follows)

    async def announce(self, recording: Recording) -> None:
        """Announce a run to its store before it begins; give the recording up if that fails."""
        try:
            await self._engine.announce(recording.permit)
        except Exception as error:  # noqa: BLE001  of a middleware, perhaps
            recording.give_up()
            self.observer.tolerate(error, "load", recording.call.key)

    @contextmanager
    def running(self, recording: Recording) -> Generator[None, None, None]:
        """Count a run, and tell of its end: the block is the run itself."""
        outcome: Outcome | None = None
        try:
            yield
            outcome = Returned(None)
        except Exception as error:
            outcome = Raised(error)
            raise
        finally:
            self.observer.loaded(recording.call.key, recording.cost, outcome)

    def _tagging(self, call: Call) -> KnownTags | None:
        try:
            return self._target.tagging(call)
        except Exception as error:  # noqa: BLE001  of the user's own callable or argument
            self.observer.tolerate(error, "tags", call.key)
            return UnknownTags(error)

    async def _next(self, source: AsyncGenerator[object, None], recording: Recording) -> object | Absent:
        clock = self.clock
        started = clock.now()
        try:
            return await anext(source)
        except StopAsyncIteration:
            return ABSENT
        finally:
            recording.cost += clock.now() - started

    def has_to_judge(self, recording: Recording) -> bool:
        """Say whether the condition has a say about the next item."""
        return recording.whole and self._plan.condition is not None

    async def judge(self, recording: Recording, item: object) -> None:
        """Give a recording up if the condition refuses an item."""
        condition = self._plan.condition
        assert condition is not None
        try:
            accepted = await consult(condition, item, recording.call)
        except Exception as error:  # noqa: BLE001  of the user's callable; the consumer has nothing to do with it
            recording.give_up()
            self.observer.note(error, "condition", recording.call.key)
        else:
            if not accepted:
                recording.give_up()
                recording.refused = True

    def take_down(self, recording: Recording, item: object) -> None:
        """Record an item; give the recording up if there is no room."""
        if not recording.whole:
            return
        try:
            room = recording.add(item)
        except Exception as error:  # noqa: BLE001  of the user's item; the consumer has nothing to do with it
            recording.give_up()
            self.observer.note(error, "copy", recording.call.key)
        else:
            if not room:
                logger.info("a run of %r is not stored: it yields more than %d items", recording.call.key, self._most)

    def accept(self, recording: Recording) -> bool:
        """Say whether a run that has come to its end is to be stored; count it if the options refuse it."""
        is_short = recording.cost < self._plan.min_cost
        if recording.refused or is_short:
            self.observer.refused(recording.call.key)
        return recording.whole and not (is_short or recording.permit.void)

    async def store(self, recording: Recording) -> None:
        """Store the items of a run."""
        try:
            await self._store(recording.call, recording)
        except Exception as error:  # noqa: BLE001  the consumer has had all items
            self.observer.tolerate(error, "store", recording.call.key)

    async def _store(self, call: Call, recording: Recording) -> None:
        ttl = lifetime(self._plan, call, recording.items, self._engine.random.random)
        run = StoredRun(tuple(recording.items))
        message = self._target.storing(call, Returned(recording.items), run, ttl, recording.permit)
        if await self._engine.ask(message) and self.observer.is_watched():
            self.observer.stored(call, message)


async def _pause() -> None:
    """Let other tasks run, in the middle of a long replay; an async generator may be driven without an event loop."""
    if loop_runs_here():
        await checkpoint()


def _is_refreshing(_: str) -> bool:
    return False  # a run is recorded for its consumer
