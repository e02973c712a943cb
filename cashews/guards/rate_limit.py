"""Rate limits: at most so many calls of a key in a period."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from cashews._arguments import is_awaitable
from cashews._dataclass import dataclass
from cashews.engine.engine import Engine
from cashews.exceptions import RateLimitError
from cashews.guards.guard import Guard, label_of, require_positive, resolve_positive
from cashews.messages import Admit, AdmitSlice
from cashews.runners.call import Call, Compiled, resolve

Action = Callable[..., Any]
"""Called with the arguments of a refused call, plain or async, instead of raising RateLimitError."""


@dataclass(frozen=True, slots=True)
class FixedWindow(Guard):
    """At most `limit` calls in a `period` that begins with the first; the first refusal bans for `ban` seconds."""

    engine: Engine
    limit: int
    period: Compiled
    ban: Compiled
    action: Action | None

    @property
    def label(self) -> str:
        return label_of("fixed", self.limit, self.period)

    async def __call__(self, call: Call, proceed: Callable[[Call], Awaitable[Any]]) -> Any:
        period = resolve_positive("period", self.period, call)
        ban = resolve(self.ban, call, None)
        key = keyed_by(call, self.period, period)
        message = Admit(key, self.limit, period, None if ban is None else require_positive("ttl", ban))
        if wait := await self.engine.ask(message):
            return await refuse(self.action, call, RateLimitError(call.key, self.limit, period, wait))
        return await proceed(call)


@dataclass(frozen=True, slots=True)
class SlidingWindow(Guard):
    """At most `limit` calls in any `period`; refused calls do not count."""

    engine: Engine
    limit: int
    period: Compiled
    action: Action | None

    @property
    def label(self) -> str:
        return label_of("sliding", self.limit, self.period)

    async def __call__(self, call: Call, proceed: Callable[[Call], Awaitable[Any]]) -> Any:
        period = resolve_positive("period", self.period, call)
        now = self.engine.clock.wall()
        key = keyed_by(call, self.period, period)
        if wait := await self.engine.ask(AdmitSlice(key, now - period, now, self.limit, period)):
            return await refuse(self.action, call, RateLimitError(call.key, self.limit, period, wait))
        return await proceed(call)


def keyed_by(call: Call, given: Compiled, period: float) -> str:
    """Return the key of a call's window: windows of a length that depends on the call are kept apart by it."""
    return call.key if isinstance(given, float) else f"{call.key}:{period:.12g}"


async def refuse(action: Action | None, call: Call, error: RateLimitError) -> Any:
    """Answer a refused call with the result of the action.

    :raises RateLimitError: if there is no action
    """
    if action is None:
        raise error
    answer = action(*call.args, **call.kwargs)
    return await answer if is_awaitable(answer) else answer
