"""Traces: the numbers of the keys that programs of different kinds ask for, one after the other, from a seed."""

from __future__ import annotations

from bisect import bisect
from collections.abc import Callable, Iterator
from itertools import accumulate, count, islice
from random import Random

KEYS = 50_000

Trace = Iterator[int]


class Zipf:
    """Draws numbers below `keys`; the chance of the n-th is in proportion to `1 / (n + 1) ** skew`."""

    def __init__(self, random: Random, skew: float, keys: int = KEYS) -> None:
        self._random = random
        self._sums = list(accumulate((number + 1) ** -skew for number in range(keys)))

    def draw(self) -> int:
        """Return one number."""
        return bisect(self._sums, self._random.random() * self._sums[-1])


def zipf(random: Random, _: int) -> Trace:
    """Zipf, 1.0: few keys are asked for often, and many rarely."""
    numbers = Zipf(random, 1.0)
    while True:
        yield numbers.draw()


def flat_zipf(random: Random, _: int) -> Trace:
    """Zipf, 0.7: the same, less pronounced."""
    numbers = Zipf(random, 0.7)
    while True:
        yield numbers.draw()


def zipf_and_scans(random: Random, size: int) -> Trace:
    """Zipf and scans: now and then as many new keys as there is room for, one after the other."""
    numbers, new = Zipf(random, 1.0), count(KEYS)
    while True:
        for _ in range(4 * size):
            yield numbers.draw()
        yield from islice(new, size)


def zipf_and_strangers(random: Random, _: int) -> Trace:
    """Zipf and strangers: every third key is asked for just once."""
    numbers, new = Zipf(random, 1.0), count(KEYS)
    while True:
        yield next(new) if random.random() < 1 / 3 else numbers.draw()


def drift(random: Random, size: int) -> Trace:
    """Drift: a bell curve that moves on all the time, about twice as wide as the room."""
    for step in count():
        yield int(step / 10 + random.gauss(0, size / 2)) + 10 * size


def loops(random: Random, size: int) -> Trace:
    """Zipf and a loop: half of the requests go round and round over one and a half times the room."""
    numbers = Zipf(random, 1.0)
    for step in count():
        yield numbers.draw()
        yield KEYS + step % (size + size // 2)


def new_favourites(random: Random, size: int) -> Trace:
    """New favourites: Zipf, with other keys after every ten times as many requests as there is room for."""
    numbers = Zipf(random, 1.0)
    for period in count():
        for _ in range(10 * size):
            yield numbers.draw() + period * KEYS


TRACES: tuple[Callable[[Random, int], Trace], ...] = (
    *(zipf, flat_zipf, zipf_and_scans, zipf_and_strangers, drift, loops, new_favourites),
)
