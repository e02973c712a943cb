"""The state machine of a circuit breaker: pure, every instant is an argument, every step takes constant time."""

from __future__ import annotations

import enum
import math
from typing import Final

from cashews.messages import CircuitRules, Refusal

LONG_AGO: Final = -math.inf
"""An instant before all others."""


class Phase(enum.Enum):
    """The phase of a circuit: whether it lets calls pass."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half open"


class Circuit:
    """A circuit lets calls pass until too many fail, then refuses all for a while, then lets every other one pass.

    ::

        CLOSED     --too many failures-->  OPEN
        OPEN       --ttl-->                HALF_OPEN, or CLOSED without a half_open_ttl
        HALF_OPEN  --one failure-->        OPEN
        HALF_OPEN  --half_open_ttl-->      CLOSED

    A change that only takes time is made at the next call, and dated back to the instant at which it was due.

    The report of a call counts if the call entered after the last change of phase. The instant of that change serves as
    the generation number: unlike a counter, it also grows from a forgotten circuit to a new one of the same key.

    Source: Nygard, "Release It!", Pragmatic Bookshelf 2007, section 5.2.
    """

    __slots__ = ("calls", "changed", "failures", "forget_at", "phase", "tries", "until")

    def __init__(self) -> None:
        self.phase = Phase.CLOSED
        self.changed = LONG_AGO
        """The instant at which the phase began."""
        self.until = LONG_AGO
        """The instant at which the phase ends; of a closed circuit, the end of its window of calls."""
        self.calls = self.failures = 0
        """The calls that ended in the window, and those of them that failed."""
        self.tries = 0
        """The calls that asked to enter while the circuit was half open."""
        self.forget_at = LONG_AGO
        """The instant from which on a new circuit would behave like this one: it may be removed."""

    def __repr__(self) -> str:
        return f"<Circuit {self.phase.value} until {self.until:g}, {self.failures} of {self.calls} calls failed>"

    def enter(self, rules: CircuitRules, now: float) -> float | Refusal:
        """Let a call in: returns the instant of its entry, or a refusal."""
        if self.phase is not Phase.CLOSED:
            self._catch_up(rules, now)
        if self.phase is Phase.CLOSED:
            if now >= self.until:
                self._open_window(rules, now)
            return now
        if self.phase is Phase.OPEN:
            return Refusal(self.until - now)
        self.tries += 1
        return now if self.tries % 2 else Refusal(0.0)

    def report(self, rules: CircuitRules, entered: float, now: float, *, failed: bool) -> None:
        """Count the end of a call that entered at an instant."""
        if self.phase is not Phase.CLOSED:
            self._catch_up(rules, now)
        if entered < self.changed or self.phase is Phase.OPEN:
            return
        if self.phase is Phase.CLOSED:
            if now >= self.until:
                self._open_window(rules, now)
            self.calls += 1
        if failed and (self.phase is Phase.HALF_OPEN or self._count_failure(rules)):
            self._change(Phase.OPEN, rules, now, now + rules.ttl)

    def _count_failure(self, rules: CircuitRules) -> bool:
        self.failures += 1
        return self.calls >= rules.min_calls and self.failures * 100 >= rules.errors_rate * self.calls

    def _open_window(self, rules: CircuitRules, now: float) -> None:
        self.calls = self.failures = 0
        self.until = now + rules.period
        self.forget_at = max(self.forget_at, self.until)

    def _catch_up(self, rules: CircuitRules, now: float) -> None:
        """Change to the phase that is due by now."""
        if self.phase is Phase.OPEN and now >= self.until:
            if rules.half_open_ttl is None:
                self._change(Phase.CLOSED, rules, self.until, LONG_AGO)
            else:
                self._change(Phase.HALF_OPEN, rules, self.until, self.until + rules.half_open_ttl)
        if self.phase is Phase.HALF_OPEN and now >= self.until:
            self._change(Phase.CLOSED, rules, self.until, LONG_AGO)

    def _change(self, phase: Phase, rules: CircuitRules, now: float, until: float) -> None:
        """Begin a phase. An opened circuit is remembered beyond its closing: earlier calls may still report."""
        self.phase, self.changed, self.until = phase, now, until
        self.calls = self.failures = self.tries = 0
        if phase is Phase.OPEN:
            self.forget_at = max(self.forget_at, until + (rules.half_open_ttl or 0.0) + rules.ttl + rules.period)
