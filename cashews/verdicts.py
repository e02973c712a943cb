"""Four answers to one question: given what was found, what now?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from cashews.entry import Outcome


@dataclass(slots=True)
class Serve:
    """Answer with what was found."""

    outcome: Outcome


@dataclass(slots=True)
class ServeAndRefresh:
    """Answer with what was found, and have it loaded anew in the background."""

    outcome: Outcome


@dataclass(slots=True)
class Load:
    """Run the function; its outcome is the answer."""


@dataclass(slots=True)
class LoadOrServe:
    """Run the function; if it raises one of `errors`, answer with what is remembered then, if anything is."""

    errors: tuple[type[Exception], ...]


Verdict: TypeAlias = "Serve | ServeAndRefresh | Load | LoadOrServe"
LOAD = Load()
