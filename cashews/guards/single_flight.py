"""Single flight: concurrent calls of a key run the function once; its outcome is not stored."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from cashews.engine.engine import Engine
from cashews.guards.guard import Guard
from cashews.messages import LoadPermit
from cashews.runners.call import Call, answer_of
from cashews.strategies.entry import Outcome, Raised, Returned


@dataclass(frozen=True, slots=True)
class SingleFlight(Guard):
    """Lets the first of concurrent calls run, and gives its outcome to all of them."""

    engine: Engine

    async def __call__(self, call: Call, proceed: Callable[[Call], Awaitable[Any]]) -> Any:
        outcome, shared = await self.engine.load(call.key, partial(_load, call, proceed))
        return answer_of(outcome, shared=shared)


async def _load(call: Call, proceed: Callable[[Call], Awaitable[Any]], _: LoadPermit) -> Outcome:
    try:
        return Returned(await proceed(call))
    except Exception as error:  # noqa: BLE001  it is an outcome, and raised to every caller
        return Raised(error)
