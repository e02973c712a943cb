"""The memory store: a pure table, its expiry wheel and order of use, and the actor around them."""

from __future__ import annotations

from cashews.backends.memory.store import MemoryOptions as MemoryOptions
from cashews.backends.memory.store import MemoryStore as MemoryStore
