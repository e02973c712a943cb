"""How long importing a package takes in a fresh process, over what it stands on: `imports.py BASE PACKAGE`."""

from __future__ import annotations

import sys
import time
from importlib import import_module

from lines import answer_with

UNWANTED = ("redis", "hiredis", "diskcache", "trio", "fastapi", "starlette", "prometheus_client")


def measure(base: str, package: str) -> dict[str, object]:
    """Import the base, then the package."""
    started = time.perf_counter()
    import_module(base)
    base_imported = time.perf_counter()
    import_module(package)
    ended = time.perf_counter()
    return {
        "base": base,
        "base_seconds": base_imported - started,
        "seconds": ended - base_imported,
        "pulled_in": [name for name in UNWANTED if name in sys.modules],
    }


if __name__ == "__main__":
    answer_with(lambda: measure(*sys.argv[1:]))
