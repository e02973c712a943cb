"""A circuit breaker as a state machine: pure, every instant is an argument, every step takes the same short time."""

from __future__ import annotations

import enum
import math

from cashews.messages import CircuitRules

NEVER = -math.inf


class Phase(enum.Enum):
    """What a circuit does with calls."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half open"


class Circuit:
    """Lets calls pass until too many fail, then refuses all for a while, then tries with every other one.

    ::

        CLOSED     --too many failures-->  OPEN
        OPEN       --ttl-->                HALF_OPEN, or CLOSED without a half_open_ttl
        HALF_OPEN  --one failure-->        OPEN
        HALF_OPEN  --half_open_ttl-->      CLOSED

    Steps that time makes are made when the circuit is next looked at, dated back to when they were due: nobody has to
    call while it is open for it to become half open.

    What a call reports counts if the call entered after the last change of state. The instant of that change serves
    as the generation number: it grows from change to change, and still does so for a circuit that was forgotten and
    made anew, which a counter would not.

    Source: Nygard, "Release It!", Pragmatic Bookshelf 2007, section 5.2.
    """

    __slots__ = ("calls", "changed", "failures", "forget_at", "phase", "tries", "until")

    def __init__(self) -> None:
        self.phase = Phase.CLOSED
        self.changed = NEVER
        """When the phase began."""
        self.until = NEVER
        """When the phase ends; for a closed circuit, when the window ends in which calls are counted."""
        self.calls = self.failures = 0
        """The calls that ended in the window."""
        self.tries = 0
        """The calls that asked while it was half open."""
        self.forget_at = NEVER
        """From when on a new circuit does as well as this one."""

    def __repr__(self) -> str:
        return f"<Circuit {self.phase.value} until {self.until:g}, {self.failures} of {self.calls} calls failed>"

    def enter(self, rules: CircuitRules, now: float) -> float | None:
        """Say at which instant a call entered; `None` if it is refused."""
        if self.phase is not Phase.CLOSED:
            self._catch_up(rules, now)
        if self.phase is Phase.CLOSED:
            if now >= self.until:
                self._open_window(rules, now)
            return now
        if self.phase is Phase.OPEN:
            return None
        self.tries += 1
        return now if self.tries % 2 else None

    def report(self, rules: CircuitRules, entered: float, now: float, *, failed: bool) -> None:
        """Count how a call ended that entered at an instant."""
        if self.phase is not Phase.CLOSED:
            self._catch_up(rules, now)
        if entered < self.changed or self.phase is Phase.OPEN:
            return
        if self.phase is Phase.CLOSED:
            if now >= self.until:
                self._open_window(rules, now)
            self.calls += 1
        if failed and (self.phase is Phase.HALF_OPEN or self._count_failure(rules)):
            self._turn(Phase.OPEN, rules, now, now + rules.ttl)

    def _count_failure(self, rules: CircuitRules) -> bool:
        self.failures += 1
        return self.calls >= rules.min_calls and self.failures * 100 >= rules.errors_rate * self.calls

    def _open_window(self, rules: CircuitRules, now: float) -> None:
        self.calls = self.failures = 0
        self.until = now + rules.period
        self.forget_at = max(self.forget_at, self.until)

    def _catch_up(self, rules: CircuitRules, now: float) -> None:
        """Make the steps that time has made."""
        if self.phase is Phase.OPEN and now >= self.until:
            if rules.half_open_ttl is None:
                self._turn(Phase.CLOSED, rules, self.until, NEVER)
            else:
                self._turn(Phase.HALF_OPEN, rules, self.until, self.until + rules.half_open_ttl)
        if self.phase is Phase.HALF_OPEN and now >= self.until:
            self._turn(Phase.CLOSED, rules, self.until, NEVER)

    def _turn(self, phase: Phase, rules: CircuitRules, now: float, until: float) -> None:
        """Begin a phase. Once closed, the circuit is remembered for a while yet: calls from before may still report."""
        self.phase, self.changed, self.until = phase, now, until
        self.calls = self.failures = self.tries = 0
        if phase is Phase.OPEN:
            self.forget_at = until + (rules.half_open_ttl or 0.0) + rules.ttl + rules.period
