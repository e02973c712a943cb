"""Live results: their one reader has them while they are written down, and what was written is stored at their end."""

from __future__ import annotations

from weakref import finalize

from cashews._dataclass import dataclass, replace
from cashews._typing import ABSENT
from cashews.engine.engine import Engine
from cashews.exceptions import EncodeError
from cashews.messages import Set
from cashews.runners.call import Call
from cashews.runners.observer import CallObserver
from cashews.strategies.entry import Entry, Outcome, Returned, Unstored
from cashews.strategies.replay import RECORDERS, Replay, Tap


@dataclass(slots=True)
class Live(Returned):
    """A load that returned a result for one reader; its replay is stored when the reader has had all of it."""

    tap: Tap
    ending: Ending

    async def drained(self) -> Outcome:
        """Read the result for the store alone, and return an outcome that anybody may read.

        It has no value if the result was not written down: nobody can have it any more.
        """
        await self.tap.drain()
        if self.ending.replay is None:
            reason = "it is too long to be written down"
            return Unstored(ABSENT, EncodeError(self.ending.key, self.value, "a recorder", reason))
        return Returned(self.ending.replay)


class Ending:
    """Stores the replay of a result, if its load is not overtaken by then.

    The load's permit counts until the result has ended, or nobody has it any more.
    """

    def __init__(self, engine: Engine, kind: str, call: Call, message: Set, observer: CallObserver) -> None:
        permit = message.permit
        assert permit is not None
        self.key = call.key
        self.replay: object = None
        """The replay of the result; `None` until it has ended."""
        self._engine = engine
        self._kind = kind
        self._message = replace(message, value=None)
        self._entry = replace(message.value, outcome=Returned(None)) if isinstance(message.value, Entry) else None
        self._call = call
        self._observer = observer
        engine.permits.add(permit)
        self._drop = finalize(self, engine.permits.drop, permit)

    def tapping(self, outcome: Returned) -> Live:
        """Return the outcome of the load, written down while its reader has it."""
        return Live(outcome.value, RECORDERS[self._kind].record(outcome.value, self), self)

    async def __call__(self, state: object) -> None:
        """Store the state of a result that has ended."""
        self.replay = replay = Replay(self._kind, state)
        form = replay if self._entry is None else replace(self._entry, outcome=Returned(replay))
        try:
            message = replace(self._message, value=form)
            if await self._engine.ask(message) and self._observer.is_watched():
                self._observer.stored(self._call, message)
        except Exception as error:  # noqa: BLE001  the reader has had the result
            self._observer.note(error, "store", self._message.key)
        finally:
            self._drop()
