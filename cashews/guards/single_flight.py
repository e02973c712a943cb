"""Single flight: concurrent calls of a key run the function once; nothing is kept."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from cashews.engine.flights import Flights
from cashews.messages import LoadPermit
from cashews.runners.call import Call
from cashews.strategies.entry import Outcome, Raised, Returned


@dataclass(frozen=True, slots=True)
class SingleFlight:
    """Lets the first of concurrent calls run, and gives its outcome to all of them."""

    flights: Flights

    async def __call__(self, call: Call, proceed: Callable[[Call], Awaitable[Any]]) -> Any:
        outcome, shared = await self.flights.run(call.key, partial(_load, call, proceed))
        if isinstance(outcome, Raised):
            raise outcome.fresh() if shared else outcome.error
        return outcome.value


async def _load(call: Call, proceed: Callable[[Call], Awaitable[Any]], _: LoadPermit) -> Outcome:
    try:
        return Returned(await proceed(call))
    except Exception as error:  # noqa: BLE001  it is an outcome, and raised to every caller
        return Raised(error)
