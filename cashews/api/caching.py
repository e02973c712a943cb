"""The caching decorators of a cache: each makes a strategy and a plan of its options, at decoration."""

from __future__ import annotations

from typing import Final

from cashews._arguments import Errors, errors_of, flag, integer, non_negative_duration, number, positive_duration
from cashews._dataclass import dataclass
from cashews._typing import TTL, Duration
from cashews.api.decorators import CachingDecorator, IteratorDecorator
from cashews.api.face import Face
from cashews.exceptions import WrongArgumentError
from cashews.guards.locked import LEASE
from cashews.keys.tags import Tags, parse_tags
from cashews.runners.call import Compiled, Plan
from cashews.runners.streams import MOST_ITEMS
from cashews.strategies.conditions import Condition, parse_condition
from cashews.strategies.strategies import Early, Failover, Hit, Simple, Soft
from cashews.strategies.strategy import Strategy
from cashews.ttl import compile_ttl

DAY: Final = 86_400
DYNAMIC_HITS: Final = 3
DYNAMIC_UPDATE: Final = 1


@dataclass(frozen=True, slots=True)
class Common:
    """The options of every caching decorator, as they were given; `DecoratorAPI.__call__` describes them."""

    tags: Tags = ()
    upper: bool = False
    lock: bool | Duration = False
    protected: bool = True
    jitter: float = 0.0
    soft_timeout: Duration | None = None
    hard_timeout: Duration | None = None


