"""A Bloom filter's arithmetic: how large it is, and which bits stand for an item.

Sources: Bloom, "Space/time trade-offs in hash coding with allowable errors", CACM 13(7), 1970; Kirsch and
Mitzenmacher, "Less hashing, same performance: building a better Bloom filter", ESA 2006; Dillinger and Manolios,
"Bloom filters in probabilistic verification", FMCAD 2004 (the cubic term).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from hashlib import blake2b

from cashews.exceptions import WrongArgumentError


@dataclass(frozen=True, slots=True)
class BloomShape:
    """So many bits, so many of them for each item."""

    bits: int
    hashes: int

    @classmethod
    def holding(cls, capacity: int, percent: float, argument: str = "false_positives") -> BloomShape:
        """Return the smallest filter that takes at most so many percent of other items for one of its `capacity` own.

        The number of hashes is the whole number nearest to the best one, `-log2(p)`; the number of bits is then what
        the error bound `(1 - exp(-kn/m)) ** k <= p` needs with it. A filter with few bits errs a little more than this
        formula says (Bose et al., "On the false-positive rate of Bloom filters", IPL 108, 2008), hence the margin.

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

        They depend on the item alone, not on what is installed, the process or the machine: a filter is shared. All
        are worked out from one digest by enhanced double hashing: the i-th is `a + i*b + (i**3 - i)/6`. The cubic term
        keeps small filters, and steps that share a factor with the number of bits, from erring more often than
        independent hashes would.
        """
        digest = blake2b(item.encode("utf-8", "surrogatepass"), digest_size=16).digest()
        bits = self.bits
        place, step = int.from_bytes(digest[:8], "big") % bits, int.from_bytes(digest[8:], "big") % bits
        places = [place]
        for i in range(1, self.hashes):
            place = (place + step) % bits
            step += i
            places.append(place)
        return tuple(places)
