"""Calls that run in another event loop than their caller, whose outcome comes back to the caller.

::

    caller                                 the other loop
    posts the call        -- a callback -->  serves it in place, or in a task of its own
    receives the outcome  <-- a callback --  answers

A caller that is cancelled leaves: a call that has not begun is dropped, one that runs is cancelled. A loop that was
stopped or closed by hand says nothing, so a caller that waits looks now and then whether the other loop still runs.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextvars import Context, copy_context
from functools import partial
from threading import Event, Lock
from typing import Final, Generic, TypeVar, cast

import anyio

from cashews._typing import NOT_NOW, NotNowType
from cashews.actors.loop import Loop

R = TypeVar("R")
PULSE: Final = 0.25
"""Seconds between two looks of a waiting caller at the other loop. Real ones: a stopped loop has no part in a clock."""


class LoopGoneError(Exception):
    """The other loop has ended before it answered; `begun` says whether the call had begun there."""

    def __init__(self, *, begun: bool) -> None:
        super().__init__("the event loop has ended before it answered")
        self.begun = begun


class Crossing(Generic[R]):
    """One call on its way through another loop.

    :param tell: called in the thread of the other loop as soon as there is an outcome
    :param context: the context of the task that serves the call
    """

    __slots__ = ("_call", "_claim", "_context", "_home", "_left", "_outcome", "_scope", "_tell")

    def __init__(
        self, home: Loop, call: Callable[[], Awaitable[R]], tell: Callable[[], object], context: Context | None = None
    ) -> None:
        self._home = home
        self._call = call
        self._tell = tell
        self._context = context
        self._claim = Lock()
        """Taken once, to begin the call or to drop it: two threads want it."""
        self._outcome: tuple[bool, R | Exception | None] | None = None
        """Whether the call has returned, and its result or its error; `None` in place of the error if it is lost."""
        self._scope: anyio.CancelScope | None = None
        self._left = False

    @property
    def ended(self) -> bool:
        """Whether there is an outcome."""
        return self._outcome is not None

    def post(self, in_place: Callable[[], R | NotNowType] | None = None) -> None:
        """Have the call served in the other loop, by `in_place` if that can.

        :raises LoopGoneError: if the other loop does not run
        """
        if not self._home.reach(partial(self._begin, in_place)):
            raise LoopGoneError(begun=False)

    def look(self) -> None:
        """Go on waiting, if the other loop runs.

        :raises LoopGoneError: if it does not
        """
        if not self.ended and not self._home.alive:
            raise LoopGoneError(begun=not self._claim.acquire(blocking=False))

    def leave(self) -> None:
        """Leave before there is an outcome: nobody waits for it."""
        self._left = True
        if not self._claim.acquire(blocking=False):
            self._home.reach(self._cancel)

    def answer(self) -> R:
        """Return the result of the call, or raise its error.

        :raises LoopGoneError: if the other loop has cancelled the call
        """
        assert self._outcome is not None
        returned, value = self._outcome
        if returned:
            return cast("R", value)
        raise value if isinstance(value, Exception) else LoopGoneError(begun=True)

    # --- in the other loop

    def _begin(self, in_place: Callable[[], R | NotNowType] | None) -> None:
        if not self._claim.acquire(blocking=False):
            return
        try:
            reply = NOT_NOW if in_place is None else in_place()
        except Exception as error:  # noqa: BLE001  the caller's
            self._end((False, error))
            return
        if reply is not NOT_NOW:
            self._end((True, reply))
            return
        try:
            self._home.spawn(self._run, self._context)
        except RuntimeError:  # trio is in its last steps
            self._end((False, LoopGoneError(begun=False)))

    async def _run(self) -> None:
        outcome: tuple[bool, R | Exception | None] = False, None
        try:
            with anyio.CancelScope() as self._scope:
                if not self._left:
                    outcome = True, await self._call()
        except Exception as error:  # noqa: BLE001  the caller's
            outcome = False, error
        finally:
            self._end(outcome)

    def _cancel(self) -> None:
        if self._scope is not None:
            self._scope.cancel()

    def _end(self, outcome: tuple[bool, R | Exception | None]) -> None:
        self._outcome = outcome
        self._tell()


async def call_in(
    home: Loop,
    here: Loop,
    call: Callable[[], Awaitable[R]],
    in_place: Callable[[], R | NotNowType] | None = None,
) -> R:
    """Have a call run in another loop, and return its result.

    :param here: the loop of the caller
    :param in_place: serves the call without a task, if it can
    :raises LoopGoneError: if the other loop has ended, or ends meanwhile
    """
    told = anyio.Event()
    crossing = Crossing(home, call, lambda: here.post(told.set))
    crossing.post(in_place)
    try:
        while not crossing.ended:
            with anyio.move_on_after(PULSE):
                await told.wait()
            crossing.look()
    except BaseException:
        crossing.leave()
        raise
    return crossing.answer()


def call_from_thread(home: Loop, call: Callable[[], Awaitable[R]]) -> R:
    """Have a call run in an event loop, in the context of the caller, and block until it has: for threads without one.

    :raises LoopGoneError: if the loop has ended, or ends meanwhile
    """
    told = Event()
    crossing = Crossing(home, call, told.set, copy_context())
    crossing.post()
    try:
        while not crossing.ended:
            told.wait(PULSE)
            crossing.look()
    except BaseException:
        crossing.leave()
        raise
    return crossing.answer()
