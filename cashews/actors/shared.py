"""The guards of the little state that several event loops share, each in a thread of its own, and of new threads."""

from __future__ import annotations

import os
from threading import RLock
from typing import Final

SHARED: Final = RLock()
"""Held for one turn of such a state, which awaits nothing. Reentrant, since the collector may run code in a turn."""
BEGINNING: Final = RLock()
"""Held until a thread of ours has begun, which may need `SHARED` for that: the collector runs code there, too."""

if hasattr(os, "register_at_fork"):  # the thread that holds them would not exist in the child
    for lock in (SHARED, BEGINNING):  # a fork takes the last one first
        os.register_at_fork(before=lock.acquire, after_in_parent=lock.release, after_in_child=lock.release)
