"""The chance of caches that are given none: seeded anew in each process that is forked."""

from __future__ import annotations

import os
from random import Random
from weakref import WeakSet

_OWN: WeakSet[Random] = WeakSet()


def own_random() -> Random:
    """Return a source of chance; after a fork it goes on differently in each process."""
    random = Random()
    _OWN.add(random)
    return random


def _seed_anew() -> None:
    for random in list(_OWN):
        random.seed()


if hasattr(os, "register_at_fork"):  # where there are forks
    os.register_at_fork(after_in_child=_seed_anew)
