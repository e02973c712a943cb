"""Circuit breaker: a function that fails too often is not called for a while."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from cashews._dataclass import dataclass
from cashews.engine.engine import Engine
from cashews.exceptions import CircuitBreakerOpen, WrongArgumentError
from cashews.guards.guard import AroundCall, check_positive, label_of, require_positive, resolve_positive
from cashews.messages import UNCOUNTED, CircuitRules, EnterCircuit, Refusal, ReportCircuit
from cashews.runners.call import Call, Compiled, resolve
from cashews.ttl import TTLRule


@dataclass(frozen=True, slots=True, kw_only=True)
class RulesPerCall:
    """The rules of a circuit, if some of its durations depend on the call."""

    errors_rate: float
    period: Compiled
    ttl: Compiled
    half_open_ttl: Compiled
    min_calls: int

    def of(self, call: Call) -> CircuitRules:
        """Work out the rules for one call.

        :raises WrongArgumentError: if a duration has no length or no end
        """
        half_open_ttl = resolve(self.half_open_ttl, call, None)
        return CircuitRules(
            errors_rate=self.errors_rate,
            period=resolve_positive("period", self.period, call),
            ttl=resolve_positive("ttl", self.ttl, call),
            half_open_ttl=None if half_open_ttl is None else require_positive("half_open_ttl", half_open_ttl),
            min_calls=self.min_calls,
        )


def parse_rules(rules: RulesPerCall) -> CircuitRules | RulesPerCall:
    """Return the rules of a circuit, worked out once and for all if no duration depends on the call.

    :raises WrongArgumentError: if they are not allowed
    """
    if not 0 < rules.errors_rate <= 100:  # noqa: PLR2004  it is a percentage
        raise WrongArgumentError("errors_rate", rules.errors_rate, "a percentage above 0, up to 100")
    if rules.min_calls < 1:
        raise WrongArgumentError("min_calls", rules.min_calls, "an integer from 1")
    durations = [check_positive("period", rules.period), check_positive("ttl", rules.ttl)]
    if rules.half_open_ttl is not None:
        durations.append(check_positive("half_open_ttl", rules.half_open_ttl))
    return rules if any(isinstance(each, TTLRule) for each in durations) else rules.of(Call((), {}, ""))


@dataclass(frozen=True, slots=True)
class CircuitBreaker(AroundCall):
    """Refuses calls while the circuit of their key is open.

    A call that is cancelled has neither failed nor succeeded; an exception of another type than `errors` is a success.
    """

    engine: Engine
    rules: CircuitRules | RulesPerCall
    errors: tuple[type[Exception], ...]

    @property
    def label(self) -> str:
        return label_of("circuit", self.rules.errors_rate, self.rules.period, self.rules.ttl, self.rules.min_calls)

    async def __call__(self, call: Call, proceed: Callable[[Call], Awaitable[Any]]) -> Any:
        rules, key = self.rules, call.key
        if isinstance(rules, RulesPerCall):
            rules = rules.of(call)
        entered = await self.engine.ask(EnterCircuit(key, rules))
        if isinstance(entered, Refusal):
            raise CircuitBreakerOpen(key, rules.errors_rate, rules.period, entered.retry_after)
        if entered == UNCOUNTED:
            return await proceed(call)
        try:
            result = await proceed(call)
        except Exception as error:
            await self.engine.ask(ReportCircuit(key, rules, entered, isinstance(error, self.errors)))
            raise
        await self.engine.ask(ReportCircuit(key, rules, entered, failed=False))
        return result
