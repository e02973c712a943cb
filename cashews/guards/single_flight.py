"""Single flight: concurrent calls of a key run the function once; its outcome is not stored."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from cashews._dataclass import dataclass, field
from cashews.engine.engine import Engine
from cashews.engine.flights import Flights
from cashews.guards.guard import AroundCall
from cashews.messages import LoadPermit
from cashews.runners.call import Call, answer_of
from cashews.strategies.entry import Outcome, Raised, Returned


@dataclass(frozen=True, slots=True)
class SingleFlight(AroundCall):
    """Lets the first of concurrent calls run, and gives its outcome to all of them."""

    engine: Engine
    flights: Flights = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "flights", self.engine.flights())

    def for_function(self) -> SingleFlight:
        return SingleFlight(self.engine)

    async def __call__(self, call: Call, proceed: Callable[[Call], Awaitable[Any]]) -> Any:
        outcome, shared = await self.flights.load(call.key, _load, (call, proceed))
        return answer_of(outcome, shared=shared)


async def _load(subject: tuple[Call, Callable[[Call], Awaitable[Any]]], _: LoadPermit) -> Outcome:
    call, proceed = subject
    try:
        return Returned(await proceed(call))
    except Exception as error:  # noqa: BLE001  it is an outcome, and raised to every caller
        return Raised(error)
