"""How many bytes a key with a time to live costs, key and value included: `memory.py KEYS VALUE`.

The growth of this fresh process's resident memory, divided by the number of keys.
"""

from __future__ import annotations

import gc
import os
import sys
from pathlib import Path

import loop_asyncio
from cases import result_of
from lines import answer_with
from million import VALUES, fill, new_cache


def resident_bytes() -> int:
    """Return how much memory this process occupies."""
    statm = Path("/proc/self/statm")
    if statm.exists():
        return int(statm.read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    import resource  # not on Windows; without /proc the peak has to do

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


async def measure(keys: int, value: str) -> dict[str, object]:
    """Fill a cache and see how the process grows."""
    cache = new_cache(keys)
    await fill(cache, 100, VALUES[value], lambda: 3600.0)
    gc.collect()
    before = resident_bytes()
    await fill(cache, keys, VALUES[value], lambda: 3600.0)
    gc.collect()
    return {"keys": keys, "value": value, "bytes_per_key": (resident_bytes() - before) / keys}


if __name__ == "__main__":
    answer_with(lambda: result_of(loop_asyncio, lambda: measure(int(sys.argv[1]), sys.argv[2])))
