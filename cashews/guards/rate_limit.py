"""Rate limits: how many calls of a key may run in a time."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from cashews.backends.interface import NOT_NOW
from cashews.engine.engine import Engine
from cashews.exceptions import RateLimitError
from cashews.guards.guard import require_positive, resolve_positive
from cashews.messages import Admit, SliceIncr
from cashews.runners.call import Call, Compiled, resolve

Action = Callable[..., Any]
"""Called with the arguments of a refused call, plain or async, instead of raising RateLimitError."""


@dataclass(frozen=True, slots=True)
class FixedWindow:
    """At most `limit` calls in a `period` that begins with the first; the first refusal bans for `ban` seconds."""

    engine: Engine
    limit: int
    period: Compiled
    ban: Compiled
    action: Action | None

    async def __call__(self, call: Call, proceed: Callable[[Call], Awaitable[Any]]) -> Any:
        period = resolve_positive("period", self.period, call)
        ban = resolve(self.ban, call, None)
        message = Admit(call.key, self.limit, period, None if ban is None else require_positive("ttl", ban))
        admitted = self.engine.in_place(message)
        if admitted is NOT_NOW:
            admitted = await self.engine.ask(message)
        if not admitted:
            return await refuse(self.action, call, self.limit)
        return await proceed(call)


@dataclass(frozen=True, slots=True)
class SlidingWindow:
    """At most `limit` calls in any `period`; refused calls do not count."""

    engine: Engine
    limit: int
    period: Compiled
    action: Action | None

    async def __call__(self, call: Call, proceed: Callable[[Call], Awaitable[Any]]) -> Any:
        period = resolve_positive("period", self.period, call)
        now = self.engine.clock.wall()
        count = await self.engine.ask(SliceIncr(call.key, now - period, now, self.limit, period))
        if count > self.limit:
            return await refuse(self.action, call, self.limit)
        return await proceed(call)


async def refuse(action: Action | None, call: Call, limit: int) -> Any:
    """Answer a refused call with what the action gives.

    :raises RateLimitError: if there is no action
    """
    if action is None:
        raise RateLimitError(call.key, limit)
    answer = action(*call.args, **call.kwargs)
    return await answer if inspect.isawaitable(answer) else answer
