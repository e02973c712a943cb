"""Bloom filters: a function that answers yes or no is not run for calls that the filter can answer."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from typing import Any

from cashews._dataclass import dataclass
from cashews.engine.engine import Engine
from cashews.exceptions import WrongArgumentError
from cashews.guards.guard import AroundCall
from cashews.messages import GetBits, IncrBits
from cashews.runners.call import Call

Proceed = Callable[[Call], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Bloom(AroundCall):
    """One filter for the calls that a function said yes to; the key of a call is its item.

    The first bit of the stored field says that the filter exists. If it does not, since nothing was ever put in, it was
    lost, or the store is switched off or out of reach, the function itself answers.
    """

    engine: Engine
    name: str
    shape: BloomShape
    check: bool
    """True: a yes of the filter is checked by running the function."""

    async def __call__(self, call: Call, proceed: Proceed) -> Any:
        bits = await self.engine.ask(GetBits(self.name, self._places(call.key)))
        exists, held = bits[0], all(bits)
        if not exists or (held and self.check):
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
class DualBloom(AroundCall):
    """Two filters, one after the other in one stored field: for the calls a function said yes to, and said no to.

    A call that is in just one of them is answered from there; any other call runs the function, and is put in.
    """

    engine: Engine
    name: str
    yes: BloomShape
    no: BloomShape
    strict: bool
    """Answer only if the other filter has none of the call's bits; otherwise, only if it lacks one of them."""

    async def __call__(self, call: Call, proceed: Proceed) -> Any:
        yes, no = self._places(call.key)
        bits = await self.engine.ask(GetBits(self.name, yes + no))
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


@dataclass(frozen=True, slots=True)
class BloomShape:
    """The size of a Bloom filter: how many bits it has, and how many of them each item sets."""

    bits: int
    hashes: int

    @classmethod
    def holding(cls, capacity: int, percent: float, argument: str = "false_positives") -> BloomShape:
        """Return the smallest filter for `capacity` items that takes at most `percent` of all others for one of them.

        The number of hashes is the whole number nearest to the best one, `-log2(p)`; the number of bits is then the
        smallest that meets the error bound `(1 - exp(-kn/m)) ** k <= p`. A filter with few bits errs a little more than
        this formula says (Bose et al., "On the false-positive rate of Bloom filters", IPL 108, 2008), hence the margin.

        :raises WrongArgumentError: if there can be no such filter
        """
        if capacity < 1:
            raise WrongArgumentError("capacity", capacity, "an integer from 1")
        if not 0 < percent < 100:  # noqa: PLR2004  it is a percentage
            raise WrongArgumentError(argument, percent, "a percentage above 0 and below 100")
        share = percent / 100
        hashes = max(1, round(-math.log2(share)))
        bits = math.ceil(-hashes * capacity / math.log1p(-(share ** (1 / hashes))))
        return cls(bits + hashes * hashes, hashes)

    def places(self, item: str) -> tuple[int, ...]:
        """Return the bits that stand for an item.

        They depend on the item alone, not on installed packages, the process or the machine: a filter is shared. All
        are worked out from one digest by enhanced double hashing: the i-th is `a + i*b + (i**3 - i)/6`. The cubic term
        keeps small filters, and steps that share a factor with the number of bits, from erring more often than
        independent hashes would.
        """
        from hashlib import blake2b  # noqa: PLC0415  two milliseconds of an import, a fifth of a microsecond here

        digest = blake2b(item.encode("utf-8", "surrogatepass"), digest_size=16).digest()
        bits = self.bits
        place, step = int.from_bytes(digest[:8], "big") % bits, int.from_bytes(digest[8:], "big") % bits
        places = [place]
        for i in range(1, self.hashes):
            place = (place + step) % bits
            step += i
            places.append(place)
        return tuple(places)
