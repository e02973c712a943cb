"""The decorators that store no result: each puts a guard before a function."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, cast

from cashews._arguments import (
    MOST_BITS,
    Errors,
    errors_of,
    flag,
    integer,
    mapping,
    number,
    runnable,
    several,
    text,
    texts,
)
from cashews._typing import TTL
from cashews.api.decorators import BloomDecorator, DualBloomDecorator, GuardDecorator, InvalidateDecorator
from cashews.api.face import Face
from cashews.exceptions import WrongArgumentError
from cashews.guards.bloom import BloomShape
from cashews.guards.circuit_breaker import CircuitBreaker, RulesPerCall, parse_rules
from cashews.guards.guard import Guard, check_positive
from cashews.guards.locked import LEASE, Locked
from cashews.guards.rate_limit import Action, FixedWindow, SlidingWindow
from cashews.guards.single_flight import SingleFlight
from cashews.runners.call import Compiled
from cashews.structures.kinds import COUNTER_MAX
from cashews.ttl import compile_ttl


class GuardAPI(Face):
    """The guards. Every duration may be a callable of the call's arguments."""

    def _guarding(self, guard: Guard, key: str | None, prefix: str) -> GuardDecorator:
        return GuardDecorator(guard, self._keying(key, labelled(prefix, guard)))

    def locked(
        self,
        ttl: TTL = None,
        key: str | None = None,
        *,
        wait: bool = True,
        prefix: str = "locked",
        check_interval: float = 0,
    ) -> GuardDecorator:
        """Return a decorator: one execution at a time per key; nothing is cached.

        :param ttl: the lease, 60 seconds if `None`
        :param wait: raise LockedError instead of waiting, if `False`
        :raises WrongArgumentError: if the lease is 0 or negative
        """
        lease = LEASE if ttl is None else check_positive("ttl", compile_ttl(ttl))
        return self._guarding(Locked(self._engine, lease, flag("wait", wait)), key, prefix)

    def rate_limit(  # noqa: PLR0917  the specification's signature
        self,
        limit: int,
        period: TTL,
        ttl: TTL = None,
        action: Action | None = None,
        prefix: str = "rate_limit",
        key: str | None = None,
    ) -> GuardDecorator:
        """Return a decorator: no more than `limit` calls in a `period`, which begins with the first of them.

        :param ttl: for how long all calls are refused once the limit is passed; to the period's end if `None`
        :param action: called with the arguments of a refused call, plain or async, instead of raising RateLimitError
        :raises WrongArgumentError: if the limit is below 1, or a duration is 0 or negative
        """
        ban = None if ttl is None else check_positive("ttl", compile_ttl(ttl))
        window = FixedWindow(self._engine, _limit(limit), _period(period), _action(action), ban)
        return self._guarding(window, key, prefix)

    def slice_rate_limit(
        self,
        limit: int,
        period: TTL,
        key: str | None = None,
        action: Action | None = None,
        prefix: str = "srl",
    ) -> GuardDecorator:
        """Return a decorator: no more than `limit` calls in any `period`; refused calls do not count.

        :param action: called with the arguments of a refused call, plain or async, instead of raising RateLimitError
        :raises WrongArgumentError: if the limit is below 1, or a duration is 0 or negative
        """
        window = SlidingWindow(self._engine, _limit(limit), _period(period), _action(action))
        return self._guarding(window, key, prefix)

    def circuit_breaker(  # noqa: PLR0917  the specification's signature
        self,
        errors_rate: float,
        period: TTL,
        ttl: TTL,
        half_open_ttl: TTL = None,
        exceptions: Errors = None,
        key: str | None = None,
        min_calls: int = 1,
        prefix: str = "circuit_breaker",
    ) -> GuardDecorator:
        """Return a decorator: when too many calls fail, raise CircuitBreakerOpen for a while instead of calling.

        One circuit serves all calls of the function, or all calls of one key if a key template is given.

        :param errors_rate: open when this percentage of the calls has failed
        :param period: the time in which calls are counted; it begins with the first of them
        :param ttl: how long the circuit is open
        :param half_open_ttl: how long every other call is let through after that; one failure opens the circuit again
        :param exceptions: the failures that count, all if `None`
        :param min_calls: how many calls have to be counted before it may open; 0 is the same as 1
        :raises WrongArgumentError: if an argument is not allowed
        """
        rules = RulesPerCall(
            errors_rate=number("errors_rate", errors_rate, 0, 100),
            period=compile_ttl(period, "period"),
            ttl=compile_ttl(ttl),
            half_open_ttl=compile_ttl(half_open_ttl, "half_open_ttl"),
            min_calls=max(1, integer("min_calls", min_calls, 0, COUNTER_MAX)),
        )
        breaker = CircuitBreaker(self._engine, parse_rules(rules), errors_of(exceptions))
        return GuardDecorator(breaker, self._keying(key, labelled(prefix, breaker)), per_function=True)

    def thunder_protection(self, key: str | None = None, *, prefix: str = "thunder_protection") -> GuardDecorator:
        """Return a decorator: concurrent calls of one key run the function once and share its outcome.

        Nothing is stored.
        """
        return self._guarding(SingleFlight(self._engine), key, prefix)

    def bloom(
        self,
        *,
        capacity: int,
        name: str | None = None,
        false_positives: float = 1,
        check_false_positive: bool = True,
        prefix: str = "bloom",
    ) -> BloomDecorator:
        """Return a decorator: a call that is not in a Bloom filter is answered `False` without running the function.

        ``await function.set(...)`` runs the function and puts the call in the filter if its result is true. While the
        store has no filter, since nothing was put in yet or the store cannot be reached, the function answers.

        :param capacity: how many calls the filter is to hold
        :param name: the template of the items in the filter, by default the function's name and parameters;
            functions of the same name share a filter
        :param false_positives: the percentage of other calls that the filter may take for its own
        :param check_false_positive: run the function when the filter says yes; answer `True` if `False`
        :raises WrongArgumentError: if an argument is not allowed
        """
        return BloomDecorator(
            engine=self._engine,
            keying=self._keying(name, prefix, argument="name"),
            shape=_shape(capacity, "false_positives", false_positives),
            check=flag("check_false_positive", check_false_positive),
        )

    def dual_bloom(
        self,
        *,
        capacity: int,
        name: str | None = None,
        false: float | tuple[float, float] = 1,
        no_collisions: bool = False,
        prefix: str = "dual_bloom",
    ) -> DualBloomDecorator:
        """Return a decorator: calls are put in one of two Bloom filters, for yes and for no, and answered from there.

        A call that is in neither filter, or in both, runs the function. The first answer is the result of the function,
        later answers are `True` or `False`; a wrong one is as likely as `false` says.

        :param capacity: how many calls each filter is to hold
        :param name: the template of the items, by default the function's name and parameters
        :param false: the percentage of other calls that a filter may take for its own; or one for yes and one for no
        :param no_collisions: answer only if the other filter has none of the call's bits: less often, but more surely
        :raises WrongArgumentError: if an argument is not allowed
        """
        yes, no = (_shape(capacity, "false", percent) for percent in _pair("false", false))
        if yes.bits + no.bits > MOST_BITS:
            raise WrongArgumentError(
                "capacity", capacity, f"so many calls that both filters take up to {MOST_BITS} bits"
            )
        return DualBloomDecorator(
            engine=self._engine,
            keying=self._keying(name, prefix, argument="name"),
            yes=yes,
            no=no,
            strict=flag("no_collisions", no_collisions),
        )

    def invalidate(
        self,
        key_template: str | HasKeyTemplate,
        args_map: Mapping[str, str] | None = None,
        defaults: Mapping[str, object] | None = None,
    ) -> InvalidateDecorator:
        """Return a decorator: when the function has returned, remove the keys of a template.

        :param key_template: its fields are filled with the call's arguments, and a `*` of its own matches any text; a
            `*` in an argument is only that character. A cached function stands for the template of its keys
        :param args_map: which parameter stands for a field, where their names differ
        :param defaults: the values of fields that no parameter stands for
        :raises WrongArgumentError: if an argument is not allowed
        """
        names = mapping("args_map", args_map or {})
        texts("args_map", tuple(names.values()))
        values = mapping("defaults", defaults or {})
        template = key_template if isinstance(key_template, str) else getattr(key_template, "key_template", None)
        if not isinstance(template, str):
            allowed = "text, or a cached function that was decorated without noself, or with a key"
            raise WrongArgumentError("key_template", key_template, allowed)
        stars = template is key_template
        return InvalidateDecorator(self._engine, template, names, values, self._strict, stars)


