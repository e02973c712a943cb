"""The memory store: `mem://`."""

from __future__ import annotations

from cashews.backends.memory.encoded import EncodedStore as EncodedStore
from cashews.backends.memory.store import MemoryOptions as MemoryOptions
from cashews.backends.memory.store import MemoryStore as MemoryStore
