"""The life cycle of an actor, the same for all: born in a scope, at work, drained, closed, begun anew in another loop.

::

    waiting    --a scope runs it-->    at work    --its scope ends-->  ended
    any stage  --close()-->            closed
    ended, closed, or another loop     --attend(), or the next asker-->  waiting

Letters may come while an actor waits for a scope. One that has ended or is closed refuses them until the engine attends
to it again, so that no asker waits for a task that will not come.
"""

from __future__ import annotations

import enum
from abc import ABC, abstractmethod
from collections.abc import Callable

import anyio

from cashews._dataclass import dataclass
from cashews.actors.loop import Loop, current_loop
from cashews.exceptions import CacheClosedError


@dataclass(frozen=True, slots=True)
class ActorStatistics:
    """A snapshot of one actor.

    `waiting` counts the letters in its mailbox, `batches` how often it took some, `largest_batch` how many at most,
    `turns` how many messages its own task or thread has served, and `restarts` how often it began to work after the
    first time: in another scope, or in another event loop.
    """

    name: str
    waiting: int
    batches: int
    largest_batch: int
    turns: int
    restarts: int


class Actor(ABC):
    """An owner of state that changes only in its turns. It has a `Life`, which calls these methods."""

    @abstractmethod
    def begin(self) -> None:
        """Begin with an empty mailbox: everything that belongs to an earlier event loop is left behind."""

    @abstractmethod
    async def work(self) -> None:
        """Serve letters until the task is cancelled, or until a drained actor has nothing left to do."""

    async def drain(self) -> None:  # noqa: B027  most actors have nothing to wait for
        """Wait until everything that was posted before is answered; nothing new is let in meanwhile."""

    @abstractmethod
    def end(self) -> None:
        """Answer everyone that still waits: no task will."""


class Stage(enum.Enum):
    """A stage in the life of an actor."""

    WAITING = "waiting"
    AT_WORK = "at work"
    ENDED = "ended"
    CLOSED = "closed"


OVER = frozenset({Stage.ENDED, Stage.CLOSED})


class ScopeEndedError(CacheClosedError):
    """The scope of an actor has ended, and not the actor: the letter was not served, and may be posted again."""


class Life:
    """The life of one actor: its event loop, its stage, and the figures of its work.

    `ensure_scope` asks the engine for a scope, in which it then calls `run`.
    """

    def __init__(self, actor: Actor, ensure_scope: Callable[[], object]) -> None:
        self._actor = actor
        self._ensure_scope = ensure_scope
        self._stage = Stage.WAITING
        self._loop: Loop | None = None
        self.works_in: Loop | None = None
        """The event loop that the actor's task runs in, `None` while there is no such task; askers look at it first."""
        self._scope: anyio.CancelScope | None = None
        """The cancel scope that `work` runs in; the one of an earlier loop is forgotten, never cancelled."""
        self._gone: anyio.Event | None = None
        self._runs = self._batches = self._largest_batch = self._turns = 0

    @property
    def at_work(self) -> bool:
        """Whether the actor's task runs in the event loop of the caller."""
        return self.works_in is not None and self.works_in.here

    @property
    def takes_letters(self) -> bool:
        """Whether a letter of the caller is going to be served: the actor works here, or waits for a scope."""
        return self._stage not in OVER and not self._elsewhere

    @property
    def loop(self) -> Loop:
        """The event loop of the actor, which is the caller's."""
        if self._loop is None:
            self._loop = current_loop()
        return self._loop

    @property
    def _elsewhere(self) -> bool:
        """Whether the actor's loop is not the one that runs: it has ended, or was closed by hand, its tasks pending."""
        return self._loop is not None and not self._loop.here

    def refusal(self) -> CacheClosedError:
        """Return the error for a letter that is not served, since the actor's life is over."""
        return ScopeEndedError() if self._stage is Stage.ENDED else CacheClosedError()

    # --- before work

    def attend(self, loop: Loop) -> None:
        """Have the actor ready for a loop that the engine has met: begin anew if its life is over or elsewhere."""
        if self._stage in OVER or self._loop is None or not self._loop.here:
            self._begin(loop)

    def enter(self) -> None:
        """Have the actor run in the caller's loop, now or soon; every asker enters that finds it not `at_work`.

        :raises CacheClosedError: if its life is over
        """
        if self._stage in OVER:
            raise self.refusal()
        if self._elsewhere:
            self._begin(current_loop())
        if self._stage is Stage.WAITING:
            self._ensure_scope()

    def _begin(self, loop: Loop | None) -> None:
        self._stage, self._loop, self.works_in = Stage.WAITING, loop, None
        self._scope = self._gone = None
        self._actor.begin()

    # --- work

    async def run(self) -> None:
        """Work until the scope ends or the actor is closed: a service of the engine."""
        if self._stage is Stage.CLOSED or self.at_work:
            return
        if self._stage is Stage.ENDED or self._elsewhere:  # of another scope, or of another loop
            self._begin(None)
        self._stage = Stage.AT_WORK
        self._loop = self.works_in = current_loop()
        self._scope = scope = anyio.CancelScope()
        self._gone = gone = anyio.Event()
        self._runs += 1
        try:
            with scope:
                await self._actor.work()
        finally:
            if self._scope is scope:  # and not begun anew in another loop
                self._scope = self.works_in = None
                if self._stage is Stage.AT_WORK:
                    self._stage = Stage.ENDED
                self._actor.end()
            gone.set()

    async def close(self) -> None:
        """Refuse further letters, have the actor drained, and end its task."""
        if self._elsewhere:
            self._begin(None)
        self._stage, self.works_in = Stage.CLOSED, None
        scope, gone = self._scope, self._gone
        if scope is None or gone is None:
            self._actor.end()
            return
        try:
            await self._actor.drain()
        finally:
            scope.cancel()
            await gone.wait()

    # --- figures

    def note(self, turns: int) -> None:
        """Count a batch of so many turns."""
        self._batches += 1
        self._turns += turns
        self._largest_batch = max(self._largest_batch, turns)

    def statistics(self, name: str, waiting: int) -> ActorStatistics:
        """Return the actor's figures, over all its lives."""
        restarts = max(0, self._runs - 1)
        return ActorStatistics(name, waiting, self._batches, self._largest_batch, self._turns, restarts)
