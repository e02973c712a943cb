"""What the command says while it works: lines on standard error, so that standard output has the results alone."""

from __future__ import annotations

import sys
import time

_started = time.monotonic()


def show(text: str) -> None:
    """Show one line, with the seconds since the start."""
    print(f"[{time.monotonic() - _started:5.1f} s] {text}", file=sys.stderr, flush=True)
