"""Rate limits: at most so many calls of a key in a period."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any

from cashews._arguments import is_awaitable
from cashews._dataclass import dataclass
from cashews._typing import NOT_NOW, NotNowType
from cashews.engine.engine import Engine
from cashews.exceptions import RateLimitError
from cashews.guards.guard import Guard, label_of, require_positive, resolve_positive
from cashews.messages import Admit, AdmitSlice, Message
from cashews.runners.call import Call, Compiled, Target, resolve
from cashews.ttl import TTLRule

Action = Callable[..., Any]
"""Called with the arguments of a refused call, plain or async, instead of raising RateLimitError."""


@dataclass(frozen=True, slots=True)
class RateLimit(Guard):
    """At most `limit` calls in a window of `period` seconds."""

    engine: Engine
    limit: int
    period: Compiled
    action: Action | None
    ban: Compiled = None
    """How long calls are refused from the first refusal on; until the end of the window if `None`."""

    @abstractmethod
    def message(self, key: str, period: float, ban: float | None) -> Message[float]:
        """Return the message that counts a call; it is answered by 0, or by the seconds to wait."""

    def bound(self, target: Target) -> Callable[..., Awaitable[Any]]:
        """Return the function behind its limit; a call that is counted in place takes one coroutine of ours."""
        key_of, function, engine, message_of = target.key, target.function, self.engine, self.message
        by_call = isinstance(self.period, TTLRule)
        durations = None if by_call or isinstance(self.ban, TTLRule) else self._durations(Call((), {}, ""))

        @wraps(function)
        async def run(*args: Any, **kwargs: Any) -> Any:
            window = key = key_of(*args, **kwargs)
            period, ban = durations or self._durations(Call(args, kwargs, key))
            if by_call:  # windows of a length that depends on the call are kept apart by it
                window = f"{key}:{period:.12g}"
            message = message_of(window, period, ban)
            wait: float | NotNowType = NOT_NOW
            if not engine.running:  # else a load of the key might have to hear of it
                wait = engine.in_place(message, True)
            if wait is NOT_NOW:
                wait = await engine.ask(message)
            if wait:
                error = RateLimitError(key, self.limit, period, wait)
                return await refuse(self.action, Call(args, kwargs, key), error)
            return await function(*args, **kwargs)

        return run

    def _durations(self, call: Call) -> tuple[float, float | None]:
        period, ban = resolve_positive("period", self.period, call), resolve(self.ban, call, None)
        return period, None if ban is None else require_positive("ttl", ban)


@dataclass(frozen=True, slots=True)
class FixedWindow(RateLimit):
    """A window that begins with its first call; the first refusal bans for `ban` seconds."""

    @property
    def label(self) -> str:
        return label_of("fixed", self.limit, self.period)

    def message(self, key: str, period: float, ban: float | None) -> Admit:
        return Admit(key, self.limit, period, ban)


@dataclass(frozen=True, slots=True)
class SlidingWindow(RateLimit):
    """Any window of the length; refused calls do not count."""

    @property
    def label(self) -> str:
        return label_of("sliding", self.limit, self.period)

    def message(self, key: str, period: float, ban: float | None) -> AdmitSlice:
        now = self.engine.clock.wall()
        return AdmitSlice(key, now - period, now, self.limit, period)


async def refuse(action: Action | None, call: Call, error: RateLimitError) -> Any:
    """Answer a refused call with the result of the action.

    :raises RateLimitError: if there is no action
    """
    if action is None:
        raise error
    answer = action(*call.args, **call.kwargs)
    return await answer if is_awaitable(answer) else answer
