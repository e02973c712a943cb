"""How a worker talks to the driver: one JSON object for each line, on standard input and output.

Whatever a library prints goes to standard error, so that it cannot fall into the conversation.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from typing import Any

_replies = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
signal.signal(signal.SIGINT, signal.SIG_IGN)  # an interrupted driver ends its workers itself


def requests() -> Iterator[dict[str, Any]]:
    """Yield what the driver asks for, until it hangs up."""
    for line in sys.stdin:
        yield json.loads(line)


def reply(**facts: object) -> None:
    """Answer the driver."""
    _replies.write(json.dumps(facts) + "\n")
    _replies.flush()


def report_progress(text: str) -> None:
    """Let the driver show that something is going on; this is no answer."""
    reply(progress=text)


def describe(error: BaseException) -> str:
    """Say in one line what went wrong."""
    while isinstance(error, BaseException) and getattr(error, "exceptions", None):
        error = error.exceptions[0]  # type: ignore[attr-defined]  # of an exception group, which Python 3.10 has not
    return f"{type(error).__name__}: {error}".splitlines()[0]


def answer_with(measure: Callable[[], dict[str, object]]) -> None:
    """Answer with what was measured, or with what went wrong."""
    try:
        reply(**measure())
    except Exception as error:  # noqa: BLE001  whatever goes wrong in a library is an answer, too
        reply(error=describe(error))