class DecoratorAPI(Face):
    """The caching decorators. Every ttl is a duration (see `cashews.ttl`) or a callable of the call's arguments."""

    def _caching(
        self, strategy: Strategy, key: str | None, prefix: str, plan: Plan, common: Common
    ) -> CachingDecorator:
        keying = self._keying(key, prefix, tags=parse_tags(common.tags), answers=True)
        return CachingDecorator(self._engine, strategy, keying, plan)

    def __call__(
        self,
        ttl: TTL,
        key: str | None = None,
        condition: Condition | str | None = None,
        time_condition: Duration | None = None,
        *,
        prefix: str = "",
        tags: Tags = (),
        upper: bool = False,
        lock: bool | Duration = False,
        protected: bool = True,
        jitter: float = 0.0,
        soft_timeout: Duration | None = None,
        hard_timeout: Duration | None = None,
    ) -> CachingDecorator:
        """Return a decorator: execute, store, and answer from the store until it expires.

        The other caching decorators take the same options, besides their own.

        :param ttl: how long a result is stored, `None` for ever; a callable may also answer 0 for a result that is not
            to be stored
        :param key: the template of the keys, by default made of the function's name and parameters
        :param condition: called as ``condition(result, args, kwargs, key=key)``, or the name ``"not_none"``: the result
            is stored if the answer is true; if it is an exception, this exception is stored in its place
        :param time_condition: store only results of calls that took at least this long
        :param prefix: put before the template, with a colon
        :param tags: the tags by which `delete_tags` finds the values: templates of the arguments (``"page:{page}"``),
            templates of the result (``"user:{result.id}"``), and callables of the arguments that return several; one
            with a parameter `result` gets the result, too
        :param upper: do not store a result that came from another cache
        :param lock: lock the key against other processes while the function runs, with a lease of 60 seconds (`True`)
            or of the given duration
        :param protected: have concurrent calls of one key run the function once
        :param jitter: shorten each ttl at random by up to this share, from 0 to 1
        :param soft_timeout: if there is an old value, wait this long for a new one; then serve the old value, and let
            the load end in the background
        :param hard_timeout: raise LoadTimeoutError if the function takes longer
        :raises WrongTTLError: if a duration cannot be understood
        :raises WrongArgumentError: if another argument is not allowed
        """
        common = Common(tags, upper, lock, protected, jitter, soft_timeout, hard_timeout)
        return self._caching(Simple(), key, prefix, _plan(ttl, None, condition, time_condition, common), common)

    cache = __call__

    def failover(
        self,
        ttl: TTL,
        exceptions: Errors = None,
        key: str | None = None,
        condition: Condition | str | None = None,
        time_condition: Duration | None = None,
        *,
        prefix: str = "fail",
        tags: Tags = (),
        upper: bool = False,
        lock: bool | Duration = False,
        protected: bool = True,
        jitter: float = 0.0,
        soft_timeout: Duration | None = None,
        hard_timeout: Duration | None = None,
    ) -> CachingDecorator:
        """Return a decorator: always execute; if that fails, answer with the result of the last call that succeeded.

        :param exceptions: the failures that are covered, those of `set_default_fail_exceptions` if `None`
        """
        common = Common(tags, upper, lock, protected, jitter, soft_timeout, hard_timeout)
        strategy = Failover(errors_of(exceptions, self._default_errors))
        return self._caching(strategy, key, prefix, _plan(ttl, None, condition, time_condition, common), common)

    def set_default_fail_exceptions(self, *exceptions: type[Exception]) -> None:
        """Set the default of `exceptions` in `failover`, for the functions that are decorated from now on."""
        self._default_errors = errors_of(exceptions)

    def early(
        self,
        ttl: TTL,
        key: str | None = None,
        early_ttl: TTL = None,
        condition: Condition | str | None = None,
        time_condition: Duration | None = None,
        *,
        prefix: str = "early",
        background: bool = True,
        beta: float = 0.0,
        tags: Tags = (),
        upper: bool = False,
        lock: bool | Duration = False,
        protected: bool = True,
        jitter: float = 0.0,
        soft_timeout: Duration | None = None,
        hard_timeout: Duration | None = None,
    ) -> CachingDecorator:
        """Return a decorator: answer from the store, and load anew in the background before the value expires.

        :param early_ttl: when to load anew, up to the ttl; a third of the ttl if `None`
        :param background: load while the caller waits, if `False`; the old value is served if the load fails
        :param beta: load at random before that instant (XFetch): the more likely, the nearer the instant is and the
            longer the load took; 1.0 is the value of the paper. Without `early_ttl` the instant is the expiry
        """
        common = Common(tags, upper, lock, protected, jitter, soft_timeout, hard_timeout)
        strategy = Early(number("beta", beta, 0), flag("background", background))
        own = own_ttl("early_ttl", early_ttl, ttl)
        return self._caching(strategy, key, prefix, _plan(ttl, own, condition, time_condition, common), common)

    def soft(  # noqa: PLR0917  users of cashews 7 give them by position
        self,
        ttl: TTL,
        key: str | None = None,
        soft_ttl: TTL = None,
        exceptions: Errors = Exception,
        condition: Condition | str | None = None,
        time_condition: Duration | None = None,
        *,
        prefix: str = "soft",
        tags: Tags = (),
        upper: bool = False,
        lock: bool | Duration = False,
        protected: bool = True,
        jitter: float = 0.0,
        soft_timeout: Duration | None = None,
        hard_timeout: Duration | None = None,
    ) -> CachingDecorator:
        """Return a decorator: answer from the store for a while, then load, and fall back on the store until the ttl.

        :param soft_ttl: when to load, up to the ttl; after a third of the ttl if `None`
        :param exceptions: the failures that are covered
        """
        common = Common(tags, upper, lock, protected, jitter, soft_timeout, hard_timeout)
        own = own_ttl("soft_ttl", soft_ttl, ttl)
        strategy = Soft(errors_of(exceptions))
        return self._caching(strategy, key, prefix, _plan(ttl, own, condition, time_condition, common), common)

    def hit(  # noqa: PLR0917  users of cashews 7 give them by position
        self,
        ttl: TTL,
        cache_hits: int,
        update_after: int = 0,
        key: str | None = None,
        condition: Condition | str | None = None,
        time_condition: Duration | None = None,
        *,
        prefix: str = "hit",
        background: bool = True,
        tags: Tags = (),
        upper: bool = False,
        lock: bool | Duration = False,
        protected: bool = True,
        jitter: float = 0.0,
        soft_timeout: Duration | None = None,
        hard_timeout: Duration | None = None,
    ) -> CachingDecorator:
        """Return a decorator: answer a number of times from the store, then execute again.

        :param cache_hits: how many answers come from the store after each execution
        :param update_after: at which of them to load anew in the background, up to `cache_hits`; 0 for never
        :param background: load while the caller waits, if `False`
        """
        common = Common(tags, upper, lock, protected, jitter, soft_timeout, hard_timeout)
        hits = integer("cache_hits", cache_hits, 1)
        strategy = Hit(hits, integer("update_after", update_after, 0, hits), flag("background", background))
        return self._caching(strategy, key, prefix, _plan(ttl, None, condition, time_condition, common), common)

    def dynamic(
        self,
        ttl: TTL = DAY,
        key: str | None = None,
        condition: Condition | str | None = None,
        time_condition: Duration | None = None,
        *,
        prefix: str = "dynamic",
        tags: Tags = (),
        upper: bool = False,
        lock: bool | Duration = False,
        protected: bool = True,
        jitter: float = 0.0,
        soft_timeout: Duration | None = None,
        hard_timeout: Duration | None = None,
    ) -> CachingDecorator:
        """Return a decorator: a `hit` that serves three times and loads anew in the background at the first."""
        common = Common(tags, upper, lock, protected, jitter, soft_timeout, hard_timeout)
        plan = _plan(ttl, None, condition, time_condition, common)
        return self._caching(Hit(DYNAMIC_HITS, DYNAMIC_UPDATE), key, prefix, plan, common)

    def iterator(
        self,
        ttl: TTL,
        key: str | None = None,
        condition: Condition | str | None = None,
        time_condition: Duration | None = None,
        *,
        prefix: str = "",
        jitter: float = 0.0,
        max_items: int = MOST_ITEMS,
        tags: Tags = (),
    ) -> IteratorDecorator:
        """Return a decorator of async generator functions: replay exactly the items of one complete run.

        A run is stored when it has come to its end: not if its consumer left early, not if it raised, and not if its
        key was invalidated meanwhile. A run is read in full before its first item is replayed. Consumers that find
        nothing run the function each for itself.

        :param ttl: counts from the end of the run; a callable gets the list of its items as `result`
        :param condition: asked about every item; if it refuses one, the whole run is not stored
        :param time_condition: store only runs that took at least this long, without the time of their consumer
        :param jitter: shorten each ttl at random by up to this share, from 0 to 1
        :param max_items: a run that yields more is not stored
        :param tags: as for the other decorators; the result is the list of the items
        """
        plan = _plan(ttl, None, condition, time_condition, Common(jitter=jitter))
        keying = self._keying(key, prefix, tags=parse_tags(tags), answers=True)
        return IteratorDecorator(self._engine, keying, plan, integer("max_items", max_items, 1))