class HasKeyTemplate(Protocol):
    """A cached function, by the template of its keys."""

    key_template: str | None


def labelled(prefix: str, guard: Guard) -> str:
    """Return the prefix of a guard's keys, with the guard's label: stacked guards of one key count apart."""
    return ":".join(filter(None, (text("prefix", prefix), guard.label)))


def _limit(limit: int) -> int:
    return integer("limit", limit, 1, COUNTER_MAX)


def _period(period: TTL) -> Compiled:
    return check_positive("period", compile_ttl(period, "period"))


def _action(action: Action | None) -> Action | None:
    return None if action is None else cast("Action", runnable("action", action))


def _pair(argument: str, given: object) -> tuple[object, object]:
    """Return two values that were given as two, or as one for both."""
    if isinstance(given, (int, float)):
        return given, given
    allowed = "a percentage, or two of them"
    match several(argument, given, allowed):
        case (yes, no):
            return yes, no
        case _:
            raise WrongArgumentError(argument, given, allowed)


def _shape(capacity: int, argument: str, percent: object) -> BloomShape:
    """Return the shape of a filter that a store can hold."""
    allowed = number(argument, percent, 0, 100)
    if not 0 < allowed / 100 < 1:  # the share may round to either where the percentage does not
        raise WrongArgumentError(argument, percent, "a percentage above 0 and below 100")
    shape = BloomShape.holding(integer("capacity", capacity, 1, MOST_BITS), allowed, argument)
    if shape.bits >= MOST_BITS:  # one more says that the filter is there
        raise WrongArgumentError(
            "capacity", capacity, f"so many calls that the filter takes less than {MOST_BITS} bits"
        )
    return shape
