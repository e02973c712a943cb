"""The observer of one function: counts what happens to its calls, and tells the detectors and listeners of it.

The limits of the cache cost a call its caching, never its answer: what fails is noted here, and not raised.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

from cashews._log import logger
from cashews.engine.context import AMBIENT
from cashews.engine.engine import Engine
from cashews.engine.observing import (
    Answered,
    CallUncached,
    Event,
    LoadEnded,
    Missed,
    RefreshAsked,
    ResultRefused,
    Source,
    Stored,
)
from cashews.exceptions import (
    CacheBackendInteractionError,
    CacheClosedError,
    EncodeError,
    EventLoopError,
    LockedError,
    NoKeyError,
    NotConfiguredError,
    TransactionError,
)
from cashews.messages import Set
from cashews.runners.call import Call, Plan, name_of, resolve
from cashews.strategies.conditions import content_of
from cashews.strategies.entry import Outcome, Raised, deadline_of

T = TypeVar("T")

ASKED_FOR: Final = (CacheBackendInteractionError, NotConfiguredError, TransactionError, LockedError)
"""The errors that reach callers all the same: of an outage with `suppress=False`, of a cache that is not set up, and of
transactions."""
REASONS: Final = {
    NoKeyError: "no key",
    CacheClosedError: "closed",
    EventLoopError: "no event loop",
    EncodeError: "not encoded",
}


class CallObserver:
    """Says what happens to the calls of one function under one strategy.

    :param strategy: the strategy's name
    :param tolerated: the errors of the cache that the function's callers do not get to see
    """

    __slots__ = (
        *("__weakref__", "_engine", "_function", "_observing", "_plan", "_said", "_strategy", "_tolerated"),
        *("counts", "name"),
    )

    def __init__(
        self,
        engine: Engine,
        function: Callable[..., Any],
        strategy: str,
        plan: Plan,
        tolerated: type[Exception] = Exception,
    ) -> None:
        self._engine = engine
        self._observing = engine.observing
        self._function = function
        self._strategy = strategy
        self._plan = plan
        self._tolerated = tolerated
        self._said: set[str] = set()
        self.counts = engine.observing.counts_of(self)
        self.name = name_of(function)

    def _tell(self, kind: Callable[..., Event], key: str, *facts: object) -> None:
        self._observing.tell(kind(self.name, key, *facts))

    def is_watched(self) -> bool:
        """Say whether a listener, or a detector of this context, wants to know of answers."""
        here = AMBIENT.get()
        return bool(self._observing.listeners) or (here is not None and bool(here.detectors))

    # --- calls

    def answered(
        self,
        source: Source,
        call: Call,
        outcome: Outcome,
        found: object = None,
        error: BaseException | None = None,
    ) -> None:
        """Tell that a call was answered without a load of its own. It is counted already.

        :param found: the stored form of the outcome, if there is one
        :param error: the exception that the answer stands in for
        """
        ttl = None
        try:
            ttl = resolve(self._plan.ttl, call, content_of(outcome))
        except Exception as failure:  # noqa: BLE001  of the user's own callable
            self.note(failure, "ttl or tags", call.key)
        backend, deadline = self._engine.backend_of(call.key).name, deadline_of(found)
        self._show(call, Answered(self.name, call.key, self._strategy, ttl, backend, deadline, source, error))

    def _show(self, call: Call, event: Answered | Stored) -> None:
        """Tell the listeners and the detectors of this context."""
        self._observing.tell(event)
        here = AMBIENT.get()
        for detector in here.detectors if here is not None else ():
            if detector.counts(self._engine):
                detector.take(self._function, call, event)

    def missed(self, key: str) -> None:
        """Say that a call found nothing that may be served."""
        if self._observing.listeners:
            self._tell(Missed, key)

    # --- loads

    def traced(self, key: str, run: Awaitable[T]) -> Awaitable[T]:
        """Return a run of the function, in sight of the tracer if there is one."""
        tracer = self._observing.tracer
        return run if tracer is None else tracer.load(self._function, key, run)

    def loaded(self, key: str, seconds: float, outcome: Outcome | None) -> None:
        """Count a load that has ended, and say so.

        :param outcome: `None` if the load was left early
        """
        self.counts.loads += 1
        self.counts.load_seconds += seconds
        self.load_ended(key, seconds, outcome)

    def load_ended(self, key: str, seconds: float, outcome: Outcome | None) -> None:
        """Say that a load has ended, which is counted already; count its failure."""
        error = outcome.error if isinstance(outcome, Raised) else None
        if error is not None:
            self.counts.errors += 1
        if self._observing.listeners:
            self._tell(LoadEnded, key, seconds, error)

    def stored(self, call: Call, message: Set) -> None:
        """Tell that a message has stored the outcome of a load."""
        backend, deadline = self._engine.backend_of(message.key).name, deadline_of(message.value)
        self._show(call, Stored(self.name, message.key, self._strategy, message.expire, backend, deadline))

    def refused(self, key: str) -> None:
        """Say that a result is not stored, since the options say so."""
        self.counts.refused += 1
        if self._observing.listeners:
            self._tell(ResultRefused, key)

    def refreshing(self, key: str) -> None:
        """Say that a load was asked for in the background."""
        self.counts.refreshes += 1
        if self._observing.listeners:
            self._tell(RefreshAsked, key)

    # --- limits of the cache

    def tolerate(self, error: Exception, part: str, key: str = "") -> None:
        """Note that a part of the cache's work has failed.

        :raises Exception: the error itself, if it is one that callers have to see
        """
        if isinstance(error, ASKED_FOR) or not isinstance(error, self._tolerated):
            raise error
        self.note(error, part, key)

    def note(self, error: Exception, part: str, key: str = "") -> None:
        """Count a call that was not cached, and say why, if it is the first one for this reason."""
        reason = next((reason for kind, reason in REASONS.items() if isinstance(error, kind)), f"{part} failed")
        self.counts.uncached[reason] += 1
        if self._observing.listeners:
            self._tell(CallUncached, key, reason)
        if reason not in self._said:
            self._said.add(reason)
            unexpected = None if isinstance(error, tuple(REASONS)) else error
            logger.warning("calls of %s are not cached: %s: %s", self._place(), reason, error, exc_info=unexpected)

    def _place(self) -> str:
        code = getattr(inspect.unwrap(self._function), "__code__", None)
        return self.name + (f" ({code.co_filename}:{code.co_firstlineno})" if code is not None else "")
