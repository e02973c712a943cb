"""Cached generator functions in threads: the generator runs in the thread of its consumer, one item at a time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator, Iterator
from contextlib import closing
from functools import partial, wraps
from typing import Any

from cashews._typing import ABSENT, Absent
from cashews.actors.portal import Portal
from cashews.exceptions import EventLoopError
from cashews.runners.call import Call
from cashews.runners.streams import Recording, StreamRunner


class BlockingStreams:
    """Runs the calls of one generator function; an event loop reads and stores the runs.

    :param function: the function, which the runner never calls here
    """

    def __init__(self, portal: Portal, runner: StreamRunner, function: Callable[..., Generator[Any, Any, Any]]) -> None:
        self._portal = portal
        self._runner = runner
        self._function = function

    def decorated(self) -> Callable[..., Generator[Any, None, None]]:
        """Return the generator function that users call."""

        @wraps(self._function)
        def stream(*args: Any, **kwargs: Any) -> Generator[Any, None, None]:
            begun = self._portal.run(partial(self._runner.begin, args, kwargs))
            if begun is None:
                yield from self._function(*args, **kwargs)
            elif isinstance(begun, Call):
                yield from self._record(begun)
            else:
                yield from begun.items

        return stream

    def _record(self, call: Call) -> Generator[object, None, None]:
        """Run the generator for one consumer; have its items stored if it came to its end and is worth it."""
        runner = self._runner
        with runner.recording(call) as recording:
            if runner.has_to_announce(recording):
                self._have(partial(runner.announce, recording), recording)
            with runner.running(recording), closing(self._function(*call.args, **call.kwargs)) as source:
                while (item := self._next(source, recording)) is not ABSENT:
                    if runner.has_to_judge(recording):
                        self._have(partial(runner.judge, recording, item), recording)
                    runner.take_down(recording, item)
                    yield item
            if runner.accept(recording):
                self._have(partial(runner.store, recording), recording)

    def _have(self, step: Callable[[], Awaitable[None]], recording: Recording) -> None:
        """Have an event loop take a step of a recording, which is given up if there is none for this thread."""
        try:
            self._portal.run(step)
        except EventLoopError as error:
            recording.give_up()
            self._runner.observer.note(error, "store", recording.call.key)

    def _next(self, source: Iterator[object], recording: Recording) -> object | Absent:
        now = self._runner.clock.now
        started = now()
        try:
            return next(source, ABSENT)
        finally:
            recording.cost += now() - started
