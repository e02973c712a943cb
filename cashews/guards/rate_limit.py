"""Rate limits: at most so many calls of a key in a period."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any, Final

from cashews._arguments import is_awaitable
from cashews._dataclass import dataclass
from cashews._typing import NOT_NOW
from cashews.engine.engine import Engine
from cashews.exceptions import RateLimitError
from cashews.guards.guard import Guard, label_of, require_positive, resolve_positive
from cashews.keys.writing import written
from cashews.messages import Admit, AdmitSlice, Message
from cashews.runners.call import Call, Compiled, Target, name_of, named_head, resolve
from cashews.ttl import TTLRule

Action = Callable[..., Any]
"""Called with the arguments of a refused call, plain or async, instead of raising RateLimitError."""

_COUNT: Final = """
# while loads run, one of the key might have to hear of it
$wait = $NOT_NOW if $running or $beside else $in_place($message, True)
if $wait is $NOT_NOW:
    $wait = await $ask($message)
if $wait:
    return await $refused($Call($args, $kwargs, $key), $period, $wait)
return await $function($given)"""

FIXED: Final = f"""$make_key
$message = $message_of($key, $period, $ban){_COUNT}"""
"""A function behind its limit. A call that is counted in place takes one coroutine of ours."""

PER_CALL: Final = f"""$make_key
$window, $period, $ban = $per_call($Call($args, $kwargs, $key))
$message = $message_of($window, $period, $ban){_COUNT}"""
"""The same, if a duration depends on the call."""


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
        head = named_head(target, self.period, self.ban, self.action)
        engine, function, text = self.engine, target.function, PER_CALL
        values = {"Call": Call, "NOT_NOW": NOT_NOW, "message_of": self.message, "refused": self._refuse}
        values |= {"running": engine.running, "beside": engine.beside, "in_place": engine.in_place, "ask": engine.ask}
        values |= {"function": function, "per_call": self._per_call}
        if not isinstance(self.period, TTLRule) and not isinstance(self.ban, TTLRule):
            text, (_, period, ban) = FIXED, self._per_call(Call((), {}, ""))
            values |= {"period": period, "ban": ban}
        return wraps(function)(written(head, name_of(function), text, values))

    def _per_call(self, call: Call) -> tuple[str, float, float | None]:
        """Return the key of a call's window and the durations; a length by the call is a part of the key."""
        period, ban = resolve_positive("period", self.period, call), resolve(self.ban, call, None)
        window = f"{call.key}:{period:.12g}" if isinstance(self.period, TTLRule) else call.key
        return window, period, None if ban is None else require_positive("ttl", ban)

    async def _refuse(self, call: Call, period: float, wait: float) -> Any:
        """Answer a refused call with the result of the action.

        :raises RateLimitError: if there is no action
        """
        if self.action is None:
            raise RateLimitError(call.key, self.limit, period, wait)
        answer = self.action(*call.args, **call.kwargs)
        return await answer if is_awaitable(answer) else answer


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
