"""A guard around a function: `await proceed(call)` runs it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any, Protocol

from cashews.strategies.call import Call, Target


class Guard(Protocol):
    """Wraps calls of one function."""

    async def __call__(self, call: Call, proceed: Callable[[Call], Awaitable[Any]]) -> Any:
        """Answer a call, running the function with `await proceed(call)` or not."""
        ...


def guarded(target: Target, guard: Guard) -> Callable[..., Awaitable[Any]]:
    """Return the function behind its guard."""
    function, key_of = target.function, target.key

    def proceed(call: Call) -> Awaitable[Any]:
        return function(*call.args, **call.kwargs)

    @wraps(function)
    async def run(*args: Any, **kwargs: Any) -> Any:
        return await guard(Call(args, kwargs, key_of(*args, **kwargs)), proceed)

    return run
