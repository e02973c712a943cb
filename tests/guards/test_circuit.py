"""The circuit by itself: a pure state machine, played against a slow description of what it should do."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cashews.messages import CircuitRules, Refusal
from cashews.structures.circuit import Circuit, Phase

RULES = CircuitRules(errors_rate=50, period=10, ttl=5, half_open_ttl=4, min_calls=2)


def opened_at(now, rules=RULES):
    circuit = Circuit()
    for _ in range(rules.min_calls):
        circuit.report(rules, circuit.enter(rules, now), now, failed=True)
    assert circuit.phase is Phase.OPEN
    return circuit


def test_it_opens_when_the_rate_is_reached_and_not_before():
    circuit = Circuit()
    for failed in (False, False, True):
        circuit.report(RULES, circuit.enter(RULES, 0), 0, failed=failed)
    assert circuit.enter(RULES, 0) == 0
    circuit.report(RULES, 0, 0, failed=True)
    assert circuit.enter(RULES, 0) == Refusal(5)


def test_it_does_not_open_before_so_many_calls_have_ended():
    circuit = Circuit()
    circuit.report(RULES, circuit.enter(RULES, 0), 0, failed=True)
    assert circuit.enter(RULES, 0) == 0


def test_a_success_never_opens_it():
    circuit = Circuit()
    for failed in (True, False):
        circuit.report(RULES, circuit.enter(RULES, 0), 0, failed=failed)
    assert circuit.phase is Phase.CLOSED


def test_the_window_begins_with_the_first_call_and_ends_after_its_period():
    circuit = Circuit()
    circuit.report(RULES, circuit.enter(RULES, 3), 3, failed=True)
    circuit.report(RULES, circuit.enter(RULES, 13), 13, failed=True)
    assert circuit.phase is Phase.CLOSED
    circuit.report(RULES, circuit.enter(RULES, 22.9), 22.9, failed=True)
    assert circuit.phase is Phase.OPEN


def test_calls_that_take_longer_than_the_period_count_where_they_end():
    circuit = Circuit()
    for start in (0, 15):
        circuit.enter(RULES, start)
    circuit.report(RULES, 0, 30, failed=True)
    circuit.report(RULES, 15, 31, failed=True)
    assert circuit.phase is Phase.OPEN


def test_half_open_lets_every_other_call_through():
    circuit = opened_at(0)
    assert [circuit.enter(RULES, 4.5) for _ in range(3)] == [Refusal(0.5)] * 3
    assert [circuit.enter(RULES, 5) for _ in range(4)] == [5, Refusal(0), 5, Refusal(0)]


def test_one_failure_opens_a_half_open_circuit_again():
    circuit = opened_at(0)
    circuit.report(RULES, circuit.enter(RULES, 6), 7, failed=True)
    assert [circuit.enter(RULES, 11.5), circuit.enter(RULES, 12)] == [Refusal(0.5), 12]


def test_it_closes_after_the_half_open_time_though_nobody_called():
    circuit = opened_at(0)
    assert [circuit.enter(RULES, 9) for _ in range(4)] == [9] * 4


def test_without_a_half_open_time_it_closes_after_its_ttl():
    rules = CircuitRules(errors_rate=50, period=10, ttl=5)
    circuit = opened_at(0, rules)
    assert [circuit.enter(rules, 4.5), circuit.enter(rules, 5), circuit.enter(rules, 5)] == [Refusal(0.5), 5, 5]


def test_what_began_before_a_change_of_state_does_not_count():
    circuit = opened_at(1)
    circuit.report(RULES, 1, 6.5, failed=True)
    assert circuit.phase is Phase.HALF_OPEN
    tried = circuit.enter(RULES, 8)
    for _ in range(2):
        circuit.report(RULES, tried, 10, failed=True)
    assert circuit.phase is Phase.CLOSED
    assert circuit.calls == 0


@pytest.mark.parametrize("phase", ["closed", "open", "half open"])
def test_its_representation_tells_its_phase(phase):
    circuit = {"closed": Circuit(), "open": opened_at(0), "half open": opened_at(0)}[phase]
    if phase == "half open":
        circuit.enter(RULES, 5)
    assert phase in repr(circuit)


class Described:
    """What the circuit should do, said slowly: everything that was reported is kept, every question asks anew."""

    def __init__(self, rules):
        self.rules = rules
        self.opened = []
        self.window = None
        self.ended = []
        self.tries = {}

    def half_open(self, opened, now):
        return now < opened + self.rules.ttl + (self.rules.half_open_ttl or 0)

    def phase(self, now):
        """Return the phase and when it began."""
        if not self.opened:
            return Phase.CLOSED, -math.inf
        opened = self.opened[-1]
        if now < opened + self.rules.ttl:
            return Phase.OPEN, opened
        if self.half_open(opened, now):
            return Phase.HALF_OPEN, opened + self.rules.ttl
        return Phase.CLOSED, opened + self.rules.ttl + (self.rules.half_open_ttl or 0)

    def counting(self, now):
        _, began = self.phase(now)
        if self.window is None or self.window < began or now >= self.window + self.rules.period:
            self.window, self.ended = now, []

    def enter(self, now):
        phase, began = self.phase(now)
        if phase is Phase.OPEN:
            return Refusal(began + self.rules.ttl - now)
        if phase is Phase.CLOSED:
            self.counting(now)
            return now
        self.tries[began] = self.tries.get(began, 0) + 1
        return now if self.tries[began] % 2 else Refusal(0)

    def report(self, entered, now, failed):
        phase, began = self.phase(now)
        if phase is Phase.OPEN or entered < began:
            return
        if phase is Phase.HALF_OPEN:
            if failed:
                self.opened.append(now)
            return
        self.counting(now)
        self.ended.append(failed)
        rate = 100 * sum(self.ended) / len(self.ended)
        if failed and len(self.ended) >= self.rules.min_calls and rate >= self.rules.errors_rate:
            self.opened.append(now)


STEPS = st.lists(st.tuples(st.integers(0, 4), st.sampled_from(["enter", "fail", "fail", "pass"])), max_size=80)


@given(
    steps=STEPS,
    rules=st.builds(
        CircuitRules,
        errors_rate=st.sampled_from([1, 25, 50, 100]),
        period=st.integers(1, 12),
        ttl=st.integers(1, 6),
        half_open_ttl=st.none() | st.integers(1, 6),
        min_calls=st.integers(1, 4),
    ),
)
def test_it_does_what_is_described(steps, rules):
    circuit, described, running, now = Circuit(), Described(rules), [], 0
    for waited, step in steps:
        now += waited
        if step == "enter" or not running:
            entered = circuit.enter(rules, now)
            assert entered == described.enter(now)
            if not isinstance(entered, Refusal):
                running.append(entered)
        else:
            entered = running.pop(len(running) // 2)
            circuit.report(rules, entered, now, failed=step == "fail")
            described.report(entered, now, step == "fail")


@given(steps=STEPS)
def test_a_circuit_that_was_forgotten_when_it_may_be_does_as_well_as_the_old_one(steps):
    """Unless a call takes longer than `ttl` and `period` together."""
    kept, forgotten, running, now = Circuit(), Circuit(), [], 0
    for waited, step in steps:
        now += waited
        running = [entered for entered in running if now - entered <= RULES.ttl + RULES.period]
        if now >= forgotten.forget_at:
            forgotten = Circuit()
        if step == "enter" or not running:
            entered = kept.enter(RULES, now)
            assert forgotten.enter(RULES, now) == entered
            if not isinstance(entered, Refusal):
                running.append(entered)
        else:
            entered = running.pop()
            for circuit in (kept, forgotten):
                circuit.report(RULES, entered, now, failed=step == "fail")
            assert kept.phase is forgotten.phase
