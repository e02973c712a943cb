"""Bloom filters: a function that says yes or no is not run where the filter knows the answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from cashews.backends.interface import NOT_NOW
from cashews.bloom import BloomShape
from cashews.engine.engine import Engine
from cashews.messages import GetBits, IncrBits
from cashews.strategies.call import Call

Proceed = Callable[[Call], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Bloom:
    """One filter for the calls that a function said yes to; the key of a call is its item.

    The first bit of the stored field says that the filter is there. Where it is not, be it that nothing was ever put
    in, that it was lost, or that the store is switched off or out of reach, the function itself answers.
    """

    engine: Engine
    name: str
    shape: BloomShape
    check: bool
    """Whether a yes of the filter is checked by running the function."""

    async def __call__(self, call: Call, proceed: Proceed) -> Any:
        message = GetBits(self.name, self._places(call.key))
        bits = self.engine.at_once(message)
        if bits is NOT_NOW:
            bits = await self.engine.ask(message)
        there, held = bits[0], all(bits)
        if not there or (held and self.check):
            return await proceed(call)
        return held

    async def put(self, call: Call, proceed: Proceed) -> Any:
        """Run the function, and put the call in the filter if it said yes."""
        result = await proceed(call)
        if result:
            await self.engine.ask(IncrBits(self.name, self._places(call.key)))
        return result

    def _places(self, item: str) -> tuple[int, ...]:
        return (0, *(place + 1 for place in self.shape.places(item)))


@dataclass(frozen=True, slots=True)
class DualBloom:
    """Two filters, one after the other in one stored field: for the calls a function said yes to, and said no to.

    A call that is in one of them only is answered from there; any other runs the function, and is put in.
    """

    engine: Engine
    name: str
    yes: BloomShape
    no: BloomShape
    strict: bool
    """Answer only if the other filter has not one of the bits of the call."""

    async def __call__(self, call: Call, proceed: Proceed) -> Any:
        yes, no = self._places(call.key)
        message = GetBits(self.name, yes + no)
        bits = self.engine.at_once(message)
        if bits is NOT_NOW:
            bits = await self.engine.ask(message)
        held, refused = bits[: len(yes)], bits[len(yes) :]
        in_other = any if self.strict else all
        if all(held) and not in_other(refused):
            return True
        if all(refused) and not in_other(held):
            return False
        result = await proceed(call)
        await self.engine.ask(IncrBits(self.name, yes if result else no))
        return result

    def _places(self, item: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
        yes = self.yes.places(item)
        return yes, tuple(place + self.yes.bits for place in self.no.places(item))
