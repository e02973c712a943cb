"""The decorators that keep no result: each puts a guard before a function."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, cast

from cashews._typing import TTL
from cashews.decorated import AsyncFunction, P, R
from cashews.decorating import Keying, async_function
from cashews.engine.engine import Engine
from cashews.exceptions import WrongArgumentError
from cashews.strategies.guards.guard import Guard, guarded
from cashews.strategies.guards.locked import Locked
from cashews.strategies.guards.rate_limit import Action, FixedWindow, SlidingWindow
from cashews.ttl import compile_ttl


@dataclass(frozen=True, slots=True)
class GuardDecorator:
    """``@cache.locked(...)`` and its kin: puts a guard before an async function."""

    guard: Guard
    keying: Keying

    def __call__(self, function: Callable[P, Awaitable[R]]) -> AsyncFunction[P, R]:
        """Decorate an async function.

        :raises NotAsyncError: if it is not one
        :raises WrongKeyError: if the key template does not fit it
        """
        target = self.keying.target(async_function(function))
        run: Any = guarded(target, self.guard)
        run.key = target.key
        return cast("AsyncFunction[P, R]", run)


class GuardAPI:
    """The guards. Every duration may be a callable of the call's arguments."""

    _engine: Engine
    _strict: bool = False

    def _guarding(self, guard: Guard, key: str | None, prefix: str) -> GuardDecorator:
        return GuardDecorator(guard, Keying(template=key, prefix=prefix, strict=self._strict))

    def locked(
        self,
        ttl: TTL = None,
        key: str | None = None,
        *,
        wait: bool = True,
        prefix: str = "locked",
        check_interval: float = 0,
    ) -> GuardDecorator:
        """Return a decorator: one execution at a time per key; nothing is cached.

        :param ttl: the lease, 60 seconds if `None`
        :param wait: raise LockedError instead of waiting, if `False`
        """
        return self._guarding(Locked(self._engine, compile_ttl(ttl), wait), key, prefix)

    def rate_limit(  # noqa: PLR0917  the specification's signature
        self,
        limit: int,
        period: TTL,
        ttl: TTL = None,
        action: Action | None = None,
        prefix: str = "rate_limit",
        key: str | None = None,
    ) -> GuardDecorator:
        """Return a decorator: no more than `limit` calls in a `period`, which begins with the first of them.

        :param ttl: for how long everything is refused once the limit is passed; to the period's end if `None`
        :param action: called with the arguments of a refused call, plain or async, instead of raising RateLimitError
        """
        window = FixedWindow(self._engine, _limit(limit), compile_ttl(period, "period"), compile_ttl(ttl), action)
        return self._guarding(window, key, prefix)

    def slice_rate_limit(
        self,
        limit: int,
        period: TTL,
        key: str | None = None,
        action: Action | None = None,
        prefix: str = "srl",
    ) -> GuardDecorator:
        """Return a decorator: no more than `limit` calls in any `period`; refused calls do not count.

        :param action: called with the arguments of a refused call, plain or async, instead of raising RateLimitError
        """
        window = SlidingWindow(self._engine, _limit(limit), compile_ttl(period, "period"), action)
        return self._guarding(window, key, prefix)


def _limit(limit: int) -> int:
    if limit < 1:
        raise WrongArgumentError("limit", limit, "an integer from 1")
    return limit