def _plan(
    ttl: TTL, own_ttl: Compiled, condition: Condition | str | None, min_cost: Duration | None, common: Common
) -> Plan:
    return Plan(
        ttl=lifetime_of(ttl),
        own_ttl=own_ttl,
        condition=parse_condition(condition),
        min_cost=non_negative_duration("time_condition", min_cost) or 0.0,
        upper=flag("upper", common.upper),
        lease=lease_of(common.lock),
        protected=flag("protected", common.protected),
        jitter=number("jitter", common.jitter, 0, 1),
        soft_timeout=non_negative_duration("soft_timeout", common.soft_timeout),
        hard_timeout=positive_duration("hard_timeout", common.hard_timeout),
    )


def lifetime_of(ttl: TTL) -> Compiled:
    """Return the compiled form of the ttl of results.

    :raises WrongTTLError: if it is no duration
    :raises WrongArgumentError: if it is 0 or negative
    """
    compiled = compile_ttl(ttl)
    if isinstance(compiled, float) and compiled <= 0:
        raise WrongArgumentError("ttl", ttl, "a duration above 0, or None for no expiry")
    return compiled


def own_ttl(argument: str, given: TTL, ttl: TTL) -> Compiled:
    """Return the compiled form of a strategy's own ttl.

    :raises WrongTTLError: if it is no duration
    :raises WrongArgumentError: if it is negative, or longer than the ttl, and so would never have passed
    """
    own, whole = compile_ttl(given, argument), compile_ttl(ttl)
    if isinstance(own, float) and own < 0:
        raise WrongArgumentError(argument, given, "a duration from 0")
    if isinstance(own, float) and isinstance(whole, float) and own > whole > 0:
        raise WrongArgumentError(argument, given, f"a duration up to the ttl, which is {ttl!r}")
    return own


def lease_of(lock: bool | Duration) -> float | None:  # noqa: FBT001  the value of `lock=`
    """Return the lease that `lock=` asks for, in seconds; `None` for no lock.

    :raises WrongTTLError: if it is neither a flag nor a duration
    :raises WrongArgumentError: if it is a duration that is 0 or negative
    """
    if isinstance(lock, bool):
        return LEASE if lock else None
    return positive_duration("lock", lock, "True, False, or a duration above 0")
