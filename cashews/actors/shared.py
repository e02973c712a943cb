"""The guard of the little state that several event loops share: each is in a thread of its own."""

from __future__ import annotations

import os
from threading import RLock
from typing import Final

SHARED: Final = RLock()
"""Held for one turn of such a state, which awaits nothing. Reentrant, since the collector may run code in a turn."""

if hasattr(os, "register_at_fork"):  # the thread that holds it would not exist in the child
    os.register_at_fork(before=SHARED.acquire, after_in_parent=SHARED.release, after_in_child=SHARED.release)
